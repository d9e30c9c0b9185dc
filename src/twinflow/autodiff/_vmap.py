"""`vmap`: a function of one example, applied to a whole batch at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from twinflow.core import TreeDef, tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError, IndexOutOfRange, ShapeError
from twinflow.ops import call, cat
from twinflow.tensor import Tensor, vmap_call

Fn = Callable[..., Any]
Dim = int | None


def _spread(op: str, what: str, dims: Any, tree: Any) -> list[Dim]:
    """One entry of `dims` for each leaf of `tree`: an int or None stands for everything below it."""
    if dims is None or (isinstance(dims, int) and not isinstance(dims, bool)):
        return [dims] * len(tree_flatten(tree)[0])
    if isinstance(dims, dict) and isinstance(tree, dict) and dims.keys() == tree.keys():
        return [d for k in tree for d in _spread(op, what, dims[k], tree[k])]
    if isinstance(dims, (list, tuple)) and isinstance(tree, (list, tuple)) and len(dims) == len(tree):
        return [d for part, sub in zip(dims, tree) for d in _spread(op, what, part, sub)]
    raise ArgumentError(
        f"{op}: {what}={dims!r} does not fit: it must be an int, None, or a structure of them like that of the "
        f"{'arguments' if what == 'in_dims' else 'results'}"
    )


def _axis(op: str, dim: int, ndim: int, what: str) -> int:
    if not -ndim <= dim < ndim:
        raise IndexOutOfRange(f"{op}: {what} {dim} is outside a tensor with {ndim} axes")
    return dim % ndim


def vmap(
    func: Fn, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None
) -> Fn:
    """`func`, written for one example, as a function of many: each operation runs once on all of them.

    Args:
        in_dims: for each argument (or each tensor in it) the axis that holds the examples; None: the same for all.
            Keyword arguments are mapped along axis 0.
        out_dims: where the axis of the examples stands in the results.
        randomness: what random numbers inside do: "error", "same" for all examples, or "different".
        chunk_size: at most so many examples at a time.
    Raises: ShapeError if the mapped axes have different extents, ArgumentError for in_dims that do not fit.

    >>> import twinflow
    >>> dot = lambda a, b: (a * b).sum()
    >>> twinflow.func.vmap(dot)(twinflow.ones(2, 3), twinflow.ones(2, 3))
    tensor([3., 3.])
    """
    if randomness not in ("error", "same", "different"):
        raise ArgumentError(f"vmap: randomness is 'error', 'same' or 'different', not {randomness!r}")
    if chunk_size is not None and chunk_size < 1:
        raise ArgumentError(f"vmap: chunk_size must be at least 1, not {chunk_size}")

    @functools.wraps(func, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        dims = _spread("vmap", "in_dims", in_dims, args) if args else []
        leaves, tree = tree_flatten((args, kwargs))
        dims = dims + [0] * (len(leaves) - len(dims))
        axes: list[Dim] = []
        sizes: list[int] = []
        for x, d in zip(leaves, dims):
            if d is not None and not isinstance(x, Tensor):
                raise ArgumentError(
                    f"vmap: an argument of type {type(x).__name__} is not a tensor and cannot be mapped over; give None for it in in_dims"
                )
            axis = None if d is None else _axis("vmap", d, x.ndim, "in_dims")
            axes.append(axis)
            if axis is not None:
                sizes.append(x._data.shape[axis])
        if not sizes:
            raise ArgumentError("vmap: no argument is mapped over; at least one entry of in_dims must be an axis")
        if len(set(sizes)) > 1:
            raise ShapeError(f"vmap: the mapped axes have different extents: {sizes}")
        n = sizes[0]
        if chunk_size is None or n <= chunk_size:
            return _run(func, leaves, axes, tree, n, out_dims, randomness)
        parts = []
        for start in range(0, n, chunk_size):
            stop = min(n, start + chunk_size)
            chunk = [x if a is None else x.narrow(a, start, stop - start) for x, a in zip(leaves, axes)]
            parts.append(_run(func, chunk, axes, tree, stop - start, out_dims, randomness))
        return _joined(parts, out_dims)

    return wrapped


def _run(func: Fn, leaves: list[Any], axes: list[Dim], tree: TreeDef, n: int, out_dims: Any, randomness: str) -> Any:
    structure: list[Any] = []

    def flat(*inside: Any) -> list[Tensor]:
        args, kwargs = tree_unflatten(list(inside), tree)
        out = func(*args, **kwargs)
        outs, out_tree = tree_flatten(out)
        for o in outs:
            if not isinstance(o, Tensor):
                raise ArgumentError(f"vmap: the function must return tensors, but its result holds {type(o).__name__}")
        structure[:] = [out_tree, _spread("vmap", "out_dims", out_dims, out)]
        return outs

    values, places = vmap_call(flat, leaves, axes, n, randomness)
    out_tree, dims = structure
    return tree_unflatten([_placed(v, a, d, n) for v, a, d in zip(values, places, dims)], out_tree)


def _placed(value: Tensor, axis: Dim, dim: Dim, n: int) -> Tensor:
    """`value` with the axis of the examples moved from `axis` to `dim`."""
    if dim is None:
        if axis is not None:
            raise ArgumentError("vmap: out_dims is None for a result that differs from example to example")
        return value
    if axis is None:
        value, axis = call("expand", value, shape=(n, *value._data.shape)), 0
    ndim = len(value._data.shape)
    target = _axis("vmap", dim, ndim, "out_dims")
    if target == axis:
        return value
    order = [i for i in range(ndim) if i != axis]
    order.insert(target, axis)
    return call("permute", value, axes=tuple(order))


def _joined(parts: list[Any], out_dims: Any) -> Any:
    flat = [tree_flatten(p) for p in parts]
    dims = _spread("vmap", "out_dims", out_dims, parts[0])
    columns = zip(*(leaves for leaves, _ in flat))
    return tree_unflatten([c[0] if d is None else cat(list(c), d) for c, d in zip(columns, dims)], flat[0][1])
