"""Modules that hold others: in a row, in a list, or by name."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from twinflow.core.errors import ArgumentError, DeviceError, IndexOutOfRange
from twinflow.nn._module import Module
from twinflow.nn._parameter import Parameter
from twinflow.ops import as_tensor
from twinflow.tensor import Tensor


def _place(what: str, n: int, index: Any) -> int:
    """`index` counted from the front."""
    i = operator.index(index)
    if not -n <= i < n:
        raise IndexOutOfRange(f"{what}: index {i} is outside a container of {n}")
    return i + n if i < 0 else i


class _Row(Module):
    """Modules numbered from 0."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        items = list(self._modules.values())
        if isinstance(index, slice):
            return self._again(items[index])
        return items[_place(type(self).__name__, len(items), index)]

    def _again(self, items: list[Any]) -> Any:
        return type(self)(items)

    def __setitem__(self, index: int, module: Module) -> None:
        names = list(self._modules)
        setattr(self, names[_place(type(self).__name__, len(names), index)], _module(type(self).__name__, module))

    def __delitem__(self, index: Any) -> None:
        items = list(self._modules.values())
        del items[index]
        self._renumber(items)

    def _renumber(self, items: Iterable[Any]) -> None:
        self._modules.clear()
        for i, m in enumerate(items):
            self.add_module(str(i), _module(type(self).__name__, m))

    def append(self, module: Module) -> Self:
        """Add one at the end."""
        self.add_module(str(len(self)), _module(type(self).__name__, module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several at the end."""
        for m in list(modules):
            self.append(m)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add one before position `index`."""
        items = list(self._modules.values())
        items.insert(index, module)
        self._renumber(items)
        return self

    def pop(self, index: int = -1) -> Any:
        """Take one out and return it."""
        module = self[index]
        del self[index]
        return module

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]


def _module(container: str, value: Any) -> Module:
    if not isinstance(value, Module):
        hint = ""
        if isinstance(value, type) and issubclass(value, Module):
            hint = "; call it, as in ReLU()"
        elif isinstance(value, (list, tuple)):
            hint = f"; unpack it, as in {container}(*layers)"
        raise ArgumentError(f"{container}: {value!r} is not a Module{hint}; functions can be called in forward instead")
    return value


class Sequential(_Row):
    """Modules one after the other: the output of each is the input of the next.

    Args:
        modules: the modules in order, or one dict that names them.

    >>> import twinflow
    >>> from twinflow import nn
    >>> nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))(twinflow.zeros(5, 4)).shape
    twinflow.Size([5, 2])
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, m in modules[0].items():
                self.add_module(name, _module("Sequential", m))
        else:
            for i, m in enumerate(modules):
                self.add_module(str(i), _module("Sequential", m))

    def forward(self, input: Any) -> Any:
        """The input through all modules."""
        for m in self._modules.values():
            input = m(input)  # type: ignore[misc]
        return input

    def _again(self, items: list[Any]) -> Sequential:
        kept = {id(m) for m in items}
        return type(self)({name: m for name, m in self._modules.items() if id(m) in kept})

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *other)


class ModuleList(_Row):
    """A list of modules, all of which are registered."""

    _joins_equal = True

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)


class DataParallel(Module):
    """The module itself: there is one device, so nothing is split. For programs that wrap their model in it; `module` is the
    model, and the names in the `state_dict` begin with "module.", as in PyTorch.

    >>> import twinflow
    >>> from twinflow import nn
    >>> list(nn.DataParallel(nn.Linear(2, 1)).state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        if device_ids:
            raise DeviceError(f"DataParallel: device_ids={device_ids!r}: there is only the processor; leave them out")
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The module's output."""
        return self.module(*inputs, **kwargs)


class ModuleDict(Module):
    """A dict of modules, all of which are registered."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, key: str) -> Any:
        if key not in self._modules:
            raise IndexOutOfRange(
                f"ModuleDict: there is no {key!r}; the names are {', '.join(self._modules) or 'none'}"
            )
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, _module("ModuleDict", module))

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def items(self) -> Any:
        """(name, module) pairs."""
        return self._modules.items()

    def clear(self) -> None:
        """Take all out."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Take one out and return it."""
        module = self[key]
        del self[key]
        return module

    def update(self, modules: Any) -> None:
        """Add the modules of a dict, or of (name, module) pairs."""
        for name, m in modules.items() if hasattr(modules, "items") else modules:
            self[name] = m


def _parameter(container: str, value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if not isinstance(value, Tensor):
        value = as_tensor(value)
    if not (value.dtype.is_floating_point or value.dtype.is_complex):
        raise ArgumentError(f"{container}: parameters are floating or complex, not {value.dtype.name}")
    return Parameter(value)


class _Parameters(Module):
    """Parameters under names; shared by the list and the dict."""

    def __len__(self) -> int:
        return len(self._parameters)

    def extra_repr(self) -> str:
        """One line for each parameter."""
        return "\n".join(
            f"({name}): Parameter of {p.dtype.name}[{', '.join(map(str, p.shape))}]"
            for name, p in self._parameters.items()
            if p is not None
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Containers of parameters compute nothing."""
        raise ArgumentError(f"{type(self).__name__} holds parameters and cannot be called")


class ParameterList(_Parameters):
    """A list of parameters; tensors become parameters."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parameters.values())

    def __getitem__(self, index: Any) -> Any:
        items = list(self._parameters.values())
        if isinstance(index, slice):
            return ParameterList(items[index])
        return items[_place("ParameterList", len(items), index)]

    def __setitem__(self, index: int, value: Any) -> None:
        self.register_parameter(str(_place("ParameterList", len(self), index)), _parameter("ParameterList", value))

    def append(self, value: Any) -> Self:
        """Add one at the end."""
        self.register_parameter(str(len(self)), _parameter("ParameterList", value))
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add several at the end."""
        for v in list(values):
            self.append(v)
        return self

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)


class ParameterDict(_Parameters):
    """A dict of parameters; tensors become parameters."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self.update(parameters or {})

    def __getitem__(self, key: str) -> Any:
        if key not in self._parameters:
            there = ", ".join(self._parameters) or "none"
            raise IndexOutOfRange(f"ParameterDict: there is no {key!r}; the names are {there}")
        return self._parameters[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.register_parameter(key, _parameter("ParameterDict", value))

    def __delitem__(self, key: str) -> None:
        del self._parameters[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: object) -> bool:
        return key in self._parameters

    def keys(self) -> Any:
        """The names."""
        return self._parameters.keys()

    def values(self) -> Any:
        """The parameters."""
        return self._parameters.values()

    def items(self) -> Any:
        """(name, parameter) pairs."""
        return self._parameters.items()

    def pop(self, key: str) -> Any:
        """Take one out and return it."""
        value = self[key]
        del self[key]
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of this name, or `default`."""
        return self._parameters.get(key, default)

    def update(self, parameters: Any) -> None:
        """Add the parameters of a dict, or of (name, value) pairs."""
        for name, p in parameters.items() if hasattr(parameters, "items") else parameters:
            self[name] = p
