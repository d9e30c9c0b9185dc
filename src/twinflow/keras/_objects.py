"""Objects by name and configuration, for users: `keras.saving` and `keras.utils`."""

from __future__ import annotations

from typing import Any

from twinflow.core import as_dtype, tree_leaves
from twinflow.core.errors import ArgumentError
from twinflow.keras import constraints, initializers, losses, metrics, optimizers, regularizers
from twinflow.keras._layer import LAYERS
from twinflow.keras._registry import _CUSTOM, _SCOPE, clear_names, registered, serialize
from twinflow.keras._symbolic import KerasTensor


def serialize_keras_object(obj: Any) -> Any:
    """The configuration of an object: its class's name and arguments."""
    return serialize(obj)


def deserialize_keras_object(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The object of a configuration that `serialize_keras_object` gave, of whatever kind. Runs no code but that of registered classes."""
    if not isinstance(config, dict) or "class_name" not in config:
        return config
    name = config["class_name"]
    modules = (constraints, initializers, losses, metrics, optimizers, regularizers)
    if not LAYERS.has(name) and not (custom_objects and name in custom_objects) and registered(name) is None:
        for module in modules:
            if hasattr(module, name):
                return module.deserialize(config, custom_objects)
    return LAYERS.deserialize(config, custom_objects)


class CustomObjectScope:
    """Classes and functions by name, for what is loaded inside `with`."""

    def __init__(self, custom_objects: dict[str, Any]) -> None:
        self.custom_objects = custom_objects

    def __enter__(self) -> CustomObjectScope:
        _SCOPE.append(self.custom_objects)
        return self

    def __exit__(self, *exception: Any) -> None:
        _SCOPE.remove(self.custom_objects)


custom_object_scope = CustomObjectScope


def get_custom_objects() -> dict[str, Any]:
    """The registered classes by name."""
    return _CUSTOM


def get_registered_object(name: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """What is registered under a name, or None."""
    return (custom_objects or {}).get(name) or registered(name)


def get_registered_name(obj: Any) -> str:
    """The name under which a class is registered; its own if it is not."""
    return next((n for n, o in _CUSTOM.items() if o is obj), obj.__name__)


def clear_session(free_memory: bool = True) -> None:
    """Begin counting names (dense, dense_1, ...) anew; there is no other state that a session would keep."""
    clear_names()


def is_keras_tensor(x: Any) -> bool:
    """Whether it is a symbolic tensor."""
    return isinstance(x, KerasTensor)


def get_source_inputs(tensor: Any) -> list[Any]:
    """The symbolic inputs that a symbolic tensor depends on."""
    if not isinstance(tensor, KerasTensor):
        raise ArgumentError(f"get_source_inputs: a symbolic tensor is needed, not {type(tensor).__name__}")
    found: list[Any] = []
    seen: set[int] = set()
    waiting = [tensor]
    while waiting:
        t = waiting.pop()
        if id(t) in seen:
            continue
        seen.add(id(t))
        if t.node is None:
            found.append(t)
        else:
            waiting += reversed(tree_leaves(t.node.inputs))
    return found


def standardize_dtype(dtype: Any) -> str:
    """The name of a type."""
    return str(as_dtype("float32" if dtype is None else dtype).name)
