"""Parameters that are computed from others: `register_parametrization(layer, "weight", Symmetric())`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn._containers import ModuleDict, ModuleList
from twinflow.nn._module import Module
from twinflow.nn._parameter import Parameter
from twinflow.tensor import Tensor, no_grad

_KEPT: dict[int, Tensor] | None = None  # values computed within `cached`


@contextmanager
def cached() -> Iterator[None]:
    """Within this context each parametrized tensor is computed once, at its first use. Do not change originals in it."""
    global _KEPT
    before = _KEPT
    _KEPT = {} if before is None else before
    try:
        yield
    finally:
        _KEPT = before


class ParametrizationList(ModuleList):
    """The maps of one parameter, and what they start from: `original`, or `original0`, `original1`, ... if the first
    map's `right_inverse` gives several tensors."""

    def __init__(self, maps: list[Module], original: Tensor) -> None:
        super().__init__(maps)
        start: Any = original
        with no_grad():
            for m in reversed(maps):
                if hasattr(m, "right_inverse"):
                    start = m.right_inverse(start)
        self.is_tensor = isinstance(start, Tensor)
        if self.is_tensor:
            # the parameter itself goes on living, so that optimizers keep it
            kept = original if isinstance(original, Parameter) and start is original else None
            self.original = kept if kept is not None else Parameter(start.detach(), original.requires_grad)
            if kept is None and isinstance(original, Parameter) and tuple(start.shape) == tuple(original.shape):
                with no_grad():
                    original.copy_(start)
                self.original = original
        else:
            self.ntensors = len(start)
            for i, t in enumerate(start):
                self.register_parameter(f"original{i}", Parameter(t.detach(), original.requires_grad))

    def _starts(self) -> list[Tensor]:
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the maps give `value`."""
        start: Any = value
        with no_grad():
            for m in reversed(list(self)):
                if not hasattr(m, "right_inverse"):
                    raise ArgumentError(
                        f"parametrize: {type(m).__name__} has no right_inverse, so the value cannot be set"
                    )
                start = m.right_inverse(start)
            for target, new in zip(self._starts(), [start] if self.is_tensor else start):
                target.copy_(new)

    def forward(self) -> Tensor:
        """The parameter."""
        if _KEPT is not None:
            if id(self) not in _KEPT:
                _KEPT[id(self)] = self._value()
            return _KEPT[id(self)]
        return self._value()

    def _value(self) -> Tensor:
        maps = list(self)
        y: Tensor = maps[0](*self._starts())
        for m in maps[1:]:
            y = m(y)
        return y


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a parameter (or any) of this module is computed from others."""
    found = module._modules.get("parametrizations")
    return isinstance(found, ModuleDict) and (len(found) > 0 if tensor_name is None else tensor_name in found)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let `parametrization` compute `module.<tensor_name>` from the parameter that stood there.

    Args:
        parametrization: a module whose forward maps the original to the value; a `right_inverse` method, if there is one,
            maps a value back, and lets the parameter be assigned.
        unsafe: allow values of another shape or type than the original's.
    Returns: the module.

    >>> import twinflow
    >>> from twinflow import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).mT
    >>> layer = nn.utils.parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all())
    True
    """
    op = "register_parametrization"
    if is_parametrized(module, tensor_name):
        module.parametrizations[tensor_name].append(parametrization)
        return module
    original = module._parameters.get(tensor_name)
    if original is None:
        there = ", ".join(k for k, v in module._parameters.items() if v is not None) or "none"
        raise ArgumentError(f"{op}: {type(module).__name__} has no parameter {tensor_name!r}; it has {there}")
    shape = tuple(original.shape)
    maps = ParametrizationList([parametrization], original)
    with no_grad():
        value = maps()
    if not unsafe and (tuple(value.shape) != shape or value.dtype is not original.dtype):
        raise ShapeError(
            f"{op}: {type(parametrization).__name__} gives {value.dtype.name}{list(value.shape)} for a parameter "
            f"{original.dtype.name}{list(shape)}; unsafe=True allows that"
        )
    del module._parameters[tensor_name]
    if not is_parametrized(module):
        if "parametrizations" not in module._modules:
            module.parametrizations = ModuleDict()
        cls = type(module)
        module.__class__ = type(
            f"Parametrized{cls.__name__}", (cls,), {"_plain_class": cls, "__module__": cls.__module__}
        )
    module.parametrizations[tensor_name] = maps

    def read(self: Any) -> Tensor:
        return self.parametrizations[tensor_name]()

    def write(self: Any, value: Tensor) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    setattr(type(module), tensor_name, property(read, write))
    return module


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make `module.<tensor_name>` a plain parameter again, with its value now, or with the original's."""
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(
            f"remove_parametrizations: {tensor_name!r} of this {type(module).__name__} is not parametrized"
        )
    maps = module.parametrizations[tensor_name]
    if not leave_parametrized and not maps.is_tensor:
        raise ArgumentError("remove_parametrizations: leave_parametrized=False needs a single original tensor")
    with no_grad():
        value = maps().detach().clone() if leave_parametrized else None
    parameter = maps.original if maps.is_tensor else Parameter(value)
    if value is not None and maps.is_tensor:
        with no_grad():
            parameter.copy_(value)
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if not is_parametrized(module):
        del module._modules["parametrizations"]
        module.__class__ = type(module)._plain_class  # type: ignore[attr-defined]
    module.register_parameter(tensor_name, parameter)
    return module


def type_before_parametrizations(module: Module) -> type[Module]:
    """The class that the module had before any of its parameters was parametrized."""
    return getattr(type(module), "_plain_class", type(module))


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give `to_module` the parametrizations of `from_module`, of one tensor or of all, with their parameters."""
    if not is_parametrized(from_module, tensor_name):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        maps = from_module.parametrizations[name]
        if is_parametrized(to_module, name):
            raise ArgumentError(f"transfer_parametrizations_and_params: {name!r} of the target is parametrized already")
        for one in maps:
            register_parametrization(to_module, name, one, unsafe=True)
        with no_grad():
            for target, source in zip(to_module.parametrizations[name]._starts(), maps._starts()):
                target.copy_(source)
    return to_module
