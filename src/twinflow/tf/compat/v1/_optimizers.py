"""Optimizers of static graphs. The rules are those of `optim` and `keras.optimizers`; their state are variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow import optim
from twinflow.core.errors import ArgumentError, GradientError
from twinflow.keras import _rules
from twinflow.optim._optimizer import FLOAT64
from twinflow.tensor import no_grad, wrap
from twinflow.tf.compat.v1._control import control_dependencies, no_op
from twinflow.tf.compat.v1._deferred import create
from twinflow.tf.compat.v1._gradients import gradients
from twinflow.tf.compat.v1._graph import GraphKeys, get_default_graph
from twinflow.tf.compat.v1._operations import Operation, Reference, Tensor, register
from twinflow.tf.compat.v1._run import Run
from twinflow.tf.compat.v1._variables import Variable, assign_add, trainable_variables

_RULES: dict[str, Callable[..., optim.Optimizer]] = {
    "sgd": optim.SGD,
    "adam": _rules.Adam,
    "rmsprop": _rules.RMSprop,
    "adagrad": _rules.Adagrad,
    "adadelta": optim.Adadelta,
    "ftrl": _rules.Ftrl,
}


def _apply(run: Run, rule: str, options: Any, lr: Any, variables: Any, grads: Any, slots: Any, count: Any) -> Any:
    memory = [run.state.tensor(v.tensor) for v in variables]
    kept = run.state.extras
    core = kept.get(run.op)
    if core is None:
        core = kept[run.op] = _RULES[rule](memory, lr=0.0, **options)
    group = core.param_groups[0]
    group["lr"] = run.operand(lr)
    written = [v.tensor for v in variables]
    members = []
    for k, (p, g) in enumerate(zip(memory, grads)):
        own = {name: run.state.tensor(refs[k].tensor) for name, refs in slots.items()}
        written += [refs[k].tensor for refs in slots.values()]
        members.append((p, run.operand(g).detach(), own))
    with no_grad():
        t = None
        if count is not None:
            counter = run.state.tensor(count.tensor)
            counter.add_(1.0)
            t = counter.to(dtype=FLOAT64)
            written.append(count.tensor)
        core._update(group, t, members)
    if not isinstance(group["lr"], (int, float)):
        group["lr"] = 0.0  # a rate that was computed belongs to this run alone; a number is read at every run
    run.written.update(id(v) for v in written)
    return ()


_APPLY = register("ApplyGradients", _apply, "update", raw=True, host=False, effect=True)


class Optimizer:
    """Base of optimizers: `minimize` makes the operation that takes one step.

    Args:
        learning_rate: a number, a tensor of the graph (such as a decayed rate), or a function that returns one.
        name: how its operations are called.
    """

    _rule = ""
    _first: dict[str, float] = {}  # noqa: RUF012  the first values of state that do not begin at 0

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "", **options: Any) -> None:
        if callable(learning_rate):
            learning_rate = learning_rate()
        if not isinstance(learning_rate, Tensor) and not float(learning_rate) >= 0:
            raise ArgumentError(
                f"{type(self).__name__}: learning_rate must not be negative, but {learning_rate!r} was given"
            )
        self._lr, self._name, self._options = learning_rate, name, options
        self._slots: dict[str, dict[int, Variable]] = {}
        self._counts: list[Variable] = []

    @property
    def _fetch_hint(self) -> str:
        kind = type(self).__name__
        return (
            f"a tf.train.{kind} cannot be fetched: an optimizer is no operation. Fetch the step that it makes: train_op = tf.train.{kind}"
            "(...).minimize(loss), and session.run(train_op)"
        )

    def get_name(self) -> str:
        """How its operations are called."""
        return self._name

    def minimize(
        self,
        loss: Any,
        global_step: Any = None,
        var_list: Any = None,
        gate_gradients: Any = None,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        name: str | None = None,
        grad_loss: Any = None,
    ) -> Operation:
        """The operation that changes the variables by one step downhill.

        Args:
            loss: a tensor of the graph.
            global_step: a variable that counts the steps.
            var_list: the variables to change, all trainable ones if none are given.
        Raises: GradientError if the loss depends on none of them.
        """
        return self.apply_gradients(self.compute_gradients(loss, var_list, grad_loss=grad_loss), global_step, name)

    def compute_gradients(
        self,
        loss: Any,
        var_list: Any = None,
        gate_gradients: Any = None,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        grad_loss: Any = None,
    ) -> list[tuple[Any, Any]]:
        """(gradient, variable) pairs; the gradient is None where the loss does not depend on the variable."""
        if not isinstance(loss, Tensor):
            raise ArgumentError(f"{type(self).__name__}: the loss is a tensor of the graph, not {loss!r}")
        variables = list(var_list) if isinstance(var_list, (list, tuple)) else [var_list]
        if var_list is None:
            variables = trainable_variables()
        if not variables:
            raise ArgumentError(f"{type(self).__name__}: there are no variables to change")
        grads = gradients(loss, variables, None if grad_loss is None else [grad_loss], name=f"{self._name}/gradients")
        return list(zip(grads, variables))

    def apply_gradients(self, grads_and_vars: Any, global_step: Any = None, name: str | None = None) -> Operation:
        """The operation that takes one step with these gradients."""
        pairs = [(g, v) for g, v in grads_and_vars]
        used = [(g, v) for g, v in pairs if g is not None]
        if not used:
            names = ", ".join(v.op.name for _, v in pairs[:4])
            raise GradientError(
                f"{type(self).__name__}: the loss depends on none of the variables {names}{', ...' if len(pairs) > 4 else ''}; look for a "
                "stop_gradient, a conversion to whole numbers or an argmax between them and the loss"
            )
        for _, v in used:
            if not isinstance(v, Variable):
                raise ArgumentError(f"{type(self).__name__}: {v!r} is no variable, so it cannot be changed")
        graph, name = get_default_graph(), name or self._name
        variables = [v for _, v in used]
        rule = _RULES[self._rule](
            [wrap(np.zeros(tuple(v.shape), v.dtype.np)) for v in variables], lr=0.0, **self._options
        )
        group = rule.param_groups[0]
        slots: dict[str, list[Variable]] = {}
        for v, p in zip(variables, group["params"]):
            for key, first in rule._new_state(p, group).items():
                slots.setdefault(key, []).append(
                    self._slot(v, key, np.full(first._data.shape, self._first.get(key, first._data)))
                )
        count = None
        if rule._counts:
            with graph.name_scope(None):
                count = Variable(np.zeros((), np.float32), trainable=False, name=f"{self._name}/steps")
            self._counts.append(count)
        params = {
            "rule": self._rule, "options": self._options, "lr": self._lr, "variables": [Reference(v) for v in variables],
            "grads": [g for g, _ in used], "slots": {k: [Reference(s) for s in vs] for k, vs in slots.items()},
            "count": None if count is None else Reference(count),
        }  # fmt: skip
        step: Operation = create(_APPLY, params, f"{name}/update" if global_step is not None else name, [])
        if global_step is not None:
            with control_dependencies([step]):
                counted = assign_add(global_step, 1)
            with control_dependencies([counted]):
                step = no_op(name)
        graph.add_to_collection(GraphKeys.TRAIN_OP, step)
        return step

    def _slot(self, v: Variable, key: str, first: np.ndarray[Any, Any]) -> Variable:
        known = self._slots.setdefault(key, {})
        if id(v) not in known:
            graph = get_default_graph()
            with graph.name_scope(None):
                known[id(v)] = Variable(
                    first.astype(v.dtype.np), trainable=False, name=f"{v.op.name}/{self._name}/{key}"
                )
        return known[id(v)]

    def get_slot(self, var: Any, name: str) -> Any:
        """The variable that the rule keeps for another, or None."""
        return self._slots.get(name, {}).get(id(var))

    def get_slot_names(self) -> list[str]:
        """What the rule keeps for each variable."""
        return sorted(self._slots)

    def variables(self) -> list[Variable]:
        """All that the rule keeps."""
        return [*self._counts, *(v for slot in self._slots.values() for v in slot.values())]


class GradientDescentOptimizer(Optimizer):
    """w ← w - η g."""

    _rule = "sgd"

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent") -> None:
        super().__init__(learning_rate, use_locking, name)


class MomentumOptimizer(Optimizer):
    """v ← μ v + g, w ← w - η v; with `use_nesterov`, w ← w - η (g + μ v)."""

    _rule = "sgd"

    def __init__(
        self,
        learning_rate: Any,
        momentum: float,
        use_locking: bool = False,
        name: str = "Momentum",
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(learning_rate, use_locking, name, momentum=momentum, nesterov=use_nesterov)


class AdamOptimizer(Optimizer):
    """Adam, with ε beside √v before the correction. Source: Kingma and Ba, arXiv:1412.6980."""

    _rule = "adam"

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        use_locking: bool = False,
        name: str = "Adam",
    ) -> None:
        super().__init__(learning_rate, use_locking, name, betas=(beta1, beta2), eps=epsilon)


class RMSPropOptimizer(Optimizer):
    """g / √(mean of g² + ε), with momentum if asked; the mean begins at 1."""

    _rule = "rmsprop"
    _first = {"square_avg": 1.0}  # noqa: RUF012

    def __init__(
        self,
        learning_rate: Any,
        decay: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-10,
        use_locking: bool = False,
        centered: bool = False,
        name: str = "RMSProp",
    ) -> None:
        super().__init__(
            learning_rate, use_locking, name, alpha=decay, momentum=momentum, eps=epsilon, centered=centered
        )


class AdagradOptimizer(Optimizer):
    """g / √(sum of g²). Source: Duchi, Hazan and Singer 2011."""

    _rule = "adagrad"

    def __init__(
        self,
        learning_rate: Any,
        initial_accumulator_value: float = 0.1,
        use_locking: bool = False,
        name: str = "Adagrad",
    ) -> None:
        super().__init__(learning_rate, use_locking, name, initial_accumulator_value=initial_accumulator_value, eps=0.0)


class AdadeltaOptimizer(Optimizer):
    """Steps in the units of the weights. Source: Zeiler, arXiv:1212.5701."""

    _rule = "adadelta"

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-8,
        use_locking: bool = False,
        name: str = "Adadelta",
    ) -> None:
        super().__init__(learning_rate, use_locking, name, rho=rho, eps=epsilon)


class FtrlOptimizer(Optimizer):
    """Follow the regularized leader: sparse weights for linear models. Source: McMahan et al. 2013."""

    _rule = "ftrl"

    def __init__(
        self,
        learning_rate: Any,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "Ftrl",
    ) -> None:
        super().__init__(
            learning_rate, use_locking, name, power=learning_rate_power, initial=initial_accumulator_value,
            l1=l1_regularization_strength, l2=l2_regularization_strength, shrinkage=0.0, beta=0.0,
        )  # fmt: skip
