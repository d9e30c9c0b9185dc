"""Gradients with respect to given tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twinflow.autodiff._vmap import vmap
from twinflow.core.errors import ArgumentError, GradientError
from twinflow.ops import ones_like
from twinflow.tensor import Tensor, run_backward


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`, without touching `.grad`.

    Args:
        grad_outputs: the vector of the vector-Jacobian product; ones for outputs with one element.
        create_graph: record the computation, so that the gradients can be differentiated again.
        only_inputs: True; `backward` is what accumulates into other leaves.
        allow_unused: give None for an input that no output depends on, instead of an error.
        is_grads_batched: the vectors have a further first axis, and so have the results: one product for each place.
        materialize_grads: give zeros for it.

    >>> import twinflow
    >>> x = twinflow.tensor(3.0, requires_grad=True)
    >>> (first,) = twinflow.autograd.grad(x**3, x, create_graph=True)
    >>> twinflow.autograd.grad(first, x)
    (tensor(18.),)
    """
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not only_inputs:
        raise ArgumentError("grad: only_inputs=False is not supported; backward() fills the .grad of all leaves")
    found: list[Any]
    if is_grads_batched:
        found = _batched(outs, ins, grad_outputs, create_graph)
    else:
        vectors = _vectors("grad", outs, grad_outputs)
        retain = create_graph if retain_graph is None else retain_graph
        found = run_backward(
            outs, vectors, inputs=ins, retain_graph=retain, create_graph=create_graph, accumulate=False
        )
    for k, g in enumerate(found):
        if g is None:
            if materialize_grads:
                found[k] = ins[k] * 0
            elif not allow_unused:
                raise GradientError(f"grad: no output depends on input {k}; pass allow_unused=True to get None for it")
    return tuple(found)


def _batched(outs: list[Tensor], ins: list[Tensor], vectors: Any, create_graph: bool) -> list[Any]:
    """The products for all vectors along a first axis."""
    found: list[Any] = [None] * len(ins)
    used: list[int] = []

    def one(*vs: Tensor) -> tuple[Tensor, ...]:
        gs: list[Any] = run_backward(
            outs, _vectors("grad", outs, vs), inputs=ins, retain_graph=True, create_graph=create_graph, accumulate=False
        )
        used[:] = [k for k, g in enumerate(gs) if g is not None]
        return tuple(gs[k] for k in used)

    given = [vectors] if isinstance(vectors, Tensor) else list(vectors)
    products = vmap(one)(*given)
    for k, g in zip(used, products):
        found[k] = g
    return found


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Accumulate the gradients of several tensors into `.grad` of the leaves (or of `inputs`), in one walk.

    >>> import twinflow
    >>> x = twinflow.tensor(2.0, requires_grad=True)
    >>> twinflow.autograd.backward([x * x, x * 3])
    >>> x.grad
    tensor(7.)
    """
    outs = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    vectors = _vectors("backward", outs, grad_tensors)
    run_backward(
        outs,
        vectors,
        inputs=[inputs] if isinstance(inputs, Tensor) else inputs,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
    )


def _vectors(op: str, outs: list[Tensor], given: Any) -> list[Tensor]:
    """The vector of the product for each output: ones for outputs with one element where none is given."""
    if given is None:
        gs: list[Any] = [None] * len(outs)
    else:
        gs = [given] if isinstance(given, Tensor) else list(given)
    if len(gs) != len(outs):
        raise GradientError(f"{op}: {len(outs)} outputs, but {len(gs)} vectors for them")
    vectors = []
    for k, (o, g) in enumerate(zip(outs, gs)):
        if g is None:
            if o._data.size != 1:
                raise GradientError(
                    f"{op}: output {k} has shape {tuple(o.shape)}; without a vector for it, it must have one element"
                )
            g = ones_like(o)
        elif tuple(g.shape) != tuple(o.shape):
            raise GradientError(
                f"{op}: the vector for output {k} has shape {tuple(g.shape)}, the output {tuple(o.shape)}"
            )
        vectors.append(g)
    return vectors
