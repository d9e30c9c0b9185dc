"""Nested containers of values: lists, tuples, named tuples, dicts and dataclasses, taken apart and put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from twinflow.core.errors import ArgumentError


@dataclasses.dataclass(frozen=True, slots=True)
class TreeDef:
    """The structure of a nested container without its leaves; two containers of one structure compare equal."""

    kind: Any  # None for a leaf, else the container's type
    keys: tuple[Any, ...]
    children: tuple[TreeDef, ...]
    _hash: int = dataclasses.field(
        init=False, repr=False, compare=False
    )  # asked for by each call of a compiled function

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.kind, self.keys, self.children)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> Any:
        return TreeDef, (self.kind, self.keys, self.children)  # hashes differ from process to process

    @property
    def n_leaves(self) -> int:
        """How many leaves the container has."""
        return 1 if self.kind is None else sum(c.n_leaves for c in self.children)


_LEAF = TreeDef(None, (), ())


def _children(value: Any) -> tuple[tuple[Any, ...], list[Any]] | None:
    if isinstance(value, dict):
        return tuple(value), list(value.values())
    if isinstance(value, (list, tuple)):
        return (), list(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = tuple(f.name for f in dataclasses.fields(value))
        return names, [getattr(value, n) for n in names]
    return None


def tree_flatten(value: Any) -> tuple[list[Any], TreeDef]:
    """(leaves, structure); `tree_unflatten` is the inverse. None is a leaf."""
    parts = _children(value)
    if parts is None:
        return [value], _LEAF
    keys, items = parts
    leaves: list[Any] = []
    defs = []
    for item in items:
        sub, d = tree_flatten(item)
        leaves += sub
        defs.append(d)
    return leaves, TreeDef(type(value), keys, tuple(defs))


def _rebuild(d: TreeDef, leaves: Iterator[Any]) -> Any:
    if d.kind is None:
        return next(leaves)
    items = [_rebuild(c, leaves) for c in d.children]
    if issubclass(d.kind, dict):
        pairs = dict(zip(d.keys, items))
        return pairs if d.kind is dict else d.kind(pairs)
    if issubclass(d.kind, tuple) and hasattr(d.kind, "_fields"):
        return d.kind(*items)
    if issubclass(d.kind, (list, tuple)):
        return d.kind(items)
    return d.kind(**dict(zip(d.keys, items)))


def tree_unflatten(leaves: list[Any], treedef: TreeDef) -> Any:
    """The container with this structure and these leaves."""
    if len(leaves) != treedef.n_leaves:
        raise ArgumentError(
            f"tree_unflatten: the structure has {treedef.n_leaves} leaves, but {len(leaves)} were given"
        )
    return _rebuild(treedef, iter(leaves))


def tree_map(fn: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Apply `fn` to each leaf of `tree` (and the leaves of `rest` beside it); keep the structure."""
    leaves, treedef = tree_flatten(tree)
    others = []
    for other in rest:
        more, d = tree_flatten(other)
        if d != treedef:
            raise ArgumentError("tree_map: the trees have different structures")
        others.append(more)
    return tree_unflatten([fn(*xs) for xs in zip(leaves, *others)], treedef)


def tree_leaves(tree: Any) -> list[Any]:
    """The leaves of a nested container, in order."""
    return tree_flatten(tree)[0]
