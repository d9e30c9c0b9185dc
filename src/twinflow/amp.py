"""Mixed precision: `autocast`, and `GradScaler` for float16, whose small gradients would become zero."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from twinflow.core.errors import ArgumentError, GradientError, TraceError
from twinflow.ops import full, isfinite, logical_or, where
from twinflow.ops._autocast import autocast as autocast
from twinflow.tensor import Tensor, assign, current_tracer, no_grad, wrap


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` casts on a device.

    >>> is_autocast_available("cpu")
    True
    """
    return device_type == "cpu"


class GradScaler:
    """Scale the loss so that float16 gradients neither vanish nor overflow, and leave out steps in which they did.

    The scale is divided by 2 after a step with an infinite or NaN gradient, and doubled after `growth_interval` steps without. It is
    state of a compiled step, like the parameters: `scale`, `step` and `update` may stand in one.

    Args:
        device: accepted as PyTorch's.
        init_scale, growth_factor, backoff_factor, growth_interval: where the scale starts and how it moves.
        enabled: False makes every method do nothing: `step` is then `optimizer.step()`. bfloat16 needs no scaling.
    Source: Micikevicius et al., "Mixed precision training", ICLR 2018, arXiv:1710.03740.

    >>> import twinflow
    >>> w = twinflow.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = twinflow.optim.SGD([w], lr=0.1), GradScaler("cpu")
    >>> scaler.scale(w.sum() * 2).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and growth_factor <= 1.0:
            raise ArgumentError(f"GradScaler: growth_factor must be more than 1, not {growth_factor}")
        if enabled and not 0.0 < backoff_factor < 1.0:
            raise ArgumentError(f"GradScaler: backoff_factor must lie between 0 and 1, not {backoff_factor}")
        self._enabled = enabled
        self._scale = full((), float(init_scale))
        self._tracker = full((), 0, dtype="int32")  # steps since the scale moved
        self._growth, self._backoff, self._interval = growth_factor, backoff_factor, growth_interval
        self._found: dict[int, Tensor] = {}  # id of an optimizer -> whether a gradient was not finite, after unscale_
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """A loss, or a container of losses, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale.to(outputs.dtype)
        if isinstance(outputs, Iterable):
            return type(outputs)(self.scale(x) for x in outputs)  # type: ignore[call-arg] # a list or a tuple
        raise ArgumentError(f"GradScaler.scale: losses are tensors, not {type(outputs).__name__}")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, in place: before clipping them."""
        if not self._enabled:
            return
        if id(optimizer) in self._found:
            raise GradientError("GradScaler.unscale_: the gradients were unscaled since the last update()")
        found = None
        with no_grad():
            inverse = 1.0 / self._scale
            for p in _parameters(optimizer):
                if p.grad is not None:
                    p.grad.mul_(inverse.to(p.grad.dtype))
                    bad = ~isfinite(p.grad).all()
                    found = bad if found is None else logical_or(found, bad)
        if found is None:
            raise GradientError(
                "GradScaler: no parameter of the optimizer has a gradient; call scale(loss).backward() first"
            )
        self._found[id(optimizer)] = found

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step()`, unless a gradient is infinite or NaN. The gradients are unscaled before, if they were not."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or args:
            raise ArgumentError("GradScaler.step: closures are not supported; compute the gradients before")
        if id(optimizer) in self._stepped:
            raise GradientError("GradScaler.step: the optimizer has stepped since the last update()")
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        found = self._found[id(optimizer)]
        if current_tracer() is not None:
            return _step_unless(found, optimizer)
        return None if bool(found) else optimizer.step()

    def update(self, new_scale: Any = None) -> None:
        """Move the scale, at the end of a step, or set it."""
        if not self._enabled:
            return
        with no_grad():
            if new_scale is not None:
                self._scale.fill_(new_scale)
            else:
                self._move()
        self._found.clear()
        self._stepped.clear()

    def _move(self) -> None:
        if not self._found:
            raise GradientError("GradScaler.update: no step() or unscale_() since the last update()")
        found = functools.reduce(logical_or, self._found.values())
        counted = self._tracker + 1
        grows = counted == self._interval
        grown = where(grows, self._scale * self._growth, self._scale)
        grown = where(isfinite(grown), grown, self._scale)
        self._scale.copy_(where(found, self._scale * self._backoff, grown))
        self._tracker.copy_(where(logical_or(found, grows), counted * 0, counted))

    def get_scale(self) -> float:
        """The scale now, 1.0 if scaling is off."""
        return float(self._scale.item()) if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether losses are scaled."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The scale and how it moves, as PyTorch names them; empty if scaling is off."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth,
            "backoff_factor": self._backoff,
            "growth_interval": self._interval,
            "_growth_tracker": int(self._tracker.item()),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        if not self._enabled:
            return
        if not state_dict:
            raise ArgumentError(
                "GradScaler.load_state_dict: the state is empty: it comes from a scaler that was not enabled"
            )
        with no_grad():
            self._scale.fill_(state_dict["scale"])
            self._tracker.fill_(state_dict["_growth_tracker"])
        self._growth, self._backoff = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._interval = state_dict["growth_interval"]


def _parameters(optimizer: Any) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _step_unless(found: Tensor, optimizer: Any) -> None:
    """A step of which nothing remains if `found` holds, for a compiled step, which cannot branch in Python: whatever it wrote
    keeps its old value then."""
    tracer = current_tracer()
    if tracer is None:
        raise TraceError("GradScaler.step: not inside a compiled function")
    before = dict(tracer.values)
    optimizer.step()
    inputs = {id(t): node for t, node in tracer.captured}
    state = [t for s in optimizer.state.values() for t in s.values() if isinstance(t, Tensor)]
    with no_grad():
        for t in {id(t): t for t in [*_parameters(optimizer), *state]}.values():
            old = before.get(id(t), inputs.get(id(t)))
            if id(t) in tracer.written and old is not None:
                assign(t, where(found, wrap(old), t), "GradScaler.step")
