"""What else stands in `tf` itself: gradients of one's own, scopes, checks of kinds."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from twinflow import ops
from twinflow.autodiff import vmap
from twinflow.autodiff._function import Function as _Function
from twinflow.core import as_dtype, tree_map
from twinflow.core.errors import ArgumentError
from twinflow.keras._variable import to_tensor
from twinflow.ops import Device
from twinflow.tensor import Tensor, is_tracing
from twinflow.tf._array import _put
from twinflow.tf._functions import named


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose derivative it gives itself: it returns (result, function from the result's gradient to the arguments').

    >>> from twinflow import tf
    >>> @tf.custom_gradient
    ... def doubled(x):
    ...     return x * 2, lambda dy: dy * 100
    >>> x = tf.Variable(1.0)
    >>> with tf.GradientTape() as tape:
    ...     y = doubled(x)
    >>> tape.gradient(y, x)
    tensor(100.)
    """

    class Custom(_Function):
        @staticmethod
        def forward(ctx: Any, *args: Any) -> Any:
            result, ctx.rule = f(*args)
            return result

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return ctx.rule(*gradients)

    @functools.wraps(f)
    def wrapped(*args: Any) -> Any:
        return Custom.apply(*[a if isinstance(a, (bool, int, float, str)) else to_tensor(a) for a in args])

    return wrapped


@contextmanager
def name_scope(name: str) -> Iterator[str]:
    """A label for the operations inside. Operations keep their line; nothing is named by it."""
    yield f"{name}/"


@contextmanager
def device(name: Any) -> Iterator[None]:
    """Compute inside on a device. Raises: DeviceError for one that is absent; there is the processor."""
    Device(str(name or "cpu").lower().strip("/").replace("device:", "").replace("job:localhost/replica:0/task:0/", ""))
    yield


@contextmanager
def control_dependencies(control_inputs: Any) -> Iterator[None]:
    """Operations run in the order of their lines here, so what stands inside runs after what was listed."""
    yield


def executing_eagerly() -> bool:
    """Whether operations run at once: False while a function is traced."""
    return not is_tracing()


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor or variable."""
    return isinstance(x, Tensor)


def group(*inputs: Any, name: str | None = None) -> None:
    """Several operations as one; they have run by then."""


def no_op(name: str | None = None) -> None:
    """Nothing."""


def print(
    *inputs: Any, output_stream: Any = None, summarize: int = 3, end: str = "\n", sep: str = " ", name: Any = None
) -> None:
    """Write values to the standard error stream or another, each time that the graph comes by if a function is being traced.

    Args:
        summarize: how many elements are shown at both ends of each axis; -1 for all.
        output_stream: a file, or in a traced function `sys.stderr` or `sys.stdout`.
    """
    stream = output_stream or sys.stderr
    if is_tracing():
        ops.print_values(inputs, sep=sep, end=end, file=stream, edge=summarize)
    else:
        stream.write(sep.join(ops.shown(x, summarize) for x in inputs) + end)


def vectorized_map(fn: Callable[[Any], Any], elems: Any) -> Any:
    """`fn` on every slice along the leading axis at once."""
    return vmap(fn)(tree_map(to_tensor, elems))


def foldr(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None) -> Any:
    """`a = fn(a, x)` for each slice x from the last to the first, from `initializer` or the last slice."""
    t = to_tensor(elems)
    start, rest = (t[-1], t[:-1]) if initializer is None else (to_tensor(initializer), t)

    def step(a: Any, x: Any) -> Any:
        return fn(a, x), None

    return ops.scan(step, start, rest, reverse=True)[0]


@named
def unique(x: Any, out_idx: Any = "int32") -> Any:
    """(the different elements in the order of their first places, the place of each element among them)."""
    t = to_tensor(x)
    if is_tracing():
        raise ArgumentError(
            "tf.unique: how many elements there are depends on values, so it cannot be traced; call it outside"
        )
    values, inverse = ops.unique(t, return_inverse=True)
    firsts = [int((inverse == k).to(dtype="int64").argmax()) for k in range(int(values.numel()))]
    order = sorted(range(len(firsts)), key=firsts.__getitem__)
    rank = {k: i for i, k in enumerate(order)}
    places = ops.tensor([rank[int(k)] for k in inverse.tolist()], dtype=as_dtype(out_idx))
    return ops.index_select(values, 0, ops.tensor(order)), places


@named
def complex(real: Any, imag: Any) -> Tensor:
    """real + i · imag."""
    return ops.complex(to_tensor(real), to_tensor(imag))


@named
def saturate_cast(value: Any, dtype: Any) -> Tensor:
    """The elements in another type, cut to its range."""
    kind = as_dtype(dtype)
    limits: Any = np.finfo(kind.np) if kind.is_floating_point else np.iinfo(kind.np)
    return ops.clamp(to_tensor(value), limits.min.item() if hasattr(limits.min, "item") else limits.min,
                     limits.max.item() if hasattr(limits.max, "item") else limits.max).to(dtype=kind)  # fmt: skip


@named
def tensor_scatter_nd_sub(tensor: Any, indices: Any, updates: Any) -> Tensor:
    """A tensor with updates subtracted at places."""
    return _put(tensor, indices, -to_tensor(updates), True)


@named
def reverse_sequence(input: Any, seq_lengths: Any, seq_axis: int = 1, batch_axis: int = 0) -> Tensor:
    """The first `length` elements of each row in reverse order."""
    x = to_tensor(input)
    if (seq_axis, batch_axis) != (1, 0):
        raise ArgumentError("tf.reverse_sequence: seq_axis is 1 and batch_axis 0; exchange the axes with tf.transpose")
    lengths = to_tensor(seq_lengths).to(dtype="int64").unsqueeze(1)
    at = ops.arange(int(x.shape[1])).unsqueeze(0)
    source = ops.where(at < lengths, lengths - 1 - at, at)
    index = source.reshape(*source.shape, *(1,) * (x.ndim - 2)).expand(x.shape)
    return ops.gather(x, 1, index)
