"""Linear systems and determinants: rows on matrices in the last two axes, with any axes before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import DTypeError, LinAlgError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Named
from twinflow.ops._contract import matmul, swap_last
from twinflow.ops._declare import call, conjugate, want
from twinflow.ops._shape import batched, iota, reshape, to_front
from twinflow.tensor import Tensor, apply

INT64 = as_dtype("int64")
_TYPES = ("float32", "float64", "complex64", "complex128")


def need_matrix(op: str, a: Aval, *, square: bool) -> None:
    """Raise unless `a` holds matrices (square ones, if asked) of a type that decompositions have."""
    want(a.ndim >= 2, "the operand has at least 2 axes", op, a=a)
    if square:
        want(a.shape[-1] == a.shape[-2], "the matrix is square", op, a=a)
    _need_type(op, a.dtype.name)


def _need_type(op: str, name: str) -> None:
    if name not in _TYPES:
        raise DTypeError(f"{op}: {name} matrices are not supported; convert with .float() or .double()")


def guarded(op: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` without the conversions that NumPy makes, and with its complaints in our words."""

    def run(*args: Any, **params: Any) -> Any:
        _need_type(op, args[0].dtype.name)
        try:
            return fn(*args, **params)
        except np.linalg.LinAlgError as error:
            said = str(error).lower()
            if "positive" in said:
                why = "the matrix is not positive-definite"
            elif "singular" in said:
                why = "the matrix is singular; lstsq or pinv give a least-squares solution"
            elif "dimension" in said:
                raise  # the shape rule says it better
            else:
                why = "it did not converge: the matrix may hold NaN or infinity"
            raise LinAlgError(f"{op}: {why}") from None

    return run


def adjoint(x: Tensor) -> Tensor:
    """The conjugate transpose of each matrix."""
    return swap_last(conjugate(x))


def mm(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product."""
    return apply(matmul, a, b)


def eye_like(x: Any) -> Tensor:
    """The identity of the size of the square matrices `x`, in their type and with their leading axes."""
    n = x.shape[-1]
    rows = apply(iota, n=n, dtype=INT64)
    on = call("eq", apply(reshape, rows, shape=(n, 1)), rows)
    return call("expand", call("cast", on, dtype=x.dtype), shape=tuple(x.shape))


def diagonal_matrix(d: Tensor) -> Tensor:
    """diag(d) of each vector."""
    shape = tuple(d._data.shape)
    rows = apply(iota, n=shape[-1], dtype=INT64)
    on = call("eq", apply(reshape, rows, shape=(shape[-1], 1)), rows)
    return call("where", on, apply(reshape, d, shape=(*shape[:-1], 1, shape[-1])), 0.0)


def triangle(x: Tensor, *, lower: bool, offset: int = 0) -> Tensor:
    """The triangle of each matrix, zeros elsewhere."""
    m, n = x._data.shape[-2:]
    gap = call("sub", apply(iota, n=n, dtype=INT64), apply(reshape, apply(iota, n=m, dtype=INT64), shape=(m, 1)))
    return call("where", call("le" if lower else "ge", gap, offset), x, 0.0)


def diagonal(x: Tensor) -> Tensor:
    """The diagonal of each matrix."""
    return call("diagonal", x, offset=0)


def scale_columns(x: Tensor, d: Tensor) -> Tensor:
    """x · diag(d)."""
    return x * apply(reshape, d, shape=(*d._data.shape[:-1], 1, d._data.shape[-1]))


def scale_rows(d: Tensor, x: Tensor) -> Tensor:
    """diag(d) · x."""
    return apply(reshape, d, shape=(*d._data.shape, 1)) * x


def first_batch(name: str) -> Any:
    """The batching rule of a primitive that treats all leading axes alike."""

    def batch(args: Any, axes: Any, **params: Any) -> Any:
        if len(args) == 1:
            out = call(name, to_front(args[0], axes[0]), **params)
        else:
            n = next(x._data.shape[a] for x, a in zip(args, axes) if a is not None)
            out = call(name, *(batched(x, a, n) for x, a in zip(args, axes)), **params)
        return out, (0,) * len(out) if isinstance(out, tuple) else 0

    return batch


def matrices(
    *shapes: tuple[int, ...], kinds: tuple[str, ...] = ("float32", "float64"), shift: float = 0.0, **params: Any
) -> Callable[[np.random.Generator], list[Sample]]:
    """Samples of one random matrix each, with `shift` added on the diagonal."""

    def samples(rng: np.random.Generator) -> list[Sample]:
        out = []
        for kind in kinds:
            for shape in shapes:
                a = rng.uniform(-1, 1, shape) + shift * np.eye(shape[-2], shape[-1])
                if kind.startswith("complex"):
                    a = a + 1j * rng.uniform(-1, 1, shape)
                out.append(Sample((a.astype(kind),), dict(params)))
        return out

    return samples


# -- A X = B ----------------------------------------------------------------------------------------------------


def _solve_out(a: Aval, b: Aval, **params: Any) -> Aval:
    need_matrix("solve", a, square=True)
    fits = b.ndim == a.ndim and b.shape[:-1] == a.shape[:-1]
    want(fits, "the right side has the matrix's axes and as many rows", "solve", a=a, b=b)
    if a.dtype is not b.dtype:
        raise DTypeError(f"solve: operands of different types {a!r} and {b!r}; convert one with .to(...)")
    return b


def _systems(shift: float, **params: Any) -> Callable[[np.random.Generator], list[Sample]]:
    def samples(rng: np.random.Generator) -> list[Sample]:
        out = []
        for kind in ("float32", "float64", "complex128"):
            for shape, columns in (((3, 3), 2), ((2, 3, 3), 1), ((0, 0), 2)):
                a: Any = rng.uniform(-1, 1, shape) + shift * np.eye(shape[-1])
                b: Any = rng.uniform(-1, 1, (*shape[:-1], columns))
                if kind == "complex128":
                    a, b = a + 1j * rng.uniform(-1, 1, shape), b * (1 - 2j)
                out.append(Sample((a.astype(kind), b.astype(kind)), dict(params)))
        return out

    return samples


def _solve_wrt_b(g: Tensor, _y: Any, a: Tensor, _b: Any) -> Tensor:
    return apply(solve, adjoint(a), g)


def _solve_wrt_a(g: Tensor, y: Tensor, a: Tensor, _b: Any) -> Tensor:
    return -mm(apply(solve, adjoint(a), g), adjoint(y))


def _solve_jvp(t: Any, y: Tensor, a: Tensor, _b: Any) -> Tensor:
    right = t[1]
    if t[0] is not None:
        moved = mm(t[0], y)
        right = -moved if right is None else right - moved
    return apply(solve, a, right)


solve: Primitive = Primitive(
    "solve",
    out=_solve_out,
    ref=guarded("solve", np.linalg.solve),
    vjp=(_solve_wrt_a, _solve_wrt_b),
    jvp=_solve_jvp,
    batch=first_batch("solve"),
    lower=Named("solve"),
    samples=_systems(2.0),
    bad=lambda rng: [
        Sample((np.ones((2, 3)), np.ones((2, 1))), {}),
        Sample((np.ones((2, 2)), np.ones((3, 1))), {}),
        Sample((np.zeros((2, 2)), np.ones((2, 1))), {}),
    ],
    doc="X with A X = B, by LU decomposition with pivoting.",
    ulp=256,
)


def _np_triangular(a: Any, b: Any, *, upper: bool, unit: bool) -> Any:
    a = np.triu(a) if upper else np.tril(a)
    if unit:
        n = a.shape[-1]
        a[..., range(n), range(n)] = 1
    return np.linalg.solve(a, b)


def _triangular_wrt_b(g: Tensor, _y: Any, a: Tensor, _b: Any, *, upper: bool, unit: bool) -> Tensor:
    return apply(triangular_solve, adjoint(a), g, upper=not upper, unit=unit)


def _triangular_wrt_a(g: Tensor, y: Tensor, a: Tensor, _b: Any, *, upper: bool, unit: bool) -> Tensor:
    full = -mm(apply(triangular_solve, adjoint(a), g, upper=not upper, unit=unit), adjoint(y))
    return triangle(full, lower=not upper, offset=(1 if upper else -1) if unit else 0)


def _triangular_jvp(t: Any, y: Tensor, a: Tensor, _b: Any, *, upper: bool, unit: bool) -> Tensor:
    right = t[1]
    if t[0] is not None:
        moved = mm(triangle(t[0], lower=not upper, offset=(1 if upper else -1) if unit else 0), y)
        right = -moved if right is None else right - moved
    return apply(triangular_solve, a, right, upper=upper, unit=unit)


triangular_solve: Primitive = Primitive(
    "triangular_solve",
    out=_solve_out,
    ref=guarded("triangular_solve", _np_triangular),
    vjp=(_triangular_wrt_a, _triangular_wrt_b),
    jvp=_triangular_jvp,
    batch=first_batch("triangular_solve"),
    lower=Named("triangular_solve"),
    samples=lambda rng: [
        s for u in (False, True) for unit in (False, True) for s in _systems(2.0, upper=u, unit=unit)(rng)
    ],
    bad=lambda rng: [Sample((np.ones((2, 2)), np.ones((3, 1))), {"upper": False, "unit": False})],
    doc="X with T X = B, where T is one triangle of A; `unit` takes its diagonal as ones.",
    ulp=256,
)

# -- determinants -----------------------------------------------------------------------------------------------


def inverse(a: Tensor) -> Tensor:
    """A⁻¹ of each matrix."""
    return apply(solve, a, eye_like(a))


def _per_matrix(x: Tensor) -> Tensor:
    """One value per matrix, to be multiplied with the matrices."""
    return apply(reshape, x, shape=(*x._data.shape, 1, 1))


def _det_out(a: Aval) -> Aval:
    need_matrix("det", a, square=True)
    return Aval(a.shape[:-2], a.dtype)


det: Primitive = Primitive(
    "det",
    out=_det_out,
    ref=guarded("det", np.linalg.det),
    vjp=(lambda g, y, a: _per_matrix(g * conjugate(y)) * adjoint(inverse(a)),),
    jvp=lambda t, y, a: y * call("sum", diagonal(apply(solve, a, t[0])), axes=(len(y._data.shape),), keepdim=False),
    batch=first_batch("det"),
    lower=Named("det"),
    samples=matrices((3, 3), (2, 2, 2), (1, 1), kinds=("float32", "float64", "complex128")),
    bad=lambda rng: [Sample((np.ones((2, 3)),), {})],
    doc="The determinant. Its derivative is taken through the inverse, and so does not exist where it is 0.",
    ulp=256,
)


def _slogdet_out(a: Aval) -> tuple[Aval, Aval]:
    need_matrix("slogdet", a, square=True)
    return Aval(a.shape[:-2], a.dtype), Aval(a.shape[:-2], a.dtype.to_real())


def _slogdet_vjp(g: Any, y: Any, a: Tensor) -> Any:
    by_sign, by_log = g
    sign = y[0]
    if a._data.dtype.kind != "c":
        return ((_per_matrix(by_log) * adjoint(inverse(a))) if by_log is not None else None,)
    zero = call("real", sign) * 0.0
    real = by_log if by_log is not None else zero
    turn = -call("imag", conjugate(by_sign) * sign) if by_sign is not None else zero
    return (_per_matrix(call("complex", real, turn)) * adjoint(inverse(a)),)


def _slogdet_jvp(t: Any, y: Any, a: Tensor) -> Any:
    relative = call("sum", diagonal(apply(solve, a, t[0])), axes=(len(y[0]._data.shape),), keepdim=False)
    if a._data.dtype.kind != "c":
        return y[0] * 0.0, relative
    turn = call("imag", relative)
    return y[0] * call("complex", turn * 0.0, turn), call("real", relative)


slogdet: Primitive = Primitive(
    "slogdet",
    out=_slogdet_out,
    ref=guarded("slogdet", lambda a: tuple(np.linalg.slogdet(a))),
    vjp=_slogdet_vjp,
    jvp=_slogdet_jvp,
    batch=first_batch("slogdet"),
    lower=Named("slogdet"),
    samples=matrices((3, 3), (2, 2, 2), kinds=("float32", "float64", "complex128")),
    bad=lambda rng: [Sample((np.ones((2, 3)),), {})],
    n_out=2,
    doc="(sign, log|det|) of the determinant, which may itself be too large or small for its type.",
    ulp=256,
)
