"""`if` on a tensor: both arms become graphs, and what they assign becomes results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow import ops
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
from twinflow.core import tree_flatten, user_line
from twinflow.tensor import Tensor


def branch(
    pred: Tensor, body: Callable[[], None], orelse: Callable[[], None], state: State, fill: bool = False
) -> None:
    """Run one of two arms, and set the variables to what it leaves. With `fill`, one without a value in an arm is zeros there."""
    before, where = state.get(), user_line()
    plans: list[Plan] | None = None
    values: list[tuple[Any, ...]] = []
    owner = object()

    def arm(fn: Callable[[], None]) -> Callable[[], list[list[Tensor]]]:
        def run() -> list[list[Tensor]]:
            state.set(before)
            fn()
            mine = state.get()[: state.n_out]
            values.append(mine)
            now = plans or [_first_guess(v, b) for v, b in zip(mine if len(values) == 1 else values[0], before)]
            if len(values) == 2:
                agreed = [_agree(n, a, b, where, fill) for n, a, b in zip(state.names, *values)]
                if agreed != now:
                    raise Again(owner, agreed)
                now = agreed
            return [settled(v, p) for v, p in zip(mine, now) if isinstance(p, Carry)]

        return run

    while True:
        try:
            outs = iter(ops.cond(pred, arm(body), arm(orelse)))
        except Again as again:
            if again.owner is not owner:
                raise
            plans = again.plans
            values.clear()
            continue
        finally:
            state.set(before)
        break
    final = [_agree(n, a, b, where, fill) for n, a, b in zip(state.names, *values)]
    after = [_result(n, p, a, outs) for n, p, a in zip(state.names, final, values[0])]
    state.set((*after, *before[state.n_out :]))


def _result(name: str, plan: Plan, value: Any, outs: Any) -> Any:
    if isinstance(plan, Carry):
        return rebuilt(plan, next(outs))
    return value if isinstance(plan, Same) else Undefined(name, plan.reason)


def _first_guess(value: Any, before: Any) -> Plan:
    """What a variable will be, from its value in the first arm alone."""
    if isinstance(value, Undefined):
        return Lost()
    if value is before and not isinstance(value, Tensor):
        return Same()
    return carry_of(value) or Same()


def _agree(name: str, a: Any, b: Any, where: str, fill: bool) -> Plan:
    """What a variable is after a branch that leaves it as `a` or as `b`."""
    if isinstance(a, Undefined) or isinstance(b, Undefined):
        return _one_sided(name, a, b, where, fill)
    if not _tensors(a) and same(a, b):
        return Same()
    found = _common(a, b)
    if found is not None:
        return found
    for loop in reversed(LOOPS):
        loop.widen(a, b)
    what = "the function returns" if name == RESULT else f"{name!r} is"
    return Lost(
        f"{what} {describe(a)} where the condition holds and {describe(b)} elsewhere; both branches must leave tensors of one shape and type "
        f"(condition at {where})"
    )


def _one_sided(name: str, a: Any, b: Any, where: str, fill: bool) -> Plan:
    value = b if isinstance(a, Undefined) else a
    reason = getattr(a, "reason", "") or getattr(b, "reason", "")
    if isinstance(value, Undefined) or reason:
        return Lost(reason)
    found = carry_of(value)
    if found is not None and (fill or name == RESULT):
        return found
    side = "the condition holds" if value is a else "the condition does not hold"
    return Lost(
        f"{name!r} has a value only where {side}; a variable that is used after a branch on a tensor must be assigned in both arms or before "
        f"it (condition at {where})"
    )


def _tensors(value: Any) -> bool:
    return any(isinstance(x, Tensor) for x in tree_flatten(value)[0])


def _common(a: Any, b: Any) -> Carry | None:
    """What both values fit: numbers of Python take the type of the tensor on the other side."""
    left, right = carry_of(a), carry_of(b)
    if left is None or right is None or left.tree != right.tree:
        return None
    avals = []
    for x, y, p, q in zip(tree_flatten(a)[0], tree_flatten(b)[0], left.avals, right.avals):
        weak = is_number(x) and (not is_number(y) or q.dtype.category > p.dtype.category)
        avals.append(q if weak else p)
    plan = Carry(left.tree, tuple(avals))
    return plan if fits(a, plan) and fits(b, plan) else None
