"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.ops import stack
from twinflow.tensor import Tensor


def _owner(module: Any, path: str) -> tuple[dict[str, Any], str]:
    """The table (parameters or buffers) that holds the tensor of this path, and its name there."""
    *parents, name = path.split(".")
    at = module
    for part in parents:
        at = getattr(at, part, None)
    for table in (getattr(at, "_parameters", None), getattr(at, "_buffers", None)):
        if table is not None and name in table:
            return table, name
    raise ArgumentError(f"functional_call: the module has no parameter or buffer named {path!r}")


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """`module(*args, **kwargs)` with these tensors in place of its parameters and buffers.

    Args:
        parameter_and_buffer_dicts: names, as in `named_parameters`, to tensors; or several such dictionaries.
        args: a tuple of arguments, or the one argument.
    Raises: ArgumentError for a name that the module does not have, or one that is given twice.
    """
    given = parameter_and_buffer_dicts
    tables = [given] if isinstance(given, Mapping) else list(given)
    tensors: dict[str, Tensor] = {}
    for table in tables:
        for name, value in table.items():
            if name in tensors:
                raise ArgumentError(f"functional_call: {name!r} is given twice")
            tensors[name] = value
    places = [(*_owner(module, name), value) for name, value in tensors.items()]
    before = [(table, name, table[name]) for table, name, _ in places]
    try:
        for table, name, value in places:
            table[name] = value
        call_args = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*call_args, **dict(kwargs or {}))
    finally:
        for table, name, value in before:
            table[name] = value


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(parameters, buffers) of models of one kind, each stacked along a new first axis: an ensemble for `vmap`."""
    if not models:
        raise ArgumentError("stack_module_state: at least one model is needed")
    if len({type(m) for m in models}) > 1:
        raise ArgumentError("stack_module_state: the models must be of one class")
    params = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    return (
        {k: stack([p[k] for p in params]).detach().requires_grad_(params[0][k].requires_grad) for k in params[0]},
        {k: stack([b[k] for b in buffers]).detach() for k in buffers[0]},
    )
