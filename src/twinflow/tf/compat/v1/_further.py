"""Rarer functions of `tf.compat.v1`: those of TensorFlow 2's face, added to the graph instead of run."""

from __future__ import annotations

import sys
from typing import Any

from twinflow import ops
from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor as Value
from twinflow.tf import _arranging, _array, _extras, image, linalg, math, random, signal
from twinflow.tf.compat.v1._control import case, no_op, scan_along
from twinflow.tf.compat.v1._deferred import binary, convert_to_tensor, create, deferred
from twinflow.tf.compat.v1._functions import argmax, argmin, cast, equal, reduce_all, reverse, shape
from twinflow.tf.compat.v1._nn import depth_to_space as depth_to_space
from twinflow.tf.compat.v1._nn import space_to_depth as space_to_depth
from twinflow.tf.compat.v1._operations import Operation, Tensor, register
from twinflow.tf.compat.v1._run import Run

# -- mathematics -----------------------------------------------------------------------------------------------------

bitcast = deferred(_arranging.bitcast, "Bitcast")
bincount = deferred(math.bincount, "bincount", static=("minlength",))
cholesky_solve = deferred(linalg.cholesky_solve, "cholesky_solve")
complex = deferred(_extras.complex, "Complex")
igamma = binary(math.igamma, "Igamma")
igammac = binary(math.igammac, "Igammac")
invert_permutation = deferred(_arranging.invert_permutation, "InvertPermutation")
lbeta = deferred(math.lbeta, "lbeta")
matrix_set_diag = deferred(linalg.set_diag, "MatrixSetDiag", name="matrix_set_diag")
matrix_solve_ls = deferred(linalg.lstsq, "matrix_solve_ls", name="matrix_solve_ls")
matrix_square_root = deferred(linalg.sqrtm, "MatrixSquareRoot", name="matrix_square_root")
polygamma = deferred(math.polygamma, "Polygamma", static=("a",))
saturate_cast = deferred(_extras.saturate_cast, "saturate_cast")
truncatediv = binary(math.truncatediv, "TruncateDiv")
truncatemod = binary(math.truncatemod, "TruncateMod")
zeta = binary(math.zeta, "Zeta")
fft = deferred(signal.fft, "FFT")
fft2d = deferred(signal.fft2d, "FFT2D")
fft3d = deferred(signal.fft3d, "FFT3D")
ifft = deferred(signal.ifft, "IFFT")
ifft2d = deferred(signal.ifft2d, "IFFT2D")
ifft3d = deferred(signal.ifft3d, "IFFT3D")

# -- places and blocks -----------------------------------------------------------------------------------------------

batch_gather = deferred(
    lambda params, indices: _array.gather(params, indices, 1, 1), "batch_gather", name="batch_gather"
)
batch_to_space_nd = deferred(
    _arranging.batch_to_space, "BatchToSpaceND", name="batch_to_space_nd", static=("block_shape", "crops")
)
batch_to_space = batch_to_space_nd
space_to_batch_nd = deferred(
    _arranging.space_to_batch, "SpaceToBatchND", name="space_to_batch_nd", static=("block_shape", "paddings")
)
space_to_batch = space_to_batch_nd
histogram_fixed_width = deferred(
    _arranging.histogram_fixed_width, "histogram_fixed_width", static=("value_range", "nbins")
)
reverse_sequence = deferred(_extras.reverse_sequence, "ReverseSequence")
histogram_fixed_width_bins = deferred(
    _arranging.histogram_fixed_width_bins, "histogram_fixed_width_bins", static=("value_range", "nbins")
)
segment_mean = deferred(math.segment_mean, "SegmentMean", static=("segment_ids",))
segment_sum = deferred(math.segment_sum, "SegmentSum", static=("segment_ids",))
segment_max = deferred(math.segment_max, "SegmentMax", static=("segment_ids",))
segment_min = deferred(math.segment_min, "SegmentMin", static=("segment_ids",))
segment_prod = deferred(math.segment_prod, "SegmentProd", static=("segment_ids",))
tensor_scatter_nd_sub = tensor_scatter_sub = deferred(_extras.tensor_scatter_nd_sub, "TensorScatterSub")
tensor_scatter_nd_max = deferred(_arranging.tensor_scatter_nd_max, "TensorScatterMax")
tensor_scatter_nd_min = deferred(_arranging.tensor_scatter_nd_min, "TensorScatterMin")
unravel_index = deferred(_arranging.unravel_index, "UnravelIndex", static=("dims",))
unsorted_segment_sqrt_n = deferred(math.unsorted_segment_sqrt_n, "UnsortedSegmentSqrtN", static=("num_segments",))
random_crop = deferred(image.random_crop, "random_crop", host=False, static=("size",))
random_gamma = deferred(random.gamma, "random_gamma", name="random_gamma", host=False, static=("shape",))
broadcast_dynamic_shape = deferred(_arranging.broadcast_dynamic_shape, "BroadcastArgs", static=("shape_x", "shape_y"))
broadcast_static_shape = _arranging.broadcast_static_shape


def shape_n(input: Any, out_type: Any = "int32", name: str | None = None) -> list[Any]:
    """The extents of several tensors."""
    return [shape(x, name, out_type) for x in input]


def arg_max(input: Any, dimension: Any, output_type: Any = "int64", name: str | None = None) -> Any:
    """Where the largest element stands along an axis."""
    return argmax(input, dimension, name, output_type=output_type)


def arg_min(input: Any, dimension: Any, output_type: Any = "int64", name: str | None = None) -> Any:
    """Where the smallest element stands along an axis."""
    return argmin(input, dimension, name, output_type=output_type)


def to_complex64(x: Any, name: str = "ToComplex64") -> Any:
    """The elements as complex64."""
    return cast(x, as_dtype("complex64"), name=name)


def to_complex128(x: Any, name: str = "ToComplex128") -> Any:
    """The elements as complex128."""
    return cast(x, as_dtype("complex128"), name=name)


def to_bfloat16(x: Any, name: str = "ToBFloat16") -> Any:
    """The elements as bfloat16."""
    return cast(x, as_dtype("bfloat16"), name=name)


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor of a graph."""
    return isinstance(x, Tensor)


def is_numeric_tensor(tensor: Any) -> bool:
    """Whether it is a tensor of numbers."""
    return isinstance(tensor, Tensor) and tensor.dtype.name != "bool"


def foldr(fn: Any, elems: Any, initializer: Any = None, name: str | None = None) -> Any:
    """`a = fn(a, x)` for each slice x from the last to the first, from `initializer` or the last slice."""
    xs = reverse(convert_to_tensor(elems), [0])
    start, rest = (xs[0], xs[1:]) if initializer is None else (convert_to_tensor(initializer), xs)
    carry, _ = scan_along(lambda c, x: ([fn(c[0], x[0])], []), [start], [rest], 0, name or "foldr")
    return carry[0]


# -- printing and checks ---------------------------------------------------------------------------------------------


def _print(run: Run, inputs: Any, sep: str, end: str, stream: str, edge: int) -> Any:
    ops.print_values([run.operand(x) if isinstance(x, Tensor) else x for x in inputs], sep=sep, end=end,
                     file=sys.stdout if stream == "stdout" else sys.stderr, edge=edge)  # fmt: skip
    return ()


_PRINT = register("PrintV2", _print, raw=True, host=False, effect=True)


def print(
    *inputs: Any,
    output_stream: Any = None,
    summarize: int = 3,
    end: str = "\n",
    sep: str = " ",
    name: str | None = None,
) -> Operation:
    """An operation that writes values to the standard error stream, or to `sys.stdout`, when it is run."""
    stream = "stdout" if output_stream is sys.stdout else "stderr"
    params = {"inputs": list(inputs), "sep": sep, "end": end, "stream": stream, "edge": summarize}
    op: Operation = create(_PRINT, params, name, [])
    return op


def _print_pass(run: Run, input_: Any, data: Any, message: str, summarize: int) -> Any:
    ops.print_values(
        [message, *[run.operand(x) if isinstance(x, Tensor) else x for x in data]],
        sep="",
        edge=summarize,
        file=sys.stderr,
    )
    return run.operand(input_)


_PRINT_PASS = register("Print", _print_pass, raw=True, host=False, effect=True)


def Print(input_: Any, data: Any, message: str | None = None, first_n: int | None = None, summarize: int = 3,
          name: str | None = None) -> Any:  # fmt: skip
    """The tensor itself; when it is computed, `data` is written to the standard error stream."""
    if first_n is not None:
        raise ArgumentError("tf.Print: it prints each time; leave first_n out")
    x = convert_to_tensor(input_)
    params = {"input_": x, "data": list(data), "message": message or "", "summarize": summarize}
    return create(_PRINT_PASS, params, name, [(x.shape, x.dtype)]).outputs[0]


def _assert(run: Run, condition: Any, message: str) -> Any:
    ops.ensure(run.operand(condition), message)
    return ()


_ASSERT = register("Assert", _assert, raw=True, host=False, effect=True)


def Assert(condition: Any, data: Any, summarize: Any = None, name: str | None = None) -> Operation:
    """An operation that raises CheckError when it is run and the condition does not hold everywhere."""
    words = " ".join(str(d) for d in data if not isinstance(d, Tensor))
    params = {
        "condition": convert_to_tensor(condition),
        "message": f"tf.Assert: {words or 'the condition does not hold'}",
    }
    op: Operation = create(_ASSERT, params, name, [])
    return op


def _comparison(name: str, words: str, test: Any) -> Any:
    def check(
        x: Any, y: Any, data: Any = None, summarize: Any = None, message: str | None = None, name: str | None = None
    ) -> Operation:
        return Assert(
            reduce_all(test(x, y)), [message or f"x is not everywhere {words} y"], name=name or check.__name__
        )

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"An operation that raises CheckError when it is run unless x is {words} y everywhere."
    return check


def _test(fn: Any, name: str) -> Any:
    return binary(fn, name, name)


assert_equal = _comparison("assert_equal", "equal to", _test(math.equal, "assert_equal/Equal"))
assert_none_equal = _comparison(
    "assert_none_equal", "different from", _test(math.not_equal, "assert_none_equal/NotEqual")
)
assert_greater = _comparison("assert_greater", "greater than", _test(math.greater, "assert_greater/Greater"))
assert_greater_equal = _comparison(
    "assert_greater_equal", "at least", _test(math.greater_equal, "assert_greater_equal/GreaterEqual")
)
assert_less = _comparison("assert_less", "less than", _test(math.less, "assert_less/Less"))
assert_less_equal = _comparison("assert_less_equal", "at most", _test(math.less_equal, "assert_less_equal/LessEqual"))


def assert_positive(x: Any, message: str | None = None, name: str | None = None) -> Operation:
    """An operation that raises CheckError when it is run unless every element is greater than 0."""
    return assert_greater(x, 0, message=message or "an element is not greater than 0", name=name or "assert_positive")


def assert_negative(x: Any, message: str | None = None, name: str | None = None) -> Operation:
    """An operation that raises CheckError when it is run unless every element is less than 0."""
    return assert_less(x, 0, message=message or "an element is not less than 0", name=name or "assert_negative")


def assert_non_negative(x: Any, message: str | None = None, name: str | None = None) -> Operation:
    """An operation that raises CheckError when it is run unless every element is at least 0."""
    return assert_greater_equal(
        x, 0, message=message or "an element is less than 0", name=name or "assert_non_negative"
    )


def assert_non_positive(x: Any, message: str | None = None, name: str | None = None) -> Operation:
    """An operation that raises CheckError when it is run unless every element is at most 0."""
    return assert_less_equal(
        x, 0, message=message or "an element is greater than 0", name=name or "assert_non_positive"
    )


def _checked(x: Any, message: str) -> Value:
    t = to_tensor(x)
    ops.ensure(ops.isfinite(t), message)
    return t * 1


check_numerics = deferred(_checked, "CheckNumerics", name="check_numerics", host=False)


def verify_tensor_all_finite(
    t: Any = None, msg: str | None = None, name: str | None = None, x: Any = None, message: str | None = None
) -> Any:
    """The tensor itself; computing it raises CheckError if an element is NaN or infinite."""
    return check_numerics(t if x is None else x, msg or message or "an element is NaN or infinite", name=name)


def _known_rank(op: str, x: Any, holds: Any, words: str, message: str | None) -> Operation:
    """Check the number of axes where the graph is made."""
    rank = convert_to_tensor(x).shape.rank
    if rank is None:
        raise ShapeError(f"tf.{op}: the number of axes is not known where the graph is made; set it with x.set_shape")
    if not holds(rank):
        raise ShapeError(f"tf.{op}: {message or f'the tensor has {rank} axes, not {words}'}")
    return no_op()


def assert_rank(
    x: Any, rank: int, data: Any = None, summarize: Any = None, message: str | None = None, name: str | None = None
) -> Operation:
    """Raises: ShapeError, where the graph is made, unless the tensor has so many axes."""
    return _known_rank("assert_rank", x, lambda n: n == rank, str(rank), message)


def assert_rank_at_least(x: Any, rank: int, data: Any = None, summarize: Any = None, message: str | None = None,
                         name: str | None = None) -> Operation:  # fmt: skip
    """Raises: ShapeError, where the graph is made, unless the tensor has so many axes or more."""
    return _known_rank("assert_rank_at_least", x, lambda n: n >= rank, f"{rank} or more", message)


def assert_rank_in(
    x: Any, ranks: Any, data: Any = None, summarize: Any = None, message: str | None = None, name: str | None = None
) -> Operation:
    """Raises: ShapeError, where the graph is made, unless the number of axes is one of those listed."""
    return _known_rank("assert_rank_in", x, lambda n: n in ranks, f"one of {list(ranks)}", message)


def assert_scalar(tensor: Any, name: str | None = None, message: str | None = None) -> Any:
    """The tensor itself. Raises: ShapeError, where the graph is made, if it has axes."""
    assert_rank(tensor, 0, message=message)
    return convert_to_tensor(tensor)


def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> Operation:
    """Raises: DTypeError, where the graph is made, unless the tensor has this type."""
    found = convert_to_tensor(tensor).dtype
    if found is not as_dtype(tf_type):
        raise DTypeError(f"tf.assert_type: {message or f'the type is {found.name}, not {as_dtype(tf_type).name}'}")
    return no_op()


def assert_integer(x: Any, message: str | None = None, name: str | None = None) -> Operation:
    """Raises: DTypeError, where the graph is made, unless the elements are whole numbers."""
    found = convert_to_tensor(x).dtype
    if found.is_floating_point or found.is_complex or found.name == "bool":
        raise DTypeError(f"tf.assert_integer: {message or f'the type is {found.name}'}")
    return no_op()


def clip_by_average_norm(t: Any, clip_norm: Any, name: str | None = None) -> Any:
    """The tensor, scaled so that its length over its number of elements is at most `clip_norm`."""
    return _average_clip(t, clip_norm, name=name)


def _clip(t: Any, clip_norm: Any) -> Value:
    x = to_tensor(t)
    return math.clip_by_norm(x, clip_norm * float(x.numel()))


_average_clip = deferred(_clip, "clip_by_average_norm", name="clip_by_average_norm")


def switch_case(branch_index: Any, branch_fns: Any, default: Any = None, name: str = "switch_case") -> Any:
    """What the function with this number makes; `default`, or the last one, for other numbers."""
    pairs = list(branch_fns.items() if isinstance(branch_fns, dict) else enumerate(branch_fns))
    pairs = [p if isinstance(p, tuple) else (k, p) for k, p in enumerate(pairs)]
    at = convert_to_tensor(branch_index)
    return case([(equal(at, k), fn) for k, fn in pairs], default if default is not None else pairs[-1][1])
