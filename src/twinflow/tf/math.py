"""Functions by TensorFlow's names: `tf.math`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from twinflow import ops
from twinflow import special as _special
from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.tensor import Tensor
from twinflow.tf._functions import binary, named, unary
from twinflow.tf._shapes import known_int

# -- element by element ------------------------------------------------------------------------------------------

abs = unary(ops.abs, "|x|.")
acos = unary(ops.acos, "The inverse cosine.")
acosh = unary(ops.acosh, "The inverse hyperbolic cosine.")
angle = unary(ops.angle, "The argument of complex numbers.")
asin = unary(ops.asin, "The inverse sine.")
asinh = unary(ops.asinh, "The inverse hyperbolic sine.")
atan = unary(ops.atan, "The inverse tangent.")
atanh = unary(ops.atanh, "The inverse hyperbolic tangent.")
ceil = unary(ops.ceil, "The next whole number upwards.")
conj = unary(ops.conj, "The complex conjugate.")
cos = unary(ops.cos, "The cosine.")
cosh = unary(ops.cosh, "The hyperbolic cosine.")
digamma = unary(ops.digamma, "The derivative of lgamma.")
erf = unary(ops.erf, "The error function.")
erfc = unary(ops.erfc, "1 - erf(x).")
erfinv = unary(ops.erfinv, "The inverse of erf.")
exp = unary(ops.exp, "e^x.")
expm1 = unary(ops.expm1, "e^x - 1, exact near 0.")
floor = unary(ops.floor, "The next whole number downwards.")
imag = unary(ops.imag, "The imaginary part.")
is_finite = unary(ops.isfinite, "Whether each element is finite.", "is_finite")
is_inf = unary(ops.isinf, "Whether each element is infinite.", "is_inf")
is_nan = unary(ops.isnan, "Whether each element is NaN.", "is_nan")
lgamma = unary(ops.lgamma, "log |Γ(x)|.")
log = unary(ops.log, "The natural logarithm.")
log1p = unary(ops.log1p, "log(1 + x).")
log_sigmoid = unary(F.logsigmoid, "log(1 / (1 + e^-x)).", "log_sigmoid")
logical_not = unary(ops.logical_not, "Not, element by element.")
negative = unary(ops.neg, "-x.", "negative")
real = unary(ops.real, "The real part.")
reciprocal = unary(ops.reciprocal, "1 / x.")
rint = unary(ops.round, "The nearest whole number; halves go to even ones.", "rint")
round = unary(ops.round, "The nearest whole number; halves go to even ones.")
rsqrt = unary(ops.rsqrt, "1 / √x.")
sigmoid = unary(ops.sigmoid, "1 / (1 + e^-x).")
sign = unary(ops.sign, "-1, 0 or 1.")
sin = unary(ops.sin, "The sine.")
sinh = unary(ops.sinh, "The hyperbolic sine.")
softplus = unary(F.softplus, "log(1 + e^x).")
softsign = unary(F.softsign, "x / (1 + |x|).")
sqrt = unary(ops.sqrt, "The square root.")
square = unary(ops.square, "x².")
tan = unary(ops.tan, "The tangent.")
tanh = unary(ops.tanh, "The hyperbolic tangent.")

add = binary(lambda x, y: x + y, "x + y.", "add")
atan2 = binary(ops.atan2, "The angle of the point (y, x).")


def _quotient(x: Tensor, y: Any) -> Tensor:
    kind = x.dtype
    if kind.is_floating_point or kind.is_complex:
        return x / y
    wide = "float32" if kind.itemsize < 4 else "float64"
    return x.to(dtype=wide) / (y.to(dtype=wide) if isinstance(y, Tensor) else y)


divide = binary(
    _quotient, "x / y; of whole numbers float64 (float32 of those of 8 and 16 bits), as in TensorFlow.", "divide"
)
equal = binary(lambda x, y: x == y, "x = y, element by element.", "equal")
floordiv = binary(lambda x, y: x // y, "x / y, rounded downwards.", "floordiv")
floormod = binary(lambda x, y: x % y, "The rest of x / y with the sign of y.", "floormod")
greater = binary(lambda x, y: x > y, "x > y, element by element.", "greater")
greater_equal = binary(lambda x, y: x >= y, "x ≥ y, element by element.", "greater_equal")
less = binary(lambda x, y: x < y, "x < y, element by element.", "less")
less_equal = binary(lambda x, y: x <= y, "x ≤ y, element by element.", "less_equal")
logical_and = binary(lambda x, y: x & y, "And, element by element.", "logical_and")
logical_or = binary(lambda x, y: x | y, "Or, element by element.", "logical_or")
logical_xor = binary(lambda x, y: x ^ y, "Either, element by element.", "logical_xor")
maximum = binary(lambda x, y: ops.maximum(x, to_tensor(y, x.dtype)), "The larger of each two elements.", "maximum")
minimum = binary(lambda x, y: ops.minimum(x, to_tensor(y, x.dtype)), "The smaller of each two elements.", "minimum")
multiply = binary(lambda x, y: x * y, "x · y, element by element.", "multiply")
not_equal = binary(lambda x, y: x != y, "x ≠ y, element by element.", "not_equal")
pow = binary(lambda x, y: x**y, "x to the power y.", "pow")
squared_difference = binary(lambda x, y: ops.square(x - y), "(x - y)².", "squared_difference")
subtract = binary(lambda x, y: x - y, "x - y.", "subtract")
xlogy = binary(ops.xlogy, "x · log y, 0 where x is 0.")
xdivy = binary(lambda x, y: ops.where(x == 0, 0.0, x / y), "x / y, 0 where x is 0.", "xdivy")
xlog1py = binary(lambda x, y: ops.where(x == 0, 0.0, x * ops.log1p(y)), "x · log(1 + y), 0 where x is 0.", "xlog1py")
nextafter = binary(ops.nextafter, "The next number of the type after x towards y.")
mod = floormod
truediv = divide


@named
def divide_no_nan(x: Any, y: Any) -> Tensor:
    """x / y, 0 where y is 0."""
    a, b = to_tensor(x), to_tensor(y)
    zero = b == 0
    return ops.where(zero, 0.0, a / ops.where(zero, 1.0, b))


@named
def multiply_no_nan(x: Any, y: Any) -> Tensor:
    """x · y, 0 where y is 0 even if x is infinite or NaN."""
    a, b = to_tensor(x), to_tensor(y)
    return ops.where(b == 0, 0.0, a * b)


@named
def add_n(inputs: Any) -> Tensor:
    """The sum of several tensors of one shape."""
    parts = [to_tensor(x) for x in inputs]
    total = parts[0]
    for x in parts[1:]:
        total = total + x
    return total


accumulate_n = add_n


@named
def cast(x: Any, dtype: Any) -> Tensor:
    """The elements in another type."""
    return to_tensor(x).to(dtype=as_dtype(dtype))


# -- reductions --------------------------------------------------------------------------------------------------


def axes_of(t: Tensor, axis: Any) -> Any:
    """The axes that a reduction names, all of them if none is given."""
    if axis is None:
        return tuple(range(t.ndim))
    if isinstance(axis, (list, tuple)):
        return tuple(known_int(a) for a in axis)
    return known_int(axis)


def _reduction(fn: Callable[..., Any], doc: str, name: str) -> Callable[..., Any]:
    def wrapped(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
        t = to_tensor(input_tensor)
        return fn(t, axes_of(t, axis), keepdims) if t.ndim else fn(t.reshape(1), (0,), False)

    wrapped.__name__ = wrapped.__qualname__ = name
    wrapped.__doc__ = f"{doc} over axes, all of them if none is given."
    return named(wrapped)


def _mean(t: Tensor, axes: Any, keepdims: bool) -> Tensor:
    if t.dtype.is_floating_point or t.dtype.is_complex:
        return ops.mean(t, axes, keepdims)
    n = prod(int(t.shape[a]) for a in (axes if isinstance(axes, tuple) else (axes,)))
    return ops.div(ops.sum(t, axes, keepdims), n, rounding_mode="trunc").to(dtype=t.dtype)


reduce_all = _reduction(ops.all, "Whether all elements hold", "reduce_all")
reduce_any = _reduction(ops.any, "Whether any element holds", "reduce_any")
reduce_euclidean_norm = _reduction(
    lambda t, a, k: ops.sqrt(ops.sum(t * t, a, k)), "The length", "reduce_euclidean_norm"
)
reduce_logsumexp = _reduction(ops.logsumexp, "log Σ e^x", "reduce_logsumexp")
reduce_max = _reduction(ops.amax, "The largest", "reduce_max")
reduce_mean = _reduction(_mean, "The mean (of whole numbers, cut to a whole number)", "reduce_mean")
reduce_min = _reduction(ops.amin, "The smallest", "reduce_min")
reduce_prod = _reduction(lambda t, a, k: ops.prod(t, a, k).to(dtype=t.dtype), "The product", "reduce_prod")
reduce_std = _reduction(lambda t, a, k: ops.std(t, a, correction=0, keepdim=k), "The standard deviation", "reduce_std")
reduce_sum = _reduction(lambda t, a, k: ops.sum(t, a, k).to(dtype=t.dtype), "The sum", "reduce_sum")
reduce_variance = _reduction(lambda t, a, k: ops.var(t, a, correction=0, keepdim=k), "The variance", "reduce_variance")


@named
def count_nonzero(input: Any, axis: Any = None, keepdims: bool = False, dtype: Any = "int64") -> Tensor:
    """How many elements differ from 0."""
    t = to_tensor(input)
    return ops.sum((t != 0).to(dtype=as_dtype(dtype)), axes_of(t, axis), keepdims)


@named
def argmax(input: Any, axis: int | None = 0, output_type: Any = "int64") -> Tensor:
    """Where the largest element stands along an axis."""
    return ops.argmax(to_tensor(input), known_int(axis or 0)).to(dtype=as_dtype(output_type))


@named
def argmin(input: Any, axis: int | None = 0, output_type: Any = "int64") -> Tensor:
    """Where the smallest element stands along an axis."""
    return ops.argmin(to_tensor(input), known_int(axis or 0)).to(dtype=as_dtype(output_type))


def _running(t: Tensor, axis: int, exclusive: bool, reverse: bool, fn: Callable[..., Tensor], first: int) -> Tensor:
    t = ops.flip(t, (axis,)) if reverse else t
    out = fn(t, axis).to(dtype=t.dtype)
    if exclusive:
        n = t.shape[axis]
        start = ops.full_like(ops.narrow(t, axis, 0, 1), first)
        out = ops.concat([start, ops.narrow(out, axis, 0, n - 1)], axis)
    return ops.flip(out, (axis,)) if reverse else out


@named
def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Running sums: of what stands before each element too (`exclusive`), or from the end (`reverse`)."""
    return _running(to_tensor(x), axis, exclusive, reverse, ops.cumsum, 0)


@named
def cumprod(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Running products, as `cumsum`."""
    return _running(to_tensor(x), axis, exclusive, reverse, ops.cumprod, 1)


@named
def top_k(input: Any, k: int = 1, sorted: bool = True) -> Any:
    """(values, indices) of the k largest along the last axis."""
    values, indices = ops.topk(to_tensor(input), known_int(k), -1, True, sorted)
    return values, indices.to(dtype="int32")


@named
def in_top_k(targets: Any, predictions: Any, k: int) -> Tensor:
    """Whether each row's target is among its k largest predictions."""
    p, t = to_tensor(predictions), to_tensor(targets).to(dtype="int64")
    chosen = ops.gather(p, 1, t.unsqueeze(1))
    return ops.sum((p > chosen).to(dtype="int64"), 1) < k


@named
def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12) -> Tensor:
    """x / √max(Σ x², ε) along axes."""
    t = to_tensor(x)
    total = ops.sum(t * t, axes_of(t, axis), True)
    return t * ops.rsqrt(ops.maximum(total, ops.full_like(total, epsilon)))


def _number_of_segments(ids: Tensor) -> int:
    """One more than the largest id. Raises: TraceError where the ids are not known: use the unsorted functions there."""
    known = ids._data
    return int(known.max() if isinstance(known, np.ndarray) else ids.max()) + 1


@named
def segment_sum(data: Any, segment_ids: Any) -> Tensor:
    """The sums of rows with the same id; ids rise from 0."""
    ids = to_tensor(segment_ids)
    return unsorted_segment_sum(data, ids, _number_of_segments(ids))


@named
def unsorted_segment_sum(data: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """The sums of rows with the same id."""
    t, ids = to_tensor(data), to_tensor(segment_ids).to(dtype="int64")
    return ops.index_add(ops.zeros((known_int(num_segments), *t.shape[1:]), dtype=t.dtype), 0, ids, t)


@named
def bincount(
    arr: Any, weights: Any = None, minlength: int | None = None, maxlength: int | None = None, dtype: Any = "int32"
) -> Tensor:
    """How often each number from 0 occurs, or the sum of its weights; numbers from `maxlength` on are left out."""
    t = to_tensor(arr).reshape(-1)
    w = None if weights is None else to_tensor(weights).reshape(-1)
    counts = ops.bincount(t, weights=w, minlength=minlength or 0)[:maxlength]
    return counts.to(dtype=as_dtype(dtype) if w is None else w.dtype)


@named
def confusion_matrix(labels: Any, predictions: Any, num_classes: int | None = None) -> Tensor:
    """How often each label (row) got each prediction (column)."""
    y, p = to_tensor(labels).to(dtype="int64"), to_tensor(predictions).to(dtype="int64")
    n = num_classes if num_classes is not None else int(ops.maximum(y.max(), p.max())) + 1
    counts = ops.index_add(ops.zeros((n * n,), dtype="int32"), 0, y * n + p, ops.ones_like(y).to(dtype="int32"))
    return counts.reshape(n, n)


@named
def scalar_mul(scalar: Any, x: Any) -> Tensor:
    """A number times a tensor."""
    return to_tensor(x) * scalar


@named
def polyval(coeffs: Any, x: Any) -> Tensor:
    """A polynomial, highest coefficient first, at x."""
    t = to_tensor(x)
    out = ops.zeros_like(t)
    for c in coeffs:
        out = out * t + c
    return out


@named
def zero_fraction(value: Any) -> Tensor:
    """The part of the elements that are 0."""
    return ops.mean((to_tensor(value) == 0).to(dtype="float32"))


def _by_segment(how: str, start: float, data: Any, segment_ids: Any, n: int) -> Tensor:
    t, ids = to_tensor(data), to_tensor(segment_ids).to(dtype="int64")
    shape = (known_int(n), *t.shape[1:])
    index = ids.reshape(-1, *(1,) * (t.ndim - 1)).expand(t.shape)
    return ops.scatter_reduce(ops.zeros(shape, dtype=t.dtype) + start, 0, index, t, how, include_self=True)


def _lowest(t: Tensor, sign: int) -> float:
    kind = np.finfo(t.dtype.np) if t.dtype.is_floating_point else np.iinfo(t.dtype.np)
    return float(kind.max) * sign if t.dtype.is_floating_point else int(kind.max if sign > 0 else kind.min)


@named
def unsorted_segment_max(data: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """The largest of rows with the same id; the lowest number of the type where there is none."""
    return _by_segment("amax", _lowest(to_tensor(data), -1), data, segment_ids, num_segments)


@named
def unsorted_segment_min(data: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """The smallest of rows with the same id; the largest number of the type where there is none."""
    return _by_segment("amin", _lowest(to_tensor(data), 1), data, segment_ids, num_segments)


@named
def unsorted_segment_prod(data: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """The product of rows with the same id."""
    return _by_segment("prod", 1, data, segment_ids, num_segments)


@named
def unsorted_segment_mean(data: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """The mean of rows with the same id, 0 where there is none."""
    t = to_tensor(data)
    total = unsorted_segment_sum(t, segment_ids, num_segments)
    count = unsorted_segment_sum(ops.ones_like(t), segment_ids, num_segments)
    return total / ops.clamp(count, 1, None)


def _sorted_segments(fn: Callable[..., Tensor], name: str, clears: bool = False) -> Callable[..., Any]:
    def wrapped(data: Any, segment_ids: Any) -> Tensor:
        ids = to_tensor(segment_ids)
        n = _number_of_segments(ids)
        found = fn(data, ids, n)
        if not clears:
            return found
        rows = unsorted_segment_sum(ops.ones(ids.shape, dtype="int32"), ids, n)
        return ops.where((rows > 0).reshape(-1, *(1,) * (found.ndim - 1)), found, ops.zeros_like(found))

    wrapped.__name__ = wrapped.__qualname__ = name
    wrapped.__doc__ = f"`unsorted_{name}` for ids that rise from 0{'; 0 where there is none' if clears else ''}."
    return named(wrapped)


segment_max = _sorted_segments(unsorted_segment_max, "segment_max", clears=True)
segment_min = _sorted_segments(unsorted_segment_min, "segment_min", clears=True)
segment_mean = _sorted_segments(unsorted_segment_mean, "segment_mean")
segment_prod = _sorted_segments(unsorted_segment_prod, "segment_prod")


@named
def cumulative_logsumexp(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Running log Σ e^x, as `cumsum`: of no numbers, -inf."""
    t = to_tensor(x)
    t = ops.flip(t, (axis,)) if reverse else t
    out = ops.logcumsumexp(t, axis)
    if exclusive:
        nothing = ops.full_like(ops.narrow(out, axis, 0, 1), float("-inf"))
        out = ops.concat([nothing, ops.narrow(out, axis, 0, int(out.shape[axis]) - 1)], axis)
    return ops.flip(out, (axis,)) if reverse else out


@named
def invert_permutation(x: Any) -> Tensor:
    """The order that undoes an order."""
    return ops.argsort(to_tensor(x)).to(dtype="int32")


@named
def softmax(logits: Any, axis: int | None = None) -> Tensor:
    """e^x / Σ e^x along an axis, the last one if none is given."""
    return ops.softmax(to_tensor(logits), -1 if axis is None else axis)


@named
def log_softmax(logits: Any, axis: int | None = None) -> Tensor:
    """x - log Σ e^x along an axis, the last one if none is given."""
    return ops.log_softmax(to_tensor(logits), -1 if axis is None else axis)


@named
def reciprocal_no_nan(x: Any) -> Tensor:
    """1 / x, 0 where x is 0."""
    t = to_tensor(x)
    return divide_no_nan(ops.ones_like(t), t)


@named
def is_non_decreasing(x: Any) -> Tensor:
    """Whether no element is smaller than the one before."""
    t = to_tensor(x).reshape(-1)
    return ops.all(t[1:] >= t[:-1])


@named
def is_strictly_increasing(x: Any) -> Tensor:
    """Whether every element is larger than the one before."""
    t = to_tensor(x).reshape(-1)
    return ops.all(t[1:] > t[:-1])


# -- products ----------------------------------------------------------------------------------------------------


@named
def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Tensor:
    """The matrix product. Raises: ShapeError for operands with fewer than 2 axes, which TensorFlow does not take."""
    x, y = to_tensor(a), to_tensor(b)
    for letter, t in (("a", x), ("b", y)):
        if t.ndim < 2:
            raise ShapeError(
                f"tf.matmul: {letter} needs at least 2 axes, but its shape is {tuple(t.shape)}; make it a matrix, such as "
                f"tf.Variable(tf.zeros([{t.numel()}, 1]))"
            )
    return ops.matmul(x.mT if transpose_a else x, y.mT if transpose_b else y)


@named
def tensordot(a: Any, b: Any, axes: Any) -> Tensor:
    """The sum of products over pairs of axes."""
    return ops.tensordot(to_tensor(a), to_tensor(b), axes)


@named
def einsum(equation: str, *inputs: Any) -> Tensor:
    """Sums of products by Einstein's notation."""
    return ops.einsum(equation, *[to_tensor(x) for x in inputs])


@named
def lerp(start: Any, end: Any, weight: Any) -> Tensor:
    """start + weight · (end - start)."""
    a, b = to_tensor(start), to_tensor(end)
    return a + (b - a) * weight


# -- clipping ----------------------------------------------------------------------------------------------------


@named
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any) -> Tensor:
    """The elements moved into a range."""
    return ops.clamp(to_tensor(t), clip_value_min, clip_value_max)


@named
def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None) -> Tensor:
    """The tensor scaled to at most this length (along `axes`)."""
    x = to_tensor(t)
    total = ops.sum(x * x, axes_of(x, axes), True)
    length = ops.sqrt(ops.where(total > 0, total, 1.0)) if x.ndim else ops.abs(x)
    return x * clip_norm / ops.maximum(length, ops.zeros_like(length) + clip_norm)


@named
def global_norm(t_list: Any) -> Tensor:
    """The length of several tensors together; None counts as nothing."""
    parts = [ops.sum(ops.square(to_tensor(t))) for t in t_list if t is not None]
    if not parts:
        raise ArgumentError("tf.global_norm: there is no tensor in the list")
    return ops.sqrt(add_n(parts))


@named
def clip_by_global_norm(t_list: Any, clip_norm: Any, use_norm: Any = None) -> Any:
    """(the tensors scaled together to at most this length, their length before)."""
    length = global_norm(t_list) if use_norm is None else to_tensor(use_norm)
    scale = clip_norm / ops.maximum(length, ops.zeros_like(length) + clip_norm)
    return [None if t is None else to_tensor(t) * scale for t in t_list], length


# -- special functions, and sums by segment ----------------------------------------------------------------------

bessel_i0 = unary(_special.i0, "The modified Bessel function of order 0.", "bessel_i0")
bessel_i0e = unary(_special.i0e, "e^-|x| I₀(x).", "bessel_i0e")
bessel_i1 = unary(_special.i1, "The modified Bessel function of order 1.", "bessel_i1")
bessel_i1e = unary(_special.i1e, "e^-|x| I₁(x).", "bessel_i1e")
ndtri = unary(_special.ndtri, "Where the normal distribution function has this value.", "ndtri")
erfcinv = unary(lambda x: -_special.ndtri(x / 2) * 0.5**0.5, "The inverse of erfc.", "erfcinv")
igamma = binary(_special.gammainc, "The lower regularised incomplete gamma function P(a, x).", "igamma")
igammac = binary(_special.gammaincc, "The upper regularised incomplete gamma function Q(a, x).", "igammac")
zeta = binary(_special.zeta, "The Hurwitz zeta function Σ (k + q)^-x.", "zeta")
truncatediv = binary(lambda x, y: ops.div(x, y, rounding_mode="trunc"), "x / y, rounded towards 0.", "truncatediv")
truncatemod = binary(ops.fmod, "The rest of x / y with the sign of x.", "truncatemod")


@named
def polygamma(a: Any, x: Any) -> Tensor:
    """The a-th derivative of digamma. Raises: ArgumentError unless a is one whole number."""
    order = to_tensor(a)
    if order.numel() != 1:
        raise ArgumentError("tf.math.polygamma: the order is one whole number")
    return _special.polygamma(int(order), to_tensor(x))


@named
def lbeta(x: Any) -> Tensor:
    """log of the product of Γ along the last axis over Γ of the sum."""
    t = to_tensor(x)
    return ops.sum(ops.lgamma(t), -1) - ops.lgamma(ops.sum(t, -1))


@named
def unsorted_segment_sqrt_n(data: Any, segment_ids: Any, num_segments: int) -> Tensor:
    """The sums of rows with the same id, over the root of their number."""
    total = unsorted_segment_sum(data, segment_ids, num_segments)
    ids = to_tensor(segment_ids).reshape(-1)
    count = unsorted_segment_sum(ops.ones(ids.shape, dtype=total.dtype), ids, num_segments)
    count = ops.sqrt(ops.maximum(count, ops.ones_like(count)))
    return total / count.reshape(-1, *(1,) * (total.ndim - 1))
