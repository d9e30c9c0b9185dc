"""`Function`: an operation with a derivative written by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from twinflow.autodiff._rules import level_of, may_need_gradient, record_rule
from twinflow.core import DType
from twinflow.core.errors import ArgumentError, GradientError
from twinflow.ops import call, in_body
from twinflow.tensor import (
    MODE,
    Packed,
    Tensor,
    edge_to,
    meta_of,
    no_grad,
    payload,
    sum_to,
    wrap,
)


class FunctionCtx:
    """What `forward` leaves for `backward`: `save_for_backward` for tensors, attributes for everything else."""

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._to_save: tuple[Tensor | None, ...] = ()
        self._saved: list[Any] | None = None
        self._dirty: tuple[Tensor, ...] = ()
        self._constant: tuple[Tensor, ...] = ()
        self._materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`, which finds them in `saved_tensors`; writing them in place meanwhile is an error."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise ArgumentError(
                    f"save_for_backward takes tensors, not {type(t).__name__}; set an attribute of ctx instead"
                )
        self._to_save = tensors

    save_for_forward = save_for_backward

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors given to `save_for_backward`."""
        if self._saved is None:
            return self._to_save
        found: list[Tensor | None] = []
        for entry in self._saved:
            if entry is None or isinstance(entry, Packed):
                found.append(None if entry is None else entry.unpack())
                continue
            t, version = entry
            if t._version != version:
                raise GradientError(
                    f"saved_tensors: a tensor of shape {tuple(t.shape)} that was saved for backward was overwritten in place "
                    "since; use the out-of-place operation, or clone() first"
                )
            found.append(t)
        return tuple(found)

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs `forward` wrote in place; they must be among its results."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which results have no gradient."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """With False, `backward` receives None instead of zeros for results that nothing depends on."""
        self._materialize = value

    def _keep(self) -> None:
        """After the results have their place on the tape: remember versions, or let the hooks pack."""
        if MODE.saved_hooks:
            pack, unpack = MODE.saved_hooks[-1]
            self._saved = [None if t is None else Packed(t, pack, unpack, edge_to(t)) for t in self._to_save]
        else:
            self._saved = [None if t is None else (t, t._version) for t in self._to_save]
        self._to_save = ()

    def _free(self) -> None:
        self._saved = None


class Function:
    """An operation whose derivative is written by hand. Subclass it, define `forward` and `backward`, call `apply`.

    `forward(ctx, *args)` computes the results (tensors, one or a tuple); or `forward(*args)` with
    `setup_context(ctx, inputs, output)`. `backward(ctx, *gradients)` returns one gradient for each argument of forward, None
    where there is none; it is made of operations, so it can be traced and differentiated again.

    >>> import twinflow
    >>> class Square(twinflow.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * g
    >>> x = twinflow.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    setup_context: Callable[..., Any]

    def __init__(self) -> None:
        raise GradientError(f"{type(self).__name__}: a Function is not made; call {type(self).__name__}.apply(...)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward` and record it."""
        if not hasattr(cls, "forward"):
            raise GradientError(f"{cls.__name__}.forward is missing; define it as a static method")
        inputs = [a for a in args if isinstance(a, Tensor)]
        _check_transformations(cls, inputs)
        ctx = FunctionCtx()
        own = {id(t) for t in inputs}
        if in_body(inputs):
            inputs = [call("copy", t) for t in inputs]  # as they are now: forward may write them
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and may_need_gradient(a) and MODE.grad for a in args)
        with no_grad():
            if hasattr(cls, "setup_context"):
                out = cls.forward(*args)
                cls.setup_context(ctx, args, out)
            else:
                out = cls.forward(ctx, *args)
        single = isinstance(out, Tensor)
        values = [out] if single else list(out)
        dirty = {id(t) for t in ctx._dirty}
        for t in ctx._dirty:
            if not any(t is v for v in values):
                raise GradientError(f"{cls.__name__}: an input marked dirty must be returned by forward")
            if t.is_leaf and t.requires_grad and MODE.grad:
                raise GradientError(f"{cls.__name__}: a leaf tensor that requires gradients was written in place")
        results = [
            _place_of_its_own(v) if isinstance(v, Tensor) and (id(v) in own or id(v) in dirty) else v for v in values
        ]
        tensors = [v for v in results if isinstance(v, Tensor)]
        record_rule(cls.__name__, inputs, tensors, _rule_of(cls, ctx, args, tensors))
        constant = {id(t) for t in ctx._constant}
        for k, (v, r) in enumerate(zip(values, results)):
            if id(v) in constant:
                results[k] = r = r.detach()
            if id(v) in dirty:
                m, rm = meta_of(v), r._meta
                if rm is not None:
                    m.requires_grad, m.grad_fn, m.index = rm.requires_grad, rm.grad_fn, rm.index
                if MODE.tracer is not None and in_body(inputs):
                    MODE.tracer.write(v, r)
                results[k] = v
        if any(isinstance(r, Tensor) and r.grad_fn is not None for r in results):
            ctx._keep()
        return results[0] if single else tuple(results)


def _place_of_its_own(t: Tensor) -> Tensor:
    """The same values, to be recorded as a result of the function."""
    tracer = MODE.tracer
    traced = tracer is not None and tracer.level > getattr(payload(t), "level", 0)
    return wrap(tracer.node_of(t) if tracer is not None and traced else payload(t))


def _rule_of(cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], outputs: list[Tensor]) -> Any:
    places = [k for k, a in enumerate(args) if isinstance(a, Tensor)]
    wanted = [(tuple(args[k].shape), args[k].dtype) for k in places]
    shapes = [(tuple(t.shape), t.dtype) for t in outputs]
    n_args = len(args)

    def backward(gradients: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        if not hasattr(cls, "backward"):
            raise GradientError(f"{cls.__name__}.backward is missing; define it to differentiate through this Function")
        given = list(gradients)
        if ctx._materialize:
            like = next(g for g in given if g is not None)
            given = [like.new_zeros(shape, dtype=dtype) if g is None else g for g, (shape, dtype) in zip(given, shapes)]
        found = cls.backward(ctx, *given)
        found = found if isinstance(found, tuple) else (found,)
        if len(found) < n_args or any(f is not None for f in found[n_args:]):
            raise GradientError(
                f"{cls.__name__}.backward returned {len(found)} gradients, but forward takes {n_args} arguments; return one "
                "for each, None where there is none"
            )
        return [_fitted(cls, k, found[k], *spec) for k, spec in zip(places, wanted)]

    return backward


def _fitted(cls: type[Function], k: int, g: Any, shape: tuple[int, ...], dtype: DType) -> Tensor | None:
    """The gradient of argument `k` in its shape and type: summed where the argument was broadcast."""
    if g is None:
        return None
    if not isinstance(g, Tensor):
        raise GradientError(f"{cls.__name__}.backward returned {type(g).__name__} for argument {k}, not a tensor")
    have = tuple(g.shape)
    if len(have) < len(shape) or any(n not in (1, m) for n, m in zip(shape[::-1], have[::-1])):
        raise GradientError(
            f"{cls.__name__}.backward returned a gradient of shape {have} for argument {k}, whose shape is {shape}"
        )
    g = sum_to(g, shape)
    return g if g.dtype is dtype or not dtype.is_floating_point else call("cast", g, dtype=dtype)


def _check_transformations(cls: type[Function], inputs: list[Tensor]) -> None:
    """A hand-written derivative is used by the transformation of its own level only; say so rather than give a wrong one."""
    if level_of(inputs) == 0:
        return
    for t in inputs:
        p = payload(t)
        while hasattr(p, "value"):
            if p.transform == "jvp" and p.tangent is not None:
                raise GradientError(
                    f"{cls.__name__}: a Function has no forward-mode derivative; use reverse mode (grad, vjp, jacrev)"
                )
            if MODE.grad and p.value.requires_grad:
                raise GradientError(
                    f"{cls.__name__}: a Function inside {p.transform} cannot be differentiated from outside it; take the gradient "
                    "inside, as in vmap(grad(f))"
                )
            p = payload(p.value)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` that cannot be differentiated itself: a second derivative is then an error, not a wrong value."""

    @functools.wraps(backward)
    def wrapped(ctx: Any, *gradients: Any) -> Any:
        with no_grad():
            found = backward(ctx, *gradients)
        if not MODE.grad:
            return found
        results = found if isinstance(found, tuple) else (found,)
        tensors = [r for r in results if isinstance(r, Tensor)]
        inputs = [t for t in (*gradients, *ctx.saved_tensors) if isinstance(t, Tensor)]

        fresh = [wrap(payload(t)) for t in tensors]
        record_rule("once_differentiable", inputs, fresh, None)
        made = iter(fresh)
        results = tuple(next(made) if isinstance(r, Tensor) else r for r in results)
        return results if isinstance(found, tuple) else results[0]

    return wrapped
