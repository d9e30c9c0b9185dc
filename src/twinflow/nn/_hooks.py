"""Hooks on modules: what is called before and after `forward`, and when gradients pass."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

from twinflow.autodiff import may_need_gradient, record_rule
from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import GradientError, TraceError
from twinflow.ops import in_body
from twinflow.tensor import Tensor, no_grad

Hook = Callable[..., Any]
_ids = itertools.count()


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away. As a context manager it does so at the end."""

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.id = next(_ids)
        self._hooks = weakref.ref(hooks) if isinstance(hooks, HookDict) else lambda: hooks

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class HookDict(dict[int, Any]):
    """The hooks of one kind, in the order of registration."""

    def add(self, hook: Any, *, prepend: bool = False) -> RemovableHandle:
        """Register one; `prepend` puts it first."""
        handle = RemovableHandle(self)
        if prepend:
            rest = dict(self)
            self.clear()
            self[handle.id] = hook
            self.update(rest)
        else:
            self[handle.id] = hook
        return handle


FORWARD_PRE = HookDict()  # hooks on every module
FORWARD = HookDict()


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module."""
    return FORWARD_PRE.add((hook, False))


def register_module_forward_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module."""
    return FORWARD.add((hook, False, False))


class BackwardPass:
    """Connects the backward hooks of one call of a module to the gradients of its inputs and outputs.

    All inputs pass through one operation on the tape, and all outputs through another: their derivatives see all gradients at
    once, so hooks may replace any of them.
    """

    def __init__(self, module: Any, pre: list[Hook], full: list[Hook]) -> None:
        self.module = module
        self.pre = pre
        self.full = full
        self.grad_output: tuple[Tensor | None, ...] = ()
        self.n_inputs = 0
        self.watched = False  # whether a gradient of an input is wanted

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, with a place on the tape where their gradients can be seen."""
        if self.full and in_body(()):
            raise TraceError(
                f"{type(self.module).__name__}: a full backward hook sees the gradients of inputs and outputs together, which the graph "
                "of a traced loop's body or a branch has at different places; use register_full_backward_pre_hook, an "
                "autograd.Function, or a Python loop"
            )
        made, inputs = _through("gradients of inputs", args, self._input_gradients)
        self.n_inputs = len(inputs)
        self.watched = any(may_need_gradient(x) for x in inputs)
        return tuple(made)

    def watch_outputs(self, output: Any) -> Any:
        """The result, with a place on the tape where the gradients that reach it can be seen."""
        return _through("gradients of outputs", output, self._output_gradients)[0]

    def _output_gradients(self, gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        for hook in self.pre:
            gradients = _changed("full_backward_pre_hook", gradients, hook(self.module, gradients))
        self.grad_output = gradients
        if not self.watched:
            for hook in self.full:
                hook(self.module, (None,) * self.n_inputs, gradients)
        return gradients

    def _input_gradients(self, gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        for hook in self.full:
            gradients = _changed("full_backward_hook", gradients, hook(self.module, gradients, self.grad_output))
        return gradients


def _through(
    name: str, tree: Any, rule: Callable[[tuple[Tensor | None, ...]], tuple[Tensor | None, ...]]
) -> tuple[Any, list[Tensor]]:
    """The tree with its tensors as results of one operation, whose derivative is `rule`; and the tensors that were there."""
    leaves, treedef = tree_flatten(tree)
    at = [i for i, x in enumerate(leaves) if isinstance(x, Tensor)]
    there = [leaves[i] for i in at]
    watched = [k for k, x in enumerate(there) if may_need_gradient(x)]
    if not watched:
        return tree, there
    with no_grad():
        made = [x.clone() if x.dtype.is_floating_point or x.dtype.is_complex else x for x in there]

    def backward(gradients: tuple[Tensor | None, ...]) -> list[Tensor | None]:
        given: list[Tensor | None] = [None] * len(there)
        for k, g in zip(watched, gradients):
            given[k] = g
        found = rule(tuple(given))
        return [found[k] for k in watched]

    record_rule(name, [there[k] for k in watched], [made[k] for k in watched], backward)
    for k, i in enumerate(at):
        leaves[i] = made[k] if k in watched else there[k]
    return tree_unflatten(leaves, treedef), there


def _changed(kind: str, before: tuple[Tensor | None, ...], new: Any) -> tuple[Tensor | None, ...]:
    """What a hook made of gradients: the same if it returned None."""
    if new is None:
        return before
    given = tuple(new) if isinstance(new, (tuple, list)) else (new,)
    if len(given) != len(before):
        raise GradientError(f"{kind}: the hook returned {len(given)} gradients for {len(before)} tensors")
    return given
