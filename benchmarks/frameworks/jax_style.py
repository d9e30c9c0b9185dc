"""Programs as JAX users write them: a pure step under `jit` that donates its parameters and optimizer state."""

from typing import Any

import numpy as np

from benchmarks.operations import Operation
from benchmarks.workloads import CHECK_STEPS, Workload

from ._program import Program, with_batch

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def to_jax_layout(workload: Workload, arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters (dense weights [in, out], filters [H, W, in, out]) and batch statistics."""
    import jax.numpy as jnp

    torch_style = workload.channels_last({k[2:]: a for k, a in arrays.items() if k.startswith("p/")})
    parameters, state = {}, {}
    for name, a in torch_style.items():
        if name.endswith(("running_mean", "running_var")):
            state[name] = jnp.array(a)
        elif a.dtype.kind == "f":
            if name not in workload.tables:
                a = a.transpose(2, 3, 1, 0) if a.ndim == 4 else a.T
            parameters[name] = jnp.array(a)
    return parameters, state


def to_device(x: np.ndarray) -> Any:
    import jax.numpy as jnp

    return jnp.asarray(np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if x.ndim == 4 else x)


class Framework:
    def __init__(self, name: str, threads: int) -> None:
        import jax

        self.jax = jax
        self.version = jax.__version__

    def program(self, call: Any, arguments: list[tuple[Any, ...]]) -> Program:
        return Program(call, arguments, self.jax.block_until_ready, np.asarray)

    def train(self, workload: Workload, arrays: dict[str, Any]) -> Program:
        jax, jnp = self.jax, self.jax.numpy
        tree_map = jax.tree_util.tree_map
        parameters, state = to_jax_layout(workload, arrays)
        lr = workload.lr

        def loss_of(p: Any, state: Any, x: Any, y: Any) -> Any:
            outputs, state = workload.jax_model(p, state, x, True)
            if workload.loss == "mse":
                return jnp.mean((outputs - y) ** 2), state
            logs = jax.nn.log_softmax(outputs)
            return -jnp.mean(jnp.take_along_axis(logs, y[..., None], -1)), state

        def adam(p: Any, moments: Any, g: Any) -> Any:
            m, v, t = moments
            t = t + 1
            m = tree_map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
            v = tree_map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
            c1, c2 = 1 - BETA1**t, 1 - BETA2**t
            p = tree_map(lambda p, m, v: p - lr * (m / c1) / (jnp.sqrt(v / c2) + EPS), p, m, v)
            return p, (m, v, t)

        def sgd(p: Any, moments: Any, g: Any) -> Any:
            return tree_map(lambda p, g: p - lr * g, p, g), moments

        def momentum(p: Any, velocity: Any, g: Any) -> Any:
            velocity = tree_map(lambda u, g: 0.9 * u + g, velocity, g)
            return tree_map(lambda p, u: p - lr * u, p, velocity), velocity

        update = {"adam": adam, "sgd": sgd, "momentum": momentum}[workload.optimizer]

        def step(p: Any, moments: Any, state: Any, x: Any, y: Any) -> Any:
            (loss, state), g = jax.value_and_grad(loss_of, has_aux=True)(p, state, x, y)
            p, moments = update(p, moments, g)
            return p, moments, state, loss

        jitted = jax.jit(step, donate_argnums=(0, 1, 2))
        zeros = tree_map(jnp.zeros_like, parameters)
        moments: Any = {"adam": (zeros, tree_map(jnp.copy, zeros), jnp.zeros(())), "sgd": (), "momentum": zeros}[
            workload.optimizer
        ]
        held = [parameters, moments, state]

        def call(x: Any, y: Any) -> Any:
            held[0], held[1], held[2], loss = jitted(*held, x, y)
            return loss

        batches = [(to_device(arrays[f"x{i}"]), jnp.asarray(arrays[f"y{i}"])) for i in range(CHECK_STEPS)]
        return self.program(call, batches)

    def predict(self, workload: Workload, arrays: dict[str, Any], batch: int) -> Program:
        parameters, state = to_jax_layout(workload, arrays)
        forward = self.jax.jit(lambda p, s, x: workload.jax_model(p, s, x, False)[0])
        x = to_device(with_batch(arrays["x0"], batch))
        return self.program(lambda x: forward(parameters, state, x), [(x,)])

    def operation(self, operation: Operation, arrays: list[Any]) -> Program:
        assert operation.jax
        jitted = self.jax.jit(lambda *args: operation.jax(self.jax, *args))
        return self.program(jitted, [tuple(map(self.jax.numpy.asarray, arrays))])
