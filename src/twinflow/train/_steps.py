"""A step of a module as the Trainer calls it: compiled or not, with what it logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.jit import compile as compile_function
from twinflow.ops import from_numpy
from twinflow.tensor import Tensor

if TYPE_CHECKING:
    from twinflow.train._trainer import Trainer


class Step:
    """A step of a module, compiled or not, with what it logged."""

    def __init__(self, trainer: Trainer, name: str, fn: Callable[[Any], Any]) -> None:
        self._trainer, self._fn = trainer, fn
        self._said: dict[str, tuple[Any, bool, int | None]] = {}
        self._compiled = compile_function(self._body) if trainer.compile else None
        # The structures of batches in the order they were first seen: sizes that change get names in compiled code, which may round
        # differently, so a resumed run must have seen the same.
        self.seen: list[Any] = trainer.seen.setdefault(name, [])
        if self._compiled is not None:
            for structure in self.seen:
                self._compiled.see(_from_structure(structure))

    def _body(self, batch: Any) -> Any:
        self._trainer.logged = {}
        out = self._fn(batch)
        self._said = self._trainer.logged
        return out, {name: value for name, (value, _, _) in self._said.items() if isinstance(value, Tensor)}

    def __call__(self, batch: Any) -> Any:
        if self._compiled is None:
            return self._body(batch)[0]
        if (structure := _structure(batch)) not in self.seen:
            self.seen.append(structure)
        out, values = self._compiled(batch)  # it says only while it is traced what it logs; the values are new
        self._trainer.logged = {
            name: (values.get(name, value), bar, weight) for name, (value, bar, weight) in self._said.items()
        }
        return out


def _structure(x: Any) -> Any:
    """A batch with a description in place of each tensor, as `save` can hold it."""
    if isinstance(x, Tensor):
        return {"shape": list(x.shape), "dtype": x.dtype.name}
    if isinstance(x, Mapping):
        return {"items": {k: _structure(v) for k, v in x.items()}}
    if isinstance(x, (list, tuple)):
        return [_structure(v) for v in x] if isinstance(x, list) else tuple([_structure(v) for v in x])
    return {"value": x if x is None or isinstance(x, (bool, int, float, str)) else repr(x)}


def _from_structure(x: Any) -> Any:
    """A batch of this structure, whose tensors take no memory."""
    if isinstance(x, (list, tuple)):
        return type(x)(_from_structure(v) for v in x)
    if "shape" in x:
        return from_numpy(np.broadcast_to(np.zeros((), as_dtype(x["dtype"]).np), tuple(x["shape"])))
    return {k: _from_structure(v) for k, v in x["items"].items()} if "items" in x else x["value"]
