"""Optimizers by Keras's names. The rules are `optim`'s, or in `_rules` where Keras has another form."""

from __future__ import annotations

import builtins
import re
from typing import Any

from twinflow import optim
from twinflow.core.errors import ArgumentError
from twinflow.keras import _rules as rules
from twinflow.keras import schedules as schedules
from twinflow.keras._optimizer import REGISTRY
from twinflow.keras._optimizer import LearningRate as LearningRate
from twinflow.keras._optimizer import Optimizer as Optimizer
from twinflow.keras._optimizer_wrappers import LossScaleOptimizer as LossScaleOptimizer
from twinflow.keras._optimizer_wrappers import MultiOptimizer as MultiOptimizer
from twinflow.keras._optimizer_wrappers import OptimizerMap as OptimizerMap
from twinflow.keras._registry import deserializer
from twinflow.keras._registry import serialize as serialize
from twinflow.tensor import Tensor


@REGISTRY.add()
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


@REGISTRY.add()
class Adam(Optimizer):
    """Adam. Source: Kingma and Ba, arXiv:1412.6980, in the form with ε beside √v, as in Keras.

    Args:
        beta_1, beta_2: how much of the moments stays at each step.
        epsilon: ε.
        amsgrad: divide by the largest √v so far.
    """

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
        return rules.Adam(variables, self._rate, (self.beta_1, self.beta_2), self.epsilon, amsgrad=self.amsgrad)


@REGISTRY.add()
class AdamW(Adam):
    """Adam with decoupled weight decay. Source: Loshchilov and Hutter, arXiv:1711.05101."""

    def __init__(self, learning_rate: Any = 0.001, weight_decay: float = 0.004, **kwargs: Any) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)


@REGISTRY.add("rmsprop")
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
        return rules.RMSprop(
            variables, self._rate, alpha=self.rho, eps=self.epsilon, momentum=self.momentum, centered=self.centered
        )


@REGISTRY.add()
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
        return rules.Adagrad(
            variables, self._rate, initial_accumulator_value=self.initial_accumulator_value, eps=self.epsilon
        )


@REGISTRY.add()
class Adadelta(Optimizer):
    """Steps in the units of the weights. Source: Zeiler, arXiv:1212.5701."""

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho, self.epsilon = rho, epsilon

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return optim.Adadelta(variables, self._rate, rho=self.rho, eps=self.epsilon)


@REGISTRY.add()
class Lion(Optimizer):
    """Steps by the sign of the moment. Source: Chen et al., arXiv:2302.06675."""

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2 = beta_1, beta_2

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return optim.Lion(variables, self._rate, (self.beta_1, self.beta_2))


@REGISTRY.add()
class Adamax(Optimizer):
    """Adam with the largest gradient in place of the second moment. Source: Kingma and Ba, arXiv:1412.6980, sec. 7."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return rules.Adamax(variables, self._rate, (self.beta_1, self.beta_2), self.epsilon)


@REGISTRY.add()
class Nadam(Adamax):
    """Adam with Nesterov momentum. Source: Dozat 2016."""

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return rules.Nadam(variables, self._rate, (self.beta_1, self.beta_2), self.epsilon)


@REGISTRY.add()
class Lamb(Adamax):
    """Adam's direction, with steps in proportion to the weights' norm. Source: You et al., arXiv:1904.00962."""

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return optim.LAMB(variables, self._rate, (self.beta_1, self.beta_2), self.epsilon, weight_decay=0.0)


@REGISTRY.add()
class Ftrl(Optimizer):
    """Follow the regularized leader: sparse weights for linear models. Source: McMahan et al. 2013.

    Args:
        learning_rate_power: how the rate falls with the sum of g²; -0.5 as in Adagrad.
        initial_accumulator_value: what that sum begins with.
        l1_regularization_strength, l2_regularization_strength: penalties within the rule.
        l2_shrinkage_regularization_strength: a penalty on the gradient.
        beta: β of the paper.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if learning_rate_power > 0:
            raise ArgumentError(f"Ftrl: learning_rate_power must not be positive, but {learning_rate_power} was given")
        self.learning_rate_power, self.initial_accumulator_value = learning_rate_power, initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return rules.Ftrl(
            variables, self._rate, power=self.learning_rate_power, initial=self.initial_accumulator_value,
            l1=self.l1_regularization_strength, l2=self.l2_regularization_strength,
            shrinkage=self.l2_shrinkage_regularization_strength, beta=self.beta,
        )  # fmt: skip


@REGISTRY.add()
class Adafactor(Optimizer):
    """Adam's scaling in the memory of rows and columns. Source: Shazeer and Stern, arXiv:1804.04235.

    Args:
        beta_2_decay: how fast the decay of the second moment approaches 1.
        epsilon_1, epsilon_2: the least of g² and of the weights' scale.
        clip_threshold: the largest root mean square of a step before scaling.
        relative_step: whether the rate is at most 1 / √step.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_2_decay, self.epsilon_1, self.epsilon_2 = beta_2_decay, epsilon_1, epsilon_2
        self.clip_threshold, self.relative_step = clip_threshold, relative_step

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return rules.Adafactor(
            variables, self._rate, decay=self.beta_2_decay, eps1=self.epsilon_1, eps2=self.epsilon_2, clip=self.clip_threshold
        )  # fmt: skip


@REGISTRY.add()
class Muon(Optimizer):
    """Momentum with singular values near one for matrices, and AdamW for all other weights. Source: Jordan et al. 2024.

    Args:
        adam_beta_1, adam_beta_2, epsilon, adam_lr_ratio, adam_weight_decay: of AdamW, whose rate is learning_rate · adam_lr_ratio.
        exclude_layers: parts of paths (regular expressions) of matrices that AdamW takes.
        exclude_embeddings: whether it takes embeddings too.
        muon_a, muon_b, muon_c, ns_steps: of the iteration that sets the singular values.
        momentum, nesterov: of Muon.
        rms_rate: steps are scaled by √max(shape) · rms_rate, so that AdamW's rates fit; None for no scaling.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        exclude_layers: Any = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1.0,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.adam_beta_1, self.adam_beta_2, self.adam_weight_decay = adam_beta_1, adam_beta_2, adam_weight_decay
        self.epsilon, self.exclude_layers, self.exclude_embeddings = epsilon, exclude_layers, exclude_embeddings
        self.muon_a, self.muon_b, self.muon_c, self.adam_lr_ratio = muon_a, muon_b, muon_c, adam_lr_ratio
        self.momentum, self.ns_steps, self.nesterov, self.rms_rate = momentum, ns_steps, nesterov, rms_rate

    def _by_adam(self, v: Tensor) -> bool:
        path = getattr(v, "path", "").lower()
        if v.ndim != 2 or (self.exclude_embeddings and "embedding" in path):
            return True
        return any(re.search(pattern, path) for pattern in self.exclude_layers or [])

    def _decay_of(self, v: Tensor) -> float | None:
        found = super()._decay_of(v)
        return found if found is None or not self._by_adam(v) else self.adam_weight_decay

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        adam = {
            "beta_1": self.adam_beta_1,
            "beta_2": self.adam_beta_2,
            "epsilon": self.epsilon,
            "ratio": self.adam_lr_ratio,
        }
        return rules.Muon(
            variables, self._rate, others=frozenset(k for k, v in enumerate(variables) if self._by_adam(v)), adam=adam,
            rms_rate=self.rms_rate, momentum=self.momentum, nesterov=self.nesterov, ns_steps=self.ns_steps,
            ns_coefficients=(self.muon_a, self.muon_b, self.muon_c),
        )  # fmt: skip


@REGISTRY.add("schedule_free_adamw")
class ScheduleFreeAdamW(Optimizer):
    """AdamW that averages its weights instead of following a schedule. Source: Defazio et al., arXiv:2405.15682.

    Args:
        beta_1: how far the trained weights lie from the steps towards their average.
        beta_2: how much of the second moment stays at each step.
        epsilon: ε.
        warmup_steps: over how many steps the rate grows to learning_rate.
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon, self.warmup_steps = beta_1, beta_2, epsilon, warmup_steps

    def _make(self, variables: list[Tensor]) -> optim.Optimizer:
        return rules.ScheduleFreeAdam(
            variables, self._rate, beta1=self.beta_1, beta2=self.beta_2, eps=self.epsilon, warmup=self.warmup_steps
        )


deserialize = deserializer(REGISTRY)


def get(identifier: Any) -> Any:
    """An optimizer from a name, a configuration or an object."""
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, (str, dict)) or (
        isinstance(identifier, builtins.type) and issubclass(identifier, Optimizer)
    ):
        return REGISTRY.get(identifier)
    raise ArgumentError(
        f"optimizers.get: {type(identifier).__name__} is no Keras optimizer; write 'adam', or keras.optimizers.Adam(learning_rate=0.001)"
    )
