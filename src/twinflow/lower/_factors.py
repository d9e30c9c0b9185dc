"""Factorisations, linear systems and Fourier transforms as calls of NumPy's loops, with what goes around them as nodes.

Each row does what its reference does, in the same types: `numpy.linalg` computes in double precision. Small linear systems are
solved by kernels of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core import as_dtype
from twinflow.core.errors import LinAlgError
from twinflow.graph import Node, Primitive, find_primitive
from twinflow.graph.lowering import Named
from twinflow.lower._site import Site

_SMALL = 256  # rows up to which our elimination was measured to be quicker than the LAPACK of NumPy's wheels
_CODE = {"float32": "f", "float64": "d", "complex64": "F", "complex128": "D"}
_DIVERGED = "it did not converge: the matrix may hold NaN or infinity"
_SINGULAR = "the matrix is singular; lstsq or pinv give a least-squares solution"


def _substituted(a: Any, b: Any, holds: Any = True, *, failure: str, **triangle: bool) -> Any:
    if not holds:
        raise LinAlgError(failure)
    return find_primitive("triangular_solve").ref(a, b, **triangle)


substitution: Primitive = Primitive(
    "substitution",
    out=lambda a, b, *_, **__: b,
    ref=_substituted,
    vjp=None,
    why="it stands in compiled graphs only, for solve and triangular_solve, which have derivatives",
    lower=Named("substitution"),
    doc="triangular_solve, if the third operand holds: no element of the diagonal is 0. `failure` is what it means otherwise.",
)


def _types(loop: str, x: Node, pattern: str) -> str:
    """The name of a loop for a matrix: in the pattern x stands for its type, r for the real one of the same precision."""
    code = _CODE[x.aval.dtype.name]
    real = {"F": "f", "D": "d"}.get(code, code)
    return f"{loop}:{pattern.replace('x', code).replace('r', real)}"


def _real(x: Node) -> str:
    return x.aval.dtype.to_real().name


def _cholesky(at: Site, a: Node) -> Node:
    s = at.even(a)
    failure = "the matrix is not positive-definite"
    (low,) = at.loop(
        _types("linalg.cholesky_lo", s, "x->x"), s, outs=[(s.aval.shape, s.aval.dtype.name)], failure=failure
    )
    return at.cast(low, a.aval.dtype.name)


def _solve(at: Site, a: Node, b: Node) -> Node:
    name = b.aval.dtype.name
    a, b = at.wide(a), at.wide(b)
    if a.aval.shape[-1] <= _SMALL and b.aval.size:
        return at.cast(_eliminated(at, a, b), name)
    outs = [(b.aval.shape, b.aval.dtype.name)]
    (x,) = at.loop(_types("linalg.solve", a, "xx->x"), a, b, outs=outs, failure=_SINGULAR)
    return at.cast(x, name)


def _eliminated(at: Site, a: Node, b: Node) -> Node:
    """The solution by kernels of our own."""
    factored = at.op("lu", a)
    packed, order = at.op("pick", factored, index=0), at.op("pick", factored, index=2)
    ndim = b.aval.ndim
    rows = at.op("expand", at.op("reshape", order, shape=(*b.aval.shape[:-1], 1)), shape=b.aval.shape)
    moved = at.op("gather", b, rows, axis=ndim - 2)
    y = _substitute(at, packed, moved, upper=False, unit=True)
    return _substitute(at, packed, y, upper=True, unit=False)


def _substitute(at: Site, a: Node, b: Node, *, upper: bool, unit: bool) -> Node:
    operands = [a, b] if unit or not a.aval.size else [a, b, at.no_zeros(a)]
    return at.op("substitution", *operands, upper=upper, unit=unit, failure=f"{at.name}: {_SINGULAR}")


def _triangular_solve(at: Site, a: Node, b: Node, *, upper: bool, unit: bool) -> Node:
    x = _substitute(at, at.wide(a), at.wide(b), upper=upper, unit=unit)
    return at.cast(x, b.aval.dtype.name)


def _det(at: Site, a: Node) -> Node:
    w = at.wide(a)
    (d,) = at.loop(_types("linalg.det", w, "x->x"), w, outs=[(a.aval.shape[:-2], w.aval.dtype.name)])
    return at.cast(d, a.aval.dtype.name)


def _slogdet(at: Site, a: Node) -> tuple[Node, ...]:
    w, lead = at.wide(a), a.aval.shape[:-2]
    outs = [(lead, w.aval.dtype.name), (lead, _real(w))]
    sign, log = at.loop(_types("linalg.slogdet", w, "x->xr"), w, outs=outs)
    return at.cast(sign, a.aval.dtype.name), at.cast(log, _real(a))


def _qr(at: Site, a: Node, *, complete: bool) -> tuple[Node, ...]:
    w, lead, (m, n) = at.wide(a), a.aval.shape[:-2], a.aval.shape[-2:]
    name, k = w.aval.dtype.name, min(m, n)
    raw, tau = at.loop(
        _types("linalg.qr_r_raw", w, "x->x"), w, outs=[(w.aval.shape, name), ((*lead, k), name)], changes=True
    )
    whole = complete and m > n
    columns = m if whole else k
    (q,) = at.loop(
        _types("linalg.qr_complete" if whole else "linalg.qr_reduced", w, "xx->x"), raw, tau,
        outs=[((*lead, m, columns), name)],
    )  # fmt: skip
    ndim = a.aval.ndim
    top = at.op("slice", raw, starts=(0,) * ndim, stops=(*lead, columns, n), steps=(1,) * ndim)
    r = at.triangle(top, upper=True)
    return at.cast(q, a.aval.dtype.name), at.cast(r, a.aval.dtype.name)


def _svd(at: Site, a: Node, *, full: bool) -> tuple[Node, ...]:
    w, lead, (m, n) = at.wide(a), a.aval.shape[:-2], a.aval.shape[-2:]
    name, k = w.aval.dtype.name, min(m, n)
    outs = [((*lead, m, m if full else k), name), ((*lead, k), _real(w)), ((*lead, n if full else k, n), name)]
    loop = _types("linalg.svd_f" if full else "linalg.svd_s", w, "x->xrx")
    u, s, vh = at.loop(loop, w, outs=outs, failure=_DIVERGED)
    return at.cast(u, a.aval.dtype.name), at.cast(s, _real(a)), at.cast(vh, a.aval.dtype.name)


def _eigh(at: Site, a: Node) -> tuple[Node, ...]:
    s = at.even(a)
    outs = [(s.aval.shape[:-1], _real(s)), (s.aval.shape, s.aval.dtype.name)]
    values, vectors = at.loop(_types("linalg.eigh_lo", s, "x->rx"), s, outs=outs, failure=_DIVERGED)
    return at.cast(values, _real(a)), at.cast(vectors, a.aval.dtype.name)


def _eig(at: Site, a: Node) -> tuple[Node, ...]:
    w = at.wide(a)
    to = a.aval.dtype.to_complex().name
    outs = [(a.aval.shape[:-1], "complex128"), (a.aval.shape, "complex128")]
    good = at.finite(a)  # LAPACK may search for the eigenvalues of NaN for ever
    values, vectors = at.loop(_types("linalg.eig", w, "x->DD"), w, good, outs=outs, failure=_DIVERGED, given=True)
    return at.cast(values, to), at.cast(vectors, to)


def _pinv(at: Site, a: Node, *, rtol: float, atol: float) -> Node:
    lead, (m, n) = a.aval.shape[:-2], a.aval.shape[-2:]
    if not a.aval.size:
        return at.op("full", shape=(*lead, n, m), value=0, dtype=a.aval.dtype)
    u, s, vh = _svd(at, a, full=False)
    ndim = s.aval.ndim
    top = at.op("amax", s, axes=(ndim - 1,), keepdim=True)
    kept = at.op("gt", s, at.op("maximum", at.op("mul", top, rtol), atol))
    inverse = at.op("where", kept, at.op("div", 1.0, at.op("where", kept, s, 1.0)), 0.0)
    scaled = at.op(
        "mul", at.cast(at.op("reshape", inverse, shape=(*s.aval.shape, 1)), a.aval.dtype.name), at.adjoint(u)
    )
    return at.op("matmul", at.adjoint(vh), scaled)


def _transform(at: Site, name: str, x: Node, axis: int, types: str, n: int, to: str) -> Node:
    shape = (*x.aval.shape[:axis], n, *x.aval.shape[axis + 1 :])
    factor = at.op("constant", value=as_dtype(_real(x)).np.type(1).reshape(()))
    (y,) = at.loop(_types(f"fft.{name}", x, types), x, factor, outs=[(shape, to)], axis=axis)
    return y


def _fft(at: Site, x: Node, *, axis: int, inverse: bool) -> Node:
    return _transform(at, "ifft" if inverse else "fft", x, axis, "xr->x", x.aval.shape[axis], x.aval.dtype.name)


def _rfft(at: Site, x: Node, *, axis: int) -> Node:
    n = x.aval.shape[axis]
    to = x.aval.dtype.to_complex().name
    name = "rfft_n_odd" if n % 2 else "rfft_n_even"
    return _transform(at, name, x, axis, f"xr->{_CODE[to]}", n // 2 + 1, to)


def _irfft(at: Site, x: Node, *, axis: int, n: int) -> Node:
    return _transform(at, "irfft", x, axis, "xr->r", n, _real(x))


ROWS: dict[str, tuple[Callable[..., Any], str | None]] = {
    "cholesky": (_cholesky, "linalg.cholesky_lo:d->d"),
    "solve": (_solve, "linalg.solve:dd->d"),
    "triangular_solve": (_triangular_solve, None),
    "det": (_det, "linalg.det:d->d"),
    "slogdet": (_slogdet, "linalg.slogdet:d->dd"),
    "qr": (_qr, "linalg.qr_reduced:dd->d"),
    "svd": (_svd, "linalg.svd_s:d->ddd"),
    "eigh": (_eigh, "linalg.eigh_lo:d->dd"),
    "eig": (_eig, "linalg.eig:d->DD"),
    "pinv": (_pinv, "linalg.svd_s:d->ddd"),
    "fft": (_fft, "fft.fft:Dd->D"),
    "rfft": (_rfft, "fft.rfft_n_even:dd->D"),
    "irfft": (_irfft, "fft.irfft:Dd->d"),
}  # fmt: skip
"""How each row is composed, and a loop of NumPy's that it needs."""
