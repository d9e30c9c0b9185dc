"""Loading a state_dict: everything is compared first and reported at once; nothing is written unless all fits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twinflow.core import FROM_NUMPY
from twinflow.core.errors import CheckpointError
from twinflow.nn._parameter import is_lazy, replace_data
from twinflow.ops import from_numpy
from twinflow.tensor import Tensor, no_grad


class IncompatibleKeys(NamedTuple):
    """The names that a state_dict lacked, and those that nothing in the model has."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        return (
            "<All keys matched successfully>"
            if not self.missing_keys and not self.unexpected_keys
            else (f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})")
        )


def as_state(value: Any, name: str) -> Tensor:
    """A tensor of a value in a state_dict: tensors, arrays, and tensors of other frameworks that become arrays."""
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "detach"):  # a tensor of another framework
        value = value.detach()
        if not hasattr(value, "numpy"):
            raise CheckpointError(f"load_state_dict: {name!r} is a {type(value).__name__} that gives no array")
        try:
            value = value.cpu().numpy()
        except (TypeError, RuntimeError):
            value = value.cpu().float().numpy()  # bfloat16 has no array there
    if not isinstance(value, (np.ndarray, np.generic, int, float, bool)):
        raise CheckpointError(f"load_state_dict: {name!r} is a {type(value).__name__}, not a tensor")
    array = np.asarray(value)
    if array.dtype not in FROM_NUMPY:
        raise CheckpointError(
            f"load_state_dict: {name!r} has elements of type {array.dtype}, which tensors do not have"
        )
    return from_numpy(array)


def _named(keys: list[str], others: list[str]) -> str:
    """The names as a list, each with the nearest of `others`."""
    rows = []
    for k in keys[:20]:
        from difflib import get_close_matches  # only a mismatch needs it

        near = get_close_matches(k, others, 1, 0.75)
        rows.append(f"\n    {k}" + (f"  (similar: {near[0]})" if near else ""))
    return "".join(rows) + (f"\n    ... and {len(keys) - 20} more" if len(keys) > 20 else "")


def load(
    module: Any, targets: dict[str, Tensor], extras: dict[str, Any], state: dict[str, Any], strict: bool, assign: bool
) -> IncompatibleKeys:
    """Write the values of `state` into `targets` (tensors) and `extras` (modules with an extra state).

    Raises: CheckpointError that lists every mismatch; then nothing was written.
    """
    wanted = [*targets, *extras]
    missing = [k for k in wanted if k not in state]
    known = set(wanted)
    unexpected = [k for k in state if k not in known]
    values: dict[str, Tensor] = {}
    wrong = []
    for name, target in targets.items():
        if name not in state:
            continue
        value = values[name] = as_state(state[name], name)
        have, need = tuple(value.shape), tuple(target.shape)
        if have == (1,) and need == ():
            values[name] = value.reshape(())
        elif have != need and not is_lazy(target):
            wrong.append(f"\n    {name}: the model has {_text(target)}, the state_dict {_text(value)}")
    parts = []
    if wrong:
        parts.append(
            "shapes differ:"
            + "".join(wrong[:20])
            + (f"\n    ... and {len(wrong) - 20} more" if len(wrong) > 20 else "")
        )
    if strict and missing:
        parts.append("missing in the state_dict:" + _named(missing, unexpected))
    if strict and unexpected:
        parts.append("not in the model:" + _named(unexpected, missing))
    if parts:
        hint = "\n  nothing was loaded"
        if strict and not wrong:
            hint += "; strict=False loads what matches"
        raise CheckpointError(
            f"load_state_dict: this state_dict is not one of {type(module).__name__}:\n  " + "\n  ".join(parts) + hint
        )
    with no_grad():
        for name, value in values.items():
            target = targets[name]
            if is_lazy(target):
                target.materialize(tuple(value.shape))
            if assign:
                replace_data(target, value)
            else:
                target.copy_(value)
    for name, owner in extras.items():
        if name in state:
            owner.set_extra_state(state[name])
    return IncompatibleKeys(missing, unexpected)


def _text(t: Tensor) -> str:
    return f"{t.dtype.name}[{', '.join(map(str, t.shape))}]"
