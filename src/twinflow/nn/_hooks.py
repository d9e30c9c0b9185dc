"""Hooks on modules: what is called before and after `forward`, and when gradients pass."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import GradientError
from twinflow.tensor import Tensor

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
    """Connects the backward hooks of one call of a module to the gradients of its inputs and outputs."""

    def __init__(self, module: Any, pre: list[Hook], full: list[Hook]) -> None:
        self.module = module
        self.pre = pre
        self.full = full
        self.grad_output: list[Tensor | None] = []
        self.grad_input: list[Tensor | None] = []
        self.waiting = 0

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, with a place on the tape where their gradients can be seen."""
        leaves, treedef = tree_flatten(args)
        self.grad_input = []
        for i, x in enumerate(leaves):
            if not isinstance(x, Tensor):
                continue
            k = len(self.grad_input)
            self.grad_input.append(None)
            if x.requires_grad:
                self.waiting += 1
                leaves[i] = x.clone()
                leaves[i].register_hook(lambda g, k=k: self._input_gradient(k, g))
        return tuple(tree_unflatten(leaves, treedef))

    def watch_outputs(self, output: Any) -> Any:
        """The result, with hooks on the gradients that reach it."""
        leaves, treedef = tree_flatten(output)
        tensors = [(i, x) for i, x in enumerate(leaves) if isinstance(x, Tensor)]
        self.grad_output = [None] * len(tensors)
        arrived = [0]
        wanted = sum(x.requires_grad for _, x in tensors)
        for k, (i, x) in enumerate(tensors):
            if x.requires_grad:
                leaves[i] = x = x.clone()
                x.register_hook(lambda g, k=k: self._output_gradient(k, g, arrived, wanted))
        return tree_unflatten(leaves, treedef)

    def _output_gradient(self, k: int, g: Tensor, arrived: list[int], wanted: int) -> Tensor:
        self.grad_output[k] = g
        arrived[0] += 1
        if arrived[0] < wanted:
            return g
        for hook in self.pre:
            changed = hook(self.module, tuple(self.grad_output))
            if changed is not None:
                self._replace(self.grad_output, changed, k, "full_backward_pre_hook")
        if not self.waiting:
            for hook in self.full:
                hook(self.module, tuple(self.grad_input), tuple(self.grad_output))
        return self.grad_output[k]  # type: ignore[return-value]

    def _input_gradient(self, k: int, g: Tensor) -> Tensor:
        self.grad_input[k] = g
        self.waiting -= 1
        if self.waiting:
            return g
        for hook in self.full:
            changed = hook(self.module, tuple(self.grad_input), tuple(self.grad_output))
            if changed is not None:
                self._replace(self.grad_input, changed, k, "full_backward_hook")
        return self.grad_input[k]  # type: ignore[return-value]

    def _replace(self, grads: list[Tensor | None], changed: Any, k: int, kind: str) -> None:
        """Take over what a hook returned; gradients other than the last to arrive have already gone on."""
        new = list(changed) if isinstance(changed, (tuple, list)) else [changed]
        if len(new) != len(grads):
            raise GradientError(f"{kind}: the hook returned {len(new)} gradients for {len(grads)} tensors")
        for i, (before, after) in enumerate(zip(grads, new)):
            if i != k and after is not before:
                raise GradientError(
                    f"{kind}: only the gradient of the last tensor to arrive can be replaced, and {i} is not it; "
                    "register a hook on the tensor itself instead"
                )
        grads[k] = new[k]
