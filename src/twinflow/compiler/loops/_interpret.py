"""What a loop kernel means, in NumPy: slow and plain, the oracle of the tests and a help in finding a wrong kernel."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from twinflow.compiler.loops._ir import (
    Apply,
    Axis,
    Const,
    Coordinate,
    Expr,
    Index,
    Kernel,
    Load,
    Reduce,
    Rest,
    Size,
    Sym,
    all_axes,
    walk,
)

Array = np.ndarray[Any, Any]


def _share(x: Any) -> Any:
    """The normal distribution function."""
    return 0.5 * (1 + np.vectorize(math.erf, otypes=["f8"])(x * math.sqrt(0.5)))


NUMPY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "floor_div": np.floor_divide,
    "remainder": np.remainder,
    "fmod": np.fmod,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "max": np.maximum,
    "min": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "pow": np.power,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "erf": np.vectorize(math.erf, otypes=["f8"]),
    "erfc": np.vectorize(math.erfc, otypes=["f8"]),
    "gelu": lambda x: x * _share(x),
    "gelu_slope": lambda x: _share(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "silu_slope": lambda x: (1 + x / (1 + np.exp(x))) / (1 + np.exp(-x)),
    "select": np.where,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
"""NumPy's word for each scalar function it has."""

REDUCE: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "any": np.any,
    "all": np.all,
}


def interpret(kernel: Kernel, arrays: Mapping[str, Array], symbols: Mapping[str, int] | None = None) -> None:
    """Carry out a kernel on flat NumPy arrays, by buffer name; those it stores to are written.

    float16 buffers are float16 arrays; bfloat16 buffers are arrays of ml_dtypes.bfloat16.
    """
    _Interpreter(kernel, arrays, symbols or {}).run()


class _Interpreter:
    """Evaluates every expression on the whole iteration space at once, one dimension for each axis."""

    def __init__(self, kernel: Kernel, arrays: Mapping[str, Array], symbols: Mapping[str, int]) -> None:
        self.kernel = kernel
        self.arrays = arrays
        self.symbols = symbols
        self.axes = all_axes(kernel)
        self.values: dict[int, Array] = {}

    def size(self, extent: int | Sym | Rest) -> int:
        """An extent (the largest it can be) or stride as a number."""
        if isinstance(extent, Rest):
            return min(extent.block, self.size(extent.total))
        return extent if isinstance(extent, int) else extent.value(self.symbols)

    def grid(self, axis: Axis) -> Array:
        """The values of an axis, along its own dimension."""
        shape = [1] * len(self.axes)
        shape[self.axes.index(axis)] = -1
        return np.arange(self.size(axis.extent), dtype=np.int64).reshape(shape)

    def inside(self, axes: tuple[Axis, ...]) -> Array:
        """Where the points of these axes are within the blocks they are cut into."""
        result = np.ones((1,) * len(self.axes), bool)
        for axis in axes:
            if isinstance(rest := axis.extent, Rest):
                result = result & (self.grid(axis) + rest.block * self.grid(rest.outer) < self.size(rest.total))
        return result

    def index(self, index: Index) -> Array:
        """Element numbers."""
        total: Array = np.full((1,) * len(self.axes), index.offset, np.int64)
        for axis, stride in index.terms:
            total = total + self.grid(axis) * self.size(stride)
        for e, stride in index.gathered:
            total = total + self.values[id(e)].astype(np.int64) * self.size(stride)
        return total

    def evaluate(self, e: Expr) -> Array:
        """One expression, its operands being known."""
        match e:
            case Const():
                return np.full((1,) * len(self.axes), e.value, e.dtype)
            case Coordinate():
                return self.grid(e.axis).astype(e.dtype)
            case Size():
                return np.full((1,) * len(self.axes), self.size(e.sym), np.int64)
            case Load():
                data = self.arrays[e.buffer.name]
                at = self.index(e.index)
                if e.mask is None:
                    return np.take(data, at, mode="clip").astype(e.dtype)  # beyond a block's end nothing is used
                mask, at = np.broadcast_arrays(self.values[id(e.mask)], at)
                found = np.full(at.shape, e.other, e.dtype)
                found[mask] = data[at[mask]].astype(e.dtype)
                return found
            case Apply(function="cast"):
                return self.cast(self.values[id(e.args[0])], e.to or e.dtype)
            case Apply():
                return np.asarray(NUMPY[e.function](*(self.values[id(a)] for a in e.args))).astype(e.dtype)
            case Reduce():
                return self.reduce(e)
        raise TypeError(f"unknown expression {type(e).__name__}")

    @staticmethod
    def cast(x: Array, dtype: str) -> Array:
        """Conversion of dtype; to the half-width floats: rounding only."""
        if dtype == "bfloat16":
            import ml_dtypes

            return x.astype(ml_dtypes.bfloat16).astype(np.float32)
        return x.astype(np.float16).astype(np.float32) if dtype == "float16" else x.astype(dtype)

    def reduce(self, e: Reduce) -> Array:
        """A reduction over its axes' dimensions, which stay with size 1."""
        value = self.values[id(e.value)]
        shape = list(value.shape)
        for axis in e.axes:
            shape[self.axes.index(axis)] = self.size(axis.extent)
        value = np.broadcast_to(value, shape)
        dims = tuple(self.axes.index(a) for a in e.axes)
        if e.op in ("argmax", "argmin"):
            order = [d for d in range(value.ndim) if d not in dims] + list(dims)
            kept = [value.shape[d] for d in range(value.ndim) if d not in dims]
            flat = value.transpose(order).reshape([*kept, math.prod(value.shape[d] for d in dims)])
            best = (np.argmax if e.op == "argmax" else np.argmin)(flat, axis=-1) if flat.shape[-1] else np.zeros(kept)
            return best.astype(np.int64).reshape([1 if d in dims else n for d, n in enumerate(value.shape)])
        inside = self.inside(e.axes)
        where: dict[str, Any] = {} if inside.all() else {"where": np.broadcast_to(inside, value.shape)}
        if e.op in ("max", "min"):
            limits = np.finfo(value.dtype) if value.dtype.kind == "f" else np.iinfo(value.dtype)
            ends = (-np.inf, np.inf) if value.dtype.kind == "f" else (limits.min, limits.max)
            where["initial"] = ends[e.op == "min"]
        wide = value.astype(np.float64) if value.dtype.kind == "f" and e.op in ("sum", "prod") else value
        return np.asarray(REDUCE[e.op](wide, axis=dims, keepdims=True, **where)).astype(e.dtype)

    def run(self) -> None:
        """All stores."""
        for e in walk([o for s in self.kernel.stores for o in s.operands]):
            self.values[id(e)] = self.evaluate(e)
        for store in self.kernel.stores:
            axes = (*self.kernel.axes, *store.axes)
            shape = [self.size(a.extent) if a in axes else 1 for a in self.axes]
            data = self.arrays[store.buffer.name]
            inside = np.broadcast_to(self.inside(axes), shape)
            if store.mask is not None:
                inside = inside & self.values[id(store.mask)]
            at = np.broadcast_to(self.index(store.index), shape)[inside]
            value = np.broadcast_to(self.values[id(store.value)], shape)[inside]
            if store.combine is None:
                data[at] = value.astype(data.dtype)
            else:
                combine = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}[store.combine]
                combine.at(data, at, value.astype(data.dtype))
