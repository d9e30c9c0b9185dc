"""Helpers with which rows are declared: shape rules, sample inputs, references that keep their types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from twinflow.core import DType, as_dtype, broadcast_shapes
from twinflow.core.errors import DTypeError, ShapeError
from twinflow.graph import Aval, Primitive, Sample, find_primitive
from twinflow.graph.lowering import Elementwise
from twinflow.tensor import Tensor, apply

BF16 = np.dtype(ml_dtypes.bfloat16)
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)  # the types of fast paths: NumPy has one object for each
FLOATS = ("float32", "float64", "float16", "bfloat16")
COMPLEX = ("complex64", "complex128")
INTS = ("int64", "int32", "int16", "int8", "uint8")
BOOL = ("bool",)
NUMBERS = FLOATS + COMPLEX + INTS

Out = Callable[..., Aval]


def call(name: str, *args: Any, **params: Any) -> Any:
    """Apply the primitive of this name: for rules that refer to rows of files that come later."""
    return apply(find_primitive(name), *args, **params)


def conjugate(x: Any) -> Any:
    """The complex conjugate; real tensors and numbers are their own."""
    if isinstance(x, Tensor):
        d = x._data.dtype
        return x if d is F32 or d.kind != "c" else call("conj", x)
    return x.conjugate() if isinstance(x, complex) else x


# -- shape and type rules ---------------------------------------------------------------------------------------


def want(holds: bool, relation: str, op: str, **avals: Any) -> None:
    """Raise a ShapeError that prints the failed relation and the operands unless it holds."""
    if not holds:
        rows = "".join(f"\n  {name}: {aval!r}" for name, aval in avals.items())
        raise ShapeError(f"{op}: {relation} does not hold{rows}")


def common(op: str, avals: Sequence[Any]) -> Aval:
    """The broadcast shape and the one type of the tensor operands."""
    tensors = [a for a in avals if isinstance(a, Aval)]
    first = tensors[0]
    if len(tensors) == 1:
        return first
    for other in tensors[1:]:
        if other.dtype is not first.dtype:
            raise DTypeError(f"{op}: operands of different types {first!r} and {other!r}")
    return Aval(broadcast_shapes(*(t.shape for t in tensors), op=op), first.dtype)


def kinds_rule(op: str, kinds: Sequence[str], result: Callable[[DType], DType] = lambda d: d) -> Out:
    """The rule of an elementwise primitive that takes the named types; `result` maps the operand type to the result's."""
    allowed = {as_dtype(k) for k in kinds} | (
        {as_dtype(u) for u in ("uint16", "uint32", "uint64")} if "uint8" in kinds else set()
    )

    def out(*avals: Any) -> Aval:
        a = common(op, avals)
        if a.dtype not in allowed:
            raise DTypeError(f"{op}: {a.dtype.name} operands are not supported; convert with .to(...)")
        return Aval(a.shape, result(a.dtype))

    return out


def to_bool(dtype: DType) -> DType:
    """The type of comparisons."""
    return as_dtype("bool")


# -- references -------------------------------------------------------------------------------------------------


def keep_type(ufunc: Callable[..., Any]) -> Callable[..., Any]:
    """`ufunc`, with the result converted back where NumPy widens bfloat16 combined with a Python number."""

    def run(*args: Any) -> Any:
        out = ufunc(*args)
        for a in args:
            if type(a) is np.ndarray:
                return out.astype(a.dtype) if out.dtype is not a.dtype and a.dtype == BF16 else out
        return out

    return run


def via_float32(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` computed in float32 for the 16-bit floating types, and rounded once at the end."""

    def run(*args: Any) -> Any:
        a = args[0]
        if type(a) is np.ndarray and a.dtype.itemsize == 2 and a.dtype.kind in "fV":
            wide = [x.astype(np.float32) if type(x) is np.ndarray else x for x in args]
            return np.asarray(fn(*wide)).astype(a.dtype)
        return fn(*args)

    return run


# -- samples ----------------------------------------------------------------------------------------------------

_SHAPES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((3, 4), (3, 4)),
    ((2, 1, 3), (4, 1)),
    ((), ()),
    ((0, 3), (3,)),
    ((1,), (1,)),
)


def _draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, low: float, high: float) -> Any:
    d = as_dtype(dtype)
    if d.is_complex:
        return (rng.uniform(low, high, shape) + 1j * rng.uniform(low, high, shape)).astype(d.np)
    if d.is_floating_point:
        return rng.uniform(low, high, shape).astype(d.np)
    if d.name == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    lo = max(int(np.ceil(low)), 0) if not d.is_signed else int(np.ceil(low))
    return rng.integers(lo, max(int(high), lo) + 1, shape).astype(d.np)


def uniform(
    *ranges: tuple[float, float], kinds: Sequence[str] = FLOATS
) -> Callable[[np.random.Generator], list[Sample]]:
    """Samples of an elementwise primitive: one range per operand, over shapes (broadcast, empty, 0-dim.) and types."""

    def samples(rng: np.random.Generator) -> list[Sample]:
        made = []
        for kind in kinds:
            for shapes in _SHAPES if kind in ("float32", "float64") else _SHAPES[:2]:
                args = tuple(_draw(rng, s, kind, lo, hi) for s, (lo, hi) in zip(shapes * 2, ranges))
                made.append(Sample(args, {}))
        return made

    return samples


def calls(
    *cases: tuple[Any, dict[str, Any]], kinds: Sequence[str] = ("float32",)
) -> Callable[[np.random.Generator], list[Sample]]:
    """Samples of a structural primitive: each case is (shapes of the operands, parameters)."""

    def samples(rng: np.random.Generator) -> list[Sample]:
        return [
            Sample(tuple(_draw(rng, s, kind, -2, 2) for s in shapes), dict(params))
            for kind in kinds
            for shapes, params in cases
        ]

    return samples


def mismatched(n: int) -> Callable[[np.random.Generator], list[Sample]]:
    """Calls that must fail: shapes that do not broadcast."""
    return lambda rng: [
        Sample((np.ones((2, 3), np.float32), np.ones((4,), np.float32), np.ones((4,), np.float32))[:n], {})
    ]


# -- elementwise rows -------------------------------------------------------------------------------------------


def elementwise(
    name: str,
    ref: Callable[..., Any],
    vjp: Any,
    *,
    ranges: Sequence[tuple[float, float]],
    doc: str,
    kinds: Sequence[str] = FLOATS + COMPLEX,
    result: Callable[[DType], DType] = lambda d: d,
    out: Out | None = None,
    scalar: Any = None,
    samples: Any = None,
    jvp: Any = "elementwise",
    why: str = "",
    ulp: float = 4,
    back: Any = None,
) -> Primitive:
    """Declare an elementwise primitive: operands broadcast, every derived rule follows from `vjp`.

    Functions of complex numbers that are not holomorphic (abs, real, ...) say what their `jvp` is.
    """
    n = len(ranges)
    return Primitive(
        name,
        out=out if out is not None else kinds_rule(name, kinds, result),
        ref=ref,
        vjp=vjp,
        jvp=jvp,
        batch="elementwise",
        lower=Elementwise(scalar if scalar is not None else name),
        samples=samples if samples is not None else uniform(*ranges, kinds=kinds),
        bad=mismatched(n) if n > 1 else None,
        elementwise=True,
        doc=doc,
        why=why,
        ulp=ulp,
        back=back,
    )
