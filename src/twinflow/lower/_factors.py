"""Factorisations, linear systems and Fourier transforms as calls of NumPy's loops, with what goes around them as nodes.

Each row does what its reference does, in the same types: `numpy.linalg` computes in double precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core import as_dtype
from twinflow.graph import Graph, Node, find_primitive, rebuild
from twinflow.graph.passes import optimize
from twinflow.lower._library import library
from twinflow.runtime._library import find_loop

_WIDE = {"float32": "float64", "complex64": "complex128"}
_CODE = {"float32": "f", "float64": "d", "complex64": "F", "complex128": "D"}
_DIVERGED = "it did not converge: the matrix may hold NaN or infinity"
_SINGULAR = "the matrix is singular; lstsq or pinv give a least-squares solution"


class Site:
    """Where nodes are added: the new graph, and the line and operation of the node that they stand for."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph, self.line, self.name = graph, node.line, node.op

    def op(self, name: str, *operands: Any, **params: Any) -> Node:
        """A node."""
        return self.graph.add(find_primitive(name), operands, params, line=self.line)

    def cast(self, x: Node, dtype: str) -> Node:
        """`x` in a type."""
        return x if x.aval.dtype.name == dtype else self.op("cast", x, dtype=as_dtype(dtype))

    def wide(self, x: Node) -> Node:
        """`x` in double precision."""
        return self.cast(x, _WIDE.get(x.aval.dtype.name, x.aval.dtype.name))

    def adjoint(self, x: Node) -> Node:
        """The conjugate transpose of each matrix."""
        n = x.aval.ndim
        turned = self.op("permute", x, axes=(*range(n - 2), n - 1, n - 2))
        return self.op("conj", turned) if x.aval.dtype.is_complex else turned

    def even(self, x: Node) -> Node:
        """(A + Aᴴ) / 2 in double precision."""
        return self.wide(self.op("div", self.op("add", x, self.adjoint(x)), 2.0))

    def on_diagonal(self, rows: int, columns: int) -> Node:
        """Column less row number of each element of a matrix."""
        places = [self.op("iota", n=n, dtype=as_dtype("int64")) for n in (rows, columns)]
        return self.op("sub", places[1], self.op("reshape", places[0], shape=(rows, 1)))

    def triangle(self, x: Node, *, upper: bool, unit: bool = False) -> Node:
        """One triangle of each matrix, zeros elsewhere; with ones on its diagonal if `unit`."""
        gap = self.on_diagonal(*x.aval.shape[-2:])
        kept = self.op("where", self.op("ge" if upper else "le", gap, 0), x, 0.0)
        return self.op("where", self.op("eq", gap, 0), 1.0, kept) if unit else kept

    def finite(self, x: Node) -> Node:
        """Whether all elements of `x` are finite."""
        if not x.aval.size:
            return self.op("full", shape=(), value=True, dtype=as_dtype("bool"))
        bad = self.op("bitwise_or", self.op("isnan", x), self.op("isinf", x))
        found = self.op("amax", bad, axes=tuple(range(x.aval.ndim)), keepdim=False)
        return self.op("invert", found)

    def loop(
        self,
        name: str,
        *operands: Node,
        outs: Any,
        failure: str = "",
        axis: int | None = None,
        changes: bool = False,
        given: bool = False,
    ) -> list[Node]:
        """The results of a loop; `outs` are their shapes and types."""
        params = {
            "loop": name, "axis": axis, "failure": f"{self.name}: {failure}" if failure else "", "changes": changes, "given": given,
            "shapes": tuple(shape for shape, _ in outs), "dtypes": tuple(dtype for _, dtype in outs),
        }  # fmt: skip
        node = self.graph.add(library, operands, params, line=self.line)
        return [self.op("pick", node, index=k) for k in range(len(outs))]


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
    outs = [(b.aval.shape, b.aval.dtype.name)]
    (x,) = at.loop(_types("linalg.solve", a, "xx->x"), a, b, outs=outs, failure=_SINGULAR)
    return at.cast(x, name)


def _triangular_solve(at: Site, a: Node, b: Node, *, upper: bool, unit: bool) -> Node:
    return _solve(at, at.triangle(a, upper=upper, unit=unit), b)


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


ROWS: dict[str, tuple[Callable[..., Any], str]] = {
    "cholesky": (_cholesky, "linalg.cholesky_lo:d->d"),
    "solve": (_solve, "linalg.solve:dd->d"),
    "triangular_solve": (_triangular_solve, "linalg.solve:dd->d"),
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
"""How each row is composed, and a loop that this NumPy must have for it."""


def call_libraries(graph: Graph) -> Graph:
    """Rows that NumPy's loops compute, as calls of these. Without such a loop a row stays, and runs on its reference."""
    if not any(n.op in ROWS for n in graph.nodes):
        return graph

    def replace(new: Graph, node: Node, inputs: tuple[Any, ...]) -> Any:
        if node.op == "pick" and isinstance(inputs[0], tuple):
            return inputs[0][node.params["index"]]
        if node.op not in ROWS or find_loop(ROWS[node.op][1]) is None:
            return None
        return ROWS[node.op][0](Site(new, node), *inputs, **node.params)

    return rebuild(graph, replace)


def prepared(graph: Graph) -> Graph:
    """The graph after all passes, ready to be lowered."""
    return optimize(call_libraries(graph))
