"""Learning rates that fall with the step, and averages of variables."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.tf.compat.v1._control import group
from twinflow.tf.compat.v1._deferred import convert_to_tensor
from twinflow.tf.compat.v1._functions import cast, ceil, cos, exp, floor, less_equal, maximum, minimum, pow, where
from twinflow.tf.compat.v1._graph import GraphKeys, get_default_graph
from twinflow.tf.compat.v1._operations import Operation, Tensor
from twinflow.tf.compat.v1._scopes import get_variable, zeros_initializer
from twinflow.tf.compat.v1._variables import Variable, assign, trainable_variables


def _progress(global_step: Any, decay_steps: Any, staircase: bool = False) -> Any:
    if global_step is None:
        raise ArgumentError(
            "a decayed learning rate needs global_step, a variable that minimize(..., global_step=...) counts"
        )
    t = cast(convert_to_tensor(global_step), "float32") / float(decay_steps)
    return floor(t) if staircase else t


def exponential_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    decay_rate: float,
    staircase: bool = False,
    name: str | None = None,
) -> Tensor:
    """rate · decay_rate^(step / decay_steps), in whole steps with `staircase`."""
    return pow(float(decay_rate), _progress(global_step, decay_steps, staircase)) * learning_rate


def natural_exp_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    decay_rate: float,
    staircase: bool = False,
    name: str | None = None,
) -> Tensor:
    """rate · e^(-decay_rate · step / decay_steps)."""
    return exp(_progress(global_step, decay_steps, staircase) * -float(decay_rate)) * learning_rate


def inverse_time_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    decay_rate: float,
    staircase: bool = False,
    name: str | None = None,
) -> Tensor:
    """rate / (1 + decay_rate · step / decay_steps)."""
    return learning_rate / (_progress(global_step, decay_steps, staircase) * float(decay_rate) + 1.0)


def polynomial_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    end_learning_rate: float = 0.0001,
    power: float = 1.0,
    cycle: bool = False,
    name: str | None = None,
) -> Tensor:
    """(rate - end) · (1 - step / decay_steps)^power + end; with `cycle` it begins again, each time over a longer stretch."""
    t = _progress(global_step, decay_steps)
    part = t / maximum(ceil(t), 1.0) if cycle else minimum(t, 1.0)
    return pow(1.0 - part, float(power)) * (learning_rate - end_learning_rate) + end_learning_rate


def cosine_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, alpha: float = 0.0, name: str | None = None
) -> Tensor:
    """rate · ((1 - α) (1 + cos(π step / decay_steps)) / 2 + α)."""
    wave = (cos(minimum(_progress(global_step, decay_steps), 1.0) * math.pi) + 1.0) * 0.5
    return (wave * (1.0 - alpha) + alpha) * learning_rate


def piecewise_constant(x: Any, boundaries: Any, values: Any, name: str | None = None) -> Tensor:
    """values[0] up to the first boundary, values[1] up to the second, and so on."""
    if len(values) != len(boundaries) + 1:
        raise ArgumentError(
            f"tf.train.piecewise_constant: {len(boundaries)} boundaries need {len(boundaries) + 1} values, not {len(values)}"
        )
    step = cast(convert_to_tensor(x), "float32")
    rate = convert_to_tensor(float(values[-1]))
    for bound, value in zip(reversed(boundaries), reversed(values[:-1])):
        rate = where(less_equal(step, float(bound)), float(value), rate)
    return rate


piecewise_constant_decay = piecewise_constant


def create_global_step(graph: Any = None) -> Any:
    """The variable that counts steps. Raises: ArgumentError if the graph has one."""
    if get_global_step(graph) is not None:
        raise ArgumentError(
            "tf.train.create_global_step: the graph has a global step already; use get_or_create_global_step"
        )
    keys = [GraphKeys.GLOBAL_VARIABLES, GraphKeys.GLOBAL_STEP]
    return get_variable("global_step", [], "int64", zeros_initializer(), trainable=False, collections=keys)


def get_global_step(graph: Any = None) -> Any:
    """The variable that counts steps, or None."""
    found = (graph or get_default_graph()).get_collection(GraphKeys.GLOBAL_STEP)
    return found[0] if found else None


def get_or_create_global_step(graph: Any = None) -> Any:
    """The variable that counts steps, made if there is none."""
    found = get_global_step(graph)
    return create_global_step(graph) if found is None else found


def global_step(sess: Any, global_step_tensor: Any) -> int:
    """The count of steps in a session."""
    return int(sess.run(global_step_tensor))


class ExponentialMovingAverage:
    """Running means of variables: s ← decay · s + (1 - decay) · v.

    Args:
        decay: how much of the mean stays.
        num_updates: a count; with one, the decay is at most (1 + n) / (10 + n), so that early means follow faster.
    """

    def __init__(self, decay: float, num_updates: Any = None, name: str = "ExponentialMovingAverage") -> None:
        self._decay, self._updates, self.name = decay, num_updates, name
        self._shadows: dict[int, Variable] = {}

    def apply(self, var_list: Any = None) -> Operation:
        """The operation that moves the means of these variables, all trainable ones if none are given."""
        decay: Any = self._decay
        if self._updates is not None:
            n = cast(convert_to_tensor(self._updates), "float32")
            decay = minimum((n + 1.0) / (n + 10.0), float(self._decay))
        moves = []
        for v in trainable_variables() if var_list is None else var_list:
            with get_default_graph().name_scope(None):
                shadow = Variable(v.initial_value, trainable=False, name=f"{v.op.name}/{self.name}")
            self._shadows[id(v)] = shadow
            moves.append(assign(shadow, shadow * decay + v * (1.0 - decay)))
        return group(*moves, name=self.name)

    def average(self, var: Any) -> Any:
        """The mean of a variable, or None."""
        return self._shadows.get(id(var))

    def average_name(self, var: Any) -> str:
        """The name of the mean of a variable."""
        return f"{var.op.name}/{self.name}"

    def variables_to_restore(self) -> dict[str, Any]:
        """What a Saver should load to have the means in the place of the variables: {saved name: variable}."""
        found = {}
        for v in get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES):
            if id(v) in self._shadows:
                found[self.average_name(v)] = v
            elif not v.op.name.endswith(self.name):
                found[v.op.name] = v
        return found
