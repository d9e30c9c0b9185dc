"""`while` and `for` on tensors: a step becomes a graph, and the variables that it changes are carried along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow import ops
from twinflow.autograph._branch import branch
from twinflow.autograph._jumps import RESULT
from twinflow.autograph._state import (
    LOOPS,
    Again,
    Carry,
    Lost,
    Plan,
    Same,
    State,
    Undefined,
    carry_of,
    describe,
    fits,
    is_number,
    rebuilt,
    same,
    settled,
)
from twinflow.core import tree_flatten, tree_leaves, user_line
from twinflow.core.errors import ShapeError, TraceError
from twinflow.tensor import Tensor

_ATTEMPTS = 16  # each finds the type of one more variable at least


class Loop:
    """The variables of a loop while its step is traced."""

    def __init__(self, state: State, runs: bool) -> None:
        """`runs`: whether there is a step at least, so that a variable that only steps assign has a value after them."""
        self.state, self.runs = state, runs
        self.before = state.get()
        self.where = user_line()
        self.bound: int | None = None  # on the number of steps, from `set_loop_options`
        self.plans: list[Plan] = [_start(v) for v in self.before[: state.n_out]]
        self.first_made: set[str] = set()  # variables that only steps assign, though there may be none
        self._given: tuple[Any, ...] = ()

    def attempt(self, run: Callable[[], Any]) -> Any:
        """Trace, and again with another plan as long as a step says so."""
        for _ in range(_ATTEMPTS):
            LOOPS.append(self)
            try:
                return run()
            except Again as again:
                if again.owner is not self or self.plans == again.plans:
                    raise
                self.plans = again.plans
            finally:
                LOOPS.pop()
                self.state.set(self.before)
        raise TraceError(
            f"the variables of the loop at {self.where} change their types from step to step; convert them"
        )

    def limit(self, bound: int) -> None:
        """Bound the number of steps. Raises: Again the first time."""
        if self.bound is None:
            self.bound = bound
            raise Again(self, self.plans)

    def widen(self, a: Any, b: Any) -> None:
        """If one of two tensors is a variable that began as a number of Python: raise Again with the type of the other."""
        for x, y in ((a, b), (b, a)):
            for k, given in enumerate(self._given):
                plan, wanted = self.plans[k], carry_of(y)
                if given is x and isinstance(plan, Carry) and wanted and _was_number(self.before[k], plan, wanted):
                    raise Again(self, [*self.plans[:k], wanted, *self.plans[k + 1 :]])

    def first(self) -> list[list[Tensor]]:
        """The tensors that the loop begins with."""
        return [settled(v, p) for v, p in zip(self.before, self.plans) if isinstance(p, Carry)]

    def enter(self, carry: list[list[Tensor]]) -> None:
        """Set the variables to what a step is given."""
        values = self._values(carry)
        self._given = values[: self.state.n_out]
        self.state.set(values)

    def leave(self) -> list[list[Tensor]]:
        """What a step hands on. Raises: Again if the plan does not fit."""
        values = self.state.get()[: self.state.n_out]
        plans = [self._next(k, v) for k, v in enumerate(values)]
        if plans != self.plans:
            raise Again(self, plans)
        self.plans = plans  # with the reasons of what is lost
        return [settled(v, p) for v, p in zip(values, plans) if isinstance(p, Carry)]

    def finish(self, carry: list[list[Tensor]]) -> None:
        """Set the variables to what the loop ends with."""
        self.state.set(self._values(carry))

    def _values(self, carry: list[list[Tensor]]) -> tuple[Any, ...]:
        found = iter(carry)
        values: list[Any] = []
        for name, plan, v in zip(self.state.names, self.plans, self.before):
            if isinstance(plan, Carry):
                values.append(rebuilt(plan, next(found)))
            else:
                values.append(v if isinstance(plan, Same) else Undefined(name, plan.reason))
        return (*values, *self.before[self.state.n_out :])

    def _next(self, k: int, value: Any) -> Plan:
        """What variable k is, now that a step left it as `value`."""
        plan, name, start = self.plans[k], self.state.names[k], self.before[k]
        if isinstance(plan, Carry) and fits(value, plan):
            return plan
        if isinstance(plan, Same) and same(value, start):
            return plan
        if isinstance(plan, Lost) and (plan.reason or isinstance(value, Undefined)):
            return plan
        found = carry_of(value)
        if isinstance(plan, Carry) and found is not None and _was_number(start, plan, found):
            return found
        if found is not None and getattr(start, "is_blank", False):
            return found  # it begins as zeros of the shape that the first step makes
        if isinstance(value, Undefined) and value.reason:
            return Lost(value.reason)
        if k < self.state.n_within and not isinstance(start, Undefined):
            raise ShapeError(
                f"{name!r} is {describe(start)} before the loop and {describe(value)} after a step; a variable of a loop on tensors keeps its "
                f"structure, shape and type (loop at {self.where})"
            )
        if found is not None:
            if not self.runs and name != RESULT:
                self.first_made.add(name)
            return found
        return Lost(
            f"{name!r} is {describe(value)} after a step of a loop on tensors, which can hand on tensors and numbers only "
            f"(loop at {self.where})"
        )

    def check_steps(self, test: Callable[[], Any]) -> None:
        """Check, when the graph runs, that there is a step if a variable needs one to have a value."""
        if not self.first_made:
            return
        self.state.set(self.before)
        names = ", ".join(repr(n) for n in sorted(self.first_made))
        ops.ensure(
            _truth(test()),
            f"the loop at {self.where} had no step, so {names} has no value; give it one of the same shape and type before the loop",
        )


def _start(value: Any) -> Plan:
    if isinstance(value, Undefined):
        return Lost(value.reason)
    return carry_of(value) or Same()


def _was_number(start: Any, plan: Carry, found: Carry) -> bool:
    """Whether only numbers of Python, as which a variable began, differ from what a step made of them."""
    leaves = tree_flatten(start)[0]
    pairs = list(zip(leaves, plan.avals, found.avals))
    return plan.tree == found.tree and all(a == b or (is_number(x) and b.shape == ()) for x, a, b in pairs)


def _no() -> None:
    pass


def scan_loop(xs: Any, stop: Callable[[], Any] | None, body: Callable[[Any], None], state: State) -> None:
    """`for item in xs`, along the leading axis of tensors."""
    n = tree_leaves(xs)[0].shape[0]
    if n == 0:
        return
    loop = Loop(state, runs=True)

    def step(carry: Any, item: Any) -> Any:
        loop.enter(carry)
        if stop is None:
            body(item)
        else:
            branch(ops.logical_not(_truth(stop())), lambda: body(item), _no, state, fill=True)
        return loop.leave(), None

    loop.finish(loop.attempt(lambda: ops.scan(step, loop.first(), xs)[0]))


def bounded_loop(test: Callable[[], Any], body: Callable[[], None], state: State, bound: int) -> None:
    """`while test` with a bound on the number of steps: a scan, which has a derivative."""
    loop = Loop(state, runs=False)
    loop.bound = bound

    def step(carry: Any, _: Any) -> Any:
        loop.enter(carry)
        branch(_truth(test()), body, _no, state, fill=True)
        return loop.leave(), None

    made = loop.attempt(lambda: ops.scan(step, loop.first(), length=bound)[0])
    loop.check_steps(test)
    loop.finish(made)


def while_loop(test: Callable[[], Any], body: Callable[[], None], state: State) -> None:
    """`while test`."""
    loop = Loop(state, runs=False)

    def going(carry: Any) -> Any:
        loop.enter(carry)
        return _truth(test())

    def step(carry: Any) -> Any:
        loop.enter(carry)
        body()
        return loop.leave()

    try:
        made = loop.attempt(lambda: ops.while_loop(going, step, loop.first()))
        loop.check_steps(test)
        loop.finish(made)
    except Again as again:
        if again.owner is not loop or loop.bound is None:
            raise
        bounded_loop(test, body, state, loop.bound)


def _truth(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else ops.tensor(bool(value))


def set_loop_options(
    parallel_iterations: int | None = None,
    swap_memory: bool | None = None,
    maximum_iterations: Any = None,
    shape_invariants: Any = None,
) -> None:
    """Say something of the loop whose body begins with this call; outside a loop on tensors it says nothing.

    Args:
        parallel_iterations, swap_memory: taken because programs pass them; steps run one after the other.
        maximum_iterations: a bound on the number of steps. With one, a `while` has gradients.
        shape_invariants: refused: variables of a loop keep their shapes.

    >>> import twinflow
    >>> from twinflow.autograph import convert, set_loop_options
    >>> def f(x):
    ...     while x < 100:
    ...         set_loop_options(maximum_iterations=10)
    ...         x = x * x
    ...     return x
    >>> twinflow.compile(twinflow.func.grad(convert(f)))(twinflow.tensor(2.0))
    tensor(1024.)
    """
    if shape_invariants:
        raise ShapeError(
            "set_loop_options: the variables of a loop keep their shapes here; begin with a tensor of the largest shape, or collect "
            "results in a tf.TensorArray"
        )
    if maximum_iterations is not None and LOOPS:
        LOOPS[-1].limit(int(maximum_iterations))
