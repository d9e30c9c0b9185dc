"""How a loop kernel is run: which axis the vector lanes lie along, and how rows are cut into chunks for threads.

A schedule depends on the kernel and the processor alone, never on the number of threads: results do not either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from twinflow.compiler._builder import ITEMSIZE, Target
from twinflow.compiler.loops._ir import (
    Apply,
    Axis,
    Coordinate,
    Expr,
    Extent,
    Kernel,
    Load,
    Reduce,
    Rest,
    Size,
    Store,
    Sym,
    all_axes,
    all_indices,
    walk,
)
from twinflow.compiler.loops._rewrite import Substitution
from twinflow.compiler.scalar import FUNCTIONS

CHUNK_COST = 32768  # scalar operations in a chunk: some microseconds, several times what handing one out costs
HEAVY_COST = 12  # what a transcendental function costs beside an addition
UNKNOWN_EXTENT = 256  # what a symbolic extent is taken for when costs are estimated
WIDE = 4  # vectors that a reduction works on at once: its additions depend on each other


@dataclass(frozen=True)
class Schedule:
    """How one kernel is run.

    Args:
        vector: the outer axis whose values lie in the lanes, or None: the last inner axis of each pass.
        lanes: lanes of a vector.
        rows: the other outer axes that chunks divide, outermost first.
        inside: the serial outer axes, which every chunk runs through.
        row_grain: rows in a chunk.
        segment: values of the vector axis in a chunk; None: all of them.
    """

    vector: Axis | None
    lanes: int
    rows: tuple[Axis, ...]
    inside: tuple[Axis, ...]
    row_grain: int
    segment: int | None


def static(extent: Extent) -> int:
    """An extent as a number, for estimates."""
    if isinstance(extent, Sym):
        return max(1, extent.value({extent.name: UNKNOWN_EXTENT}))
    return max(1, extent) if isinstance(extent, int) else extent.block


def product(axes: Sequence[Axis]) -> int:
    """Estimated number of points."""
    total = 1
    for axis in axes:
        total *= static(axis.extent)
    return total


def power_of_two_from(n: int) -> int:
    """The least power of two that is not below n."""
    return 1 << max(0, n - 1).bit_length()


def schedule(kernel: Kernel, target: Target) -> Schedule:
    """Choose how to run a kernel."""
    expressions = list(walk([o for s in kernel.stores for o in s.operands]))
    reductions = [e for e in expressions if isinstance(e, Reduce)]
    has_inner = bool(reductions) or any(s.axes for s in kernel.stores)
    width = main_itemsize(kernel, expressions)
    lanes = max(1, target.vector_bytes // width)
    outer = vector_axis(kernel, reductions)
    heavy = any(isinstance(e, Apply) and FUNCTIONS[e.function].heavy for e in expressions)
    arg = any(r.op in ("argmax", "argmin") for r in reductions)
    if reductions and not heavy and not arg:
        lanes *= WIDE
    if has_inner and outer is None:
        inner = max((static(a.extent) for a in _inner_vector_axes(kernel, reductions)), default=1)
        lanes = min(lanes, power_of_two_from(inner))
        vector = None
    elif outer is None:
        lanes, vector = 1, None
    else:
        lanes, vector = min(lanes, power_of_two_from(static(outer.extent))), outer
    rows = tuple(a for a in kernel.axes if a is not vector and a not in kernel.serial)
    cost = max(1, _cost_of_row(kernel, expressions, reductions))
    inside = kernel.serial
    grain, segment = max(1, CHUNK_COST // (cost * product(inside) * (static(vector.extent) if vector else 1))), None
    if vector is not None:
        points = max(lanes, CHUNK_COST // (cost * product(inside)))
        if static(vector.extent) > points or isinstance(vector.extent, Sym):
            grain, segment = 1, -(-points // lanes) * lanes
    crossing = _crossing_axis(kernel, vector, rows)
    if crossing is not None and not reductions and isinstance(crossing.extent, int):
        # a transpose: runs of the crossing axis under one vector use whole cache lines on both sides
        rows = (*(a for a in rows if a is not crossing), crossing)
        grain, segment = max(1, CHUNK_COST // (cost * lanes)), lanes
    return Schedule(vector, lanes, rows, inside, grain, segment)


def _crossing_axis(kernel: Kernel, vector: Axis | None, rows: Sequence[Axis]) -> Axis | None:
    """The row axis along which something is contiguous that is not along the vector axis."""
    if vector is None or not rows:
        return None
    for index in all_indices(kernel):
        if index.stride(vector) not in (0, 1):
            for axis in rows:
                if index.stride(axis) == 1 and axis.extent != 1:
                    return axis
    return None


def main_itemsize(kernel: Kernel, expressions: Sequence[Expr]) -> int:
    """Bytes of the widest element moved or computed with, leaving out what only counts places."""
    sizes = [ITEMSIZE[s.buffer.dtype] for s in kernel.stores]
    random = any(isinstance(e, Apply) and e.function == "random_bits" for e in expressions)
    places: set[int] = set()
    for index in all_indices(kernel):
        places.update(id(e) for e in walk([e for e, _ in index.gathered]))
    for e in expressions:
        if isinstance(e, Coordinate | Size) or id(e) in places or e.dtype == "bool":
            continue
        if (isinstance(e, Reduce) and e.op in ("argmax", "argmin")) or (random and e.dtype == "uint64"):
            continue
        sizes.append(ITEMSIZE[e.dtype])
    if any(isinstance(e, Load) and e.buffer.dtype in ("float16", "bfloat16") for e in expressions):
        sizes.append(4)
    return max(sizes)


def _inner_vector_axes(kernel: Kernel, reductions: Sequence[Reduce]) -> list[Axis]:
    return [r.axes[-1] for r in reductions] + [s.axes[-1] for s in kernel.stores if s.axes]


def vector_axis(kernel: Kernel, reductions: Sequence[Reduce]) -> Axis | None:
    """The outer axis to vectorise along, or None for the inner axes: whichever is contiguous in more places."""
    candidates = [a for a in kernel.axes if a not in kernel.serial and all(_moves(s, a) for s in kernel.stores)]
    if not candidates:
        return None
    indices = list(all_indices(kernel))

    stored = [s.index for s in kernel.stores]

    def merit(axes: Sequence[Axis]) -> float:
        score = 0.0
        for index in indices:
            strides = [index.stride(a) for a in axes]
            weight = 1.5 if index in stored else 1.0  # scattering costs more than gathering
            if 1 in strides:
                score += weight
            elif any(s != 0 for s in strides):
                score -= weight
        return score

    inner = _inner_vector_axes(kernel, reductions)
    # ties go to the later axis, which most loops are written to run along
    best = max(candidates, key=lambda a: (merit([a]), kernel.axes.index(a)))
    if inner and merit(inner) >= merit([best]):
        return None
    return best


def _moves(store: Store, axis: Axis) -> bool:
    """Whether a store goes to different places along an axis."""
    if store.index.stride(axis) != 0:
        return True
    for e in walk([e for e, _ in store.index.gathered]):
        if (isinstance(e, Coordinate) and e.axis is axis) or (isinstance(e, Load) and e.index.stride(axis) != 0):
            return True
    return False


def _cost_of_row(kernel: Kernel, expressions: Sequence[Expr], reductions: Sequence[Reduce]) -> int:
    each = sum(HEAVY_COST if isinstance(e, Apply) and FUNCTIONS[e.function].heavy else 1 for e in expressions)
    points = max([1, *(product(r.axes) for r in reductions), *(product(s.axes) for s in kernel.stores)])
    return points * (each + len(kernel.stores)) // 4 if points > 1 else -(-(each + len(kernel.stores)) // 4)


# Merging axes: i < m, j < n with everywhere stride(i) = n·stride(j) is one axis of m·n values.


def merge_axes(kernel: Kernel) -> Kernel:
    """Fuse neighbouring axes that every index crosses as if they were one: fewer and longer loops, the same points."""
    merged = _drop_single(kernel)
    done = False
    while not done:
        done = True
        for outer, inner in _neighbours(merged):
            if (fused := _try_merge(merged, outer, inner)) is not None:
                merged, done = fused, False
                break
    return merged


def _drop_single(kernel: Kernel) -> Kernel:
    """Without the axes of one value (a reduction keeps one axis)."""
    kept: set[Axis] = set()
    for e in walk([o for s in kernel.stores for o in s.operands]):
        if isinstance(e, Reduce) and all(a.extent == 1 for a in e.axes):
            kept.add(e.axes[-1])
    single = [a for a in all_axes(kernel) if a.extent == 1 and a not in kept]
    return Substitution({a: () for a in single}, dict.fromkeys(single)).kernel(kernel) if single else kernel


def _axis_lists(kernel: Kernel) -> list[tuple[Axis, ...]]:
    expressions = walk([o for s in kernel.stores for o in s.operands])
    lists = [tuple(a for a in kernel.axes), *(s.axes for s in kernel.stores)]
    return lists + [e.axes for e in expressions if isinstance(e, Reduce)]


def _neighbours(kernel: Kernel) -> list[tuple[Axis, Axis]]:
    pairs: dict[tuple[Axis, Axis], None] = {}
    for axes in _axis_lists(kernel):
        pairs.update(dict.fromkeys(pairwise(axes)))
    return list(pairs)


def _try_merge(kernel: Kernel, outer: Axis, inner: Axis) -> Kernel | None:
    if not isinstance(inner.extent, int) or not isinstance(outer.extent, int | Sym):
        return None
    if (outer in kernel.serial) != (inner in kernel.serial):
        return None
    if any(isinstance(a.extent, Rest) and a.extent.outer in (outer, inner) for a in all_axes(kernel)):
        return None
    for axes in _axis_lists(kernel):  # they must occur together, side by side, everywhere
        if (outer in axes) != (inner in axes) or (outer in axes and axes.index(inner) != axes.index(outer) + 1):
            return None
    for e in walk([o for s in kernel.stores for o in s.operands]):
        if isinstance(e, Coordinate) and e.axis in (outer, inner):
            return None
    for index in all_indices(kernel):
        if index.stride(outer) != index.stride(inner) * inner.extent:
            return None
    fused = Axis(outer.name + inner.name, outer.extent * inner.extent)
    return Substitution({outer: (), inner: ((fused, 1),)}, {outer: None, inner: fused}).kernel(kernel)
