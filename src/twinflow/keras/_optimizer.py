"""What all optimizers share: the learning rate and its schedule, clipping, decay, averages, accumulation, saving."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from twinflow import optim
from twinflow.core import as_dtype, user_line
from twinflow.core.errors import ArgumentError, GradientError, TwinflowError
from twinflow.graph import Aval
from twinflow.keras import schedules
from twinflow.keras._registry import Registry, snake_case
from twinflow.keras._registry import serialize as serialize
from twinflow.keras._variable import Variable
from twinflow.nn.utils import clip_grad_norm_, clip_grad_value_
from twinflow.ops import where
from twinflow.optim._optimizer import number
from twinflow.tensor import MODE, Tensor, Tracer, after_call, host_scalar, no_grad, paused_tracing, wrap

FLOAT32 = as_dtype("float32")
REGISTRY = Registry("optimizer")


class LearningRate(float):
    """An optimizer's learning rate: a number that is set by `assign` as well as by `optimizer.learning_rate = ...`."""

    _optimizer: Optimizer

    def __new__(cls, value: float, optimizer: Optimizer) -> LearningRate:
        """The rate of an optimizer."""
        self = super().__new__(cls, value)
        self._optimizer = optimizer
        return self

    def assign(self, value: Any) -> None:
        """Set the optimizer's rate."""
        self._optimizer.learning_rate = value

    def numpy(self) -> np.floating[Any]:
        """The rate as NumPy's float32."""
        return np.float32(self)


def _paths(variables: list[Tensor]) -> str:
    """The first of several variables by name."""
    names = ", ".join(str(getattr(v, "path", "a variable")) for v in variables[:4])
    return names + (", ..." if len(variables) > 4 else "")


class Optimizer:
    """Base. Its state is made when it first sees the variables; `optim`'s optimizers do the work.

    Args:
        learning_rate: a number, or a schedule of `keras.optimizers.schedules`.
        weight_decay: w ← w · (1 - learning_rate · weight_decay) before each step.
        clipnorm: scale each gradient to at most this length.
        clipvalue: cut each gradient's elements to ±clipvalue.
        global_clipnorm: scale all gradients together to at most this length.
        use_ema: keep the moving averages of the weights, for `finalize_variable_values`.
        ema_momentum: how much of the averages stays at each step.
        ema_overwrite_frequency: put the averages into the weights every so many steps.
        loss_scale_factor: what the loss is multiplied with before the gradients, which are divided by it.
        gradient_accumulation_steps: update the weights every so many steps, by the mean of the gradients since.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        kind = type(self).__name__
        if "lr" in unknown:
            raise ArgumentError(f"{kind}: write learning_rate=..., not lr=...")
        if unknown:
            raise ArgumentError(f"{kind}: there is no argument {', '.join(map(repr, unknown))}")
        if isinstance(learning_rate, dict):
            learning_rate = schedules.deserialize(learning_rate)
        if not isinstance(learning_rate, schedules.LearningRateSchedule) and not float(learning_rate) >= 0:
            raise ArgumentError(f"{kind}: learning_rate must not be negative, but {learning_rate!r} was given")
        self.name = name or snake_case(kind)
        self.schedule: Any = learning_rate if isinstance(learning_rate, schedules.LearningRateSchedule) else None
        self._rate = float(learning_rate(0)) if self.schedule else float(learning_rate)
        self.weight_decay, self.clipnorm, self.clipvalue = weight_decay, clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        if sum(c is not None for c in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ArgumentError(f"{kind}: give at most one of clipnorm, clipvalue and global_clipnorm")
        if not 0 <= ema_momentum <= 1:
            raise ArgumentError(f"{kind}: ema_momentum is in [0, 1], not {ema_momentum!r}")
        for what, n, least in (
            ("ema_overwrite_frequency", ema_overwrite_frequency, 1),
            ("gradient_accumulation_steps", gradient_accumulation_steps, 2),
        ):
            if n is not None and (not isinstance(n, int) or n < least):
                raise ArgumentError(f"{kind}: {what} is a whole number of at least {least}, not {n!r}")
        self.use_ema, self.ema_momentum, self.ema_overwrite_frequency = use_ema, ema_momentum, ema_overwrite_frequency
        self.loss_scale_factor, self.gradient_accumulation_steps = loss_scale_factor, gradient_accumulation_steps
        self._excluded: Any = None
        self._told: set[int] = set()  # variables whose missing gradient was warned of
        self._kept: dict[str, list[Variable]] = {}
        self._core: optim.Optimizer | None = None
        self._variables: list[Tensor] = []
        with paused_tracing():
            self._iterations = Variable(0, trainable=False, dtype="int64", name="iteration")

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        raise NotImplementedError(f"{type(self).__name__} must define _make(self, variables)")

    def build(self, variables: Iterable[Tensor]) -> None:
        """Make the state for these variables; calling it again with the same ones does nothing."""
        given = list(variables)
        if self._core is not None and [id(v) for v in given] == [id(v) for v in self._variables]:
            return
        if not given:
            raise ArgumentError(f"{type(self).__name__}: the model has no trainable variables")
        known = {id(v) for v in self._variables}
        if self._core is not None:
            new = [v for v in given if id(v) not in known]
            if new:
                raise ArgumentError(
                    f"{type(self).__name__}: {len(new)} of the variables are new to it; an optimizer belongs to the variables it first "
                    "saw: make another one for another model"
                )
            return
        self._variables = given
        self._core = self._make(given)
        with paused_tracing():
            if self.use_ema:
                self._kept["average"] = [Variable(v, trainable=False) for v in given]
            if self.gradient_accumulation_steps:
                self._kept["gradient"] = [Variable(v.detach() * 0, trainable=False) for v in given]

    @property
    def iterations(self) -> Any:
        """How many updates there were, a whole number in a variable; with accumulated gradients those of the weights."""
        every = self.gradient_accumulation_steps
        return self._iterations if every is None else self._iterations.detach() // every

    @iterations.setter
    def iterations(self, value: Any) -> None:
        self._iterations.assign(int(value) * (self.gradient_accumulation_steps or 1))

    @property
    def learning_rate(self) -> Any:
        """The step size of the next step: a number, or in a function that is being traced a tensor."""
        if MODE.tracer is not None:
            if self._native_schedule:
                return self._traced_rate().to(dtype=FLOAT32)
            return host_scalar(self._current_rate, FLOAT32, "learning rate")
        return LearningRate(self._current_rate(), self)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if self.schedule is not None:
            raise ArgumentError("optimizer.learning_rate follows a schedule and cannot be set")
        self._rate = float(value)
        self.prepare()

    lr = learning_rate

    def _current_rate(self) -> float:
        if self.schedule is None:
            return self._rate
        with paused_tracing():
            return float(self.schedule(int(self.iterations)))

    def _traced_rate(self) -> Any:
        """The schedule's rate as part of the graph."""
        return self.schedule(self.iterations.detach())

    def prepare(self) -> None:
        """Hand the learning rate of the next step to the rule."""
        if self._core is not None:
            rate = self._current_rate()
            for group in self._core.param_groups:
                if group["lr"] != rate:
                    group["lr"] = rate

    @functools.cached_property
    def _native_schedule(self) -> bool:
        """Whether there is a schedule that compiled steps compute themselves: one that can be traced."""
        if self.schedule is None:
            return False
        try:
            with no_grad(), Tracer("schedule") as tracer:
                self.schedule(wrap(tracer.graph.add_input(Aval((), as_dtype("int64")), "step")))
        except (TwinflowError, TypeError, ValueError):  # it looks at the step's value
            return False
        return True

    def step(self, variables: list[Tensor], gradients: list[Any]) -> None:
        """One update, which may be traced; `prepare` is up to the caller."""
        self.build(variables)
        self._tell_missing(variables, gradients)
        with no_grad():
            if self.loss_scale_factor is not None:
                gradients = [None if g is None else g / self.loss_scale_factor for g in gradients]
            if self.gradient_accumulation_steps:
                self._accumulate(variables, gradients, self.gradient_accumulation_steps)
            else:
                self._update(variables, gradients)
            for v, g in zip(variables, gradients):
                if g is not None and getattr(v, "constraint", None) is not None:
                    v.copy_(v.constraint(v.detach()))
            if self.use_ema:
                self._move_averages()
            self._iterations.add_(1)

    def _tell_missing(self, variables: list[Tensor], gradients: list[Any]) -> None:
        """Warn once of variables without gradients beside others that have them."""
        missing = [v for v, g in zip(variables, gradients) if g is None and id(v) not in self._told]
        if missing:
            self._told |= {id(v) for v in missing}
            warnings.warn(
                f"{type(self).__name__}: there is no gradient for {_paths(missing)}, which stay as they are: the loss does not depend on them\n"
                f"  at {user_line()}",
                stacklevel=3,
            )

    def _built(self) -> optim.Optimizer:
        """The rule with its state. Raises: GradientError before the first step."""
        if self._core is None:
            raise GradientError(f"{type(self).__name__}: it has not been built; call build(variables)")
        return self._core

    def _update(self, variables: list[Tensor], gradients: list[Any]) -> None:
        """Clip, decay, and take the rule's step."""
        core = self._built()
        for v, g in zip(variables, gradients):
            v.grad = g
        used = [v for v, g in zip(variables, gradients) if g is not None]
        if self.clipvalue is not None:
            clip_grad_value_(used, self.clipvalue)
        if self.clipnorm is not None:
            for v in used:
                clip_grad_norm_([v], self.clipnorm)
        if self.global_clipnorm is not None:
            clip_grad_norm_(used, self.global_clipnorm)
        with self._scheduled(core):
            for v in used:
                decay = self._decay_of(v)
                if decay is not None:
                    v.mul_(1 - number(core.param_groups[0], "lr") * decay)
            core.step()
        for v in variables:
            v.grad = None

    @contextlib.contextmanager
    def _scheduled(self, core: optim.Optimizer) -> Iterator[None]:
        """While a step is traced, the schedule's rate of this very step takes the place of the number."""
        if MODE.tracer is None or not self._native_schedule:
            yield
            return
        rate, before = self._traced_rate(), [group["lr"] for group in core.param_groups]
        for group in core.param_groups:  # past the group's own notice of changes: this one lasts for the trace alone
            dict.__setitem__(group, "lr", rate)
        try:
            yield
        finally:
            for group, number_ in zip(core.param_groups, before):
                dict.__setitem__(group, "lr", number_)

    def _decay_of(self, v: Tensor) -> float | None:
        """The weight decay of a variable."""
        return None if self._excluded is not None and self._excluded(v) else self.weight_decay

    def _accumulate(self, variables: list[Tensor], gradients: list[Any], every: int) -> None:
        """Add to the gradients so far, and make the update if enough of them were added: both are computed, one is kept."""
        core = self._built()
        now = (self._iterations.detach() + 1) % every == 0
        sums = self._kept["gradient"]
        place = {id(v): t for t, v in zip(sums, self._variables)}
        mean = []
        for v, g in zip(variables, gradients):
            if g is not None:
                place[id(v)].add_(g)
            mean.append(None if g is None else place[id(v)] / every)
        if not core.state:
            with paused_tracing():
                group = core.param_groups[0]
                for v in self._variables:
                    core.state[v] = {**core._new_state(v, group), **({"step": 0.0} if core._counts else {})}
                if core._counts:
                    core._share_counters()
        state = [t for v in self._variables for t in core.state.get(v, {}).values() if isinstance(t, Tensor)]
        held = [*{id(t): t for t in state}.values(), *self._variables]  # variables share their counter of steps
        before = [t * 1 for t in held]
        self._update(variables, mean)
        for t, old in zip(held, before):
            t.copy_(where(now, t, old))
        for t in sums:
            t.copy_(where(now, t * 0, t))

    def _move_averages(self) -> None:
        steps = self._iterations.detach() + 1
        m = where(steps == 1, 0.0, self.ema_momentum)
        for average, v in zip(self._kept["average"], self._variables):
            average.copy_(average * m + v.detach() * (1 - m))
            if self.ema_overwrite_frequency:
                now = steps % self.ema_overwrite_frequency == 0
                v.copy_(where(now, average, v.detach()))

    def finalize_variable_values(self, var_list: Any) -> None:
        """Put the moving averages into the weights, at the end of training with `use_ema`."""
        if self.use_ema:
            chosen = {id(v) for v in var_list}
            with no_grad():
                for average, v in zip(self._kept["average"], self._variables):
                    if id(v) in chosen:
                        v.copy_(average)

    def swap_averages(self) -> bool:
        """Exchange the weights and their moving averages; returns whether there are any yet."""
        if "average" not in self._kept:
            return False
        with no_grad():
            for average, v in zip(self._kept["average"], self._variables):
                before = v.detach().clone()
                v.copy_(average)
                average.copy_(before)
        return True

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Variables that do not decay: given themselves, or by parts of their paths."""
        chosen, names = {id(v) for v in var_list or []}, list(var_names or [])
        self._excluded = lambda v: id(v) in chosen or any(n in getattr(v, "path", "") for n in names)

    def scale_loss(self, loss: Any) -> Any:
        """The loss times `loss_scale_factor`, for gradients that `apply` divides by it."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def no_gradient(self, what: str, variables: list[Tensor]) -> GradientError:
        """The error of a step without any gradient."""
        return GradientError(
            f"{what}: no gradient was found for any of {_paths(variables)}: the loss does not depend on them"
            + (
                "; use the layers that hold them in the model's call, and no detach or conversion to whole numbers behind them"
                if what == "fit"
                else " as far as the tape saw; call the model inside `with tf.GradientTape() as tape:`, and compute the loss there"
            )
        )

    def apply_gradients(self, grads_and_vars: Any) -> None:
        """One update from (gradient, variable) pairs.

        Raises: GradientError if there is no gradient at all.
        """
        pairs = [(g, v) for g, v in grads_and_vars]
        if not pairs:
            raise ArgumentError("apply_gradients: there are no variables")
        variables = [v for _, v in pairs]
        if all(g is None for g, _ in pairs):
            raise self.no_gradient("apply_gradients", variables)
        self.build(variables)
        self.prepare()
        self.step(variables, [g for g, _ in pairs])
        if self.schedule is not None and not self._native_schedule:  # the rate is handed over from Python, call by call
            after_call(self.prepare)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """One update from gradients in the order of the variables."""
        self.apply_gradients(zip(grads, trainable_variables or self._variables))

    @property
    def built(self) -> bool:
        """Whether it has seen its variables."""
        return self._core is not None

    @property
    def variables(self) -> list[Any]:
        """The tensors of the state."""
        if self._core is None:
            return []
        own = [t for s in self._core.state.values() for t in s.values() if isinstance(t, Tensor)]
        return [*{id(t): t for t in own}.values(), *(v for kept in self._kept.values() for v in kept)]

    def state_arrays(self) -> dict[str, Any]:
        """The state by name, for saving: moments of the variables by their places, averages, sums of gradients."""
        if self._core is None:
            return {}
        found = {f"{k}.{name}": t for k, s in self._core.state_dict()["state"].items() for name, t in s.items()}
        return {**found, **{f"{what}.{k}": v for what, kept in self._kept.items() for k, v in enumerate(kept)}}

    def load_state_arrays(self, arrays: dict[str, Any], variables: list[Tensor]) -> None:
        """Take over what `state_arrays` gave, for variables in the same order."""
        self.build(variables)
        core = self._built()
        state: dict[str, dict[str, Any]] = {}
        for key, value in arrays.items():
            where_, name = key.split(".", 1)
            if where_.isdigit():
                state.setdefault(where_, {})[name] = value
            else:
                self._kept[where_][int(name)].assign(value)
        if state:
            core.load_state_dict({"state": state, "param_groups": core.state_dict()["param_groups"]})

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again, with the learning rate as it is now."""
        config = {k: v for k, v in vars(self).items() if not k.startswith("_") and k != "schedule"}
        config["learning_rate"] = serialize(self.schedule) if self.schedule else self._rate
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**config)
