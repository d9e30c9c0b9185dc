"""`tf.Module`: an object whose variables, and those of the objects in its attributes, are found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twinflow.keras import Variable
from twinflow.nn import Module as _NNModule
from twinflow.nn import Parameter
from twinflow.tf._function import Function


class Module:
    """Base of objects that own variables: attributes that are variables, modules, layers, or lists, tuples and dicts of them.

    >>> from twinflow import tf
    >>> class Line(tf.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w, self.b = tf.Variable(2.0), tf.Variable(1.0)
    ...     def __call__(self, x):
    ...         return self.w * x + self.b
    >>> len(Line().trainable_variables)
    2
    """

    def __init__(self, name: str | None = None) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """How it is called."""
        return getattr(self, "_name", None) or type(self).__name__.lower()

    @property
    def variables(self) -> tuple[Any, ...]:
        """All variables, attributes in the order of their names."""
        found: dict[int, Any] = {}
        for _, v in walk(self):
            found.setdefault(id(v), v)
        return tuple(found.values())

    @property
    def trainable_variables(self) -> tuple[Any, ...]:
        """Those that optimizers change."""
        return tuple(v for v in self.variables if v.requires_grad)

    @property
    def non_trainable_variables(self) -> tuple[Any, ...]:
        """The others."""
        return tuple(v for v in self.variables if not v.requires_grad)

    @property
    def submodules(self) -> tuple[Any, ...]:
        """The modules and layers in attributes, at any depth."""
        found: dict[int, Any] = {}
        stack = [v for _, v in _attributes(self)]
        while stack:
            x = stack.pop(0)
            if isinstance(x, (list, tuple)):
                stack = [*x, *stack]
            elif isinstance(x, dict):
                stack = [*x.values(), *stack]
            elif isinstance(x, (Module, _NNModule)) and id(x) not in found:
                found[id(x)] = x
                if isinstance(x, Module):
                    stack = [v for _, v in _attributes(x)] + stack
        return tuple(found.values())


def _attributes(x: Any) -> list[tuple[str, Any]]:
    return [(k, vars(x)[k]) for k in sorted(vars(x)) if k != "_tf_functions"]


def walk(x: Any, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """(path, variable) of the variables in an object, each object once."""
    seen = set() if seen is None else seen
    if isinstance(x, (Variable, Parameter)):
        yield path, x
        return
    if not isinstance(x, (Module, _NNModule, list, tuple, dict)) or isinstance(x, Function) or id(x) in seen:
        return
    seen.add(id(x))
    dot = f"{path}." if path else ""
    if isinstance(x, Module):
        pairs: Any = _attributes(x)
    elif isinstance(x, _NNModule):
        weights = getattr(x, "weights", None)  # of a Keras layer, in Keras's order
        pairs = enumerate(weights) if weights is not None else x.named_parameters()
    elif isinstance(x, dict):
        pairs = x.items()
    else:
        pairs = enumerate(x)
    for key, value in pairs:
        yield from walk(value, f"{dot}{key}", seen)
