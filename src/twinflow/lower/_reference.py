"""Steps without a kernel run on their primitive's reference, called back from the native program."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from twinflow.core import silently
from twinflow.core.errors import TwinflowError
from twinflow.graph import Node

if TYPE_CHECKING:
    from twinflow.lower._steps import Step

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


def reference_call(step: Step, where: list[np.ndarray[Any, Any]], failed: list[BaseException]) -> tuple[Any, int]:
    """A native function that runs a step's node on the arrays whose addresses stand in `where[0]`, operands first; and its
    address. `where` is empty until the program is linked.

    An exception goes into `failed`, and calls after it do nothing.
    """
    node, outs = step.nodes[0], step.writes
    if node.prim is None:
        raise TwinflowError("lower: an input has nothing to run")
    ref: Callable[..., Any] = node.prim.ref
    single = node.prim.n_out == 1
    views = [(x.aval.shape, x.aval.dtype.np) for x in node.inputs if isinstance(x, Node)]
    targets = [(o.aval.shape, o.aval.dtype.np) for o in outs]

    def run(arguments: Any, pool: Any) -> None:
        if failed:
            return
        try:
            addresses = where[0].tolist()
            arrays = iter([array_at(a, s, d) for a, (s, d) in zip(addresses, views)])
            operands = [next(arrays) if isinstance(x, Node) else x for x in node.inputs]
            result = silently(ref, *operands, **node.params)
            results = (result,) if single else result
            for a, (s, d), value in zip(addresses[len(views) :], targets, results):
                array_at(a, s, d)[...] = value
        except BaseException as error:
            failed.append(error)

    callback = _CALLBACK(run)
    return callback, ctypes.cast(callback, ctypes.c_void_p).value or 0


def array_at(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    n = int(np.prod(shape)) * dtype.itemsize
    if not n:
        return np.empty(shape, dtype)
    memory: Any = (ctypes.c_char * n).from_address(address)
    return np.frombuffer(memory, np.uint8).view(dtype).reshape(shape)
