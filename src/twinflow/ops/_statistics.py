"""Further reductions and running folds: norms, distances, covariance, nansum, cummax, diff, trapezoid, ..."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from twinflow.core import as_dtype, as_int, normalize_axes, normalize_axis
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.ops import _math as M
from twinflow.ops import _reduce as rows
from twinflow.ops import _reductions as R
from twinflow.ops import _shaping as P
from twinflow.ops._arranging import combinations
from twinflow.ops._autocast import in_float32
from twinflow.ops._declare import call, conjugate
from twinflow.ops._elementary import logaddexp
from twinflow.ops._products import matmul
from twinflow.ops._promote import convert, is_inexact, promote, to_tensor_arg
from twinflow.ops._reductions import ValuesIndices
from twinflow.tensor import Tensor, apply


class MinMax(NamedTuple):
    """The smallest and the largest element."""

    min: Tensor
    max: Tensor


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The smallest and the largest element, of all or along an axis."""
    axes: Any = () if dim is None else dim
    return MinMax(R.amin(input, axes, keepdim), R.amax(input, axes, keepdim))


def nansum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements that are numbers."""
    x = to_tensor_arg(input, "nansum")
    return R.sum(M.where(M.isnan(x), 0, x) if is_inexact(x) else x, dim, keepdim, dtype=dtype)


def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The average of the elements that are numbers."""
    x = to_tensor_arg(input, "nanmean")
    n = R.sum(convert(M.logical_not(M.isnan(x)), x.dtype), dim, keepdim)
    return nansum(x, dim, keepdim, dtype=dtype) / n


# -- norms and distances ----------------------------------------------------------------------------------------


def _root(total: Tensor) -> Tensor:
    """√x whose derivative at 0 is 0."""
    zero = M.eq(total, 0.0)
    return call("where", zero, 0.0, M.sqrt(call("where", zero, 1.0, total)))


def p_norm(x: Tensor, p: float, axes: Any, keepdim: bool) -> Tensor:
    """(Σ |x|^p)^(1/p) over axes; ∞, -∞ and 0 as their limits. The derivative at 0 is 0."""
    complex_ = x._data.dtype.kind == "c"
    if p == 2:
        square = M.mul(x, x) if not complex_ else M.real(M.mul(x, conjugate(x)))
        return _root(R.sum(square, axes, keepdim))
    size = M.abs(x)
    if p == math.inf:
        return R.amax(size, axes, keepdim)
    if p == -math.inf:
        return R.amin(size, axes, keepdim)
    if p == 0:
        return R.sum(convert(M.ne(x, 0), size.dtype), axes, keepdim)
    if p == 1:
        return R.sum(size, axes, keepdim)
    zero = M.eq(size, 0.0)
    if p < 0:
        return M.pow(R.sum(M.pow(size, p), axes, keepdim), 1 / p)
    total = R.sum(call("where", zero, 0.0, M.pow(call("where", zero, 1.0, size), p)), axes, keepdim)
    none = M.eq(total, 0.0)
    return call("where", none, 0.0, M.pow(call("where", none, 1.0, total), 1 / p))


def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The p-norm of the elements, over all axes or those named. `linalg.norm` has matrix norms too."""
    x = to_tensor_arg(input, "norm")
    if dtype is not None:
        x = convert(x, as_dtype(dtype))
    if not is_inexact(x):
        raise DTypeError(
            f"norm: the norm of {x.dtype.name} elements is not of their type; use .float() first, or dtype="
        )
    if p == "nuc":
        raise ArgumentError("norm: the nuclear norm is linalg.matrix_norm(x, 'nuc')")
    if isinstance(p, str) and p != "fro":
        raise ArgumentError(f"norm: p is a number, 'fro' or 'nuc', not {p!r}")
    return p_norm(x, 2.0 if p in ("fro", None) else float(p), normalize_axes(dim, x.ndim, "norm"), keepdim)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference."""
    return norm(M.sub(input, other), p)


def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Slices along an axis scaled down to the norm `maxnorm` where theirs is larger."""
    a = normalize_axis(dim, input.ndim, "renorm")
    size = p_norm(input, float(p), tuple(i for i in range(input.ndim) if i != a), True)
    return input * call("where", M.gt(size, float(maxnorm)), float(maxnorm) / (size + 1e-7), 1.0)


@in_float32
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances of every row of x1 [..., M, D] to every row of x2 [..., N, D]: [..., M, N].

    Differences are always formed directly, which is exact for close rows; PyTorch's `compute_mode` is not needed.
    """
    a, b = promote("cdist", x1, x2, inexact=True)
    if a.ndim < 2 or b.ndim < 2 or a._data.shape[-1] != b._data.shape[-1]:
        raise ShapeError(
            f"cdist: [..., M, D] and [..., N, D] are needed, not shapes {tuple(a.shape)} and {tuple(b.shape)}"
        )
    gap = P.unsqueeze(a, -2) - P.unsqueeze(b, -3)
    if not a._data.shape[-1]:
        return R.sum(gap, -1)
    return p_norm(gap, float(p), -1, False)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances of all pairs of rows, in the order (0, 1), (0, 2), ..."""
    n = input._data.shape[0]
    pairs = combinations(call("iota", n=n, dtype=as_dtype("int64")))
    return p_norm(
        call("take", input, pairs.select(1, 0), axis=0) - call("take", input, pairs.select(1, 1), axis=0),
        float(p),
        -1,
        False,
    )


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariance matrix of variables in rows and observations in columns.

    Args:
        correction: what is subtracted from the number of observations.
        fweights: how often each observation occurs.
        aweights: how important each observation is.
    """
    x = to_tensor_arg(input, "cov")
    if x.ndim > 2:
        raise ShapeError(f"cov: at most 2 axes, variables and observations, not shape {tuple(x.shape)}")
    x = x if is_inexact(x) else convert(x, as_dtype("float32"))
    alone = x.ndim < 2
    x = P.reshape(x, (1, x._data.size)) if alone else x
    n = x._data.shape[1]
    w: Any = None
    for each in (fweights, aweights):
        if each is not None:
            if tuple(each.shape) != (n,):
                raise ShapeError(f"cov: weights of shape {tuple(each.shape)} for {n} observations")
            w = convert(each, x.dtype) if w is None else w * convert(each, x.dtype)
    if w is None:
        centred = x - R.mean(x, 1, True)
        norm_factor: Any = float(R.max0(n - correction))
        weighted = centred
    else:
        total = R.sum(w)
        centred = x - P.unsqueeze(R.sum(x * w, 1), 1) / total
        norm_factor = total - (
            correction * R.sum(w * convert(aweights, x.dtype)) / total if aweights is not None else correction
        )
        weighted = centred * w
    y = matmul(weighted, conjugate(P.transpose(centred, 0, 1))) / norm_factor
    return P.reshape(y, ()) if alone else y


def corrcoef(input: Tensor) -> Tensor:
    """The correlation coefficients of variables in rows: the covariance divided by both standard deviations."""
    c = cov(input)
    if c.ndim == 0:
        return c / c
    d = M.sqrt(M.real(P.diagonal(c)))
    y = c / P.unsqueeze(d, 1) / P.unsqueeze(d, 0)
    return y if c._data.dtype.kind == "c" else M.clamp(y, -1.0, 1.0)


# -- running folds ----------------------------------------------------------------------------------------------


def _cumulative_extreme(op: str, prim: Any, input: Tensor, dim: int) -> ValuesIndices:
    x = to_tensor_arg(input, op)
    axis = normalize_axis(dim, x.ndim, op)
    if x.ndim == 0:
        return ValuesIndices(x.clone(), call("full", shape=(), value=0, dtype=as_dtype("int64")))
    wide = convert(x, as_dtype("uint8")) if x._data.dtype.kind == "b" else x
    values = apply(prim, wide, axis=axis)
    n = x._data.shape[axis]
    at = P.reshape(call("iota", n=n, dtype=as_dtype("int64")), tuple(n if i == axis else 1 for i in range(x.ndim)))
    hit = M.eq(wide, values) | M.ne(wide, wide)
    return ValuesIndices(convert(values, x.dtype), apply(rows.cummax, M.where(hit, at, 0), axis=axis))


def cummax(input: Tensor, dim: int) -> ValuesIndices:
    """Running maxima along an axis and where each was last reached."""
    return _cumulative_extreme("cummax", rows.cummax, input, dim)


def cummin(input: Tensor, dim: int) -> ValuesIndices:
    """Running minima along an axis and where each was last reached."""
    return _cumulative_extreme("cummin", rows.cummin, input, dim)


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log of the running sums of e^x along an axis, without overflow: in log₂ n steps of logaddexp."""
    x = to_tensor_arg(input, "logcumsumexp")
    axis = normalize_axis(dim, x.ndim, "logcumsumexp")
    if x.ndim == 0:
        return x.clone()
    n, step = x._data.shape[axis], 1
    y = x if n > 1 else x.clone()
    while step < n:
        front = P.narrow(y, axis, 0, step)
        y = P.cat([front, logaddexp(P.narrow(y, axis, step, n - step), P.narrow(y, axis, 0, n - step))], axis)
        step *= 2
    return y


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along an axis, n times over."""
    parts = [x for x in (prepend, input, append) if x is not None]
    x = P.cat(parts, dim) if len(parts) > 1 else input
    if not x.ndim:
        raise ShapeError("diff: a 0-dimensional tensor has no neighbours")
    a = normalize_axis(dim, x.ndim, "diff")
    if as_int(n, "diff: n") < 0:
        raise ArgumentError(f"diff: n must not be negative, but {n} was given")
    for _ in range(n):
        size = x._data.shape[a]
        late, early = P.narrow(x, a, min(1, size), max(size - 1, 0)), P.narrow(x, a, 0, max(size - 1, 0))
        x = M.bitwise_xor(late, early) if x._data.dtype.kind == "b" else late - early
    return x


def _steps(op: str, y: Tensor, x: Tensor | None, dx: float | None, a: int) -> Any:
    """The distances of neighbours, with as many axes as y."""
    if x is None:
        return 1.0 if dx is None else dx
    if dx is not None:
        raise ArgumentError(f"{op}: give either x or dx, not both")
    if x.ndim == 1:
        if x._data.shape[0] != y._data.shape[a]:
            raise ShapeError(f"{op}: {x._data.shape[0]} positions for axis {a} of extent {y._data.shape[a]}")
        gap = diff(x)
        return P.reshape(gap, tuple(gap._data.shape[0] if i == a else 1 for i in range(y.ndim)))
    return diff(x, dim=a - y.ndim)


def _areas(op: str, y: Tensor, x: Tensor | None, dx: float | None, dim: int) -> tuple[Tensor, int]:
    a = normalize_axis(dim, y.ndim, op)
    n = y._data.shape[a]
    y = y if is_inexact(y) else convert(y, as_dtype("float32"))
    late, early = P.narrow(y, a, min(1, n), max(n - 1, 0)), P.narrow(y, a, 0, max(n - 1, 0))
    return (late + early) * 0.5 * _steps(op, y, x, dx, a), a


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """The integral along an axis by the trapezoidal rule, at positions x or at distances dx (1)."""
    area, a = _areas("trapezoid", y, x, dx, dim)
    return R.sum(area, a)


trapz = trapezoid


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """Running integrals along an axis by the trapezoidal rule."""
    area, a = _areas("cumulative_trapezoid", y, x, dx, dim)
    return R.cumsum(area, a)


def gradient(input: Tensor, *, spacing: Any = 1.0, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Derivatives along axes by central differences; at the edges one-sided, of order 1 or 2.

    `spacing` is the distance of neighbours: one number for all axes, or one for each.
    """
    axes = normalize_axes(dim, input.ndim, "gradient")
    gaps = list(spacing) if isinstance(spacing, (tuple, list)) else [spacing] * len(axes)
    if len(gaps) != len(axes) or any(isinstance(g, Tensor) for g in gaps):
        raise ArgumentError(f"gradient: spacing is a number, or one for each of the {len(axes)} axes")
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order is 1 or 2, not {edge_order}")
    out = []
    for a, h in zip(axes, gaps):
        n = input._data.shape[a]
        if n <= edge_order:
            raise ShapeError(f"gradient: axis {a} needs at least {edge_order + 1} elements, but has {n}")

        def at(i: int, k: int = 1, a: int = a) -> Tensor:
            return P.narrow(input, a, i, k)

        inner = (at(2, n - 2) - at(0, n - 2)) / (2 * h)
        if edge_order == 1:
            low, high = (at(1) - at(0)) / h, (at(n - 1) - at(n - 2)) / h
        else:
            low = (at(0) * -1.5 + at(1) * 2.0 - at(2) * 0.5) / h
            high = (at(n - 1) * 1.5 - at(n - 2) * 2.0 + at(n - 3) * 0.5) / h
        out.append(P.cat([low, inner, high], a))
    return tuple(out)
