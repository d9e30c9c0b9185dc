"""Products composed of matmul: einsum, tensordot, kron, inner, cross, baddbmm, ..."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from twinflow.core import normalize_axes, normalize_axis
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.ops import _math as M
from twinflow.ops import _reductions as R
from twinflow.ops import _shaping as P
from twinflow.ops._arranging import broadcast_tensors
from twinflow.ops._autocast import lowered
from twinflow.ops._declare import conjugate
from twinflow.ops._products import dot, matmul, mm, outer
from twinflow.ops._promote import promote, to_tensor_arg
from twinflow.tensor import Tensor


def vdot(input: Tensor, other: Tensor) -> Tensor:
    """Σ conj(aᵢ) bᵢ of two vectors."""
    return dot(conjugate(input), other)


ger = outer


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Products summed over the last axes of both; numbers multiply."""
    if not input.ndim or not other.ndim:
        return M.mul(input, other)
    return tensordot(input, other, ([-1], [-1]))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Products summed over pairs of axes: the last `dims` of a with the first of b, or (axes of a, axes of b)."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ArgumentError(f"tensordot: dims = {dims} for tensors with {a.ndim} and {b.ndim} axes")
        left, right = tuple(range(a.ndim - dims, a.ndim)), tuple(range(dims))
    else:
        first, second = (d if isinstance(d, (tuple, list)) else [d] for d in dims)
        left, right = (
            normalize_axes(list(first), a.ndim, "tensordot"),
            normalize_axes(list(second), b.ndim, "tensordot"),
        )
    a, b = lowered(a, b)
    sa, sb = tuple(a._data.shape), tuple(b._data.shape)
    if len(left) != len(right) or any(sa[i] != sb[j] for i, j in zip(left, right)):
        raise ShapeError(f"tensordot: axes {left} of {sa} and {right} of {sb} do not have the same extents")
    rest_a = [i for i in range(a.ndim) if i not in left]
    rest_b = [i for i in range(b.ndim) if i not in right]
    k = int(np.prod([sa[i] for i in left]))
    x = P.reshape(P.permute(a, (*rest_a, *left)), (int(np.prod([sa[i] for i in rest_a])), k))
    y = P.reshape(P.permute(b, (*right, *rest_b)), (k, int(np.prod([sb[i] for i in rest_b]))))
    return P.reshape(matmul(x, y), (*(sa[i] for i in rest_a), *(sb[i] for i in rest_b)))


def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of `input` times the whole of `other`."""
    n = max(input.ndim, other.ndim)
    sa = (1,) * (n - input.ndim) + tuple(input._data.shape)
    sb = (1,) * (n - other.ndim) + tuple(other._data.shape)
    x = P.reshape(input, tuple(e for s in sa for e in (s, 1)))
    y = P.reshape(other, tuple(e for s in sb for e in (1, s)))
    return P.reshape(M.mul(x, y), tuple(p * q for p, q in zip(sa, sb)))


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along an axis of extent 3 (the first such axis if `dim` is not given)."""
    a, b = broadcast_tensors(*promote("cross", input, other))
    if dim is None:
        found = [i for i, n in enumerate(a._data.shape) if n == 3]
        if not found:
            raise ShapeError(f"cross: no axis of shape {tuple(a.shape)} has extent 3")
        dim = found[0]
    axis = normalize_axis(dim, a.ndim, "cross")
    if not a.ndim or a._data.shape[axis] != 3:
        raise ShapeError(f"cross: axis {axis} of shape {tuple(a.shape)} must have extent 3")
    (a0, a1, a2), (b0, b1, b2) = P.unbind(a, axis), P.unbind(b, axis)
    return P.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis)


def _scaled(input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """beta · input + alpha · product; with beta = 0, NaN in `input` does not count."""
    y = product if alpha == 1 else product * alpha
    return y if beta == 0 else M.add(input if beta == 1 else input * beta, y)


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · batch1 @ batch2, for batches of matrices."""
    input, batch1, batch2 = lowered(input, batch1, batch2)
    _rank("baddbmm", 3, batch1, batch2)
    return _scaled(input, matmul(batch1, batch2), beta, alpha)


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · the sum over the batch of batch1 @ batch2."""
    input, batch1, batch2 = lowered(input, batch1, batch2)
    _rank("addbmm", 3, batch1, batch2)
    return _scaled(input, R.sum(matmul(batch1, batch2), 0), beta, alpha)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · mat @ vec."""
    _rank("addmv", 2, mat)
    _rank("addmv", 1, vec)
    return _scaled(input, matmul(mat, vec), beta, alpha)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · vec1 vec2ᵀ."""
    _rank("addr", 1, vec1, vec2)
    return _scaled(input, M.mul(P.unsqueeze(vec1, 1), vec2), beta, alpha)


def _rank(op: str, rank: int, *tensors: Tensor) -> None:
    for x in tensors:
        if to_tensor_arg(x, op).ndim != rank:
            raise ShapeError(f"{op}: a tensor with {rank} axes is needed, not shape {tuple(x.shape)}")


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of several matrices, multiplied in the order that costs least."""
    xs = list(matrices[0]) if len(matrices) == 1 and isinstance(matrices[0], (tuple, list)) else list(matrices)
    _rank("chain_matmul", 2, *xs)
    return multiply_chain(xs)


def multiply_chain(xs: list[Tensor]) -> Tensor:
    """The product in the cheapest order: Cormen et al., "Introduction to Algorithms", matrix-chain multiplication."""
    if not xs:
        raise ArgumentError("multi_dot: at least one matrix is needed")
    n = len(xs)
    sizes = [x._data.shape[0] for x in xs] + [xs[-1]._data.shape[1]]
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i][j], cut[i][j] = min(
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )

    def product(i: int, j: int) -> Tensor:
        return xs[i] if i == j else mm(product(i, cut[i][j]), product(cut[i][j] + 1, j))

    return product(0, n - 1)


# -- einsum -----------------------------------------------------------------------------------------------------


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Einstein's summation: letters name axes, those that the result does not name are summed over.

    `...` stands for any axes, which broadcast. Operands are contracted pairwise, as matrix products, in an order that
    costs little.

    >>> import twinflow
    >>> twinflow.einsum("ij,jk->ik", twinflow.ones(2, 3), twinflow.ones(3, 2))
    tensor([[3., 3.],
            [3., 3.]])
    """
    if not isinstance(equation, str):
        equation, operands = _from_lists((equation, *operands))
    xs = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (tuple, list)) else list(operands)
    xs = list(lowered(*[to_tensor_arg(x, "einsum") for x in xs]))
    if len({x._data.dtype for x in xs}) > 1:
        common = promote("einsum", *(P.reshape(x, -1)[:1] for x in xs))[0].dtype
        xs = [x.to(dtype=common) for x in xs]
    terms, result = _parse(equation, [x.ndim for x in xs])
    extents: dict[str, int] = {}
    for k, (term, x) in enumerate(zip(terms, xs)):
        for letter, n in zip(term, x._data.shape):
            if extents.setdefault(letter, n) != n:
                if extents[letter] == 1:
                    extents[letter] = n
                elif n != 1:
                    raise ShapeError(
                        f"einsum: '{letter}' in {equation!r} has extent {extents[letter]} before and {n} in operand {k}"
                    )
    todo = [_take_diagonals(x, term) for x, term in zip(xs, terms)]
    while len(todo) > 1:
        i, j = _cheapest_pair(todo, extents)
        (x, a), (y, b) = todo[i], todo[j]
        rest = {c for k, (_, t) in enumerate(todo) if k not in (i, j) for c in t} | set(result)
        todo = [t for k, t in enumerate(todo) if k not in (i, j)] + [_contract(x, a, y, b, rest)]
    x, term = _sum_out(*todo[0], set(result))
    x = P.permute(x, tuple(term.index(c) for c in result)) if x.ndim else x
    return x


def _from_lists(args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The form einsum(x, [0, 1], y, [1, 2], [0, 2])."""
    letters = string.ascii_letters

    def word(numbers: Any) -> str:
        return "".join("..." if i is Ellipsis else letters[i] for i in numbers)

    pairs = len(args) // 2
    equation = ",".join(word(args[2 * k + 1]) for k in range(pairs))
    return equation + (f"->{word(args[-1])}" if len(args) % 2 else ""), tuple(args[2 * k] for k in range(pairs))


def _parse(equation: str, ndims: list[int]) -> tuple[list[str], str]:
    """One letter per axis of each operand and of the result; `...` becomes capital Greek letters."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    words = left.split(",")
    if len(words) != len(ndims):
        raise ArgumentError(f"einsum: {equation!r} names {len(words)} operands, but {len(ndims)} were given")
    spare = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ"
    longest = max([n - len(w.replace("...", "")) for w, n in zip(words, ndims) if "..." in w], default=0)
    terms = []
    for k, (word, n) in enumerate(zip(words, ndims)):
        named = word.replace("...", "", 1)
        if not all(c in string.ascii_letters for c in named):
            raise ArgumentError(f"einsum: axes are named by letters, but operand {k} of {equation!r} is {word!r}")
        dots = n - len(named)
        if dots < 0 or (dots and "..." not in word):
            raise ShapeError(f"einsum: {word!r} names {len(named)} axes, but operand {k} has {n}")
        terms.append(word.replace("...", spare[longest - dots : longest]))
    if arrow:
        result = right.replace("...", spare[:longest])
    else:
        everything = "".join(terms)
        once = sorted(c for c in set(everything) if c in string.ascii_letters and everything.count(c) == 1)
        result = spare[:longest] + "".join(once)
    known = set("".join(terms))
    for c in result:
        if c not in known or result.count(c) > 1:
            raise ArgumentError(
                f"einsum: '{c}' of the result of {equation!r} is not an axis of the operands, or repeated"
            )
    return terms, result


def _take_diagonals(x: Tensor, term: str) -> tuple[Tensor, str]:
    """Repeated letters of one operand select its diagonal."""
    while len(set(term)) < len(term):
        c = next(c for c in term if term.count(c) > 1)
        i = term.index(c)
        j = term.index(c, i + 1)
        x = P.diagonal(x, 0, i, j)
        term = term[:i] + term[i + 1 : j] + term[j + 1 :] + c
    return x, term


def _sum_out(x: Tensor, term: str, keep: set[str]) -> tuple[Tensor, str]:
    """Axes that nobody needs any more are summed over."""
    axes = tuple(i for i, c in enumerate(term) if c not in keep)
    return (R.sum(x, axes, dtype=x.dtype), "".join(c for c in term if c in keep)) if axes else (x, term)


def _cheapest_pair(todo: list[tuple[Tensor, str]], extents: dict[str, int]) -> tuple[int, int]:
    """The two operands whose product takes the fewest multiplications."""

    def cost(i: int, j: int) -> int:
        return int(np.prod([extents[c] for c in set(todo[i][1] + todo[j][1])], dtype=object))

    n = len(todo)
    return (0, 1) if n == 2 else min(((i, j) for i in range(n) for j in range(i + 1, n)), key=lambda p: cost(*p))


def _contract(x: Tensor, a: str, y: Tensor, b: str, rest: set[str]) -> tuple[Tensor, str]:
    """Two operands as one batched matrix product: [batch, rows, summed] @ [batch, summed, columns]."""
    x, a = _sum_out(x, a, rest | set(b))
    y, b = _sum_out(y, b, rest | set(a))
    shape_x, shape_y = dict(zip(a, x._data.shape)), dict(zip(b, y._data.shape))
    for c in [c for c in a if c in b and shape_x[c] != shape_y[c]]:  # extent 1 against n: broadcast it
        n = max(shape_x[c], shape_y[c])
        if shape_x[c] == 1:
            x = P.expand(x, tuple(n if d == c else s for d, s in zip(a, x._data.shape)))
        else:
            y = P.expand(y, tuple(n if d == c else s for d, s in zip(b, y._data.shape)))
        shape_x[c] = shape_y[c] = n
    batch = [c for c in a if c in b and c in rest]
    summed = [c for c in a if c in b and c not in rest]
    rows, columns = [c for c in a if c not in b], [c for c in b if c not in a]

    def size(letters: list[str], shape: dict[str, int]) -> int:
        return int(np.prod([shape[c] for c in letters], dtype=np.int64))

    if not summed:
        # no sum: an outer product, elementwise along the batch
        left = P.permute(x, tuple(a.index(c) for c in (*batch, *rows))) if a else x
        right = P.permute(y, tuple(b.index(c) for c in (*batch, *columns))) if b else y
        left = P.reshape(left, (*left._data.shape, *(1,) * len(columns)))
        lead = tuple(right._data.shape[: len(batch)])
        right = P.reshape(right, (*lead, *(1,) * len(rows), *right._data.shape[len(batch) :]))
        return M.mul(left, right), "".join((*batch, *rows, *columns))
    nb, k = [shape_x[c] for c in batch], size(summed, shape_x)
    left = P.reshape(P.permute(x, tuple(a.index(c) for c in (*batch, *rows, *summed))), (*nb, size(rows, shape_x), k))
    right = P.reshape(
        P.permute(y, tuple(b.index(c) for c in (*batch, *summed, *columns))), (*nb, k, size(columns, shape_y))
    )
    out = P.reshape(matmul(left, right), (*nb, *(shape_x[c] for c in rows), *(shape_y[c] for c in columns)))
    return out, "".join((*batch, *rows, *columns))
