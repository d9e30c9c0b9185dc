"""Single operations over sizes: the arrays each takes and how each framework says it.

Images are [N, C, H, W] for PyTorch and twinflow, and the operation itself says what the others get.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Operation:
    """One operation at one size; the three callables take the framework's module and its arrays."""

    name: str
    title: str
    arrays: Callable[[np.random.Generator], list[np.ndarray]]
    torch: Callable[..., Any]
    jax: Callable[..., Any] | None = None  # none: an operation that only the eager table asks for
    tf: Callable[..., Any] | None = None
    needs_grad: bool = False  # record the operation for backward
    flops: float = 0.0
    nbytes: float = 0.0  # least traffic: each operand read and the result written once
    rtol: float = 1e-3


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], list[np.ndarray]]:
    return lambda rng: [rng.normal(size=s).astype(np.float32) for s in shapes]


def matmul(n: int) -> Operation:
    return Operation(
        f"matmul-{n}",
        f"matmul {n}x{n}",
        normal((n, n), (n, n)),
        lambda torch, a, b: a @ b,
        lambda jax, a, b: a @ b,
        lambda tf, a, b: a @ b,
        flops=2.0 * n**3,
        nbytes=12.0 * n * n,
    )


def conv(n: int, c: int, size: int) -> Operation:
    numbers = ("NCHW", "OIHW", "NCHW")
    return Operation(
        f"conv-{n}x{c}x{size}",
        f"conv 3x3, {c} to {c} channels, {n} images {size}x{size}",
        normal((n, c, size, size), (c, c, 3, 3)),
        lambda torch, x, w: torch.nn.functional.conv2d(x, w, padding=1),
        lambda jax, x, w: jax.lax.conv_general_dilated(x, w, (1, 1), [(1, 1)] * 2, dimension_numbers=numbers),
        # TensorFlow on a processor convolves channels last only: its user pays for the transposes of [N, C, H, W].
        lambda tf, x, w: tf.transpose(
            tf.nn.conv2d(tf.transpose(x, (0, 2, 3, 1)), tf.transpose(w, (2, 3, 1, 0)), 1, "SAME"), (0, 3, 1, 2)
        ),
        flops=2.0 * n * size * size * c * c * 9,
        nbytes=4.0 * (2 * n * c * size * size + c * c * 9),
    )


def softmax(n: int) -> Operation:
    return Operation(
        f"softmax-{n}",
        f"softmax over rows of {n}x{n}",
        normal((n, n)),
        lambda torch, x: torch.softmax(x, -1),
        lambda jax, x: jax.nn.softmax(x, -1),
        lambda tf, x: tf.nn.softmax(x, -1),
        nbytes=8.0 * n * n,
    )


def layer_norm(n: int) -> Operation:
    def in_jax(jax: Any, x: Any, w: Any, b: Any) -> Any:
        return (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * w + b

    def in_tf(tf: Any, x: Any, w: Any, b: Any) -> Any:
        mean, var = tf.nn.moments(x, -1, keepdims=True)
        return tf.nn.batch_normalization(x, mean, var, b, w, 1e-5)

    return Operation(
        f"layer-norm-{n}",
        f"layer norm over rows of {n}x{n}",
        normal((n, n), (n,), (n,)),
        lambda torch, x, w, b: torch.nn.functional.layer_norm(x, x.shape[-1:], w, b),
        in_jax,
        in_tf,
        nbytes=8.0 * n * n,
    )


def attention(n: int, heads: int, length: int, d: int) -> Operation:
    def in_jax(jax: Any, q: Any, k: Any, v: Any) -> Any:
        q, k, v = (a.swapaxes(1, 2) for a in (q, k, v))
        return jax.nn.dot_product_attention(q, k, v, is_causal=True).swapaxes(1, 2)

    def in_tf(tf: Any, q: Any, k: Any, v: Any) -> Any:
        scores = tf.matmul(q, k, transpose_b=True) * d**-0.5
        allowed = tf.linalg.band_part(tf.ones((length, length), tf.bool), -1, 0)
        return tf.nn.softmax(tf.where(allowed, scores, -np.inf)) @ v

    return Operation(
        f"attention-{n}x{heads}x{length}x{d}",
        f"causal attention, batch {n}, {heads} heads, {length} x {d}",
        normal(*[(n, heads, length, d)] * 3),
        lambda torch, q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True),
        in_jax,
        in_tf,
        flops=2.0 * n * heads * length * length * d,  # two products, half of each below the diagonal
        nbytes=16.0 * n * heads * length * d,
    )


def embedding(rows: int, d: int, n: int) -> Operation:
    return Operation(
        f"embedding-{n}",
        f"embedding, {n} rows of {rows}x{d}",
        lambda rng: [rng.integers(0, rows, n), rng.normal(size=(rows, d)).astype(np.float32)],
        lambda torch, i, w: torch.nn.functional.embedding(i, w),
        lambda jax, i, w: w[i],
        lambda tf, i, w: tf.gather(w, i),
        nbytes=n * (8.0 * d + 8),
    )


def total(n: int) -> Operation:
    return Operation(
        f"sum-{n}",
        f"sum of {n}x{n}",
        normal((n, n)),
        lambda torch, x: x.sum(),
        lambda jax, x: x.sum(),
        lambda tf, x: tf.reduce_sum(x),
        nbytes=4.0 * n * n,
        rtol=1e-2,  # a sum of numbers of both signs: rounding is large beside the result
    )


def row_max(n: int) -> Operation:
    return Operation(
        f"max-{n}",
        f"maximum of the columns of {n}x{n}",
        normal((n, n)),
        lambda torch, x: x.amax(0),
        lambda jax, x: x.max(0),
        lambda tf, x: tf.reduce_max(x, 0),
        nbytes=4.0 * n * n,
    )


def add(n: int) -> Operation:
    return Operation(
        f"add-{n}",
        f"a + b, {n} numbers",
        normal((n,), (n,)),
        lambda torch, a, b: a + b,
        lambda jax, a, b: a + b,
        lambda tf, a, b: a + b,
        nbytes=12.0 * n,
    )


def chain(n: int) -> Operation:
    return Operation(
        f"chain-{n}",
        f"tanh(a * b + c) * exp(-a * a), {n} numbers",
        normal((n,), (n,), (n,)),
        lambda torch, a, b, c: torch.tanh(a * b + c) * torch.exp(-a * a),
        lambda jax, a, b, c: jax.numpy.tanh(a * b + c) * jax.numpy.exp(-a * a),
        lambda tf, a, b, c: tf.tanh(a * b + c) * tf.exp(-a * a),
        nbytes=16.0 * n,
    )


def gelu(n: int) -> Operation:
    return Operation(
        f"gelu-{n}",
        f"gelu, {n} numbers",
        normal((n,)),
        lambda torch, x: torch.nn.functional.gelu(x),
        lambda jax, x: jax.nn.gelu(x, approximate=False),
        lambda tf, x: tf.nn.gelu(x),
        nbytes=8.0 * n,
    )


def small(
    name: str, title: str, torch: Callable[..., Any], *shapes: tuple[int, ...], needs_grad: bool = False
) -> Operation:
    """An operation so small that its time is the framework's own."""
    return Operation(f"small-{name}", title, normal(*shapes), torch, needs_grad=needs_grad)


SMALL_OPERATIONS = [
    small("add", "a + b, [10]", lambda torch, a, b: a + b, (10,), (10,)),
    small("add-grad", "a + b, [10], recorded", lambda torch, a, b: a + b, (10,), (10,), needs_grad=True),
    small("scale", "a * 2.0, [10]", lambda torch, a: a * 2.0, (10,)),
    small("exp", "a.exp(), [10]", lambda torch, a: a.exp(), (10,)),
    small("relu", "relu(a), [8, 8]", lambda torch, a: torch.relu(a), (8, 8)),
    small("tanh-grad", "tanh(a), [8, 8], recorded", lambda torch, a: torch.tanh(a), (8, 8), needs_grad=True),
    small("compare", "(a > b), [10]", lambda torch, a, b: a > b, (10,), (10,)),
    small("sum", "a.sum(), [8, 8]", lambda torch, a: a.sum(), (8, 8)),
    small("mean", "a.mean(dim=0), [8, 8]", lambda torch, a: a.mean(dim=0), (8, 8)),
    small("matmul", "a @ b, [8, 8]", lambda torch, a, b: a @ b, (8, 8), (8, 8)),
    small("matmul-grad", "a @ b, [8, 8], recorded", lambda torch, a, b: a @ b, (8, 8), (8, 8), needs_grad=True),
    small("linear", "linear(x, w, b), [8, 8]", lambda torch, *a: torch.nn.functional.linear(*a), (8, 8), (8, 8), (8,)),
    small("softmax", "softmax(a, -1), [8, 8]", lambda torch, a: torch.softmax(a, -1), (8, 8)),
    small("reshape", "a.reshape(4, 16), [8, 8]", lambda torch, a: a.reshape(4, 16), (8, 8)),
    small("transpose", "a.t(), [8, 8]", lambda torch, a: a.t(), (8, 8)),
    small("index", "a[2], [8, 8]", lambda torch, a: a[2], (8, 8)),
    small("slice", "a[1:5, ::2], [8, 8]", lambda torch, a: a[1:5, ::2], (8, 8)),
    small("cat", "cat([a, b]), [8, 8]", lambda torch, a, b: torch.cat([a, b]), (8, 8), (8, 8)),
    small("where", "where(a > 0, a, b), [8, 8]", lambda torch, a, b: torch.where(a > 0, a, b), (8, 8), (8, 8)),
]

OPERATIONS = {
    o.name: o
    for o in [
        *map(matmul, (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)),
        conv(1, 64, 32),
        conv(16, 64, 32),
        conv(16, 256, 8),
        *map(softmax, (64, 1024, 4096)),
        *map(layer_norm, (64, 1024, 4096)),
        attention(32, 4, 64, 32),
        attention(4, 8, 512, 64),
        attention(1, 8, 2048, 64),
        embedding(10_000, 64, 1024),
        embedding(50_000, 512, 4096),
        *map(total, (64, 1024, 4096)),
        *map(row_max, (64, 1024, 4096)),
        *map(add, (10, 10_000, 1_000_000, 10_000_000)),
        *map(chain, (10, 10_000, 1_000_000)),
        *map(gelu, (10_000, 1_000_000)),
    ]
}

EVERY_OPERATION = OPERATIONS | {o.name: o for o in SMALL_OPERATIONS}
