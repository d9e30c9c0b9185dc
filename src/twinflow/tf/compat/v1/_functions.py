"""The functions of `tf.compat.v1` that compute: those of TensorFlow 2's face, added to the graph instead of run."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor as Value
from twinflow.tensor import wrap
from twinflow.tf import _array, linalg, math, random
from twinflow.tf._shapes import TensorShape
from twinflow.tf.compat.v1._deferred import binary, convert_to_tensor, create, deferred
from twinflow.tf.compat.v1._operations import OPERATORS, Tensor, register

# -- element by element ------------------------------------------------------------------------------------------

abs = deferred(math.abs, "Abs")
acos = deferred(math.acos, "Acos")
acosh = deferred(math.acosh, "Acosh")
angle = deferred(math.angle, "Angle")
asin = deferred(math.asin, "Asin")
asinh = deferred(math.asinh, "Asinh")
atan = deferred(math.atan, "Atan")
atanh = deferred(math.atanh, "Atanh")
ceil = deferred(math.ceil, "Ceil")
conj = deferred(math.conj, "Conj")
cos = deferred(math.cos, "Cos")
cosh = deferred(math.cosh, "Cosh")
digamma = deferred(math.digamma, "Digamma")
erf = deferred(math.erf, "Erf")
erfc = deferred(math.erfc, "Erfc")
exp = deferred(math.exp, "Exp")
expm1 = deferred(math.expm1, "Expm1")
floor = deferred(math.floor, "Floor")
imag = deferred(math.imag, "Imag")
is_finite = deferred(math.is_finite, "IsFinite")
is_inf = deferred(math.is_inf, "IsInf")
is_nan = deferred(math.is_nan, "IsNan")
lgamma = deferred(math.lgamma, "Lgamma")
log = deferred(math.log, "Log")
log1p = deferred(math.log1p, "Log1p")
log_sigmoid = deferred(math.log_sigmoid, "LogSigmoid")
logical_not = deferred(math.logical_not, "LogicalNot")
negative = deferred(math.negative, "Neg")
real = deferred(math.real, "Real")
reciprocal = deferred(math.reciprocal, "Reciprocal")
round = deferred(math.round, "Round")
rsqrt = deferred(math.rsqrt, "Rsqrt")
sigmoid = deferred(math.sigmoid, "Sigmoid")
sign = deferred(math.sign, "Sign")
sin = deferred(math.sin, "Sin")
sinh = deferred(math.sinh, "Sinh")
softplus = deferred(math.softplus, "Softplus")
softsign = deferred(math.softsign, "Softsign")
sqrt = deferred(math.sqrt, "Sqrt")
square = deferred(math.square, "Square")
tan = deferred(math.tan, "Tan")
tanh = deferred(math.tanh, "Tanh")


def _div(x: Any, y: Any) -> Any:
    """x / y as in Python 2: whole numbers give whole numbers."""
    kinds = [to_tensor(v).dtype for v in (x, y)]
    return math.divide(x, y) if any(k.is_floating_point or k.is_complex for k in kinds) else math.floordiv(x, y)


add = binary(math.add, "Add")
atan2 = binary(math.atan2, "Atan2")
divide = binary(math.divide, "truediv")
div = binary(_div, "div")
divide_no_nan = binary(math.divide_no_nan, "div_no_nan")
equal = binary(math.equal, "Equal")
floordiv = binary(math.floordiv, "floordiv")
floormod = binary(math.floormod, "FloorMod")
greater = binary(math.greater, "Greater")
greater_equal = binary(math.greater_equal, "GreaterEqual")
less = binary(math.less, "Less")
less_equal = binary(math.less_equal, "LessEqual")
logical_and = binary(math.logical_and, "LogicalAnd")
logical_or = binary(math.logical_or, "LogicalOr")
logical_xor = binary(math.logical_xor, "LogicalXor")
maximum = binary(math.maximum, "Maximum")
minimum = binary(math.minimum, "Minimum")
multiply = binary(math.multiply, "Mul")
not_equal = binary(math.not_equal, "NotEqual")
pow = binary(math.pow, "Pow")
squared_difference = binary(math.squared_difference, "SquaredDifference")
subtract = binary(math.subtract, "Sub")
truediv = divide
mod = floormod
matmul = deferred(math.matmul, "MatMul")

add_n = deferred(math.add_n, "AddN")
cast = deferred(math.cast, "Cast")
clip_by_value = deferred(math.clip_by_value, "clip_by_value")
clip_by_norm = deferred(math.clip_by_norm, "clip_by_norm")
clip_by_global_norm = deferred(math.clip_by_global_norm, "clip_by_global_norm")
global_norm = deferred(math.global_norm, "global_norm")
einsum = deferred(math.einsum, "einsum")
tensordot = deferred(math.tensordot, "Tensordot")
cumsum = deferred(math.cumsum, "Cumsum")
cumprod = deferred(math.cumprod, "Cumprod")
confusion_matrix = deferred(math.confusion_matrix, "confusion_matrix")
unsorted_segment_sum = deferred(math.unsorted_segment_sum, "UnsortedSegmentSum", static=("num_segments",))
top_k = deferred(math.top_k, "TopKV2", static=("k",))
_in_top_k = deferred(math.in_top_k, "InTopK")
l2_normalize = deferred(math.l2_normalize, "l2_normalize")
scalar_mul = deferred(math.scalar_mul, "ScalarMul")
zero_fraction = deferred(math.zero_fraction, "zero_fraction")


def in_top_k(predictions: Any, targets: Any, k: int, name: str | None = None) -> Any:
    """Whether each row's target is among its k largest predictions."""
    return _in_top_k(targets, predictions, k, name=name)


OPERATORS.update(
    {
        "add": lambda x, y: add(x, y, name="add"),
        "sub": lambda x, y: subtract(x, y, name="sub"),
        "mul": lambda x, y: multiply(x, y, name="mul"),
        "truediv": lambda x, y: divide(x, y, name="truediv"),
        "floordiv": floordiv,
        "mod": floormod,
        "pow": lambda x, y: pow(x, y, name="pow"),
        "matmul": matmul,
        "and": logical_and,
        "or": logical_or,
        "xor": logical_xor,
        "lt": less,
        "le": less_equal,
        "gt": greater,
        "ge": greater_equal,
        "neg": negative,
        "abs": abs,
        "invert": logical_not,
    }
)


def to_float(x: Any, name: str = "ToFloat") -> Any:
    """The elements as float32."""
    return cast(x, as_dtype("float32"), name=name)


def to_double(x: Any, name: str = "ToDouble") -> Any:
    """The elements as float64."""
    return cast(x, as_dtype("float64"), name=name)


def to_int32(x: Any, name: str = "ToInt32") -> Any:
    """The elements as int32."""
    return cast(x, as_dtype("int32"), name=name)


def to_int64(x: Any, name: str = "ToInt64") -> Any:
    """The elements as int64."""
    return cast(x, as_dtype("int64"), name=name)


# -- reductions, with the names that their arguments had -----------------------------------------------------------


def _reduction(fn: Any, op_name: str) -> Any:
    run = deferred(fn, op_name)

    def wrapped(
        input_tensor: Any,
        axis: Any = None,
        keepdims: bool | None = None,
        name: str | None = None,
        reduction_indices: Any = None,
        keep_dims: bool | None = None,
    ) -> Any:
        axis = reduction_indices if axis is None else axis
        keep = keep_dims if keepdims is None else keepdims
        return run(input_tensor, axis, bool(keep), name=name)

    wrapped.__name__ = wrapped.__qualname__ = fn.__name__
    wrapped.__doc__ = f"{fn.__doc__} `reduction_indices` and `keep_dims` are older names of axis and keepdims."
    return wrapped


reduce_all = _reduction(math.reduce_all, "All")
reduce_any = _reduction(math.reduce_any, "Any")
reduce_logsumexp = _reduction(math.reduce_logsumexp, "ReduceLogSumExp")
reduce_max = _reduction(math.reduce_max, "Max")
reduce_mean = _reduction(math.reduce_mean, "Mean")
reduce_min = _reduction(math.reduce_min, "Min")
reduce_prod = _reduction(math.reduce_prod, "Prod")
reduce_std = _reduction(math.reduce_std, "reduce_std")
reduce_sum = _reduction(math.reduce_sum, "Sum")
reduce_variance = _reduction(math.reduce_variance, "reduce_variance")

_argmax = deferred(math.argmax, "ArgMax")
_argmin = deferred(math.argmin, "ArgMin")


def argmax(
    input: Any, axis: Any = None, name: str | None = None, dimension: Any = None, output_type: Any = "int64"
) -> Any:
    """Where the largest element stands along an axis."""
    return _argmax(input, _first(axis, dimension), as_dtype(output_type), name=name)


def argmin(
    input: Any, axis: Any = None, name: str | None = None, dimension: Any = None, output_type: Any = "int64"
) -> Any:
    """Where the smallest element stands along an axis."""
    return _argmin(input, _first(axis, dimension), as_dtype(output_type), name=name)


def _first(*values: Any) -> Any:
    return next((v for v in values if v is not None), 0)


# -- making and arranging ------------------------------------------------------------------------------------------

zeros = deferred(_array.zeros, "zeros", static=("shape",))
ones = deferred(_array.ones, "ones", static=("shape",))
fill = deferred(_array.fill, "Fill", static=("dims",))
zeros_like = deferred(_array.zeros_like, "zeros_like")
ones_like = deferred(_array.ones_like, "ones_like")
eye = deferred(_array.eye, "eye", static=("num_rows", "num_columns"))
range = deferred(_array.range, "range", static=("start", "limit", "delta"))
linspace = deferred(_array.linspace, "LinSpace", static=("start", "stop", "num"))
one_hot = deferred(_array.one_hot, "one_hot", static=("depth",))
sequence_mask = deferred(_array.sequence_mask, "SequenceMask", static=("maxlen",))
reshape = deferred(_array.reshape, "Reshape", static=("shape",))
transpose = deferred(_array.transpose, "transpose", static=("perm",))
concat = deferred(_array.concat, "concat", static=("axis",))
stack = deferred(_array.stack, "stack")
unstack = deferred(_array.unstack, "unstack")
split = deferred(_array.split, "split", static=("num_or_size_splits",))
tile = deferred(_array.tile, "Tile", static=("multiples",))
broadcast_to = deferred(_array.broadcast_to, "BroadcastTo", static=("shape",))
pad = deferred(_array.pad, "Pad", static=("paddings",))
reverse = deferred(_array.reverse, "ReverseV2", static=("axis",))
meshgrid = deferred(_array.meshgrid, "meshgrid")
identity = deferred(_array.identity, "Identity")
stop_gradient = deferred(_array.stop_gradient, "StopGradient")
slice = deferred(_array.slice, "Slice", static=("begin", "size"))
strided_slice = deferred(_array.strided_slice, "StridedSlice", static=("begin", "end", "strides"))
gather = deferred(_array.gather, "GatherV2")
gather_nd = deferred(_array.gather_nd, "GatherNd")
scatter_nd = deferred(_array.scatter_nd, "ScatterNd", static=("shape",))
where = deferred(_array.where, "Where")
sort = deferred(_array.sort, "sort")
argsort = deferred(_array.argsort, "argsort")
_expand_dims = deferred(_array.expand_dims, "ExpandDims", static=("axis",))
_squeeze = deferred(_array.squeeze, "Squeeze")


def expand_dims(input: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Any:
    """With a further axis of extent 1."""
    return _expand_dims(input, _first(axis, dim), name=name)


def squeeze(input: Any, axis: Any = None, name: str | None = None, squeeze_dims: Any = None) -> Any:
    """Without axes of extent 1: all of them, or those named."""
    return _squeeze(input, axis if axis is not None else squeeze_dims, name=name)


def _pick(x: Any, index: Any) -> Value:
    def entry(e: Any) -> Any:
        if isinstance(e, dict):
            return builtins.slice(*e["slice"]) if "slice" in e else Ellipsis
        return e

    return _array.getitem(x, tuple(entry(e) for e in index))


_GET_ITEM = register("GetItem", _pick, "strided_slice")
_GET_SLICE = register("GetSlice", _pick, "strided_slice", static=("index",))


def _getitem(x: Tensor, index: Any) -> Any:
    entries: list[Any] = []
    moving = False
    for e in index if isinstance(index, tuple) else (index,):
        if isinstance(e, builtins.slice):
            parts = [getattr(v, "value", v) if not isinstance(v, Tensor) else v for v in (e.start, e.stop, e.step)]
            moving |= any(isinstance(v, Tensor) for v in parts)
            entries.append({"slice": parts})
        else:
            entries.append({"ellipsis": True} if e is Ellipsis else e)
    return create(_GET_SLICE if moving else _GET_ITEM, {"x": x, "index": entries})


OPERATORS["getitem"] = _getitem


# -- shapes as tensors -----------------------------------------------------------------------------------------------


def _known(value: Any, out_type: Any) -> Value:
    return wrap(np.array(value, as_dtype(out_type).np))


def _shape(run: Any, input: Any, out_type: Any) -> Value:
    return _known([int(n) for n in run.value(input)._data.shape], out_type)


def _size(run: Any, input: Any, out_type: Any) -> Value:
    return _known(int(run.value(input)._data.size), out_type)


def _rank(run: Any, input: Any, out_type: Any) -> Value:
    return _known(len(run.value(input)._data.shape), out_type)


_SHAPE = register("Shape", _shape, raw=True)
_SIZE = register("Size", _size, raw=True)
_RANK = register("Rank", _rank, raw=True)


def shape(input: Any, name: str | None = None, out_type: Any = "int32") -> Any:
    """The extents, as a tensor that is known when the graph is compiled for the sizes of what is fed."""
    x = convert_to_tensor(input)
    params = {"input": x, "out_type": as_dtype(out_type).name}
    return _host(create(_SHAPE, params, name, [(TensorShape([x.shape.rank]), out_type)]))


def size(input: Any, name: str | None = None, out_type: Any = "int32") -> Any:
    """The number of elements, as a tensor."""
    params = {"input": convert_to_tensor(input), "out_type": as_dtype(out_type).name}
    return _host(create(_SIZE, params, name, [((), out_type)]))


def rank(input: Any, name: str | None = None) -> Any:
    """The number of axes, as a tensor."""
    return _host(create(_RANK, {"input": convert_to_tensor(input), "out_type": "int32"}, name, [((), "int32")]))


def _host(op: Any) -> Any:
    op.host = True  # whatever the operand is: shapes are known when the graph is compiled
    return op.outputs[0]


# -- random numbers ----------------------------------------------------------------------------------------------------

random_normal = deferred(random.normal, "random_normal", name="random_normal", host=False, static=("shape",))
random_uniform = deferred(random.uniform, "random_uniform", name="random_uniform", host=False, static=("shape",))
truncated_normal = deferred(random.truncated_normal, "truncated_normal", host=False, static=("shape",))
random_shuffle = deferred(random.shuffle, "RandomShuffle", name="random_shuffle", host=False)
random_poisson = deferred(random.poisson, "random_poisson", name="random_poisson", host=False, static=("shape",))
multinomial = deferred(random.categorical, "multinomial", name="multinomial", host=False, static=("num_samples",))


def set_random_seed(seed: int) -> None:
    """Begin the random numbers at a seed. One stream serves all operations and sessions."""
    random.set_seed(seed)


# -- linear algebra ------------------------------------------------------------------------------------------------------

matrix_inverse = deferred(linalg.inv, "MatrixInverse", name="matrix_inverse")
matrix_determinant = deferred(linalg.det, "MatrixDeterminant", name="matrix_determinant")
matrix_solve = deferred(linalg.solve, "MatrixSolve", name="matrix_solve")
cholesky = deferred(linalg.cholesky, "Cholesky")
diag_part = deferred(linalg.diag_part, "DiagPart")
trace = deferred(linalg.trace, "Trace")
norm = deferred(linalg.norm, "norm")
svd = deferred(linalg.svd, "Svd")
qr = deferred(linalg.qr, "Qr")
self_adjoint_eig = deferred(linalg.eigh, "SelfAdjointEigV2", name="self_adjoint_eig")
self_adjoint_eigvals = deferred(linalg.eigvalsh, "SelfAdjointEigvals", name="self_adjoint_eigvals")
matrix_transpose = deferred(linalg.matrix_transpose, "matrix_transpose")
matrix_diag = deferred(linalg.diag, "MatrixDiag", name="matrix_diag")
matrix_diag_part = deferred(linalg.diag_part, "MatrixDiagPart", name="matrix_diag_part")
matrix_band_part = deferred(linalg.band_part, "MatrixBandPart", name="matrix_band_part")
matrix_triangular_solve = deferred(linalg.triangular_solve, "MatrixTriangularSolve", name="matrix_triangular_solve")
diag = deferred(linalg.diag, "Diag")
cross = deferred(linalg.cross, "Cross")

# -- further names ---------------------------------------------------------------------------------------------------

count_nonzero = deferred(math.count_nonzero, "count_nonzero")
ensure_shape = deferred(_array.ensure_shape, "EnsureShape")
floor_div = floordiv
lin_space = linspace
rint = deferred(math.rint, "Rint")
repeat = deferred(_array.repeat, "repeat")
roll = deferred(_array.roll, "Roll")
reverse_v2 = reverse
div_no_nan = divide_no_nan
accumulate_n = add_n
realdiv = divide
tensor_scatter_nd_add = tensor_scatter_add = deferred(_array.tensor_scatter_nd_add, "TensorScatterAdd")
tensor_scatter_nd_update = tensor_scatter_update = deferred(_array.tensor_scatter_nd_update, "TensorScatterUpdate")
searchsorted = deferred(_array.searchsorted, "searchsorted")
unsorted_segment_max = deferred(math.unsorted_segment_max, "UnsortedSegmentMax", static=("num_segments",))
unsorted_segment_min = deferred(math.unsorted_segment_min, "UnsortedSegmentMin", static=("num_segments",))
unsorted_segment_mean = deferred(math.unsorted_segment_mean, "UnsortedSegmentMean", static=("num_segments",))
unsorted_segment_prod = deferred(math.unsorted_segment_prod, "UnsortedSegmentProd", static=("num_segments",))


def where_v2(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Any:
    """x where the condition holds and y elsewhere, which broadcast."""
    return where(condition, x, y, name=name)


def identity_n(input: Any, name: str | None = None) -> list[Any]:
    """Tensors with the same values."""
    return [identity(x, name=name) for x in input]
