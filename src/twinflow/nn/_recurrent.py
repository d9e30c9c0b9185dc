"""One step of each recurrent layer, and the cells: the layers for a single step.

A step takes the input's part of the gates, already multiplied by its weights, so that layers can form the products of
all steps at once. The gates stand side by side on the last axis, in PyTorch's order.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.nn._module import Module
from twinflow.nn._parameter import Parameter
from twinflow.nn.functional._linear import linear
from twinflow.ops import cat, empty, matmul, relu, sigmoid, tanh, zeros
from twinflow.ops._autocast import in_float32
from twinflow.ops._unstack import unstack
from twinflow.tensor import Tensor, no_grad

State = tuple[Tensor, ...]


class Weights(NamedTuple):
    """What a step multiplies its state with, and the one bias that cannot be added to the input's part beforehand."""

    hh: Tensor  # [G·H, H or P]
    b_n: Tensor | None = None  # [H]: a GRU's b_hn, which the reset gate multiplies
    hr: Tensor | None = None  # [P, H]: an LSTM's projection


Step = Callable[[Tensor, State, Weights], State]


def fold_biases(b_ih: Tensor | None, b_hh: Tensor | None, inside: bool) -> tuple[Tensor | None, Tensor | None]:
    """(bias of the input's part, bias inside the step); `inside` says whether the last of three gates has one."""
    if b_ih is None or b_hh is None:
        return None, None
    if not inside:
        return b_ih + b_hh, None
    size = b_hh.shape[0] // 3
    return b_ih + cat([b_hh[: 2 * size], zeros(size, dtype=b_hh.dtype)]), b_hh[2 * size :]


def _gates(x: Tensor, n: int) -> tuple[Tensor, ...]:
    size = x.shape[-1] // n
    return unstack(x.reshape(*x.shape[:-1], n, size), x.ndim - 1)


@functools.cache
def rnn_step(activation: Callable[[Tensor], Tensor]) -> Step:
    """h' = activation(x-part + W_hh h)."""

    def step(x: Tensor, state: State, w: Weights) -> State:
        return (activation(x + matmul(state[0], w.hh.mT)),)

    return step


@functools.cache
def lstm_step_with(activation: Callable[[Tensor], Tensor], gate: Callable[[Tensor], Tensor]) -> Step:
    """i, f, g, o = gates; c' = gate(f)·c + gate(i)·activation(g); h' = gate(o)·activation(c'), and W_hr h' with a
    projection. PyTorch's LSTM has tanh and the logistic function; Keras lets both be chosen."""

    def step(x: Tensor, state: State, w: Weights) -> State:
        h, c = state
        i, f, g, o = _gates(x + matmul(h, w.hh.mT), 4)
        c = gate(f) * c + gate(i) * activation(g)
        h = gate(o) * activation(c)
        return (h if w.hr is None else matmul(h, w.hr.mT)), c

    return step


lstm_step = lstm_step_with(tanh, sigmoid)


@functools.cache  # the same function for the same equations: eager keeps compiled loops by it
def gru_step(
    reset_after: bool,
    update_gate: str,
    activation: Callable[[Tensor], Tensor] = tanh,
    gate: Callable[[Tensor], Tensor] = sigmoid,
) -> Step:
    """r, z, n = gates; see `GRU` for the first two choices."""

    def step(x: Tensor, state: State, w: Weights) -> State:
        (h,) = state
        size = h.shape[-1]
        if reset_after:
            xr, xz, xn = _gates(x, 3)
            hr, hz, hn = _gates(matmul(h, w.hh.mT), 3)
            r, z = gate(xr + hr), gate(xz + hz)
            n = activation(xn + r * (hn if w.b_n is None else hn + w.b_n))
        else:
            r, z = _gates(gate(x[..., : 2 * size] + matmul(h, w.hh[: 2 * size].mT)), 2)
            n = activation(x[..., 2 * size :] + matmul(r * h, w.hh[2 * size :].mT))
        # a + z·(b - a): one product fewer than (1 - z)·a + z·b
        return (n + z * (h - n),) if update_gate == "keep" else (h + z * (n - h),)

    return step


def check_gru(name: str, update_gate: str) -> None:
    """Raise unless the update gate is one of the two conventions."""
    if update_gate not in ("keep", "replace"):
        raise ArgumentError(f"{name}: update_gate is 'keep' or 'replace', not {update_gate!r}")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": tanh, "relu": relu}


def activation_named(name: str, nonlinearity: str) -> Callable[[Tensor], Tensor]:
    """tanh or relu. Raises: ArgumentError for another name."""
    if nonlinearity not in ACTIVATIONS:
        raise ArgumentError(f"{name}: nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
    return ACTIVATIONS[nonlinearity]


def check_sizes(name: str, **sizes: int) -> None:
    """Raise unless every size is a positive whole number."""
    for what, n in sizes.items():
        if not isinstance(n, int) or isinstance(n, bool) or n <= 0:
            raise ArgumentError(f"{name}: {what} must be a positive whole number, not {n!r}")


def check_features(name: str, x: Any, n_features: int, weight: Tensor) -> None:
    """Raise unless `x` is a tensor with so many features, of the weights' type."""
    if not isinstance(x, Tensor):
        raise DTypeError(f"{name}: the input must be a tensor, not {type(x).__name__}")
    if x.ndim == 0 or x.shape[-1] != n_features:
        raise ShapeError(
            f"{name}: the last axis of the input must have {n_features} features (input_size), but its shape is {tuple(x.shape)}"
        )
    check_type(name, "input", x, weight)


def check_type(name: str, what: str, x: Tensor, weight: Tensor) -> None:
    """Raise unless `x` is of the weights' type."""
    if x.dtype is not weight.dtype:
        raise DTypeError(
            f"{name}: the {what} is {x.dtype.name}, but the weights are {weight.dtype.name}; convert it with "
            f".to(twinflow.{weight.dtype.name})"
        )


def uniform_parameter(shape: tuple[int, ...], bound: float, dtype: Any) -> Parameter:
    """A parameter drawn uniformly from [-bound, bound]."""
    p = Parameter(empty(shape, dtype=dtype))
    fill_uniform(p, bound)
    return p


def fill_uniform(p: Tensor, bound: float) -> None:
    """Draw a parameter anew, uniformly from [-bound, bound]."""
    with no_grad():
        p.uniform_(-bound, bound)


class _Cell(Module):
    """What the cells share: weights for `gates` gates, and the checks of input and state."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(self, input_size: int, hidden_size: int, bias: bool, gates: int, device: Any, dtype: Any) -> None:
        super().__init__()
        check_sizes(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bool(bias)
        bound = 1.0 / math.sqrt(hidden_size)
        rows = gates * hidden_size
        self.weight_ih = uniform_parameter((rows, input_size), bound, dtype)
        self.weight_hh = uniform_parameter((rows, hidden_size), bound, dtype)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, uniform_parameter((rows,), bound, dtype) if bias else None)
        if device is not None:
            self.to(device=device)

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew, uniformly from ±1/√hidden_size."""
        for p in self.parameters():
            fill_uniform(p, 1.0 / math.sqrt(self.hidden_size))

    bias_inside: bool = False  # whether the step itself adds a bias

    def _equations(self) -> Step:
        raise NotImplementedError(f"{type(self).__name__} must define _equations(self)")

    def _run(self, input: Tensor, given: Any, n_states: int) -> State:
        """Check the input and the state, which may lack the batch axis, and take one step."""
        name = type(self).__name__
        check_features(name, input, self.input_size, self.weight_ih)
        if input.ndim not in (1, 2):
            raise ShapeError(f"{name}: the input is [N, features] or [features], but its shape is {tuple(input.shape)}")
        want = (*input.shape[:-1], self.hidden_size)
        if given is None:
            start = zeros(want, dtype=input.dtype)
            given = (start,) * n_states
        for h in given:
            check_state(name, h, want, self.weight_hh)
        outside, inside = fold_biases(self.bias_ih, self.bias_hh, self.bias_inside)
        return self._equations()(linear(input, self.weight_ih, outside), tuple(given), Weights(self.weight_hh, inside))

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


def check_state(name: str, h: Any, want: tuple[int, ...], weight: Tensor) -> None:
    """Raise unless a state is a tensor of this shape, of the weights' type."""
    if not isinstance(h, Tensor):
        raise DTypeError(f"{name}: a state must be a tensor, not {type(h).__name__}")
    if tuple(h.shape) != want:
        raise ShapeError(f"{name}: the state must have shape {want}, but its shape is {tuple(h.shape)}")
    check_type(name, "state", h, weight)


class RNNCell(_Cell):
    """One step of a simple recurrent layer.

    h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

    Args:
        input_size, hidden_size: the features of x and h.
        bias: whether there are biases.
        nonlinearity: "tanh" or "relu".
    Shapes: x [N, input_size] or [input_size]; h [N, hidden_size] or [hidden_size], zeros if it is not given.
    Source: Elman 1990, Cognitive Science 14.

    >>> import twinflow
    >>> RNNCell(3, 4)(twinflow.ones(2, 3)).shape
    twinflow.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        activation_named("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def _equations(self) -> Step:
        return rnn_step(ACTIVATIONS[self.nonlinearity])

    @in_float32
    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next h."""
        return self._run(input, None if hx is None else (hx,), 1)[0]


class LSTMCell(_Cell):
    """One step of a long short-term memory.

    i, f, g, o = W_ih x + b_ih + W_hh h + b_hh
    c' = σ(f)·c + σ(i)·tanh(g),  h' = σ(o)·tanh(c')

    Args:
        input_size, hidden_size: the features of x and of h and c.
        bias: whether there are biases.
    Shapes: x [N, input_size] or [input_size]; (h, c) each [N, hidden_size] or [hidden_size], zeros if not given.
    Source: Hochreiter & Schmidhuber 1997; the forget gate: Gers et al. 2000.

    >>> import twinflow
    >>> h, c = LSTMCell(3, 4)(twinflow.ones(2, 3))
    >>> h.shape
    twinflow.Size([2, 4])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def _equations(self) -> Step:
        return lstm_step

    @in_float32
    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The next (h, c)."""
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise ArgumentError(f"LSTMCell: the state is a pair (h, c), not {type(hx).__name__}")
        h, c = self._run(input, hx, 2)
        return h, c


class GRUCell(_Cell):
    """One step of a gated recurrent unit; `GRU` gives the equations and the choices.

    Args:
        input_size, hidden_size: the features of x and h.
        bias: whether there are biases.
        reset_after, update_gate: which of the published forms is meant.
    Shapes: x [N, input_size] or [input_size]; h [N, hidden_size] or [hidden_size], zeros if it is not given.
    Source: Cho et al. 2014, arXiv:1406.1078.

    >>> import twinflow
    >>> GRUCell(3, 4)(twinflow.ones(2, 3)).shape
    twinflow.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        reset_after: bool = True,
        update_gate: str = "keep",
    ) -> None:
        check_gru("GRUCell", update_gate)
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)
        self.reset_after, self.update_gate, self.bias_inside = reset_after, update_gate, reset_after

    def _equations(self) -> Step:
        return gru_step(self.reset_after, self.update_gate)

    @in_float32
    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next h."""
        return self._run(input, None if hx is None else (hx,), 1)[0]
