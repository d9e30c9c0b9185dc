"""Derivatives of functions, called with the inputs, as in `torch.autograd.functional`. `twinflow.func` nests more freely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.autodiff import _functional as F
from twinflow.core.errors import GradientError, ShapeError
from twinflow.ops import ones_like
from twinflow.tensor import Tensor, set_grad_enabled

Fn = Callable[..., Any]
Tensors = Tensor | tuple[Tensor, ...]


def _inputs(inputs: Any) -> tuple[tuple[Tensor, ...], bool]:
    return ((inputs,), True) if isinstance(inputs, Tensor) else (tuple(inputs), False)


def _vectors(op: str, v: Any, like: Any) -> Any:
    """The vectors of a product: ones where the only tensor has one element."""
    tensors = (like,) if isinstance(like, Tensor) else tuple(like)
    if v is None:
        if len(tensors) != 1 or tensors[0]._data.size != 1:
            raise GradientError(f"{op}: the vector v can only be left out where there is one tensor with one element")
        return ones_like(tensors[0]) if isinstance(like, Tensor) else (ones_like(tensors[0]),)
    given = (v,) if isinstance(v, Tensor) else tuple(v)
    for a, b in zip(given, tensors):
        if tuple(a.shape) != tuple(b.shape):
            raise ShapeError(f"{op}: v of shape {tuple(a.shape)} beside a tensor of shape {tuple(b.shape)}")
    if len(given) != len(tensors):
        raise ShapeError(f"{op}: v has {len(given)} tensors, but {len(tensors)} are needed")
    return given[0] if isinstance(like, Tensor) else given


def vjp(func: Fn, inputs: Tensors, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """(output, v · Jacobian). With create_graph the result can be differentiated again."""
    xs, single = _inputs(inputs)
    with set_grad_enabled(create_graph):
        out, pull = F.vjp(func, *xs)
        found = pull(_vectors("vjp", v, out))
    return out, found[0] if single else found


def jvp(func: Fn, inputs: Tensors, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """(output, Jacobian · v). With create_graph the result can be differentiated again."""
    xs, _ = _inputs(inputs)
    with set_grad_enabled(create_graph):
        return F.jvp(func, xs, _vectors("jvp", v, xs))


def jacobian(
    func: Fn, inputs: Tensors, create_graph: bool = False, vectorize: bool = True, strategy: str = "reverse-mode"
) -> Any:
    """The Jacobian: for each output and each input a tensor of shape output.shape + input.shape.

    Args:
        vectorize: compute all rows at once; False computes them one at a time, with less memory.
        strategy: "reverse-mode" or "forward-mode".

    >>> import twinflow
    >>> twinflow.autograd.functional.jacobian(lambda x: x * x, twinflow.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise GradientError(f"jacobian: strategy is 'reverse-mode' or 'forward-mode', not {strategy!r}")
    xs, single = _inputs(inputs)
    make = F.jacrev if strategy == "reverse-mode" else F.jacfwd
    with set_grad_enabled(create_graph):
        places = 0 if single else tuple(range(len(xs)))
        return make(func, places, chunk_size=None if vectorize else 1)(*xs)


def hessian(func: Fn, inputs: Tensors, create_graph: bool = False) -> Any:
    """The second derivatives of a function whose value is one number."""
    xs, single = _inputs(inputs)
    places = 0 if single else tuple(range(len(xs)))
    with set_grad_enabled(create_graph):
        return F.jacfwd(F.grad(func, places), places)(*xs)


def hvp(func: Fn, inputs: Tensors, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """(value, Hessian · v) by forward mode over reverse mode."""
    xs, single = _inputs(inputs)
    with set_grad_enabled(create_graph):
        both = F.value_and_grad(func, tuple(range(len(xs))))
        (_, value), (found, _) = F.jvp(both, xs, _as_tuple(_vectors("hvp", v, xs)))
    return value, found[0] if single else found


def vhp(func: Fn, inputs: Tensors, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """(value, v · Hessian) by reverse mode over reverse mode."""
    xs, single = _inputs(inputs)
    with set_grad_enabled(create_graph):
        both = F.value_and_grad(func, tuple(range(len(xs))))
        _, pull, value = F.vjp(both, *xs, has_aux=True)
        found = pull(_as_tuple(_vectors("vhp", v, xs)))
    return value, found[0] if single else found


def _as_tuple(v: Any) -> tuple[Tensor, ...]:
    return (v,) if isinstance(v, Tensor) else tuple(v)
