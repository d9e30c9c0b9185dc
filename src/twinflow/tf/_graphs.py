"""What a program asks of tracing and derivatives by functions of `tf` itself."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from twinflow import ops
from twinflow.autodiff import grad
from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor, is_tracing, paused_tracing, refuse_tracing
from twinflow.tf._extras import custom_gradient
from twinflow.tf._functions import named
from twinflow.utils import checkpoint


class UnconnectedGradients:
    """What the gradient of a variable is that the target does not depend on."""

    NONE = "none"
    ZERO = "zero"


def gradients(ys: Any, xs: Any, grad_ys: Any = None, name: str = "gradients", stop_gradients: Any = None,
              unconnected_gradients: str = "none") -> list[Any]:  # fmt: skip
    """d Σ ys / d x for each of the xs: of variables, and of tensors that require gradients.

    Raises: ArgumentError for `stop_gradients`; use tf.stop_gradient where they are made.
    """
    if stop_gradients:
        raise ArgumentError("tf.gradients: stop_gradients is not taken; use tf.stop_gradient(x) where x is used")
    targets, sources = tree_flatten(ys)[0], tree_flatten(xs)[0]
    vectors = [None] * len(targets) if grad_ys is None else tree_flatten(grad_ys)[0]
    parts = [ops.sum(y if v is None else y * v) for y, v in zip(targets, vectors)]
    total = functools.reduce(lambda a, b: a + b, parts)
    found = grad(total, sources, retain_graph=True, create_graph=True, allow_unused=True)
    if unconnected_gradients == UnconnectedGradients.ZERO:
        return [ops.zeros_like(x) if g is None else g for x, g in zip(sources, found)]
    return list(found)


def hessians(ys: Any, xs: Any, name: str = "hessians") -> list[Any]:
    """d² Σ ys / dx² for each of the xs: [*x's shape, *x's shape]."""
    found = []
    for x in tree_flatten(xs)[0]:
        first = gradients(ys, x)[0]
        rows = [gradients(g, x, unconnected_gradients="zero")[0] for g in first.reshape(-1).unbind(0)]
        found.append(ops.stack(rows).reshape(*x.shape, *x.shape))
    return found


@contextmanager
def init_scope() -> Iterator[None]:
    """What stands inside runs at once although a function is being traced: variables that are made once."""
    with paused_tracing():
        yield


def inside_function() -> bool:
    """Whether a function is being traced."""
    return is_tracing()


def is_symbolic_tensor(tensor: Any) -> bool:
    """Whether it is a tensor without a value yet."""
    return isinstance(tensor, Tensor) and is_tracing()


def get_current_name_scope() -> str:
    """Empty: operations are known by their lines, not by names."""
    return ""


def get_logger() -> logging.Logger:
    """The logger of twinflow."""
    return logging.getLogger("twinflow")


@named
def timestamp() -> Tensor:
    """The seconds since 1970."""
    refuse_tracing("tf.timestamp", "take the time outside the function")
    return ops.tensor(time.time(), dtype="float64")


def tuple(tensors: Any, control_inputs: Any = None, name: str | None = None) -> list[Any]:
    """The tensors: operations have run by then."""
    return list(tensors)


def grad_pass_through(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose derivative is that of the identity."""

    @custom_gradient
    def wrapped(x: Any) -> Any:
        return f(x), lambda dy: dy

    return functools.wraps(f)(wrapped)


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose inner values are computed again for the gradient instead of kept."""

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return checkpoint.checkpoint(f, *args, use_reentrant=False, **kwargs)

    return wrapped


def numpy_function(
    func: Callable[..., Any], inp: Any, Tout: Any, stateful: bool = True, name: str | None = None
) -> Any:
    """A function of arrays, and its results as tensors. Raises: TraceError in a traced function, which is native code."""
    refuse_tracing("tf.numpy_function", "a graph runs without Python; call it outside, or in a data set's map")
    return _typed(func(*[np.asarray(to_tensor(x).detach()._data) for x in inp]), Tout)


def py_function(func: Callable[..., Any], inp: Any, Tout: Any, name: str | None = None) -> Any:
    """A function of tensors, run as Python. Raises: TraceError in a traced function, which is native code."""
    refuse_tracing("tf.py_function", "a graph runs without Python; call it outside, or in a data set's map")
    return _typed(func(*[x if isinstance(x, (Tensor, str)) else to_tensor(x) for x in inp]), Tout)


def _typed(result: Any, dtypes: Any) -> Any:
    leaves, tree = tree_flatten(result)
    kinds = tree_flatten(dtypes)[0]
    if len(kinds) != len(leaves):
        raise ArgumentError(f"tf.py_function: the function returned {len(leaves)} values, but Tout lists {len(kinds)}")
    return tree_unflatten([to_tensor(x, k) for x, k in zip(leaves, kinds)], tree)
