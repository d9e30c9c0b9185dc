"""Derivatives against numerical differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinflow.autodiff._grad import grad
from twinflow.core.errors import DTypeError, GradientError
from twinflow.ops import randn
from twinflow.tensor import Tensor, enable_grad, is_inexact, no_grad, wrap

Fn = Callable[..., Any]


def _outputs(result: Any) -> list[Tensor]:
    outs = [result] if isinstance(result, Tensor) else list(result)
    return [o for o in outs if isinstance(o, Tensor) and is_inexact(o)]


def _differentiated(op: str, inputs: Sequence[Any]) -> list[Tensor]:
    found = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not found:
        raise GradientError(f"{op}: no input requires gradients, so there is nothing to check")
    for x in found:
        if x.dtype.name not in ("float64", "complex128"):
            raise DTypeError(
                f"{op}: an input is {x.dtype.name}; numerical differences need float64 (or complex128): convert with .double()"
            )
    return found


def _unit_vectors(a: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    units: Sequence[complex] = (1.0, 1j) if a.dtype.kind == "c" else (1.0,)
    found = []
    for k in range(a.size):
        for unit in units:
            v = np.zeros_like(a)
            v.reshape(-1)[k] = unit
            found.append(v)
    return found


def gradcheck(
    func: Fn,
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the reverse-mode derivatives of `func` at `inputs` equal numerical differences, element by element.

    Args:
        func: takes the inputs and returns a tensor or a tuple of them.
        inputs: a tensor or a tuple; those that require gradients are checked and must be float64 or complex128.
        eps: the step of the central differences.
        raise_exception: raise GradientError, which says where they differ, instead of returning False.

    >>> import twinflow
    >>> x = twinflow.randn(3, dtype=twinflow.float64, requires_grad=True)
    >>> twinflow.autograd.gradcheck(twinflow.sin, x)
    True
    """
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = _differentiated("gradcheck", args)
    outs = _outputs(func(*args))
    slopes = [[_slope(func, args, x, v, eps) for v in _unit_vectors(x.detach().numpy())] for x in checked]
    for i, out in enumerate(outs):
        if not out.requires_grad:
            continue
        for u in _unit_vectors(out.detach().numpy()):
            found = grad(out, checked, wrap(u), retain_graph=True, allow_unused=True)
            for k, (x, g) in enumerate(zip(checked, found)):
                vectors = _unit_vectors(x.detach().numpy())
                for v, slope in zip(vectors, slopes[k]):
                    analytic = 0.0 if g is None else float(np.sum((np.conj(g.detach().numpy()) * v).real))
                    numeric = float(np.sum((np.conj(u) * slope[i]).real))
                    if not abs(analytic - numeric) <= atol + rtol * abs(numeric):
                        if not raise_exception:
                            return False
                        at = np.unravel_index(int(np.argmax(np.abs(v))), v.shape)
                        of = np.unravel_index(int(np.argmax(np.abs(u))), u.shape)
                        raise GradientError(
                            f"gradcheck: the derivative of output {i} at {tuple(map(int, of))} with respect to input {k} at "
                            f"{tuple(map(int, at))} is {analytic:.8g}, but numerically it is {numeric:.8g}"
                        )
    return True


def _slope(func: Fn, args: tuple[Any, ...], x: Tensor, v: np.ndarray[Any, Any], eps: float) -> list[Any]:
    """The numerical derivative of every output along `v` in `x`."""
    ends = []
    for step in (eps, -eps):
        moved = [
            wrap(a.detach().numpy() + step * v).requires_grad_()
            if a is x
            else a.clone()
            if isinstance(a, Tensor)
            else a
            for a in args
        ]
        with no_grad():
            ends.append([o.detach().numpy() for o in _outputs(func(*moved))])
    return [(p - m) / (2 * eps) for p, m in zip(*ends)]


def gradgradcheck(
    func: Fn,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether second derivatives of `func` equal numerical differences: `gradcheck` of its gradient.

    Args:
        grad_outputs: the vectors of the vector-Jacobian product; random ones if not given.
    """
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = _differentiated("gradgradcheck", args)
    outs = [o for o in _outputs(func(*args)) if o.requires_grad]
    if grad_outputs is None:
        vectors = [randn(tuple(o.shape), dtype="float64").to(dtype=o.dtype).requires_grad_() for o in outs]
    else:
        vectors = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    places = [k for k, a in enumerate(args) if any(a is c for c in checked)]

    def first(*both: Any) -> Any:
        values, gs = both[: len(args)], both[len(args) :]
        results = [o for o, q in zip(_outputs(func(*values)), _outputs(func(*args))) if q.requires_grad]
        found = grad(results, [values[k] for k in places], gs, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    def with_gradients(*both: Any) -> Any:
        with enable_grad():
            return first(
                *(b.requires_grad_() if k in places and not b.requires_grad else b for k, b in enumerate(both))
            )

    return gradcheck(with_gradients, (*args, *vectors), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)
