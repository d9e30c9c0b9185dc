"""Which primitives run on compiled kernels in eager mode, and from which size on."""

from __future__ import annotations

from math import prod
from typing import Any

from twinflow.graph import Primitive
from twinflow.ops._contract import matmul, swap_last
from twinflow.ops._conv import conv, conv_input, conv_weight
from twinflow.ops._gather import check_range, put_add
from twinflow.ops._native import Native
from twinflow.ops._pool import max_pool, max_pool_input, window_sum
from twinflow.ops._reduce import sum_
from twinflow.ops._unary import digamma, erf, erfc, erfinv, lgamma, sigmoid
from twinflow.tensor import Tensor, apply

# From which size on a compiled program pays, including that it must be compiled once. Coarse, from timings on a busy machine
# of two cores with AVX-512. Single elementwise functions of float32 stay with NumPy at any size: up to a million elements
# kernels took as long for arithmetic, roots and logarithms, and longer for sin, tanh, atan and powers; exp alone was faster.
_PRODUCTS = 1 << 20  # of a convolution: a millisecond of NumPy
_WINDOWED = 1 << 14
_SCATTERED = 1 << 12  # `np.add.at` takes ten times as long
_SUMMED = 1 << 16  # of sums: half the time of NumPy's, and a tenth of it where the axes do not lie side by side
_SCALARS = 1 << 12  # of functions that NumPy lacks, but `math` has
_ITERATED = 1 << 6  # of functions that neither has: their references take microseconds an element


def _products(x: Any, w: Any, **params: Any) -> bool:
    return x.ndim == w.ndim and w.shape[0] > 0 and x.size * prod(w.shape[2:]) * w.shape[0] >= _PRODUCTS


def _by_weight(x: Any, g: Any, *, shape: tuple[int, ...], **params: Any) -> bool:
    return x.ndim == g.ndim and x.size * prod(shape) * g.shape[1] >= _PRODUCTS


_MULTIPLIED = 1 << 21  # of a matrix product; below, NumPy's `dot` starts faster


def _multiply(a: Tensor, b: Tensor, *, ta: bool, tb: bool) -> Any:
    return apply(matmul, swap_last(a) if ta else a, swap_last(b) if tb else b)


def _always(*_: Any, **_params: Any) -> bool:
    return True


# operands that lie transposed are read as they lie; the batch is the rows of the first, or, in a gradient of weights,
# what the product sums over
_rows_first = Native("matmul", matmul.ref, _multiply, _always, batched=1)
_rows_both = Native("matmul_rows", matmul.ref, _multiply, _always, batched=2)
_no_rows = Native("matmul_plain", matmul.ref, _multiply, _always, batched=0)


_stacked = Native("matmul_stacked", matmul.ref, _multiply, _always, batched=2)


def _run_stacked(a: Any, b: Any) -> Any:
    """Many products of small matrices: NumPy wakes its threads for each of them, which costs milliseconds when another
    program is busy."""
    lead = a.shape[:-2]
    ta, tb = _lies_transposed(a), _lies_transposed(b)
    x, y = a.swapaxes(-1, -2) if ta else a, b.swapaxes(-1, -2) if tb else b
    made = _stacked(x.reshape(-1, *x.shape[-2:]), y.reshape(-1, *y.shape[-2:]), ta=ta, tb=tb)
    return made.reshape(*lead, a.shape[-2], b.shape[-1])


def _lies_transposed(x: Any) -> bool:
    return bool(x.strides[-2] == x.itemsize and x.strides[-1] != x.itemsize)


def _run_matmul(a: Any, b: Any) -> Any:
    if a.ndim > 2 == b.ndim and a.size and b.size and a.shape[-1] == b.shape[0]:  # one product of all rows
        return _run_matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1])
    if a.ndim > 2:
        large = a.ndim == b.ndim and a.size * b.shape[-1] >= _MULTIPLIED and a.shape[:-2] == b.shape[:-2]
        if large and a.dtype == b.dtype and a.dtype.kind == "f" and a.itemsize >= 4 and a.shape[-1] == b.shape[-2]:
            return _run_stacked(a, b)
    elif (
        a.ndim == 2 == b.ndim
        and a.size * b.shape[1] >= _MULTIPLIED
        and a.dtype == b.dtype
        and a.dtype.kind == "f"
        and a.dtype.itemsize >= 4
        and a.shape[1] == b.shape[0]
    ):
        ta = a.flags.f_contiguous and not a.flags.c_contiguous
        tb = b.flags.f_contiguous and not b.flags.c_contiguous
        native = _rows_first if not ta else _no_rows if tb else _rows_both
        return native(a.T if ta else a, b.T if tb else b, ta=ta, tb=tb)
    return matmul.ref(a, b)


matmul.run = _run_matmul


def _install(prim: Primitive, pays: Any, batched: int = 1, exact: bool = False) -> None:
    def compose(*operands: Any, **params: Any) -> Any:
        return apply(prim, *operands, **params)

    prim.run = Native(prim.name, prim.ref, compose, pays, batched=batched, flat=prim.elementwise, exact=exact)


def _add_at(x: Tensor, index: Tensor, v: Tensor, *, axis: int) -> Any:
    return apply(put_add, x, index, v, axis=axis)


_native_put_add = Native("put_add", put_add.ref, _add_at, 0, batched=0)


def _run_put_add(x: Any, index: Any, v: Any, *, axis: int) -> Any:
    if v.size < _SCATTERED:
        return put_add.ref(x, index, v, axis=axis)
    check_range("put_add", index, x.shape[axis])  # a compiled step says less about an index that is outside
    return _native_put_add(x, index, v, axis=axis)


put_add.run = _run_put_add
# 3x3 taps over many channels take 16 products a block of results instead of 36, which is planned for a known batch
_install(conv, _products, exact=True)
_install(conv_input, lambda g, w, **_: w.ndim > 1 and g.size * prod(w.shape[1:]) >= _PRODUCTS, exact=True)
_install(conv_weight, _by_weight, batched=2, exact=True)
_install(window_sum, _WINDOWED)
_install(sum_, _SUMMED)
_install(max_pool, _WINDOWED)
_install(max_pool_input, _WINDOWED, batched=2)
for _prim in (sigmoid, erf, erfc, lgamma):
    _install(_prim, _SCALARS)
for _prim in (erfinv, digamma):
    _install(_prim, _ITERATED)
