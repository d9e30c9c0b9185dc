"""Objects by name and by configuration: how `"relu"`, `"adam"` or a saved layer becomes an object."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from twinflow.core.errors import ArgumentError, CheckpointError

_COUNTS: dict[str, int] = {}
_CUSTOM: dict[str, Any] = {}
_SCOPE: list[dict[str, Any]] = []  # classes given to the loads that are under way, the innermost last


def snake_case(name: str) -> str:
    """`MaxPooling2D` -> `max_pooling2d`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(base: str) -> str:
    """`dense`, `dense_1`, `dense_2`, ..."""
    n = _COUNTS.get(base, 0)
    _COUNTS[base] = n + 1
    return base if n == 0 else f"{base}_{n}"


def clear_names() -> None:
    """Begin counting names anew."""
    _COUNTS.clear()


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """A decorator that lets `load_model` make objects of the class.

    >>> from twinflow import keras
    >>> @keras.saving.register_keras_serializable()
    ... class Twice(keras.layers.Layer):
    ...     def call(self, x):
    ...         return x * 2
    """

    def register(target: Any) -> Any:
        _CUSTOM[f"{package}>{name or target.__name__}"] = target
        return target

    return register


def registered(name: str) -> Any:
    """What users registered under a name, with its package (`"package>Name"`) or without; None if there is nothing."""
    return _CUSTOM.get(name) or next((t for k, t in reversed(_CUSTOM.items()) if k.split(">", 1)[-1] == name), None)


class Registry:
    """The classes (or functions) of one kind, by their names in either spelling."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._found: dict[str, Any] = {}

    def add(self, *names: str) -> Callable[[Any], Any]:
        """A decorator that registers under the target's own name and `names`."""

        def register(target: Any) -> Any:
            for name in (target.__name__, snake_case(target.__name__), *names):
                self._found[name] = target
            return target

        return register

    def has(self, name: str) -> bool:
        """Whether anything is registered under a name."""
        return name in self._found

    def find(self, name: str) -> Any:
        """What is registered under a name. Raises: ArgumentError naming those that come close."""
        found = self._found.get(name) or self._found.get(name.lower()) or registered(name)
        if found is None:
            near = get_close_matches(name, self._found, 3, 0.5)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(self._found)}"
            raise ArgumentError(f"keras: there is no {self.kind} called {name!r}; {hint}")
        return found

    def get(self, identifier: Any) -> Any:
        """An object from a name, a configuration, or an object (which is returned as it is)."""
        if isinstance(identifier, str):
            return self.find(identifier)()
        if isinstance(identifier, dict):
            return self.deserialize(identifier)
        if isinstance(identifier, type):
            return identifier()
        if callable(identifier):
            return identifier
        raise ArgumentError(f"keras: {identifier!r} is no {self.kind}; give a name, an object or a function")

    def deserialize(self, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """The object whose configuration `serialize` gave. Runs no code but that of registered classes."""
        try:
            name, inner = config["class_name"], config["config"]
        except (KeyError, TypeError):
            raise CheckpointError(
                f"keras: {config!r} is no configuration of a {self.kind}; it needs class_name and config"
            ) from None
        if custom_objects:
            _SCOPE.append(custom_objects)
            try:
                return self.deserialize(config)
            finally:
                _SCOPE.pop()
        scoped = next((s[name] for s in reversed(_SCOPE) if name in s), None)
        cls = scoped or self._found.get(name) or registered(name)
        if cls is None:
            raise CheckpointError(
                f"keras: the class {name!r}{_of(inner)} is not registered; decorate it with @keras.saving.register_keras_serializable(), or "
                f"pass custom_objects={{{name!r}: {name}}}"
            )
        return cls.from_config(inner) if hasattr(cls, "from_config") else cls


def _of(config: Any) -> str:
    """The name of the layer that a configuration is of, for messages."""
    name = config.get("name") if isinstance(config, dict) else None
    return f" of the {'layer' if 'trainable' in config else 'object'} {name!r}" if name else ""


def serialize(obj: Any) -> Any:
    """The JSON configuration of an object: its class's name and `get_config()`; None, numbers and strings as they are."""
    if obj is None or isinstance(obj, (str, int, float, bool)):
        return obj
    if isinstance(obj, (list, tuple)):
        return [serialize(o) for o in obj]
    if isinstance(obj, dict):
        return {k: serialize(v) for k, v in obj.items()}
    if hasattr(obj, "get_config"):
        return {"class_name": type(obj).__name__, "config": obj.get_config()}
    if callable(obj) and hasattr(obj, "__name__") and obj.__name__ != "<lambda>":
        return obj.__name__
    raise CheckpointError(f"keras: {obj!r} cannot be written as a configuration; use a registered class or function")


def deserializer(registry: Registry) -> Callable[..., Any]:
    """The function `deserialize` of a module: from a configuration (or a name) to an object of one kind."""

    def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
        """The object of a configuration that `serialize` gave, or of a name. Runs no code but that of registered classes."""
        return registry.deserialize(config, custom_objects) if isinstance(config, dict) else registry.get(config)

    return deserialize
