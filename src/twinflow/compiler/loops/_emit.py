"""Loop kernels to LLVM: vector code written out directly, with masked (or scalar) tails.

A kernel becomes a function in the thread pool's form, `void name(ptr args, i64 chunk, i64 worker)`, over an array of
8-byte arguments: the addresses of the kernel's buffers, then its symbols' values. `name.nchunks(ptr args)` says how
many chunks there are. Chunks may run in any order and in parallel. `name.run(ptr pool, ptr args)` runs them all.
"""

import math
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass

from twinflow.compiler._builder import FLOATS, ITEMSIZE, SIGNED, Builder, Module, Value
from twinflow.compiler.loops._ir import (
    Apply,
    Axis,
    Buffer,
    Const,
    Coordinate,
    Expr,
    Extent,
    Index,
    Kernel,
    Load,
    Reduce,
    Rest,
    Store,
    Sym,
    walk,
)
from twinflow.compiler.loops._schedule import Schedule, merge_axes, power_of_two_from, schedule
from twinflow.compiler.scalar import FUNCTIONS, STORED, apply, narrow, widen

SCRATCH_NBYTES = 65536  # of stack for a row's values that later passes use again
COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}


def emit(module: Module, kernel: Kernel) -> str:
    """Add a kernel's functions to a module. Returns the function's name.

    Raises: ValueError if the kernel is not well formed (an axis or reduction out of its place).
    """
    verify(kernel)
    merged = merge_axes(kernel)
    plan = schedule(merged, module.target)
    name = kernel.name
    arguments = (kernel.buffers, kernel.symbols)
    module.define(name, "ptr %args, i64 %chunk, i64 %worker", lambda b: _Emitter(b, merged, plan, arguments).function())
    module.define(f"{name}.nchunks", "ptr %args", lambda b: _Emitter(b, merged, plan, arguments).count(), returns="i64")
    module.define(f"{name}.run", "ptr %pool, ptr %args", lambda b: _run(b, name))
    return name


def _run(b: Builder, name: str) -> None:
    """Body of name.run: one chunk at once, several by the pool, whose first field is its `tf_parallel`."""
    chunks = b.call(f"{name}.nchunks", "int64", 1, Value("%args", "ptr"))
    one = b.const(1, "int64")
    b.branch(b.icmp("sgt", chunks, one), "several", "few")
    b.label("several")
    parallel = b.emit("load ptr, ptr %pool, align 8", "ptr")
    b.do(f"call void {parallel.text}(ptr %pool, ptr @{name}, ptr %args, i64 {chunks.text})")
    b.do("ret void")
    b.label("few")
    b.when(b.icmp("eq", chunks, one), lambda: b.do(f"call void @{name}(ptr %args, i64 0, i64 0)"))
    b.do("ret void")


def verify(kernel: Kernel) -> None:
    """Check that every axis and reduction is used where it has a value.

    Raises: ValueError naming the kernel and the fault.
    """
    rows = set(kernel.axes)
    for store in kernel.stores:
        inside = rows | set(store.axes)
        free = free_axes(store.operands)
        used: set[Axis] = {a for a, _ in store.index.terms}
        for o in store.operands:
            used |= free[id(o)]
        if used - inside:
            names = ", ".join(sorted(a.name for a in used - inside))
            raise ValueError(f"kernel {kernel.name}: the store to {store.buffer.name} uses {names} outside its loop")
        for e in walk(store.operands):
            if isinstance(e, Reduce) and free[id(e)] - rows:
                names = ", ".join(sorted(a.name for a in free[id(e)] - rows))
                raise ValueError(f"kernel {kernel.name}: a {e.op} depends on {names}, which is not an outer axis")
    if set(kernel.serial) - rows:
        raise ValueError(f"kernel {kernel.name}: a serial axis is not one of its outer axes")


def free_axes(roots: Sequence[Expr]) -> dict[int, frozenset[Axis]]:
    """For each expression below the roots, by id: the axes it varies along."""
    free: dict[int, frozenset[Axis]] = {}
    for e in walk(roots):
        axes: frozenset[Axis] = frozenset().union(*(free[id(o)] for o in e.operands))
        if isinstance(e, Load):
            axes |= {a for a, _ in e.index.terms}
        elif isinstance(e, Coordinate):
            axes |= {e.axis}
        elif isinstance(e, Reduce):
            axes -= set(e.axes)
        free[id(e)] = axes
    return free


@dataclass
class _Vector:
    """The vector loop being emitted: its axis, lanes, and the mask of its tail."""

    axis: Axis | None = None
    lanes: int = 1
    mask: Value | None = None


@dataclass
class _StorePass:
    """Stores over the same inner axes."""

    stores: list[Store]


VectorBody = Callable[[Value, int, Value | None, list[Value]], list[Value]]


@dataclass
class _Carry:
    """What a vector loop carries: its start, what a scalar tail starts from, and how the two ends are joined."""

    start: list[Value]
    scalars: list[Value]
    join: Callable[[list[Value], list[Value]], list[Value]]


class _Emitter:
    """Writes one kernel's function."""

    def __init__(
        self, b: Builder, kernel: Kernel, plan: Schedule, arguments: tuple[tuple[Buffer, ...], tuple[str, ...]]
    ) -> None:
        self.b = b
        self.kernel = kernel
        self.plan = plan
        self.buffers, self.symbols = arguments
        roots = [o for s in kernel.stores for o in s.operands]
        self.free = free_axes(roots)
        self.uses: dict[int, frozenset[Reduce]] = {}  # the reductions an expression needs the values of
        for e in walk(roots):
            self.uses[id(e)] = (
                frozenset((e,)) if isinstance(e, Reduce) else frozenset().union(*(self.uses[id(o)] for o in e.operands))
            )
        self.bound: dict[Axis, Value] = {}
        self.vector = _Vector()
        self.known: list[dict[int, Value]] = [{}]  # values by expression, one table for each enclosing loop
        self.bases: list[dict[tuple[Buffer, Index], tuple[Value, frozenset[Axis]]]] = [
            {}
        ]  # addresses by index, with axes included
        self.pointers: dict[Buffer, Value] = {}
        self.stages = self.passes()
        self.stage = 0
        # values of a row kept for later passes: the pass that computes them, the room they lie in, their axes
        self.kept: dict[int, tuple[int, Value, tuple[Axis, ...]]] = {}
        self.sizes = {
            name: b.load(b.address(Value("%args", "ptr"), b.const(len(self.buffers) + k, "int64"), 8), "int64")
            for k, name in enumerate(self.symbols)
        }

    # The function

    def count(self) -> None:
        """Body of name.nchunks."""
        _, _, total = self.chunks()
        self.b.do(f"ret i64 {total.text}")

    def chunks(self) -> tuple[Value, Value, Value]:
        """Number of rows, of segments of the vector axis, and of chunks."""
        b, plan = self.b, self.plan
        rows = b.const(1, "int64")
        for axis in plan.rows:
            rows = self.times(rows, self.extent(axis.extent))
        segments = b.const(1, "int64")
        if plan.vector is not None and plan.segment is not None:
            segments = self.ceil_div(self.extent(plan.vector.extent), plan.segment)
        elif plan.vector is not None and plan.vector.extent == 0:
            segments = b.const(0, "int64")
        return rows, segments, self.times(self.ceil_div(rows, plan.row_grain), segments)

    def function(self) -> None:
        """Body of the kernel's function: the rows of one chunk."""
        b, plan = self.b, self.plan
        for slot, buffer in enumerate(self.buffers):
            at = b.address(Value("%args", "ptr"), b.const(slot, "int64"), 8)
            self.pointers[buffer] = b.emit(f"load ptr, ptr {at.text}, align 8", "ptr")
        self.keep()
        rows, segments, _ = self.chunks()
        chunk = Value("%chunk", "int64")
        block, segment = chunk, b.const(0, "int64")
        if segments.text not in ("1", "0"):
            block, segment = b.binary("udiv", chunk, segments), b.binary("urem", chunk, segments)
        start = self.times(block, b.const(plan.row_grain, "int64"))
        stop = self.least(b.add(start, b.const(plan.row_grain, "int64")), rows) if plan.row_grain > 1 else None
        low = high = None
        if plan.vector is not None:
            low, high = b.const(0, "int64"), self.extent(plan.vector.extent)
            if plan.segment is not None:
                low = self.times(segment, b.const(plan.segment, "int64"))
                high = self.least(b.add(low, b.const(plan.segment, "int64")), high)

        def row(r: Value, _: list[Value]) -> list[Value]:
            with self.inside(self.row_values(r)):
                self.loops(plan.inside, lambda: self.row(low, high))
            return []

        if rows.text == "1":
            row(b.const(0, "int64"), [])
        elif stop is None:
            row(start, [])
        else:
            b.loop(start, stop, 1, [], row, runs=True)
        b.do("ret void")

    def row_values(self, r: Value) -> dict[Axis, Value]:
        """The value of each row axis in row number r."""
        b = self.b
        values: dict[Axis, Value] = {}
        for axis in reversed(self.plan.rows[1:]):
            n = self.extent(axis.extent)
            values[axis] = b.binary("urem", r, n)
            r = b.binary("udiv", r, n)
        if self.plan.rows:
            values[self.plan.rows[0]] = r
        return values

    def row(self, low: Value | None, high: Value | None) -> None:
        """All passes and stores of one row (or of one row of vectors)."""
        if self.plan.vector is None:
            self.program()
            return
        axis = self.plan.vector

        def body(i: Value, lanes: int, mask: Value | None, carried: list[Value]) -> list[Value]:
            with self.lanes_along(axis, i, lanes, mask):
                self.program()
            return carried

        self.hoist({axis})
        if low is not None and high is not None:
            self.vector_loop(low, high, self.plan.lanes, body)

    def program(self) -> None:
        """Passes in the order their reductions need, then the stores."""
        for number, stage in enumerate(self.stages):
            self.stage = number
            if isinstance(stage, _StorePass):
                self.store_pass(stage.stores)
            else:
                self.reduce(stage)

    def passes(self) -> "list[list[Reduce] | _StorePass]":
        """Reductions that share a loop, in an order in which each finds those it uses; then stores that share one."""
        level: dict[int, int] = {}
        groups: dict[tuple[int, tuple[Axis, ...]], list[Reduce]] = {}
        for e in walk([o for s in self.kernel.stores for o in s.operands]):
            below = max((level[id(o)] for o in e.operands), default=0)
            level[id(e)] = below
            if isinstance(e, Reduce):
                groups.setdefault((below, e.axes), []).append(e)
                level[id(e)] = below + 1
        stages: list[list[Reduce] | _StorePass] = [groups[key] for key in sorted(groups, key=lambda key: key[0])]
        stores: dict[tuple[Axis, ...], list[Store]] = {}
        for store in self.kernel.stores:
            stores.setdefault(store.axes, []).append(store)
        return stages + [_StorePass(group) for group in stores.values()]

    def keep(self) -> None:
        """Set aside room for the values of a row that a later pass needs again and that are costly to compute."""
        if self.plan.vector is not None:
            return
        first: dict[int, int] = {}
        spaces: list[tuple[Axis, ...]] = []
        left = SCRATCH_NBYTES
        for k, stage in enumerate(self.stages):
            space = stage.stores[0].axes if isinstance(stage, _StorePass) else stage[0].axes
            spaces.append(space)
            found: set[int] = set()
            stack = (
                [o for s in stage.stores for o in s.operands]
                if isinstance(stage, _StorePass)
                else [r.value for r in stage]
            )
            while stack:
                e = stack.pop()
                if isinstance(e, Reduce) or id(e) in found or not self.free[id(e)] & set(space):
                    continue
                found.add(id(e))
                if id(e) in first and spaces[first[id(e)]] == space and self.is_heavy(e):
                    size = math.prod(a.extent if isinstance(a.extent, int) else left for a in space)
                    nbytes = (size + self.plan.lanes) * ITEMSIZE[e.dtype]
                    if id(e) in self.kept or nbytes <= left:
                        if id(e) not in self.kept:
                            left -= nbytes
                            text = f"alloca i8, i64 {nbytes}, align {self.b.target.vector_bytes}"
                            self.kept[id(e)] = (first[id(e)], self.b.emit(text, "ptr"), space)
                        continue
                first.setdefault(id(e), k)
                stack.extend(e.operands)

    def is_heavy(self, e: Expr) -> bool:
        """Whether an expression contains a costly function of this pass."""
        inside = self.free[id(e)]
        stack = [e]
        while stack:
            e = stack.pop()
            if isinstance(e, Apply) and FUNCTIONS[e.function].heavy:
                return e.dtype != "bool"
            stack.extend(o for o in e.operands if not isinstance(o, Reduce) and self.free[id(o)] & inside)
        return False

    def kept_address(self, e: Expr) -> Value:
        """Where the lanes' values of a kept expression lie."""
        _, room, space = self.kept[id(e)]
        flat = self.bound[space[0]]
        for axis in space[1:]:
            flat = self.b.add(self.times(flat, self.extent(axis.extent)), self.bound[axis])
        return self.b.address(room, flat, ITEMSIZE[e.dtype])

    # Loops

    @contextmanager
    def inside(self, values: dict[Axis, Value]) -> Iterator[None]:
        """In a loop where axes have these values: what is computed here is known only here."""
        self.known.append({})
        self.bases.append({})
        self.bound |= values
        yield
        for axis in values:
            del self.bound[axis]
        self.known.pop()
        self.bases.pop()

    @contextmanager
    def lanes_along(self, axis: Axis, i: Value, lanes: int, mask: Value | None) -> Iterator[None]:
        """In a vector loop: lanes hold the values i, i + 1, … of an axis."""
        self.vector = _Vector(axis, lanes, mask)
        with self.inside({axis: i}):
            yield
        self.vector = _Vector()

    def loops(self, axes: Sequence[Axis], body: Callable[[], None]) -> None:
        """Scalar loops over axes, outermost first."""
        if not axes:
            body()
            return
        axis, b = axes[0], self.b
        self.hoist(set(axes))

        def iteration(i: Value, _: list[Value]) -> list[Value]:
            with self.inside({axis: i}):
                self.loops(axes[1:], body)
            return []

        runs = isinstance(axis.extent, int) and axis.extent > 0
        b.loop(b.const(0, "int64"), self.extent(axis.extent), 1, [], iteration, runs=runs)

    def hoist(self, inner: set[Axis], roots: Sequence[Expr] | None = None) -> None:
        """Compute now what a loop over the inner axes needs but does not change."""
        wanted = [o for s in self.kernel.stores for o in s.operands] if roots is None else roots
        available = set(self.bound) - inner
        for e in self.reachable(wanted, available):
            if isinstance(e, Load):
                self.base(e.buffer, e.index)
        for store in self.kernel.stores:
            if roots is None or store.value in roots:
                self.base(store.buffer, store.index)

    def reachable(self, roots: Sequence[Expr], available: set[Axis]) -> list[Expr]:
        """Expressions below the roots down to those that can be computed now, which are computed."""
        seen: set[int] = set()
        found: list[Expr] = []
        stack = list(roots)
        while stack:
            e = stack.pop()
            if id(e) in seen or self.lookup(e) is not None:
                continue
            seen.add(id(e))
            if isinstance(e, Reduce):
                stack.append(e.value)
                continue
            if self.ready(e, available):
                if not isinstance(e, Const):
                    self.value(e)
            else:
                found.append(e)
                stack.extend(e.operands)
        return found

    def vector_loop(
        self, start: Value, stop: Value, lanes: int, body: VectorBody, carry: "_Carry | None" = None
    ) -> list[Value]:
        """for i in range(start, stop), `lanes` values at a time; body gets i, the lanes and the mask of the tail.

        With masks, the tail is one masked vector. Without, it is a scalar loop, whose results join those of the
        vectors at its end.
        """
        b = self.b
        carry = carry or _Carry([], [], lambda vectors, scalars: vectors)
        results = carry.start
        known = not start.text.startswith("%") and not stop.text.startswith("%")
        span = int(stop.text) - int(start.text) if known else -1
        if known:
            full = b.const(int(start.text) + span // lanes * lanes, "int64")
        else:
            full = b.add(start, b.and_(b.sub(stop, start), b.const(-lanes, "int64")))
        if not known or span >= lanes:
            results = b.loop(start, full, lanes, results, lambda i, c: body(i, lanes, None, c), runs=known)
        if lanes == 1 or (known and span % lanes == 0):
            return results
        if b.target.masks and known:
            rest = span % lanes
            width = lanes if results else power_of_two_from(rest)
            mask = b.icmp("ult", b.iota("uint8", width), b.const(rest, "uint8", width)) if rest < width else None
            return body(full, width, mask, results)
        if b.target.masks:

            def tail(i: Value, c: list[Value]) -> list[Value]:
                left = b.convert("trunc", b.sub(stop, i), "uint8")
                return body(i, lanes, b.icmp("ult", b.iota("uint8", lanes), b.splat(left, lanes)), c)

            return b.loop(full, stop, lanes, results, tail)
        scalars = b.loop(full, stop, 1, carry.scalars, lambda i, c: body(i, 1, None, c), runs=known)
        return carry.join(results, scalars)

    # Reductions

    def reduce(self, reductions: list[Reduce]) -> None:
        """One pass over the row: reductions over the same axes. Their values are known afterwards."""
        b = self.b
        axes = reductions[0].axes
        along_rows = self.plan.vector is not None  # lanes are rows: each lane reduces by itself
        lanes = self.vector.lanes if along_rows else self.plan.lanes
        last = axes[-1]
        if not along_rows and isinstance(last.extent, int):
            lanes = min(lanes, power_of_two_from(last.extent))
        start = [v for r in reductions for v in self.identity(r, lanes)]
        values = [r.value for r in reductions]
        scalar_axes = axes if along_rows else axes[:-1]

        def accumulate(carried: list[Value]) -> list[Value]:
            pairs = zip(reductions, self.states(reductions, carried))
            return [v for r, state in pairs for v in self.combine_next(r, state)]

        scalars = [v for r in reductions for v in self.identity(r, 1)]

        def join(vectors: list[Value], tails: list[Value]) -> list[Value]:
            states = zip(reductions, self.states(reductions, vectors), self.states(reductions, tails))
            return [v for r, state, tail in states for v in self.merge(r, state, self.in_first_lane(r, tail, lanes))]

        def along(remaining: Sequence[Axis], carried: list[Value]) -> list[Value]:
            if remaining:
                axis = remaining[0]
                self.hoist({*remaining, last}, values)

                def iteration(i: Value, c: list[Value]) -> list[Value]:
                    with self.inside({axis: i}):
                        return along(remaining[1:], c)

                runs = isinstance(axis.extent, int) and axis.extent > 0
                return b.loop(b.const(0, "int64"), self.extent(axis.extent), 1, carried, iteration, runs=runs)
            if along_rows:
                return accumulate(carried)
            self.hoist({last}, values)
            return self.inner_vectors(last, lanes, _Carry(carried, scalars, join), accumulate)

        results = along(scalar_axes, start)
        for r, state in zip(reductions, self.states(reductions, results)):
            self.known[-1][id(r)] = self.finished(r, state if along_rows else self.across_lanes(r, state))

    @staticmethod
    def states(reductions: Sequence[Reduce], values: list[Value]) -> list[list[Value]]:
        """A list of carried values cut into the states of the reductions."""
        cut: list[list[Value]] = []
        at = 0
        for r in reductions:
            n = 2 if r.op in ("argmax", "argmin") else 1
            cut.append(values[at : at + n])
            at += n
        return cut

    def inner_vectors(
        self, axis: Axis, lanes: int, carry: "_Carry", accumulate: Callable[[list[Value]], list[Value]]
    ) -> list[Value]:
        """The vector loop of a reduction along an inner axis."""

        def body(i: Value, width: int, mask: Value | None, c: list[Value]) -> list[Value]:
            with self.lanes_along(axis, i, width, mask):
                return accumulate(c)

        return self.vector_loop(self.b.const(0, "int64"), self.extent(axis.extent), lanes, body, carry)

    def in_first_lane(self, r: Reduce, state: list[Value], lanes: int) -> list[Value]:
        """A scalar state as that of a vector whose other lanes have seen nothing."""
        placed = []
        for one, nothing in zip(state, self.identity(r, lanes)):
            text = f"insertelement {nothing.type} {nothing.text}, {one.type} {one.text}, i64 0"
            placed.append(self.b.emit(text, one.dtype, lanes) if lanes > 1 else one)
        return placed

    def identity(self, r: Reduce, lanes: int) -> list[Value]:
        """What a reduction starts from."""
        b, dtype = self.b, r.value.dtype
        least: float | int = -math.inf if dtype in FLOATS else -(2 ** (8 * ITEMSIZE[dtype] - 1)) * (dtype in SIGNED)
        most: float | int = math.inf if dtype in FLOATS else 2 ** (8 * ITEMSIZE[dtype] - (dtype in SIGNED)) - 1
        zero: dict[str, float | int | bool] = {
            "sum": -0.0 if dtype in FLOATS else 0,
            "prod": 1,
            "any": False,
            "all": True,
        }
        zero |= {"max": least, "min": most, "argmax": least, "argmin": most}
        state = [b.const(zero[r.op], dtype, lanes)]
        return [*state, b.const(-1, "int64", lanes)] if r.op in ("argmax", "argmin") else state

    def combine_next(self, r: Reduce, state: list[Value]) -> list[Value]:
        """The state after one more vector (or scalar) of values."""
        b = self.b
        lanes = state[0].lanes
        x = b.splat(self.value(r.value), lanes)
        mask = self.vector.mask if self.plan.vector is None else None
        if len(state) == 2:
            place = b.splat(self.place(r.axes), lanes)
            better = self.beats(r.op, x, state[0])
            better = b.or_(better, b.icmp("slt", state[1], b.like(0, state[1])))
            if mask is not None:
                better = b.and_(better, mask)
            return [b.select(better, x, state[0]), b.select(better, place, state[1])]
        if mask is not None:
            x = b.select(mask, x, self.identity(r, lanes)[0])
        return [apply(b, COMBINE[r.op], [state[0], x])]

    def beats(self, op: str, x: Value, best: Value) -> Value:
        """Whether x displaces the best value before it: strictly better, or the first NaN."""
        b = self.b
        if x.dtype in FLOATS:
            ahead = b.fcmp("ugt" if op == "argmax" else "ult", x, best)
            return b.and_(ahead, b.fcmp("ord", best, best))
        sign = "s" if x.dtype in SIGNED else "u"
        return b.icmp(sign + ("gt" if op == "argmax" else "lt"), x, best)

    def place(self, axes: Sequence[Axis]) -> Value:
        """Row-major position within the reduced axes, in the lanes of the current vector."""
        b = self.b
        flat: Value | None = None
        for axis in axes:
            here = self.coordinate(axis)
            if flat is not None:
                flat = self.add_any(self.mul_any(flat, self.extent(axis.extent)), here)
            else:
                flat = here
        return flat if flat is not None else b.const(0, "int64")

    def merge(self, r: Reduce, a: list[Value], c: list[Value]) -> list[Value]:
        """Two states of the same lanes as one, a's places coming first or not."""
        b = self.b
        if len(a) == 1:
            return [apply(b, COMBINE[r.op], [a[0], c[0]])]
        empty_a = b.icmp("slt", a[1], b.like(0, a[1]))
        full_c = b.icmp("sge", c[1], b.like(0, c[1]))
        wins = self.beats(r.op, c[0], a[0])
        beaten = self.beats(r.op, a[0], c[0])
        level = b.not_(b.or_(wins, beaten))
        earlier = b.and_(level, b.icmp("slt", c[1], a[1]))
        take = b.and_(full_c, b.or_(empty_a, b.or_(wins, earlier)))
        return [b.select(take, c[0], a[0]), b.select(take, c[1], a[1])]

    def across_lanes(self, r: Reduce, state: list[Value]) -> list[Value]:
        """One state from those in the lanes: halves added to halves, which also sums pairwise."""
        lanes = state[0].lanes
        while lanes > 1:
            lanes //= 2
            low = [self.b.shuffle(v, range(lanes)) for v in state]
            high = [self.b.shuffle(v, range(lanes, 2 * lanes)) for v in state]
            state = self.merge(r, low, high)
        return state

    def finished(self, r: Reduce, state: list[Value]) -> Value:
        """The value of a reduction: its state, or the place in it."""
        b = self.b
        if len(state) == 1:
            # a sum starts from -0, the neutral element; the sum of nothing is +0
            return b.fadd(state[0], b.like(0, state[0])) if r.op == "sum" and r.dtype in FLOATS else state[0]
        return b.select(b.icmp("slt", state[1], b.like(0, state[1])), b.like(0, state[1]), state[1])

    # Stores

    def store_pass(self, group: list[Store]) -> None:
        """One loop over inner axes (or none) carrying out stores."""
        axes = group[0].axes
        operands = [o for s in group for o in s.operands]

        def carry_out() -> None:
            for e in operands:  # all before the first store, which may overwrite what another loads
                self.value(e)
            for store in group:
                self.store(store)

        if not axes:
            carry_out()
        elif self.plan.vector is not None:
            self.loops(axes, carry_out)
        else:
            self.loops(axes[:-1], lambda: self.store_vectors(axes[-1], operands, carry_out))

    def store_vectors(self, axis: Axis, operands: list[Expr], carry_out: Callable[[], None]) -> None:
        """The vector loop of stores along an inner axis."""
        self.hoist({axis}, operands)

        def body(i: Value, width: int, mask: Value | None, c: list[Value]) -> list[Value]:
            with self.lanes_along(axis, i, width, mask):
                carry_out()
            return c

        lanes = self.plan.lanes
        if isinstance(axis.extent, int):
            lanes = min(lanes, power_of_two_from(axis.extent))
        self.vector_loop(self.b.const(0, "int64"), self.extent(axis.extent), lanes, body)

    def store(self, store: Store) -> None:
        """One store of a vector or scalar."""
        b = self.b
        dtype = store.buffer.dtype
        x = self.value(store.value)
        lanes = self.vector.lanes
        stride, extra = self.vector_part(store.index)
        wide = lanes > 1 and (stride != 0 or extra is not None)
        condition = self.value(store.mask) if store.mask is not None else None
        if not wide:
            pointer = self.base(store.buffer, store.index)

            def write() -> None:
                value = x
                if store.combine:
                    old = widen(b, b.load(pointer, STORED.get(dtype, dtype)), dtype)
                    value = apply(b, COMBINE[store.combine], [old, value])
                b.store(narrow(b, value, dtype), pointer)

            if condition is not None:
                b.when(condition, write)
            else:
                write()
            return
        x = b.splat(x, lanes)
        mask = self.vector.mask
        if condition is not None:
            condition = b.splat(condition, lanes)
            mask = condition if mask is None else b.and_(mask, condition)
        pointer, contiguous = self.pointer(store.buffer, store.index, stride, extra)
        if store.combine:
            old = widen(b, self.read(pointer, contiguous, STORED.get(dtype, dtype), lanes, mask), dtype)
            x = apply(b, COMBINE[store.combine], [old, x])
        stored = narrow(b, x, dtype)
        if not contiguous:
            b.scatter(stored, pointer, mask if mask is not None else b.const(True, "bool", lanes))
        elif mask is not None:
            b.masked_store(stored, pointer, mask)
        else:
            b.store(stored, pointer)

    # Values

    def lookup(self, e: Expr) -> Value | None:
        """The value of an expression, if one of the enclosing loops has it."""
        for table in reversed(self.known):
            if (found := table.get(id(e))) is not None:
                return found
        return None

    def value(self, e: Expr) -> Value:
        """The value of an expression here: a scalar if it does not vary along the lanes."""
        found = self.lookup(e)
        if found is None:
            kept = self.kept.get(id(e))
            if kept is not None and kept[0] < self.stage:
                found = self.b.load(self.kept_address(e), e.dtype, self.vector.lanes)
            else:
                found = self.compute(e)
                if kept is not None:
                    self.b.store(self.b.splat(found, self.vector.lanes), self.kept_address(e))
            self.known[-1][id(e)] = found
        return found

    def compute(self, e: Expr) -> Value:
        """Emit an expression."""
        b = self.b
        match e:
            case Const():
                return b.const(e.value, e.dtype)
            case Coordinate():
                here = self.coordinate(e.axis)
                return here if e.dtype == "int64" else apply(b, "cast", [here], e.dtype)
            case Load():
                return self.load(e)
            case Apply():
                args = [self.value(a) for a in e.args]
                lanes = max(a.lanes for a in args)
                return apply(b, e.function, [b.splat(a, lanes) for a in args], e.to)
            case Reduce():
                raise ValueError(f"kernel {self.kernel.name}: a {e.op} is used before its pass")
        raise TypeError(f"unknown expression {type(e).__name__}")

    def coordinate(self, axis: Axis) -> Value:
        """The value of an axis, in all lanes if it is the one they lie along."""
        b, here = self.b, self.bound[axis]
        if axis is not self.vector.axis or self.vector.lanes == 1:
            return here
        lanes = self.vector.lanes
        return b.add(b.splat(here, lanes), b.iota("int64", lanes))

    def load(self, e: Load) -> Value:
        """Emit a load: of a scalar, of consecutive elements, or a gather."""
        b, dtype = self.b, e.buffer.dtype
        stored = STORED.get(dtype, dtype)
        stride, extra = self.vector_part(e.index)
        condition = self.value(e.mask) if e.mask is not None else None
        varies = self.vector.lanes > 1 and (stride != 0 or extra is not None)
        if not varies and (condition is None or condition.lanes == 1):
            pointer = self.base(e.buffer, e.index)
            if condition is None:
                return widen(b, b.load(pointer, stored), dtype)
            pointer = b.select(condition, pointer, self.nowhere())
            return b.select(condition, widen(b, b.load(pointer, stored), dtype), b.const(e.other, e.dtype))
        lanes = self.vector.lanes
        mask = self.vector.mask
        if condition is not None:
            wide = b.splat(condition, lanes)
            mask = wide if mask is None else b.and_(mask, wide)
        pointer, contiguous = self.pointer(e.buffer, e.index, stride, extra)
        loaded = widen(b, self.read(pointer, contiguous, stored, lanes, mask), dtype)
        return (
            loaded
            if condition is None
            else b.select(b.splat(condition, lanes), loaded, b.const(e.other, e.dtype, lanes))
        )

    def read(self, pointer: Value, contiguous: bool, dtype: str, lanes: int, mask: Value | None) -> Value:
        """Consecutive or scattered elements; lanes outside the mask are not read."""
        b = self.b
        if not contiguous:
            if mask is None:
                mask = b.const(True, "bool", lanes)
            return b.gather(pointer, mask, b.const(0, dtype, lanes))
        return b.load(pointer, dtype, lanes) if mask is None else b.masked_load(pointer, mask, b.const(0, dtype, lanes))

    def nowhere(self) -> Value:
        """An address that may be read in place of one that may not."""
        self.b.module.globals.setdefault(
            "tf.nowhere", "@tf.nowhere = internal constant [8 x i8] zeroinitializer, align 8"
        )
        return Value("@tf.nowhere", "ptr")

    # Addresses

    def vector_part(self, index: Index) -> tuple[int | Sym, Value | None]:
        """The stride along the lanes, and the gathered terms that differ from lane to lane, if any."""
        axis = self.vector.axis
        stride: int | Sym = index.stride(axis) if axis is not None else 0
        total: Value | None = None
        for e, step in index.gathered:
            if (x := self.value(e)).lanes > 1:
                part = self.mul_any(apply(self.b, "cast", [x], "int64"), self.size(step))
                total = part if total is None else self.b.add(total, part)
        return stride, total

    def pointer(self, buffer: Buffer, index: Index, stride: int | Sym, extra: Value | None) -> tuple[Value, bool]:
        """The address of a vector of elements, or a vector of addresses; and which of the two it is."""
        b = self.b
        itemsize = ITEMSIZE[buffer.dtype]
        base = self.base(buffer, index)
        lanes = self.vector.lanes
        if extra is None and stride == 1:
            return base, True
        offsets = extra
        if stride != 0:
            steps = b.mul(b.iota("int64", lanes), b.splat(self.size(stride), lanes))
            offsets = steps if offsets is None else b.add(offsets, steps)
        if offsets is None:
            offsets = b.const(0, "int64", lanes)
        return b.address(base, offsets, itemsize), False

    def base(self, buffer: Buffer, index: Index) -> Value:
        """The address of the first lane's element, but for gathered terms that differ between lanes.

        Built on the address an enclosing loop has computed from the axes bound there.
        """
        b = self.b
        here: Value | None = None
        included: frozenset[Axis] = frozenset()
        for table in reversed(self.bases):
            if (buffer, index) in table:
                here, included = table[buffer, index]
                break
        first = here is None
        if here is None:
            here = self.pointers[buffer]
        offset: Value | None = b.const(index.offset, "int64") if first and index.offset else None
        new = included
        for axis, stride in index.terms:
            if axis in self.bound and axis not in included:
                part = self.mul_any(self.bound[axis], self.size(stride))
                offset = part if offset is None else b.add(offset, part)
                new |= {axis}
        if offset is not None:
            here = b.address(here, offset, ITEMSIZE[buffer.dtype])
        if offset is not None or first:
            self.bases[-1][buffer, index] = (here, new)
        scalar = [
            (x, s) for e, s in index.gathered if self.ready(e, self.bound.keys()) and (x := self.value(e)).lanes == 1
        ]
        for x, step in scalar:
            part = self.mul_any(apply(b, "cast", [x], "int64"), self.size(step))
            here = b.address(here, part, ITEMSIZE[buffer.dtype])
        return here

    def ready(self, e: Expr, available: Set[Axis]) -> bool:
        """Whether an expression can be computed where these axes have values and some reductions are done."""
        return self.free[id(e)] <= available and all(self.lookup(r) is not None for r in self.uses[id(e)])

    # Numbers

    def size(self, n: int | Sym) -> Value:
        """A stride or extent as a value."""
        b = self.b
        if isinstance(n, int):
            return b.const(n, "int64")
        scaled = self.times(self.sizes[n.name], b.const(n.scale, "int64"))
        return self.times(self.ceil_div(scaled, n.block), b.const(n.factor, "int64"))

    def extent(self, extent: Extent) -> Value:
        """The number of values of an axis, here."""
        if isinstance(extent, Rest):
            b = self.b
            block = b.const(extent.block, "int64")
            return self.least(block, b.sub(self.size(extent.total), b.mul(self.bound[extent.outer], block)))
        return self.size(extent)

    def least(self, x: Value, y: Value) -> Value:
        """The lesser of two numbers."""
        return self.b.intrinsic("smin", x, x, y)

    def times(self, x: Value, y: Value) -> Value:
        """x·y, where both may be known."""
        if x.text == "1" or y.text == "0":
            return y
        if y.text == "1" or x.text == "0":
            return x
        if not x.text.startswith("%") and not y.text.startswith("%"):
            return self.b.const(int(x.text) * int(y.text), "int64")
        return self.b.mul(x, y)

    def ceil_div(self, x: Value, n: int) -> Value:
        """⌈x / n⌉."""
        if not x.text.startswith("%"):
            return self.b.const(-(-int(x.text) // n), "int64")
        return (
            x
            if n == 1
            else self.b.binary("sdiv", self.b.add(x, self.b.const(n - 1, "int64")), self.b.const(n, "int64"))
        )

    def mul_any(self, x: Value, y: Value) -> Value:
        """x·y, either of which may be a scalar beside a vector."""
        lanes = max(x.lanes, y.lanes)
        return self.times(x, y) if lanes == 1 else self.b.mul(self.b.splat(x, lanes), self.b.splat(y, lanes))

    def add_any(self, x: Value, y: Value) -> Value:
        """x + y, either of which may be a scalar beside a vector."""
        lanes = max(x.lanes, y.lanes)
        return self.b.add(self.b.splat(x, lanes), self.b.splat(y, lanes))
