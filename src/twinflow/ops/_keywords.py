"""Keywords that PyTorch's functions have in common: `out=`, and NumPy's names `axis=` and `keepdims=`.

The functions themselves know neither. Public ones are wrapped once, where a namespace takes them in; operators and
the package's own calls go to the bare functions, so nothing is paid there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError, DTypeError, GradientError, ShapeError
from twinflow.tensor import MODE, Tensor, assign, is_tracing, no_grad
from twinflow.tensor._door import METHODS

_OTHER_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def _write_one(out: Any, result: Tensor, op: str) -> Tensor:
    if not isinstance(out, Tensor):
        raise ArgumentError(f"{op}: out= takes the tensor to write the result to, not {type(out).__name__}")
    if MODE.grad and (result.requires_grad or out.requires_grad):
        raise GradientError(
            f"{op}: out= cannot be differentiated, but an operand or out requires gradients; use the result that is "
            "returned, or write inside `with no_grad():`"
        )
    if result.dtype.category > out.dtype.category:
        raise DTypeError(f"{op}: a {result.dtype.name} result cannot be written into out= of {out.dtype.name}")
    if tuple(out.shape) != tuple(result.shape):
        if out.numel() or is_tracing():
            raise ShapeError(
                f"{op}: out= has shape {tuple(out.shape)}, but the result has {tuple(result.shape)}; an empty tensor, "
                "as empty(0), takes any shape"
            )
        with no_grad():
            setattr(out, "data", result.to(out.dtype).clone())  # noqa: B010 - a property that `_methods` attaches
        return out
    return assign(out, result, f"{op}(out=)")


def write_out(out: Any, result: Any, op: str) -> Any:
    """Write what an operation gave into `out`, one tensor for each result, and return `out`."""
    if isinstance(result, Tensor):
        return _write_one(out, result, op)
    if not isinstance(out, (tuple, list)) or len(out) != len(result):
        raise ArgumentError(f"{op}: out= takes a tuple of {len(result)} tensors, one for each result")
    written = [_write_one(o, r, op) for o, r in zip(out, result)]
    return type(result)(*written) if hasattr(result, "_fields") else tuple(written)


def _renamed(keywords: dict[str, Any], op: str) -> dict[str, Any]:
    for given, known in _OTHER_NAMES.items():
        if given in keywords:
            if known in keywords:
                raise ArgumentError(f"{op}: {given}= and {known}= are two names of one argument; give one of them")
            keywords[known] = keywords.pop(given)
    return keywords


def with_keywords(fn: Callable[..., Any], *, out: bool, module: str) -> Callable[..., Any]:
    """`fn`, which also takes `out=` if asked for, and `axis=` and `keepdims=` where it has `dim` and `keepdim`."""
    op = fn.__name__
    names = fn.__code__.co_varnames[: fn.__code__.co_argcount + fn.__code__.co_kwonlyargcount]
    call: Callable[..., Any]
    door = METHODS[fn][0] if fn in METHODS else None  # then one Python frame is enough
    if names == ("input",) and door is not None:

        def call(input: Any, *, out: Any = None) -> Any:
            return door.call(input) if out is None else write_out(out, fn(input), op)

    elif names == ("input", "other") and door is not None:

        def call(input: Any, other: Any, *, out: Any = None) -> Any:
            return door.call(input, other) if out is None else write_out(out, fn(input, other), op)

    elif names == ("input",):

        def call(input: Any, *, out: Any = None) -> Any:
            return fn(input) if out is None else write_out(out, fn(input), op)

    elif names == ("input", "other"):

        def call(input: Any, other: Any, *, out: Any = None) -> Any:
            return fn(input, other) if out is None else write_out(out, fn(input, other), op)

    elif "dim" in names or "keepdim" in names:

        def call(*args: Any, **keywords: Any) -> Any:
            if not keywords:
                return fn(*args) if door is None else door.call(*args)
            target = keywords.pop("out", None) if out else None
            result = fn(*args, **_renamed(keywords, op))
            return result if target is None else write_out(target, result, op)

    else:

        def call(*args: Any, out: Any = None, **keywords: Any) -> Any:
            return fn(*args, **keywords) if out is None else write_out(out, fn(*args, **keywords), op)

    # by hand: `functools.wraps` would take a tenth of the time that the package takes to import
    wrapper: Any = call
    wrapper.__module__, wrapper.__name__, wrapper.__qualname__, wrapper.__wrapped__ = module, op, fn.__qualname__, fn
    wrapper.__doc__ = (
        f"{fn.__doc__}\n\n`out=`: a tensor to write the result into; it is returned." if out else fn.__doc__
    )
    if door is not None and not out:
        door.serves(call)  # a method of tensors
    return call


def add_keywords(namespace: dict[str, Any], names: str) -> None:
    """Let the named functions of a module, as far as it has them, take `out=` and NumPy's names."""
    for name in names.split():
        if name in namespace:
            namespace[name] = with_keywords(namespace[name], out=True, module=namespace["__name__"])


def has_axes(fn: Callable[..., Any]) -> bool:
    """Whether the function has an argument that NumPy calls `axis` or `keepdims`."""
    code = fn.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return "dim" in names or "keepdim" in names
