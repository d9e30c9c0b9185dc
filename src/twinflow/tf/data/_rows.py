"""Elements of a data set, many at a time: one array for each leaf of an element, with the elements along its first axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import DataError, ShapeError, TwinflowError
from twinflow.func import vmap
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor, array_of, wrap

Array = np.ndarray[Any, Any]


def as_leaf(value: Any) -> Array:
    """A leaf as an array; strings and other Python objects as arrays of objects."""
    if isinstance(value, Tensor):
        return array_of(value.detach(), "tf.data")
    if isinstance(value, np.ndarray):
        return value.astype(object) if value.dtype.kind in "US" else value
    if isinstance(value, (bool, int, float, complex, np.generic)):
        return array_of(to_tensor(value), "tf.data")
    if isinstance(value, (list, tuple)):
        plain = np.asarray(value)
        return plain.astype(object) if plain.dtype.kind in "USO" else array_of(to_tensor(value), "tf.data")
    cell = np.empty((), object)
    cell[()] = value
    return cell


def as_element(leaf: Array) -> Any:
    """What the user sees of a leaf: a tensor, or the object itself."""
    return wrap(np.asarray(leaf)) if leaf.dtype.kind != "O" else (leaf[()] if leaf.ndim == 0 else leaf)


def structured(value: Any) -> Any:
    """`value` with lists of numbers as leaves: tuples and dictionaries are structure, lists are tensors."""
    if isinstance(value, dict):
        return {k: structured(v) for k, v in value.items()}
    if isinstance(value, tuple):
        parts = [structured(v) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return as_leaf(value)


class Rows:
    """`n` elements of one structure: `columns` are their leaves, each with the elements along axis 0."""

    __slots__ = ("columns", "n", "tree")

    def __init__(self, columns: list[Array], tree: Any, n: int) -> None:
        self.columns = columns
        self.tree = tree
        self.n = n

    @classmethod
    def of(cls, value: Any, what: str) -> Rows:
        """Slices of arrays along their first axis."""
        columns, tree = tree_flatten(structured(value))
        if not columns:
            raise DataError(f"{what}: there is nothing to slice")
        if any(c.ndim == 0 for c in columns):
            raise ShapeError(f"{what}: a number has no first axis to slice; put it in a list, or use from_tensors")
        counts = {len(c) for c in columns}
        if len(counts) > 1:
            shapes = ", ".join(str(c.shape) for c in columns)
            raise ShapeError(f"{what}: all parts need equally many elements along the first axis, not {shapes}")
        return cls(columns, tree, counts.pop())

    @classmethod
    def one(cls, element: Any) -> Rows:
        """A single element."""
        leaves, tree = tree_flatten(structured(element))
        return cls([leaf[None] for leaf in leaves], tree, 1)

    def part(self, start: int, stop: int) -> Rows:
        """Some elements in a row."""
        stop = min(stop, self.n)
        return Rows([c[start:stop] for c in self.columns], self.tree, max(0, stop - start))

    def take(self, places: Array) -> Rows:
        """The elements at these places."""
        return Rows([c[places] for c in self.columns], self.tree, len(places))

    def element(self, k: int) -> Any:
        """Element k as the user sees it."""
        leaves = [as_element(c[k : k + 1].reshape(c.shape[1:])) for c in self.columns]
        return tree_unflatten(leaves, self.tree)

    def fits(self, other: Rows) -> bool:
        """Whether the elements of both have the same structure, shapes and types."""
        return len(self.columns) == len(other.columns) and all(
            a.shape[1:] == b.shape[1:] and a.dtype == b.dtype for a, b in zip(self.columns, other.columns)
        )

    def state(self) -> dict[str, Any]:
        """The elements as data that `from_state` reads."""
        columns = [
            {"objects": [_object_state(v) for v in c.flat], "shape": list(c.shape)} if c.dtype.kind == "O" else c.copy()
            for c in self.columns
        ]
        return {"n": self.n, "columns": columns, "like": _skeleton(tree_unflatten([0] * len(columns), self.tree))}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Rows:
        """The elements that `state` described."""
        columns = [
            _objects([_object_of(v) for v in c["objects"]], c["shape"]) if isinstance(c, dict) else np.array(c)
            for c in state["columns"]
        ]
        return cls(columns, tree_flatten(state["like"])[1], int(state["n"]))


DATASET: list[
    Callable[[Rows], Any]
] = []  # makes a data set of rows; put here by the module of `Dataset`, which stands above


def _object_state(value: Any) -> Any:
    """A string, or a data set of arrays such as a window, as data."""
    if isinstance(value, str):
        return value
    rows = getattr(value, "rows", None)
    if isinstance(rows, Rows):
        return {"slices": rows.state()}
    raise DataError(f"tf.data: the state holds an element of type {type(value).__name__}, which cannot be saved")


def _object_of(state: Any) -> Any:
    return state if isinstance(state, str) else DATASET[0](Rows.from_state(state["slices"]))


def _objects(values: list[Any], shape: list[int]) -> Array:
    flat = np.empty(len(values), object)
    for k, v in enumerate(values):
        flat[k] = v
    return flat.reshape(shape)


def _skeleton(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_skeleton(v) for v in value)
    return {k: _skeleton(v) for k, v in value.items()} if isinstance(value, dict) else value


def join(parts: Sequence[Rows], what: str) -> Rows:
    """The elements of all parts, one after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    for part in parts[1:]:
        if not first.fits(part):
            pairs = [(a, b) for a, b in zip(first.columns, part.columns) if a.shape[1:] != b.shape[1:]]
            if pairs and len(first.columns) == len(part.columns):
                a, b = pairs[0]
                raise ShapeError(
                    f"{what}: elements of shapes {a.shape[1:]} and {b.shape[1:]} do not fit into one array; padded_batch pads them"
                )
            raise DataError(f"{what}: the elements differ in structure or type: {_kinds(first)} and {_kinds(part)}")
    columns = [np.concatenate(c) for c in zip(*[p.columns for p in parts])]
    return Rows(columns, first.tree, sum(p.n for p in parts))


def _kinds(rows: Rows) -> str:
    return ", ".join(f"{c.dtype.name}{list(c.shape[1:])}" for c in rows.columns)


def call_with(fn: Callable[..., Any], element: Any) -> Any:
    """`fn` of an element: the parts of a tuple are separate arguments."""
    return fn(*element) if type(element) is tuple else fn(element)


def map_together(fn: Callable[..., Any], rows: Rows) -> Rows | None:
    """`fn` of all elements at once, each of its operations one pass over them; None if it is not written for tensors alone."""
    if any(c.dtype.kind == "O" for c in rows.columns):
        return None
    trees: list[Any] = []

    def flat(*leaves: Tensor) -> Any:
        out = structured_tensors(call_with(fn, tree_unflatten(list(leaves), rows.tree)))
        made, tree = tree_flatten(out)
        trees.append(tree)
        return tuple(made)

    try:
        made = vmap(flat)(*[wrap(c) for c in rows.columns])
    except Exception:  # whatever is wrong, element by element shows it with the element's number
        return None
    columns = [array_of(t, "tf.data.map") for t in made]
    return Rows(columns, trees[-1], rows.n)


def structured_tensors(value: Any) -> Any:
    """Tuples and dictionaries of tensors; raises for what only has a meaning element by element."""
    if isinstance(value, dict):
        return {k: structured_tensors(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(structured_tensors(v) for v in value)
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (bool, int, float)):
        return to_tensor(value)
    raise TwinflowError("tf.data: not a tensor")


def map_each(fn: Callable[..., Any], rows: Rows, first: int, what: str, each: Callable[..., Any] = map) -> list[Rows]:
    """`fn` of one element after the other; neighbours that fit stand together. `first` numbers them in errors."""

    def one(k: int) -> Rows:
        try:
            return Rows.one(call_with(fn, rows.element(k)))
        except Exception as error:
            name = getattr(fn, "__name__", type(fn).__name__)
            error.add_note(f"tf.data: {what} called {name} with element {first + k}")
            raise

    return grouped(list(each(one, range(rows.n))))


def grouped(parts: Sequence[Rows]) -> list[Rows]:
    """Neighbours that fit, joined."""
    groups: list[list[Rows]] = []
    for part in parts:
        if groups and groups[-1][0].fits(part):
            groups[-1].append(part)
        else:
            groups.append([part])
    return [join(g, "tf.data") for g in groups]
