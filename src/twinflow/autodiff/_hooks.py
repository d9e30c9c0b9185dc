"""Looking into the tape: hooks on saved tensors and on several gradients, anomaly detection, edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from twinflow.core.errors import ArgumentError, GradientError
from twinflow.ops import HookHandle
from twinflow.tensor import MODE, GradNode, Tensor, edge_to, enter_special, exit_special, meta_of


class saved_tensors_hooks:
    """Within it, each tensor kept for backward goes through `pack_hook`; backward gets it from `unpack_hook` of what that gave.

    >>> import twinflow
    >>> x = twinflow.tensor(3.0, requires_grad=True)
    >>> with twinflow.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(force=True).copy(), twinflow.from_numpy):
    ...     y = x * x
    >>> y.backward()
    >>> x.grad
    tensor(6.)
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        MODE.saved_hooks = (*MODE.saved_hooks, (self.pack_hook, self.unpack_hook))
        enter_special()

    def __exit__(self, *exc: object) -> None:
        MODE.saved_hooks = MODE.saved_hooks[:-1]
        exit_special()


class disable_saved_tensors_hooks:
    """Within it, entering `saved_tensors_hooks` has no effect on what is kept: no hook is called."""

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message

    def __enter__(self) -> None:
        if MODE.saved_hooks:
            raise GradientError(self.error_message)
        enter_special()

    def __exit__(self, *exc: object) -> None:
        exit_special()


class set_detect_anomaly:
    """Switch anomaly detection on or off, at once or for a `with` block: backward stops at the first NaN or infinity, and errors
    of backward name the line of the forward operation."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        if not check_nan:
            raise ArgumentError("set_detect_anomaly: check_nan=False would leave nothing to detect; use mode=False")
        self._before = MODE.anomaly
        _anomaly(bool(mode))

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        _anomaly(self._before)


class detect_anomaly(set_detect_anomaly):
    """Anomaly detection for a `with` block.

    >>> import twinflow
    >>> x = twinflow.tensor(0.0, requires_grad=True)
    >>> with twinflow.autograd.detect_anomaly():
    ...     y = twinflow.sqrt(x)
    ...     try:
    ...         y.backward()
    ...     except RuntimeError as error:
    ...         print("sqrt" in str(error))
    True
    """

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)


def _anomaly(on: bool) -> None:
    if on and not MODE.anomaly:
        enter_special()  # so that the tape notes the lines
    if MODE.anomaly and not on:
        exit_special()
    MODE.anomaly = on


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on in this thread."""
    return MODE.anomaly


class GradientEdge(NamedTuple):
    """Where the gradient of a tensor goes: a node, and which of its results. For a leaf the node is the leaf itself."""

    node: Any
    output_nr: int


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge that leads to this tensor's gradient."""
    edge = edge_to(tensor)
    if edge is None:
        raise GradientError("get_gradient_edge: this tensor does not require gradients")
    return GradientEdge(edge[0], max(edge[1], 0))


def increment_version(tensor: Tensor) -> None:
    """Say that the memory of this tensor was written by other means, so that backward refuses stale values."""
    meta_of(tensor).version[0] += 1


class _MultiHandle:
    """Takes several hooks away at once."""

    def __init__(self, handles: Sequence[HookHandle]) -> None:
        self._handles = handles

    def remove(self) -> None:
        """Take the hooks away."""
        for h in self._handles:
            h.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[[list[Tensor]], None]) -> _MultiHandle:
    """Call `fn(gradients)` once the gradients of all these tensors are known."""
    if not tensors:
        raise ArgumentError("register_multi_grad_hook: at least one tensor is needed")
    found: dict[int, Tensor] = {}

    def listener(k: int) -> Callable[[Tensor], None]:
        def hear(g: Tensor) -> None:
            found[k] = g
            if len(found) == len(tensors):
                grads = [found[i] for i in range(len(tensors))]
                found.clear()
                fn(grads)

        return hear

    return _MultiHandle([t.register_hook(listener(k)) for k, t in enumerate(tensors)])


def node_register_hook(self: GradNode, fn: Callable[..., Any]) -> HookHandle:
    """Call `fn(gradients of operands, gradients of results)` after this node; what it returns replaces the former."""
    if self.hooks is None:
        self.hooks = []
    self.hooks.append(fn)
    return HookHandle(self.hooks, fn)


def node_register_prehook(self: GradNode, fn: Callable[..., Any]) -> HookHandle:
    """Call `fn(gradients of results)` before this node, which must have one result; what it returns replaces them."""
    if self.n_out != 1:
        raise GradientError(
            f"register_prehook: {self!r} has {self.n_out} results; register hooks on its tensors instead"
        )

    def passing(g: Tensor) -> Tensor:
        changed = fn((g,))
        if changed is None:
            return g
        return changed[0] if isinstance(changed, tuple) else changed

    self.add_prehook(0, passing)
    hooks = (self.prehooks or {})[0]
    return HookHandle(hooks, passing)


setattr(GradNode, "register_hook", node_register_hook)  # noqa: B010 - the handle's class lives above the tape
setattr(GradNode, "register_prehook", node_register_prehook)  # noqa: B010
