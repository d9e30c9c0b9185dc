"""What a reduction carries from one vector of values to the next, and how two of them become one.

The state of a sum, product, maximum, ... is a value in each lane. That of an argmax or argmin is the best value so far
and its place, -1 while there is none.
"""

import math
from collections.abc import Sequence

from twinflow.compiler._builder import FLOATS, ITEMSIZE, SIGNED, Builder, Value
from twinflow.compiler.loops._ir import Reduce
from twinflow.compiler.scalar import apply

COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}
PLACES = ("argmax", "argmin")

State = list[Value]


def states(reductions: Sequence[Reduce], values: list[Value]) -> list[State]:
    """A list of carried values cut into the states of the reductions."""
    cut: list[State] = []
    at = 0
    for r in reductions:
        n = 2 if r.op in PLACES else 1
        cut.append(values[at : at + n])
        at += n
    return cut


def identity(b: Builder, r: Reduce, lanes: int) -> State:
    """What a reduction starts from."""
    dtype = r.value.dtype
    least: float | int = -math.inf if dtype in FLOATS else -(2 ** (8 * ITEMSIZE[dtype] - 1)) * (dtype in SIGNED)
    most: float | int = math.inf if dtype in FLOATS else 2 ** (8 * ITEMSIZE[dtype] - (dtype in SIGNED)) - 1
    start = {"sum": 0, "prod": 1, "any": 0, "all": 1, "max": least, "min": most, "argmax": least, "argmin": most}
    state = [b.const(start[r.op], dtype, lanes)]
    return [*state, b.const(-1, "int64", lanes)] if r.op in PLACES else state


def advance(b: Builder, r: Reduce, state: State, x: Value, mask: Value | None, place: Value | None) -> State:
    """The state after one more vector of values at later places, of which only the lanes of the mask count."""
    if place is not None:
        better = b.or_(_beats(b, r.op, x, state[0]), b.icmp("slt", state[1], b.like(0, state[1])))
        if mask is not None:
            better = b.and_(better, mask)
        return [b.select(better, x, state[0]), b.select(better, place, state[1])]
    if mask is not None:
        x = b.select(mask, x, identity(b, r, x.lanes)[0])
    return [apply(b, COMBINE[r.op], [state[0], x])]


def _beats(b: Builder, op: str, x: Value, best: Value) -> Value:
    """Whether x displaces the best value before it: strictly better, or the first NaN."""
    if x.dtype in FLOATS:
        ahead = b.fcmp("ugt" if op == "argmax" else "ult", x, best)
        return b.and_(ahead, b.fcmp("ord", best, best))
    sign = "s" if x.dtype in SIGNED else "u"
    return b.icmp(sign + ("gt" if op == "argmax" else "lt"), x, best)


def merge(b: Builder, r: Reduce, one: State, other: State) -> State:
    """Two states of the same lanes as one."""
    if len(one) == 1:
        return [apply(b, COMBINE[r.op], [one[0], other[0]])]
    empty = b.icmp("slt", one[1], b.like(0, one[1]))
    full = b.icmp("sge", other[1], b.like(0, other[1]))
    wins, beaten = _beats(b, r.op, other[0], one[0]), _beats(b, r.op, one[0], other[0])
    level = b.not_(b.or_(wins, beaten))
    earlier = b.and_(level, b.icmp("slt", other[1], one[1]))
    take = b.and_(full, b.or_(empty, b.or_(wins, earlier)))
    return [b.select(take, other[0], one[0]), b.select(take, other[1], one[1])]


def across_lanes(b: Builder, r: Reduce, state: State) -> State:
    """One state from those in the lanes: half of them merged with the other half, again and again."""
    lanes = state[0].lanes
    while lanes > 1:
        lanes //= 2
        low = [b.shuffle(v, range(lanes)) for v in state]
        high = [b.shuffle(v, range(lanes, 2 * lanes)) for v in state]
        state = merge(b, r, low, high)
    return state


def in_first_lane(b: Builder, r: Reduce, state: State, lanes: int) -> State:
    """A scalar state as that of a vector whose other lanes have seen nothing."""
    if lanes == 1:
        return state
    placed = []
    for one, nothing in zip(state, identity(b, r, lanes)):
        text = f"insertelement {nothing.type} {nothing.text}, {one.type} {one.text}, i64 0"
        placed.append(b.emit(text, one.dtype, lanes))
    return placed


def finished(b: Builder, r: Reduce, state: State) -> Value:
    """The value of a reduction: its state, or the place in it (0 if there was nothing)."""
    if len(state) == 1:
        return state[0]
    return b.select(b.icmp("slt", state[1], b.like(0, state[1])), b.like(0, state[1]), state[1])
