"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import broadcast_shapes, quiet
from twinflow.core.errors import DTypeError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Contraction
from twinflow.ops._declare import F32, F64, calls, conjugate, want
from twinflow.ops._shape import permute, reshape, to_front
from twinflow.tensor import MODE, SPECIAL, Tensor, apply, is_plain, record_binary, sum_to, wrap


def _matmul_out(a: Aval, b: Aval) -> Aval:
    want(a.ndim >= 2 and b.ndim >= 2, "both operands have at least 2 axes", "matmul", a=a, b=b)
    want(
        a.shape[-1] == b.shape[-2],
        f"a.shape[-1] == b.shape[-2] ({a.shape[-1]} and {b.shape[-2]})",
        "matmul", a=a, b=b,
    )  # fmt: skip
    if a.dtype is not b.dtype:
        raise DTypeError(f"matmul: operands of different types {a!r} and {b!r}; convert one with .to(...)")
    return Aval((*broadcast_shapes(a.shape[:-2], b.shape[:-2], op="matmul"), a.shape[-2], b.shape[-1]), a.dtype)


def _np_matmul(a: Any, b: Any) -> Any:
    if a.dtype.itemsize == 2 and a.dtype.kind in "fV":
        return np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
    return a.dot(b) if a.ndim == 2 == b.ndim else np.matmul(a, b)  # dot starts faster


def swap_last(x: Tensor) -> Tensor:
    """The last two axes exchanged: the transpose of each matrix. For rules: the result is not tied to `x` as a view."""
    n = len(x._data.shape)
    if n == 2 and is_plain(x):
        return wrap(x._data.T)
    return apply(permute, x, axes=(*range(n - 2), n - 1, n - 2))


def product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b for operands of one type with at least 2 axes."""
    if not SPECIAL.count:
        x, y = a._data, b._data
        d = x.dtype
        # small matrices, where `dot` starts faster than anything else
        if (d is F32 or d is F64) and y.dtype is d and x.ndim == 2 == y.ndim and x.size < 4096:
            try:
                result = wrap(quiet(x.dot, y))
            except (ValueError, RuntimeError):
                return apply(matmul, a, b)  # which says what is wrong
            m, n = a._info, b._info
            if ((m is not None and m.requires_grad) or (n is not None and n.requires_grad)) and MODE.grad:
                record_binary(matmul, a, b, {}, result)
            return result
    return apply(matmul, a, b)


def _wrt_a(g: Tensor, _y: Any, _a: Any, b: Tensor) -> Tensor:
    return sum_to(product(g, swap_last(conjugate(b))), tuple(_a.shape))


def _wrt_b(g: Tensor, _y: Any, a: Tensor, _b: Any) -> Tensor:
    shape = tuple(_b.shape)
    if len(shape) == 2 and len(a._data.shape) > 2:  # one matrix for the whole batch: fold the batch into the rows
        k, n = shape
        a2 = apply(reshape, a, shape=(-1 if a._data.size == 0 else a._data.size // k, k)) if a._data.size else a
        if a._data.size:
            g2 = apply(reshape, g, shape=(a._data.size // k, n))
            return apply(matmul, swap_last(conjugate(a2)), g2)
    return sum_to(product(swap_last(conjugate(a)), g), shape)


def _matmul_batch(args: Any, axes: Any) -> Any:
    a, b = args
    # align the mapped axis as the first batch axis of both
    ra = len(a._data.shape) - (axes[0] is not None)
    rb = len(b._data.shape) - (axes[1] is not None)
    rank = max(ra, rb)
    out = []
    for x, axis, r in ((a, axes[0], ra), (b, axes[1], rb)):
        if axis is None:
            out.append(x)
            continue
        x = to_front(x, axis)
        s = x._data.shape
        out.append(x if r == rank else apply(reshape, x, shape=(s[0],) + (1,) * (rank - r) + tuple(s[1:])))
    return apply(matmul, *out), 0


def _matmul_samples(rng: np.random.Generator) -> list[Sample]:
    shapes = (
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 1, 2, 3), (4, 3, 2)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 2)),
        ((1, 1), (1, 1)),
    )
    return calls(*((s, {}) for s in shapes), kinds=("float32", "float64", "complex64", "int64", "bfloat16"))(rng)


matmul: Primitive = Primitive(
    "matmul",
    out=_matmul_out,
    ref=_np_matmul,
    vjp=(_wrt_a, _wrt_b),
    jvp="multilinear",
    batch=_matmul_batch,
    lower=Contraction(),
    samples=_matmul_samples,
    bad=lambda rng: [
        Sample((np.ones((2, 3), np.float32), np.ones((4, 2), np.float32)), {}),
        Sample((np.ones(3, np.float32), np.ones((3, 2), np.float32)), {}),
    ],
    doc="Products of matrices in the last two axes; the axes before them broadcast. 16-bit types accumulate in float32.",
    ulp=64,
)
