"""What a workload states: its weights and batches as NumPy arrays, its model in each framework, and its arithmetic.

Names and layouts of the arrays are PyTorch's (a `state_dict`, images as [N, C, H, W]); the other frameworks get them in
the layout that is natural to them (images [N, H, W, C], dense weights [in, out]), converted before anything is timed.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Arrays = dict[str, np.ndarray]
CHECK_STEPS = 3  # as many different batches as there are compared losses


@dataclass(frozen=True)
class Contraction:
    """`count` products [m, k] @ [k, n]; `learned_input` is false where no gradient of the left operand is needed."""

    m: float
    n: float
    k: float
    count: int = 1
    learned_input: bool = True

    def flops(self, train: bool) -> float:
        return 2.0 * self.m * self.n * self.k * self.count * ((3 if self.learned_input else 2) if train else 1)


@dataclass
class Workload:
    """One model with its data and optimizer; subclasses write it in each framework."""

    name: str
    title: str
    batch: int
    loss: Literal["mse", "cross_entropy"] = "cross_entropy"
    optimizer: Literal["sgd", "momentum", "adam"] = "adam"
    lr: float = 1e-3
    rtol: float = 1e-3  # how far a loss may be from the reference's, relatively
    rtol_later: float = 1e-2  # the same from the second step on: updates amplify rounding
    limit: float | None = None  # what a training step may take, as a share of the best other framework's
    steps_a_call: int = 1  # twinflow's compiled step runs so many in one call; the others one, as their users write it
    tables: frozenset[str] = frozenset()  # two-dimensional arrays that are looked up in, never transposed

    def parameters(self, rng: np.random.Generator) -> Arrays:
        raise NotImplementedError

    def data(self, rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """One batch of inputs and targets."""
        raise NotImplementedError

    def contractions(self, batch: int) -> list[Contraction]:
        raise NotImplementedError

    def torch_model(self, torch: Any) -> Any:
        """The model as a PyTorch user writes it; `torch` is PyTorch or twinflow."""
        raise NotImplementedError

    def jax_model(self, p: Any, state: Any, x: Any, train: bool) -> tuple[Any, Any]:
        """The model's output and its new state (batch statistics) from parameters in JAX's layout."""
        raise NotImplementedError

    def keras_model(self, keras: Any) -> Any:
        """The model whose layers carry the names of PyTorch's modules, with `_` for `.`."""
        raise NotImplementedError

    def channels_last(self, arrays: Arrays) -> Arrays:
        """The parameters with rows of dense layers reordered where an image is flattened channels last."""
        return arrays

    def floor_flops(self, batch: int, train: bool) -> float:
        return sum(c.flops(train) for c in self.contractions(batch))

    def floor_nbytes(self, arrays: Arrays, batch: int, train: bool) -> float:
        """Bytes that must move even if activations stay in cache: weights and optimizer state once, and the batch."""
        weights = sum(a.nbytes for k, a in arrays.items() if k.startswith("p/") and a.dtype.kind == "f")
        passes = {"sgd": 2, "momentum": 4, "adam": 6}[self.optimizer] if train else 1
        return weights * passes + arrays["x0"].nbytes / len(arrays["x0"]) * batch

    def arrays(self) -> Arrays:
        """Everything a worker needs to start: parameters as `p/NAME`, batches as `x0`, `y0`, `x1`, ..."""
        rng = np.random.default_rng(0)
        made = {f"p/{name}": a for name, a in self.parameters(rng).items()}
        for i in range(CHECK_STEPS):
            made[f"x{i}"], made[f"y{i}"] = self.data(rng, self.batch)
        return made


def uniform(rng: np.random.Generator, *shape: int, fan_in: int) -> np.ndarray:
    """PyTorch's default for linear, convolution and recurrent layers: uniform within ±1/√fan_in."""
    bound = fan_in**-0.5
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def linear(rng: np.random.Generator, name: str, n_in: int, n_out: int, bias: bool = True) -> Arrays:
    made = {f"{name}.weight": uniform(rng, n_out, n_in, fan_in=n_in)}
    return made | ({f"{name}.bias": uniform(rng, n_out, fan_in=n_in)} if bias else {})


def conv(rng: np.random.Generator, name: str, c_in: int, c_out: int, size: int, bias: bool = True) -> Arrays:
    fan_in = c_in * size * size
    made = {f"{name}.weight": uniform(rng, c_out, c_in, size, size, fan_in=fan_in)}
    return made | ({f"{name}.bias": uniform(rng, c_out, fan_in=fan_in)} if bias else {})


def batch_norm(name: str, channels: int) -> Arrays:
    return {
        f"{name}.weight": np.ones(channels, np.float32),
        f"{name}.bias": np.zeros(channels, np.float32),
        f"{name}.running_mean": np.zeros(channels, np.float32),
        f"{name}.running_var": np.ones(channels, np.float32),
        f"{name}.num_batches_tracked": np.zeros((), np.int64),
    }


def layer_norm(name: str, width: int) -> Arrays:
    return {f"{name}.weight": np.ones(width, np.float32), f"{name}.bias": np.zeros(width, np.float32)}


def recurrent(rng: np.random.Generator, name: str, n_in: int, n_hidden: int, gates: int) -> Arrays:
    return {
        f"{name}.weight_ih_l0": uniform(rng, gates * n_hidden, n_in, fan_in=n_hidden),
        f"{name}.weight_hh_l0": uniform(rng, gates * n_hidden, n_hidden, fan_in=n_hidden),
        f"{name}.bias_ih_l0": uniform(rng, gates * n_hidden, fan_in=n_hidden),
        f"{name}.bias_hh_l0": uniform(rng, gates * n_hidden, fan_in=n_hidden),
    }


def images(rng: np.random.Generator, batch: int, channels: int, size: int) -> np.ndarray:
    return rng.normal(size=(batch, channels, size, size)).astype(np.float32)


def labels(rng: np.random.Generator, batch: int, classes: int = 10) -> np.ndarray:
    return rng.integers(0, classes, batch)


def flattened_last(weight: np.ndarray, channels: int, height: int, width: int) -> np.ndarray:
    """[out, C·H·W] → [out, H·W·C]: the weight of a dense layer after an image flattened channels last."""
    return weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(len(weight), -1).copy()
