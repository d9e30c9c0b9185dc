"""Module: a part of a model, with its parameters, buffers and sub-modules."""

from __future__ import annotations

import builtins
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Self

from twinflow.core import DTYPES, as_dtype
from twinflow.core.errors import ArgumentError, CheckpointError, TwinflowError
from twinflow.jit import compile as compile_function
from twinflow.nn._hooks import FORWARD, FORWARD_PRE, BackwardPass, Hook, HookDict, RemovableHandle
from twinflow.nn._parameter import Buffer, Parameter, is_lazy, replace_data
from twinflow.nn._state import IncompatibleKeys, load
from twinflow.ops import Device
from twinflow.ops._settings import check_format
from twinflow.tensor import MODE, Attributes, Tensor, held_grad, no_grad

_HOOK_KINDS = (
    "_forward_pre_hooks",
    "_forward_hooks",
    "_backward_pre_hooks",
    "_backward_hooks",
    "_state_dict_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
_EXTRA_STATE = "_extra_state"
_TYPE_NAMES = frozenset(d.name for d in DTYPES)


class _Guarded(threading.local):
    """The modules whose mode the tracer of this thread already watches."""

    tracer: Any = None
    ids: frozenset[int] | set[int] = frozenset()


_GUARDED = _Guarded()


def _forward_missing(self: Any, *args: Any, **kwargs: Any) -> Any:
    """What a call computes; every subclass defines it."""
    raise ArgumentError(f"{type(self).__name__} has no forward method: define what a call computes")


class Module:
    """A part of a model. Subclasses make their parts in `__init__` and use them in `forward`.

    Parameters, modules and buffers that are assigned to attributes are registered: `parameters()` finds them,
    `state_dict()` saves them, `to()` converts them.

    Attributes:
        training: whether dropout drops and batch normalisation learns; set by `train()` and `eval()`.

    >>> import twinflow
    >>> from twinflow import nn
    >>> class Classifier(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = nn.Linear(4, 8)
    ...         self.out = nn.Linear(8, 3)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).relu())
    >>> Classifier()(twinflow.zeros(2, 4)).shape
    twinflow.Size([2, 3])
    """

    _joins_equal = False  # whether runs of equal children are printed as one
    _optional: frozenset[str] = frozenset()  # buffers that a state_dict may lack
    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or kwargs:
            given = ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in kwargs.items())])
            raise ArgumentError(f"{type(self).__name__}.__init__: Module takes no arguments, but {given} was given")
        d = self.__dict__
        d["training"] = True
        d["_parameters"] = {}
        d["_buffers"] = {}
        d["_non_persistent"] = set()
        d["_modules"] = {}
        d["_hooked"] = False  # whether the slow path of a call is needed

    # -- calling -----------------------------------------------------------------------------------------------

    forward: Callable[..., Any] = _forward_missing

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` with its hooks."""
        if MODE.tracer is not None:
            return self._call_traced(args, kwargs)
        try:
            if self._hooked or FORWARD or FORWARD_PRE:
                return self._call_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs)
        except TwinflowError as error:
            _name_module(error, self, args)
            raise

    def _call_traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call while a function is traced: the trace holds as long as no module changes between train and eval."""
        before = _GUARDED.tracer, _GUARDED.ids
        if before[0] is not MODE.tracer:
            _GUARDED.tracer, _GUARDED.ids = MODE.tracer, set()
        if id(self) not in _GUARDED.ids:
            modules = list(self.modules())
            _GUARDED.ids.update(map(id, modules))  # type: ignore[union-attr]
            MODE.tracer.guard(Attributes(modules, "training"), f"train/eval mode of {type(self).__name__}")
        try:
            return self._call_with_hooks(args, kwargs)
        except TwinflowError as error:
            _name_module(error, self, args)
            raise
        finally:
            if before[0] is not MODE.tracer:
                _GUARDED.tracer, _GUARDED.ids = before

    def _label(self, path: str) -> str:
        """What messages call the module that stands at a path of an outer one."""
        return f"{type(self).__name__} '{path}'" if path else type(self).__name__

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook, with_kwargs in [*FORWARD_PRE.values(), *self._hooks("_forward_pre_hooks")]:
            if with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        backward = None
        pre, full = self._hooks("_backward_pre_hooks"), self._hooks("_backward_hooks")
        if MODE.tracer is None and not any(self.__dict__.get(kind) for kind in _HOOK_KINDS):
            self.__dict__["_hooked"] = False  # all were removed
        if pre or full:
            backward = BackwardPass(self, pre, full)
            args = backward.watch_inputs(args)
        after = [*FORWARD.values(), *self._hooks("_forward_hooks")]
        try:
            output = self.forward(*args, **kwargs)
        except Exception:
            for hook, with_kwargs, always in after:
                if always:
                    hook(self, args, kwargs, None) if with_kwargs else hook(self, args, None)
            raise
        for hook, with_kwargs, _ in after:
            changed = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
            if changed is not None:
                output = changed
        return output if backward is None else backward.watch_outputs(output)

    def compile(self, **options: Any) -> None:
        """From here on, calls run through `twinflow.compile`."""
        self.__dict__["forward"] = compile_function(self.forward, **options)

    # -- attributes --------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        d = self.__dict__
        for kind in ("_parameters", "_modules", "_buffers"):
            found = d.get(kind)
            if found is not None and name in found:
                return found[name]
        if "_parameters" not in d and name in ("_hooked", "_parameters", "_modules", "_buffers"):
            raise _not_started(self)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        d = self.__dict__
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in d:
                raise _not_started(self)
            if name not in self._modules:  # a replacement keeps its place in the order
                self._forget(name)
            self._modules[name] = value
        elif isinstance(value, Buffer):
            if name not in self.__dict__.get("_buffers", ()):
                self._forget(name)
            self.register_buffer(name, value, value.persistent)
        elif "_parameters" not in d:
            object.__setattr__(self, name, value)
        elif name in self._parameters:
            if value is not None:
                raise ArgumentError(
                    f"{type(self).__name__}.{name} is a parameter and cannot become a {type(value).__name__}; wrap the "
                    "tensor in nn.Parameter, write into the old one inside no_grad(), or delete it first"
                )
            self._parameters[name] = None
        elif name in self._modules:
            if value is not None:
                raise ArgumentError(
                    f"{type(self).__name__}.{name} is a module and cannot become a {type(value).__name__}; delete it first"
                )
            self._modules[name] = None
        elif name in self._buffers:
            if value is not None and not isinstance(value, Tensor):
                raise ArgumentError(
                    f"{type(self).__name__}.{name} is a buffer and cannot become a {type(value).__name__}; assign a tensor"
                )
            if MODE.tracer is not None:
                MODE.tracer.touch_attribute(self._buffers, name)
            self._buffers[name] = value
        else:
            if MODE.tracer is not None and (isinstance(value, Tensor) or isinstance(d.get(name), Tensor)):
                MODE.tracer.touch_attribute(d, name)
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for registered in (self._parameters, self._buffers, self._modules):
            if name in registered:
                del registered[name]
                self._non_persistent.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._parameters, *self._buffers, *self._modules})

    def _forget(self, name: str) -> None:
        """Make way for a new kind of attribute under this name."""
        d = self.__dict__
        if "_parameters" not in d:
            raise _not_started(self)
        d.pop(name, None)
        for kind in ("_parameters", "_buffers", "_modules"):
            d[kind].pop(name, None)
        self._non_persistent.discard(name)

    def _check_name(self, name: Any, kind: str) -> None:
        if "_parameters" not in self.__dict__:
            raise _not_started(self)
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(f"{kind}: a name is a string without dots, and not empty; {name!r} was given")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None keeps the name for an absent one, such as a layer without bias."""
        self._check_name(name, "register_parameter")
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentError(
                f"register_parameter: {name} must be an nn.Parameter or None, not {type(param).__name__}; use register_buffer "
                "for a tensor that is not trained"
            )
        if name in self._parameters:
            self._parameters[name] = param
            return
        if param is None and hasattr(self, name):
            raise ArgumentError(f"register_parameter: {type(self).__name__} already has an attribute {name!r}")
        self._forget(name)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the state but not trained; persistent ones are in the `state_dict`."""
        self._check_name(name, "register_buffer")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentError(f"register_buffer: {name} must be a tensor or None, not {type(tensor).__name__}")
        if name not in self._buffers and hasattr(self, name):
            raise ArgumentError(f"register_buffer: {type(self).__name__} already has an attribute {name!r}")
        self._buffers[name] = tensor
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a sub-module under `name`."""
        self._check_name(name, "add_module")
        if module is not None and not isinstance(module, Module):
            raise ArgumentError(f"add_module: {name} must be a Module or None, not {type(module).__name__}")
        if name not in self._modules and hasattr(self, name):
            raise ArgumentError(f"add_module: {type(self).__name__} already has an attribute {name!r}")
        self._modules[name] = module

    register_module = add_module

    # -- walking -----------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module and all below it."""
        memo = set() if memo is None else memo
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if remove_duplicate:
                if id(module) in memo:
                    continue
                memo.add(id(module))
            yield path, module
            children = [(k, m) for k, m in module._modules.items() if m is not None]
            stack.extend((f"{path}.{k}" if path else k, m) for k, m in reversed(children))

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        for _, m in self.named_modules():
            yield m

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules directly below."""
        seen: set[int] = set()
        for name, m in self._modules.items():
            if m is not None and id(m) not in seen:
                seen.add(id(m))
                yield name, m

    def children(self) -> Iterator[Module]:
        """The modules directly below."""
        for _, m in self.named_children():
            yield m

    def _named_members(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in getattr(module, kind).items():
                if value is None or (remove_duplicate and id(value) in seen):
                    continue
                seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter), each parameter once."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module and, unless told otherwise, of all below it."""
        for _, p in self.named_parameters(recurse=recurse):
            yield p

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(path, buffer), each buffer once."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers of this module and, unless told otherwise, of all below it."""
        for _, b in self.named_buffers(recurse=recurse):
            yield b

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path. Raises: ArgumentError that names the part that is not there."""
        module = self
        for i, part in enumerate(target.split(".") if target else ()):
            child = getattr(module, part, None)
            if not isinstance(child, Module):
                where = ".".join(target.split(".")[:i]) or type(self).__name__
                there = ", ".join(module._modules) or "none"
                raise ArgumentError(f"get_submodule: {where!r} has no module {part!r}; it has {there}")
            module = child
        return module

    def set_submodule(self, target: str, module: Module) -> None:
        """Put a module at a dotted path."""
        path, _, name = target.rpartition(".")
        if not name:
            raise ArgumentError("set_submodule: the path must not be empty")
        setattr(self.get_submodule(path), name, module)

    def _get_member(self, target: str, kind: str, what: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = getattr(module, kind).get(name)
        if found is None:
            there = ", ".join(getattr(module, kind)) or "none"
            raise ArgumentError(f"get_{what}: {type(module).__name__} has no {what} {name!r}; it has {there}")
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path."""
        return self._get_member(target, "_parameters", "parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path."""
        return self._get_member(target, "_buffers", "buffer")

    # -- modes and conversions ---------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Training mode for this module and all below it: dropout drops, batch normalisation learns."""
        if not isinstance(mode, bool):
            raise ArgumentError(f"train: mode is True or False, not {mode!r}")
        for m in self.modules():
            m.training = mode
        return self

    def eval(self) -> Self:
        """Evaluation mode: the opposite of `train()`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Train (or freeze) all parameters."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for p in self.parameters():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                with no_grad():
                    p.grad.zero_()

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` with every module below, and with this one last."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def _convert(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Replace each parameter's and buffer's elements; the objects stay, so optimizers keep working."""
        with no_grad():
            for t in [*self.parameters(), *self.buffers()]:
                new = change(t)
                if new is not t:
                    replace_data(t, new)
                if t._meta is not None and (grad := held_grad(t._meta)) is not None:
                    t._meta.grad = change(grad)
        return self

    def to(
        self,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Self:
        """Convert floating parameters and buffers to a type, or move everything to a device."""
        check_format("Module.to", memory_format)
        for a in args:
            if isinstance(a, Tensor):
                dtype = a.dtype
            elif isinstance(a, Device):
                device = a
            elif isinstance(a, str) and a.removeprefix("torch.") not in _TYPE_NAMES:
                device = a
            elif not isinstance(a, bool):
                dtype = a
        if device is not None:
            Device(device)
        if dtype is None:
            return self
        target = as_dtype(dtype)
        if not (target.is_floating_point or target.is_complex):
            raise ArgumentError(f"Module.to: parameters are floating or complex, so {target.name} does not suit them")
        return self._convert(lambda t: t.to(dtype=target) if t.dtype.is_floating_point or t.dtype.is_complex else t)

    def type(self, dtype: Any) -> Self:
        """Convert all parameters and buffers to a type."""
        target = as_dtype(dtype)
        return self._convert(lambda t: t.to(dtype=target))

    def float(self) -> Self:
        """Floating parameters and buffers in float32."""
        return self.to(dtype="float32")

    def double(self) -> Self:
        """Floating parameters and buffers in float64."""
        return self.to(dtype="float64")

    def half(self) -> Self:
        """Floating parameters and buffers in float16."""
        return self.to(dtype="float16")

    def bfloat16(self) -> Self:
        """Floating parameters and buffers in bfloat16."""
        return self.to(dtype="bfloat16")

    def cpu(self) -> Self:
        """On the processor, where everything is."""
        return self

    def cuda(self, device: Any = None) -> Self:
        """On a GPU; raises DeviceError where there is none."""
        return self.to(device="cuda")

    def share_memory(self) -> Self:
        """The module itself: worker processes share memory through the data loader."""
        return self

    # -- state -------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> Any:
        """What else belongs to the state; override together with `set_extra_state`."""
        raise ArgumentError(f"{type(self).__name__} sets an extra state but has no get_extra_state")

    def set_extra_state(self, state: Any) -> None:
        """Take over what `get_extra_state` gave; override together with it."""
        raise ArgumentError(f"{type(self).__name__} has an extra state but no set_extra_state")

    def _has_extra_state(self) -> bool:
        return type(self).get_extra_state is not Module.get_extra_state

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Any]:
        """Every parameter and persistent buffer by its path. They share memory with the model, without gradients."""
        state: Any = OrderedDict() if destination is None else destination
        for path, module in self.named_modules(remove_duplicate=False):
            at = prefix + (path + "." if path else "")
            for hook in module._hooks("_state_dict_pre_hooks"):
                hook(module, at, keep_vars)
            for name, p in module._parameters.items():
                if p is not None:
                    state[at + name] = p if keep_vars else p.detach()
            for name, b in module._buffers.items():
                if b is not None and name not in module._non_persistent:
                    state[at + name] = b if keep_vars else b.detach()
            if module._has_extra_state():
                state[at + _EXTRA_STATE] = module.get_extra_state()
            for hook in module._hooks("_state_dict_hooks"):
                hook(module, state, at, {})
        return state

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> IncompatibleKeys:
        """Take over the values of a `state_dict`, from this framework or from PyTorch.

        Args:
            state_dict: tensors or arrays by path.
            strict: whether missing and unexpected names are an error.
            assign: let the parameters hold the given memory instead of copying into their own.
        Returns: the missing and unexpected names.
        Raises: CheckpointError that lists every name and shape that does not fit; then nothing was changed.
        """
        if not hasattr(state_dict, "items"):
            raise CheckpointError(f"load_state_dict: a dict of tensors is needed, not {type(state_dict).__name__}")
        state = dict(state_dict)
        modules = list(self.named_modules(remove_duplicate=False))
        for path, module in modules:
            for hook in module._hooks("_load_state_dict_pre_hooks"):
                hook(module, state, path + "." if path else "", {}, strict, [], [], [])
        targets: dict[str, Tensor] = {}
        extras: dict[str, Any] = {}
        for path, module in modules:
            at = path + "." if path else ""
            targets |= {at + k: p for k, p in module._parameters.items() if p is not None}
            for k, b in module._buffers.items():
                lacking = k in module._optional and at + k not in state
                if b is not None and k not in module._non_persistent and not lacking:
                    targets[at + k] = b
            if module._has_extra_state():
                extras[at + _EXTRA_STATE] = module
        result = load(self, targets, extras, state, strict, assign)
        for _, module in modules:
            for hook in module._hooks("_load_state_dict_post_hooks"):
                hook(module, result)
        return result

    # -- hooks -------------------------------------------------------------------------------------------------

    def _hooks(self, kind: str) -> list[Any]:
        found = self.__dict__.get(kind)
        return list(found.values()) if found else []

    def _add_hook(self, kind: str, hook: Any, prepend: bool = False) -> RemovableHandle:
        if "_parameters" not in self.__dict__:
            raise _not_started(self)
        self.__dict__["_hooked"] = True
        return self.__dict__.setdefault(kind, HookDict()).add(hook, prepend=prepend)

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before each forward; what it returns (if not None) replaces the arguments."""
        return self._add_hook("_forward_pre_hooks", (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after each forward; what it returns (if not None) replaces the output."""
        return self._add_hook("_forward_hooks", (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients of the outputs are known."""
        return self._add_hook("_backward_pre_hooks", hook, prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are known."""
        return self._add_hook("_backward_hooks", hook, prepend)

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before this module adds its part to a state_dict."""
        return self._add_hook("_state_dict_pre_hooks", hook)

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, metadata)` after this module added its part; it may change the dict."""
        return self._add_hook("_state_dict_hooks", hook)

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, metadata, strict, missing, unexpected, errors)` before loading; it may
        rename entries of the dict."""
        return self._add_hook("_load_state_dict_pre_hooks", hook)

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading."""
        return self._add_hook("_load_state_dict_post_hooks", hook)

    # -- copying and printing ----------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in _HOOK_KINDS} | {
            k: HookDict(self.__dict__[k]) for k in _HOOK_KINDS if k in self.__dict__
        }

    def extra_repr(self) -> str:
        """What stands between the brackets of the printed form."""
        return ""

    def __repr__(self) -> str:
        return "\n".join(_lines(self))


def _lines(root: Module) -> list[str]:
    """The printed form: one line for each module; a list joins runs of equal modules as `(0-5): 6 x ...`."""
    children = [(name, _lines(m) if m is not None else ["None"]) for name, m in root._modules.items()]
    extra = root.extra_repr()
    head = type(root).__name__ + "("
    if not children:
        if "\n" not in extra:
            return [head + extra + ")"]
        return [head, *("  " + line for line in extra.split("\n")), ")"]
    out = [head, *("  " + line for line in extra.split("\n") if line)]
    i = 0
    while i < len(children):
        j = i
        while root._joins_equal and j + 1 < len(children) and children[j + 1][1] == children[i][1]:
            j += 1
        name, body = children[i]
        label = f"({name}): " if i == j else f"({name}-{children[j][0]}): {j - i + 1} x "
        out += ["  " + label + body[0], *("  " + line for line in body[1:])]
        i = j + 1
    return [*out, ")"]


def _not_started(module: Module) -> ArgumentError:
    name = type(module).__name__
    return ArgumentError(f"{name}: call super().__init__() in {name}.__init__ before assigning parameters or modules")


def _described(value: Any) -> str:
    """An argument of a module, for a message: type and shape of tensors and arrays, also of those in lists."""
    if isinstance(value, (list, tuple)) and len(value) <= 4:
        return f"[{', '.join(map(_described, value))}]"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{getattr(value.dtype, 'name', value.dtype)}[{', '.join(map(str, value.shape))}]"
    return builtins.type(value).__name__


def _name_module(error: TwinflowError, module: Module, args: tuple[Any, ...]) -> None:
    """Say in the error which module it came from, and what the module was given; outer modules complete the path."""
    note: Any = error.__dict__.get("module_note")
    if note is None:
        given = ", ".join(map(_described, args))
        note = error.__dict__["module_note"] = (str(error), module, given)
    message, inner, given = note
    path = next((p for p, m in module.named_modules() if m is inner), "")
    if inner is not module and not path:
        return
    where = inner._label(path)
    text, at, line = message.partition("\n  at ")
    error.args = (f"{text}\n  input of {where}: {given}{at}{line}",)


def lazy_parts(module: Module) -> list[str]:
    """The parameters and buffers of this module whose shapes are still open."""
    return [name for owned in (module._parameters, module._buffers) for name, t in owned.items() if is_lazy(t)]
