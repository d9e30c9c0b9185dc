"""Layers as plain JAX functions on a flat dictionary of parameters named as PyTorch's: images are [N, H, W, C]."""

from typing import Any


def relu(x: Any) -> Any:
    import jax

    return jax.nn.relu(x)


def dense(p: Any, name: str, x: Any) -> Any:
    y = x @ p[f"{name}.weight"]
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def conv(p: Any, name: str, x: Any, padding: int, stride: int = 1) -> Any:
    import jax

    pads, strides = [(padding, padding)] * 2, (stride, stride)
    numbers = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, p[f"{name}.weight"], strides, pads, dimension_numbers=numbers)
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def max_pool(x: Any, size: int) -> Any:
    import jax

    window = (1, size, size, 1)
    return jax.lax.reduce_window(x, -float("inf"), jax.lax.max, window, window, "VALID")


def batch_norm(p: Any, state: Any, new: Any, name: str, x: Any, train: bool) -> Any:
    """Normalise [N, H, W, C] over all but C; in training, writes the moving statistics to `new`."""
    import jax

    mean_name, var_name = f"{name}.running_mean", f"{name}.running_var"
    mean, var = state[mean_name], state[var_name]
    if train:
        new[mean_name], new[var_name] = mean, var
        count = x.size // x.shape[-1]
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        new[mean_name] = 0.9 * new[mean_name] + 0.1 * mean
        new[var_name] = 0.9 * new[var_name] + 0.1 * var * (count / (count - 1))
    return (x - mean) * (jax.lax.rsqrt(var + 1e-5) * p[f"{name}.weight"]) + p[f"{name}.bias"]


def layer_norm(p: Any, name: str, x: Any) -> Any:
    import jax

    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def lstm(p: Any, name: str, x: Any) -> Any:
    """The last hidden state over [N, T, C]; the inputs' products are one matrix product for all steps."""
    import jax
    import jax.numpy as jnp

    w = p[f"{name}.weight_hh_l0"]
    inputs = x.swapaxes(0, 1) @ p[f"{name}.weight_ih_l0"] + p[f"{name}.bias_ih_l0"] + p[f"{name}.bias_hh_l0"]

    def cell(carry: Any, a: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(a + h @ w, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zero = jnp.zeros((x.shape[0], w.shape[0]), x.dtype)
    return jax.lax.scan(cell, (zero, zero), inputs)[0][0]


def gru(p: Any, name: str, x: Any) -> Any:
    """The last hidden state over [N, T, C], with PyTorch's gates: the reset gate multiplies after the product."""
    import jax
    import jax.numpy as jnp

    w, b = p[f"{name}.weight_hh_l0"], p[f"{name}.bias_hh_l0"]
    inputs = x.swapaxes(0, 1) @ p[f"{name}.weight_ih_l0"] + p[f"{name}.bias_ih_l0"]

    def cell(h: Any, a: Any) -> Any:
        r, z, n = jnp.split(a, 3, -1)
        hr, hz, hn = jnp.split(h @ w + b, 3, -1)
        n = jnp.tanh(n + jax.nn.sigmoid(r + hr) * hn)
        z = jax.nn.sigmoid(z + hz)
        return (1 - z) * n + z * h, None

    return jax.lax.scan(cell, jnp.zeros((x.shape[0], w.shape[0]), x.dtype), inputs)[0]
