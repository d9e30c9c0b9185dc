"""Optimizers by Keras's names. The rules are `optim`'s; where Keras places ε elsewhere, its form is written here."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

from twinflow import optim
from twinflow.core.errors import ArgumentError, GradientError
from twinflow.keras import schedules
from twinflow.keras._registry import Registry, serialize, snake_case
from twinflow.nn.utils import clip_grad_norm_, clip_grad_value_
from twinflow.ops import maximum, sqrt
from twinflow.optim._adam import moments, shrink
from twinflow.optim._optimizer import Member, ParamGroup, number
from twinflow.tensor import Tensor, after_call, no_grad

_REGISTRY = Registry("optimizer")


class _Adam(optim.Adam):
    """Adam with ε beside √v before the correction, as the paper's second form and Keras have it."""

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, beta1, beta2 = number(group, "lr"), number(group, "betas", 0), number(group, "betas", 1)
        if group["decoupled_weight_decay"]:
            shrink(group, lr, members)
        rate = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        for p, g, s in members:
            m, v = moments(s, g, beta1, beta2)
            if group["amsgrad"]:
                v = s["max_exp_avg_sq"].copy_(maximum(s["max_exp_avg_sq"], v))
            p.sub_((m / sqrt(v).add_(group["eps"])).mul_(rate))


class _RMSprop(optim.RMSprop):
    """RMSprop with ε inside the root."""

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, rho = number(group, "lr"), group["alpha"]
        for p, g, s in members:
            v = s["square_avg"].mul_(rho).add_(g * g * (1 - rho))
            d = v + group["eps"]
            if group["centered"]:
                mean = s["grad_avg"].mul_(rho).add_(g * (1 - rho))
                d = d - mean * mean
            step = g / sqrt(d) * lr
            if group["momentum"]:
                step = s["momentum_buffer"].mul_(number(group, "momentum")).add_(step)
            p.sub_(step)


class _Adagrad(optim.Adagrad):
    """Adagrad with ε inside the root."""

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr = number(group, "lr")
        for p, g, s in members:
            total = s["sum"].add_(g * g)
            p.sub_(g / sqrt(total + group["eps"]) * lr)


class Optimizer:
    """Base. Its state is made when it first sees the variables; `optim`'s optimizers do the work.

    Args:
        learning_rate: a number, or a schedule of `keras.optimizers.schedules`.
        weight_decay: w ← w · (1 - learning_rate · weight_decay) before each step.
        clipnorm: scale each gradient to at most this length.
        clipvalue: cut each gradient's elements to ±clipvalue.
        global_clipnorm: scale all gradients together to at most this length.
    """

    _kind: Any = None

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
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
        self.schedule = learning_rate if isinstance(learning_rate, schedules.LearningRateSchedule) else None
        self._rate = float(learning_rate(0)) if self.schedule else float(learning_rate)
        self.weight_decay, self.clipnorm, self.clipvalue = weight_decay, clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        self.iterations = 0
        self._core: optim.Optimizer | None = None
        self._variables: list[Tensor] = []

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        raise NotImplementedError

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

    @property
    def learning_rate(self) -> float:
        """The step size of the next step."""
        return float(self.schedule(self.iterations)) if self.schedule else self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if self.schedule is not None:
            raise ArgumentError("optimizer.learning_rate follows a schedule and cannot be set")
        self._rate = float(value)
        self.prepare()

    lr = learning_rate

    def prepare(self) -> None:
        """Hand the learning rate of the next step to the rule."""
        if self._core is not None:
            rate = self.learning_rate
            for group in self._core.param_groups:
                if group["lr"] != rate:
                    group["lr"] = rate

    def step(self, variables: list[Tensor], gradients: list[Any]) -> None:
        """One update, which may be traced; `prepare` and `iterations` are up to the caller."""
        self.build(variables)
        core = self._core
        if core is None:
            raise GradientError(f"{type(self).__name__}: it has not been built")
        with no_grad():
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
            if self.weight_decay is not None and not self._decays:
                rate = number(core.param_groups[0], "lr")
                for v in used:
                    v.mul_(1 - rate * self.weight_decay)
            core.step()
            for v in variables:
                v.grad = None

    _decays = False

    def apply_gradients(self, grads_and_vars: Any) -> None:
        """One update from (gradient, variable) pairs.

        Raises: GradientError if there is no gradient at all.
        """
        pairs = [(g, v) for g, v in grads_and_vars]
        if not pairs:
            raise ArgumentError("apply_gradients: there are no variables")
        if all(g is None for g, _ in pairs):
            names = ", ".join(str(getattr(v, "path", "a variable")) for _, v in pairs[:4])
            raise GradientError(
                f"apply_gradients: no gradient was found for any of {names}{', ...' if len(pairs) > 4 else ''}: the loss does not depend on "
                "them as far as the tape saw; call the model inside `with tf.GradientTape() as tape:`, and compute the loss there"
            )
        variables = [v for _, v in pairs]
        self.build(variables)
        self.prepare()
        self.step(variables, [g for g, _ in pairs])
        if not after_call(self._count):
            self._count()

    def _count(self) -> None:
        """One more step was taken."""
        self.iterations += 1
        self.prepare()

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """One update from gradients in the order of the variables."""
        self.apply_gradients(zip(grads, trainable_variables or self._variables))

    @property
    def variables(self) -> list[Any]:
        """The tensors of the state."""
        if self._core is None:
            return []
        return [t for s in self._core.state.values() for t in s.values() if isinstance(t, Tensor)]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again, with the learning rate as it is now."""
        hidden = {"iterations", "schedule"}
        config = {k: v for k, v in vars(self).items() if not k.startswith("_") and k not in hidden}
        config["learning_rate"] = serialize(self.schedule) if self.schedule else self._rate
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**config)


@_REGISTRY.add()
class SGD(Optimizer):
    """w ← w - η g, with momentum v ← μ v + g.

    Args:
        momentum: μ.
        nesterov: look ahead along the momentum.
    """

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0 <= momentum <= 1:
            raise ArgumentError(f"SGD: momentum is in [0, 1], not {momentum!r}")
        self.momentum, self.nesterov = momentum, nesterov

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return optim.SGD(variables, self._rate, self.momentum, nesterov=self.nesterov and self.momentum > 0)


@_REGISTRY.add()
class Adam(Optimizer):
    """Adam. Source: Kingma and Ba, arXiv:1412.6980, in the form with ε beside √v, as in Keras.

    Args:
        beta_1, beta_2: how much of the moments stays at each step.
        epsilon: ε.
        amsgrad: divide by the largest √v so far.
    """

    _rule: Any = _Adam

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return _Adam(variables, self._rate, (self.beta_1, self.beta_2), self.epsilon, amsgrad=self.amsgrad)


@_REGISTRY.add()
class AdamW(Adam):
    """Adam with decoupled weight decay. Source: Loshchilov and Hutter, arXiv:1711.05101."""

    def __init__(self, learning_rate: Any = 0.001, weight_decay: float = 0.004, **kwargs: Any) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)


@_REGISTRY.add("rmsprop")
class RMSprop(Optimizer):
    """g / √(mean of g² + ε). Source: Hinton 2012, lecture 6e."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return _RMSprop(
            variables, self._rate, alpha=self.rho, eps=self.epsilon, momentum=self.momentum, centered=self.centered
        )


@_REGISTRY.add()
class Adagrad(Optimizer):
    """g / √(sum of g² + ε). Source: Duchi, Hazan and Singer 2011."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return _Adagrad(
            variables, self._rate, initial_accumulator_value=self.initial_accumulator_value, eps=self.epsilon
        )


@_REGISTRY.add()
class Adadelta(Optimizer):
    """Steps in the units of the weights. Source: Zeiler, arXiv:1212.5701."""

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho, self.epsilon = rho, epsilon

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return optim.Adadelta(variables, self._rate, rho=self.rho, eps=self.epsilon)


@_REGISTRY.add()
class Lion(Optimizer):
    """Steps by the sign of the moment. Source: Chen et al., arXiv:2302.06675."""

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2 = beta_1, beta_2

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return optim.Lion(variables, self._rate, (self.beta_1, self.beta_2))


def get(identifier: Any) -> Any:
    """An optimizer from a name, a configuration or an object."""
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, (str, dict)) or (
        isinstance(identifier, builtins.type) and issubclass(identifier, Optimizer)
    ):
        return _REGISTRY.get(identifier)
    raise ArgumentError(
        f"optimizers.get: {type(identifier).__name__} is no Keras optimizer; write 'adam', or keras.optimizers.Adam(learning_rate=0.001)"
    )
