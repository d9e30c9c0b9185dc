"""Nested containers: `tf.nest`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError
from twinflow.tensor import Tensor


def _taken_apart(structure: Any) -> tuple[list[Any], Any]:
    """(leaves, structure); dictionaries in the order of their keys."""
    return tree_flatten(_in_order(structure))


def _in_order(x: Any) -> Any:
    if isinstance(x, dict):
        return {k: _in_order(x[k]) for k in sorted(x)}
    if isinstance(x, (list, tuple)):
        parts = [_in_order(v) for v in x]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    return x


def flatten(structure: Any, expand_composites: bool = False) -> list[Any]:
    """The leaves; those of dictionaries in the order of their keys."""
    return list(_taken_apart(structure)[0])


def pack_sequence_as(structure: Any, flat_sequence: Any, expand_composites: bool = False) -> Any:
    """Leaves in a given structure. Raises: ArgumentError if their number differs."""
    leaves, tree = _taken_apart(structure)
    found = list(flat_sequence)
    if len(found) != len(leaves):
        raise ArgumentError(f"tf.nest.pack_sequence_as: the structure has {len(leaves)} leaves, not {len(found)}")
    return tree_unflatten(found, tree)


def map_structure(func: Callable[..., Any], *structure: Any, **kwargs: Any) -> Any:
    """`func` of the leaves that stand in the same place of each structure.

    >>> from twinflow import tf
    >>> tf.nest.map_structure(lambda a, b: a + b, {"x": 1, "y": (2, 3)}, {"x": 10, "y": (20, 30)})
    {'x': 11, 'y': (22, 33)}
    """
    if not structure:
        raise ArgumentError("tf.nest.map_structure: give a structure at least")
    for other in structure[1:]:
        assert_same_structure(structure[0], other)
    columns = [_taken_apart(s)[0] for s in structure]
    return tree_unflatten([func(*row, **kwargs) for row in zip(*columns)], _taken_apart(structure[0])[1])


def assert_same_structure(nest1: Any, nest2: Any, check_types: bool = True, expand_composites: bool = False) -> None:
    """Raises: ArgumentError unless two structures have the same containers."""
    if _taken_apart(nest1)[1] != _taken_apart(nest2)[1]:
        raise ArgumentError(f"tf.nest: two structures differ: {nest1!r} and {nest2!r}")


def is_nested(structure: Any) -> bool:
    """Whether it is a container."""
    return not isinstance(structure, Tensor) and _taken_apart(structure)[1].kind is not None
