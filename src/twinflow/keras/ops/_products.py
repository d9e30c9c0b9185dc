"""Products, linear algebra, transforms and control flow of `keras.ops`."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from twinflow import fft as FF
from twinflow import func as T
from twinflow import linalg as L
from twinflow import ops as O
from twinflow.core.errors import ArgumentError
from twinflow.keras._variable import to_tensor
from twinflow.keras.ops._function import op, same
from twinflow.nn import functional as F
from twinflow.tensor import Tensor

matmul = same("matmul", O.matmul)
inner, vdot = same("inner", O.inner), same("vdot", lambda a, b: O.vdot(a.reshape(-1), b.reshape(-1)))
kron = same("kron", O.kron)
corrcoef = same("corrcoef", O.corrcoef)
cdist = same("cdist", O.cdist)
det, inv, slogdet = same("det", L.det), same("inv", L.inv), same("slogdet", lambda x: tuple(L.slogdet(x)))
solve = same("solve", L.solve)
eigh, eig = same("eigh", lambda x: tuple(L.eigh(x))), same("eig", lambda x: tuple(L.eig(x)))
lu_factor = same("lu_factor", lambda x: tuple(L.lu_factor(x)))


@op
def outer(x1: Any, x2: Any) -> Tensor:
    """The products of all pairs of elements."""
    return O.outer(to_tensor(x1).reshape(-1), to_tensor(x2).reshape(-1))


@op
def dot(x1: Any, x2: Any) -> Tensor:
    """NumPy's dot: over the last axis of x1 and the last but one of x2."""
    a, b = to_tensor(x1), to_tensor(x2)
    if not a.ndim or not b.ndim:
        return a * b
    return O.tensordot(a, b, ([a.ndim - 1], [builtins.max(b.ndim - 2, 0)]))


@op
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    """Products summed over pairs of axes."""
    if not isinstance(axes, int):
        axes = [[a] if isinstance(a, int) else list(a) for a in axes]
    return O.tensordot(to_tensor(x1), to_tensor(x2), axes)


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Any:
    """Products summed as the letters say."""
    return _einsum(list(operands), subscripts)


@op
def _einsum(operands: Any, subscripts: str) -> Tensor:
    return O.einsum(subscripts, *[to_tensor(x) for x in operands])


@op
def cross(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    """The vector product of vectors of 3 elements."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = to_tensor(x1).movedim(axisa, -1), to_tensor(x2).movedim(axisb, -1)
    return O.cross(a, b, -1).movedim(-1, axisc)


@op
def cholesky(x: Any, upper: bool = False) -> Tensor:
    """The triangular factor of a positive matrix."""
    y = L.cholesky(to_tensor(x))
    return y.mT if upper else y


@op
def cholesky_inverse(x: Any, upper: bool = False) -> Tensor:
    """The inverse of a matrix from its triangular factor."""
    f = to_tensor(x)
    f = f.mT if upper else f
    return L.inv(O.matmul(f, f.mT))


@op
def logdet(x: Any) -> Tensor:
    """The logarithm of the determinant of a positive matrix."""
    return L.slogdet(to_tensor(x))[1]


@op
def lstsq(a: Any, b: Any, rcond: float | None = None) -> Tensor:
    """The least-squares solution of a x = b."""
    right = to_tensor(b)
    if right.ndim == 1:
        return O.matmul(pinv(a, rcond), right.unsqueeze(-1)).squeeze(-1)
    return O.matmul(pinv(a, rcond), right)


@op
def pinv(x: Any, rcond: float | None = None) -> Tensor:
    """The pseudo-inverse."""
    return L.pinv(to_tensor(x)) if rcond is None else L.pinv(to_tensor(x), rtol=rcond)


@op
def matrix_rank(x: Any, tol: float | None = None) -> Tensor:
    """How many singular values exceed a bound."""
    return L.matrix_rank(to_tensor(x)) if tol is None else L.matrix_rank(to_tensor(x), tol=tol)


@op
def qr(x: Any, mode: str = "reduced") -> Any:
    """(Q, R)."""
    return tuple(L.qr(to_tensor(x), mode))


@op
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """(U, S, Vᴴ), or S alone."""
    if not compute_uv:
        return L.svdvals(to_tensor(x))
    return tuple(L.svd(to_tensor(x), full_matrices))


@op
def solve_triangular(a: Any, b: Any, lower: bool = False) -> Tensor:
    """The solution of a x = b for a triangular a."""
    right = to_tensor(b)
    if right.ndim == 1:
        return L.solve_triangular(to_tensor(a), right.unsqueeze(-1), upper=not lower).squeeze(-1)
    return L.solve_triangular(to_tensor(a), right, upper=not lower)


@op
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors or matrices."""
    return L.norm(to_tensor(x), ord, axis, keepdims)


@op
def normalize(x: Any, axis: int = -1, order: Any = 2, epsilon: float | None = None) -> Tensor:
    """x / |x| along an axis."""
    return F.normalize(to_tensor(x), order, axis, 1e-7 if epsilon is None else epsilon)


def _complex(x: Any) -> Tensor:
    """A pair (real, imaginary) as one complex tensor."""
    re, im = x
    return O.complex(to_tensor(re), to_tensor(im))


def _pair(y: Tensor) -> tuple[Tensor, Tensor]:
    return O.real(y), O.imag(y)


@op
def fft(x: Any) -> Any:
    """The Fourier transform of (real, imaginary) along the last axis."""
    return _pair(FF.fft(_complex(x)))


@op
def fft2(x: Any) -> Any:
    """The Fourier transform of (real, imaginary) along the last two axes."""
    return _pair(FF.fft2(_complex(x)))


@op
def ifft2(x: Any) -> Any:
    """The inverse of `fft2`."""
    return _pair(FF.ifft2(_complex(x)))


@op
def rfft(x: Any, fft_length: int | None = None) -> Any:
    """The non-negative half of the Fourier transform of real numbers, (real, imaginary)."""
    return _pair(FF.rfft(to_tensor(x), fft_length))


@op
def irfft(x: Any, fft_length: int | None = None) -> Tensor:
    """The inverse of `rfft`."""
    return FF.irfft(_complex(x), fft_length)


@op
def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Tensor:
    """Stretches of the last axis, from every so many elements on: [..., count, length]."""
    t = to_tensor(x)
    starts = np.arange(0, t.shape[-1] - sequence_length + 1, sequence_stride)
    return t[..., starts[:, None] + np.arange(sequence_length)]


@op
def correlate(x1: Any, x2: Any, mode: str = "valid") -> Tensor:
    """Σ x1[n + k] x2[n], as NumPy's correlate."""
    a, b = to_tensor(x1).float(), to_tensor(x2).float()
    if mode not in ("valid", "same", "full"):
        raise ArgumentError(f"correlate: mode is 'valid', 'same' or 'full', not {mode!r}")
    turned = a.shape[0] < b.shape[0]
    if turned:
        a, b = b, a
    n = b.shape[0]
    y = F.conv1d(a.reshape(1, 1, -1), b.reshape(1, 1, -1), padding=0 if mode == "valid" else n - 1).reshape(-1)
    y = y.flip(0) if turned else y
    if mode != "same":
        return y
    extra = n - 1
    low = extra // 2 if not turned else extra - extra // 2
    return y[low : low + a.shape[0]]


# -- control flow ------------------------------------------------------------------------------------------------


def cond(pred: Any, true_fn: Any, false_fn: Any) -> Any:
    """The result of one of two functions without arguments."""
    return O.cond(to_tensor(pred).bool(), true_fn, false_fn)


def while_loop(cond: Any, body: Any, loop_vars: Any, maximum_iterations: int | None = None) -> Any:
    """body(*loop_vars), again and again while cond(*loop_vars) holds."""
    single = not isinstance(loop_vars, (list, tuple))
    start = tuple(to_tensor(v) for v in ([loop_vars] if single else loop_vars))
    counted = (to_tensor(0), *start)

    def more(carry: Any) -> Any:
        go = cond(*carry[1:])
        return go if maximum_iterations is None else O.logical_and(to_tensor(go), carry[0] < maximum_iterations)

    def step(carry: Any) -> Any:
        new = body(*carry[1:])
        return (carry[0] + 1, *(new if isinstance(new, (list, tuple)) else (new,)))

    end = O.while_loop(more, step, counted)[1:]
    return end[0] if single else type(loop_vars)(end)


def fori_loop(lower: Any, upper: Any, body_fun: Any, init_val: Any) -> Any:
    """body(i, value) for i from lower up to upper."""
    return O.fori_loop(lower, upper, body_fun, init_val)


def scan(f: Any, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: Any = 1) -> Any:
    """carry, y = f(carry, x) along the first axis; returns (last carry, all y)."""
    return O.scan(f, init, xs, length, reverse)


def map(f: Any, xs: Any) -> Any:
    """f of each slice along the first axis."""
    return O.map(f, xs)


def vectorized_map(function: Any, elements: Any) -> Any:
    """f of each slice along the first axis, all at once."""
    if isinstance(elements, (list, tuple)):
        return T.vmap(lambda *e: function(list(e)))(*[to_tensor(e) for e in elements])
    return T.vmap(function)(to_tensor(elements))


def switch(index: Any, branches: Any, *operands: Any) -> Any:
    """branches[index](*operands), the index cut to the branches there are."""
    if not branches:
        raise ArgumentError("switch: there are no branches")
    i = to_tensor(index).clamp(0, len(branches) - 1)

    def choose(k: int) -> Any:
        if k == len(branches) - 1:
            return branches[k](*operands)
        return O.cond(i == k, lambda: branches[k](*operands), lambda: choose(k + 1))

    return choose(0)


def associative_scan(f: Any, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All running results of an associative function along an axis."""
    t = to_tensor(elems).movedim(axis, 0)
    t = t.flip(0) if reverse else t
    _, rest = O.scan(lambda c, x: ((y := f(c, x)), y), t[0], t[1:])
    y = O.cat([t[:1], rest], 0)
    return (y.flip(0) if reverse else y).movedim(0, axis)


def jvp(fun: Any, primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """(f(primals), its derivative along the tangents)."""
    if has_aux:
        raise ArgumentError("jvp: has_aux=True is not supported; return everything, and take what is needed")
    given = [tuple(to_tensor(x) for x in (v if isinstance(v, (list, tuple)) else (v,))) for v in (primals, tangents)]
    return T.jvp(fun, *given)


def vectorize(pyfunc: Any, *, excluded: Any = None, signature: Any = None) -> Any:
    """A function of numbers for tensors."""
    if excluded is not None or signature is not None:
        raise ArgumentError("vectorize: excluded and signature are not supported; use vectorized_map")

    def run(*args: Any) -> Any:
        given = O.broadcast_tensors(*[to_tensor(a) for a in args])
        y = T.vmap(pyfunc)(*[a.reshape(-1) for a in given])
        return y.reshape(tuple(given[0].shape))

    return run
