"""Optimizers that hand their variables to others: a loss scale that adapts itself, and a rule for each part of a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.keras._optimizer import REGISTRY, Optimizer, serialize
from twinflow.keras._variable import Variable
from twinflow.ops import cond, isfinite, stack, where
from twinflow.tensor import Tensor, no_grad, paused_tracing


class _Wrapper(Optimizer):
    """What optimizers around others share."""

    _inner: list[Optimizer]

    def __init__(self, inner: list[Optimizer], name: str | None, loss_scale_factor: float | None = None) -> None:
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self._inner = inner
        by_call = [o for o in inner if o.schedule is not None and not o._native_schedule]
        self.schedule = next((o.schedule for o in (*by_call, *inner) if o.schedule is not None), None)
        self.use_ema = any(o.use_ema for o in inner)

    def _shares(self, variables: list[Tensor]) -> list[tuple[Optimizer, list[Tensor]]]:
        """Which of the variables go to which optimizer."""
        raise NotImplementedError(f"{type(self).__name__} must define _shares(variables)")

    def build(self, variables: Iterable[Tensor]) -> None:
        """Make the state of all optimizers for these variables."""
        self._variables = list(variables)
        for optimizer, share in self._shares(self._variables):
            optimizer.build(share)

    @property
    def built(self) -> bool:
        """Whether it has seen its variables."""
        return bool(self._variables)

    def prepare(self) -> None:
        """Hand the learning rates of the next step to the rules."""
        for optimizer in self._inner:
            optimizer.prepare()

    @property
    def variables(self) -> list[Any]:
        """The tensors of the state."""
        return [*self._own.values(), *(v for o in self._inner for v in o.variables)]

    @property
    def _own(self) -> dict[str, Variable]:
        """The state that is no inner optimizer's."""
        return {}

    def state_arrays(self) -> dict[str, Any]:
        """The state by name, for saving."""
        inner = {f"{k}/{name}": v for k, o in enumerate(self._inner) for name, v in o.state_arrays().items()}
        counts = {f"{k}/iterations": o._iterations for k, o in enumerate(self._inner)}
        return {**inner, **counts, **self._own}

    def load_state_arrays(self, arrays: dict[str, Any], variables: list[Tensor]) -> None:
        """Take over what `state_arrays` gave, for variables in the same order."""
        self.build(variables)
        shares = {id(o): share for o, share in self._shares(variables)}
        for k, optimizer in enumerate(self._inner):
            found = {n.removeprefix(f"{k}/"): v for n, v in arrays.items() if n.startswith(f"{k}/")}
            optimizer._iterations.assign(found.pop("iterations"))
            optimizer.load_state_arrays(found, shares[id(optimizer)])
        for name, variable in self._own.items():
            variable.assign(arrays[name])

    def finalize_variable_values(self, var_list: Any) -> None:
        """Put moving averages into the weights."""
        for optimizer in self._inner:
            optimizer.finalize_variable_values(var_list)

    def swap_averages(self) -> bool:
        """Exchange the weights and their moving averages; returns whether there are any yet."""
        return any([o.swap_averages() for o in self._inner])

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Variables that do not decay."""
        for optimizer in self._inner:
            optimizer.exclude_from_weight_decay(var_list, var_names)


@REGISTRY.add()
class LossScaleOptimizer(_Wrapper):
    """Scales the loss, so that small gradients of float16 do not vanish, and takes no step where gradients are not finite.

    Such a step halves the scale; `dynamic_growth_steps` others in a row double it. Source: Micikevicius et al., arXiv:1710.03740.

    >>> from twinflow import keras
    >>> keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)).scale_loss(2.0)
    tensor(65536.)
    """

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
    ) -> None:
        if not isinstance(inner_optimizer, Optimizer) or isinstance(inner_optimizer, LossScaleOptimizer):
            raise ArgumentError(
                f"LossScaleOptimizer: the inner optimizer is one such as keras.optimizers.Adam(), not {inner_optimizer!r}"
            )
        super().__init__([inner_optimizer], name)
        inner_optimizer.loss_scale_factor = None  # or gradients would be scaled twice
        self.inner_optimizer = inner_optimizer
        self.initial_scale, self.dynamic_growth_steps = float(initial_scale), int(dynamic_growth_steps)
        with paused_tracing():
            self.dynamic_scale = Variable(self.initial_scale, trainable=False, name="dynamic_scale")
            self.step_counter = Variable(0, trainable=False, dtype="int64", name="step_counter")

    def _shares(self, variables: list[Tensor]) -> list[tuple[Optimizer, list[Tensor]]]:
        return [(self.inner_optimizer, variables)]

    @property
    def _own(self) -> dict[str, Variable]:
        return {"scale": self.dynamic_scale, "steps": self.step_counter}

    @property
    def iterations(self) -> Any:
        """How many steps were taken."""
        return self.inner_optimizer.iterations

    @iterations.setter
    def iterations(self, value: Any) -> None:
        self.inner_optimizer.iterations = value

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the scale."""
        return loss * self.dynamic_scale.detach()

    def step(self, variables: list[Tensor], gradients: list[Any]) -> None:
        """One update if all gradients are finite."""
        self.build(variables)
        with no_grad():
            given = [g for g in gradients if g is not None]
            finite = stack([isfinite(g).all() for g in given]).all()
            inverse = 1 / self.dynamic_scale.detach()
            cond(finite, lambda: self._take(variables, gradients, inverse), self._skip)

    def _take(self, variables: list[Tensor], gradients: list[Any], inverse: Tensor) -> Tensor:
        self.inner_optimizer.step(variables, [None if g is None else g * inverse.to(dtype=g.dtype) for g in gradients])
        scale, steps = self.dynamic_scale.detach(), self.step_counter.detach() + 1
        grows = steps == self.dynamic_growth_steps
        self.dynamic_scale.copy_(where(grows, scale * 2, scale))
        self.step_counter.copy_(where(grows, steps * 0, steps))
        return steps

    def _skip(self) -> Tensor:
        self.dynamic_scale.mul_(0.5)
        self.step_counter.zero_()
        return self.step_counter.detach()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {
            "inner_optimizer": serialize(self.inner_optimizer), "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps, "name": self.name,
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**{**config, "inner_optimizer": REGISTRY.deserialize(config["inner_optimizer"])})


@REGISTRY.add()
class OptimizerMap(MutableMapping[str, Optimizer]):
    """Optimizers by the paths of variables: exact ones, or regular expressions that the whole path matches.

    >>> from twinflow import keras
    >>> rules = keras.optimizers.OptimizerMap(keras.optimizers.Adam(), {"encoder/.*": keras.optimizers.SGD()})
    >>> rules["encoder/kernel"].name, rules["head/kernel"].name
    ('sgd', 'adam')
    """

    def __init__(self, default_optimizer: Any, optimizer_map: dict[str, Any] | None = None) -> None:
        self.default_optimizer: Optimizer = _plain("OptimizerMap: default_optimizer", default_optimizer)
        self._map = {k: _plain(f"OptimizerMap[{k!r}]", v) for k, v in (optimizer_map or {}).items()}

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._map:
            return self._map[key]
        found = [pattern for pattern in self._map if re.fullmatch(pattern, key)]
        if len(found) > 1:
            raise ArgumentError(
                f"OptimizerMap: {key!r} fits {' and '.join(map(repr, found))}; make the patterns exclude each other"
            )
        return self._map[found[0]] if found else self.default_optimizer

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self._map:
            raise ArgumentError(f"OptimizerMap: there is an optimizer for {key!r} already; delete it first")
        self._map[key] = _plain(f"OptimizerMap[{key!r}]", value)

    def __delitem__(self, key: str) -> None:
        del self._map[key]

    def __len__(self) -> int:
        return len(self._map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __call__(self, variable: Any) -> Optimizer:
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"default_optimizer": serialize(self.default_optimizer), "optimizer_map": serialize(self._map)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        inner = {k: REGISTRY.deserialize(v) for k, v in config["optimizer_map"].items()}
        return cls(REGISTRY.deserialize(config["default_optimizer"]), inner)


def _plain(what: str, optimizer: Any) -> Any:
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, _Wrapper):
        raise ArgumentError(f"{what} is an optimizer such as keras.optimizers.Adam(), not {optimizer!r}")
    return optimizer


@REGISTRY.add()
class MultiOptimizer(_Wrapper):
    """Different optimizers for different variables.

    Args:
        optimizer_map: an `OptimizerMap`, or a function from a variable to its optimizer, which must be the same object for all
            variables that share one.
        loss_scale_factor: that of all optimizers.
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Any], Any],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        if not callable(optimizer_map):
            raise ArgumentError(
                f"MultiOptimizer: give an OptimizerMap, or a function from a variable to its optimizer, not {optimizer_map!r}"
            )
        known = (
            [*optimizer_map.values(), optimizer_map.default_optimizer]
            if isinstance(optimizer_map, OptimizerMap)
            else []
        )
        super().__init__(list({id(o): o for o in known}.values()), name, loss_scale_factor)
        self._map = optimizer_map
        self._chosen: dict[int, Optimizer] = {}

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers, those of a function once they were asked for."""
        return self._inner

    def _shares(self, variables: list[Tensor]) -> list[tuple[Optimizer, list[Tensor]]]:
        shares: dict[int, tuple[Optimizer, list[Tensor]]] = {}
        for v in variables:
            if id(v) not in self._chosen:
                chosen = self._chosen[id(v)] = _plain(
                    f"MultiOptimizer: what is given for {getattr(v, 'path', 'a variable')}", self._map(v)
                )
                chosen.loss_scale_factor = self.loss_scale_factor
                if not any(chosen is o for o in self._inner):
                    self._inner.append(chosen)
            optimizer = self._chosen[id(v)]
            shares.setdefault(id(optimizer), (optimizer, []))[1].append(v)
        return list(shares.values())

    @property
    def learning_rate(self) -> Any:
        """Refused: each optimizer has its own."""
        raise AttributeError("MultiOptimizer has no learning_rate: each of its .optimizers has its own")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise AttributeError("MultiOptimizer has no learning_rate to be set: set that of each of its .optimizers")

    def step(self, variables: list[Tensor], gradients: list[Any]) -> None:
        """One update by each optimizer, of its variables."""
        of = {id(v): g for v, g in zip(variables, gradients)}
        for optimizer, share in self._shares(variables):
            optimizer.step(share, [of[id(v)] for v in share])
        self._iterations.add_(1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again; a function must be registered."""
        return {"optimizer_map": serialize(self._map), "loss_scale_factor": self.loss_scale_factor, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**{**config, "optimizer_map": REGISTRY.get(config["optimizer_map"])})
