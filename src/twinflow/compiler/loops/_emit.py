"""Loop kernels to LLVM: vector code written out directly, with masked (or scalar) tails.

A kernel becomes a function in the thread pool's form, `void name(ptr args, i64 chunk, i64 worker)`, over an array of
8-byte arguments: the addresses of the kernel's buffers, then its symbols' values. `name.nchunks(ptr args)` says how
many chunks there are. Chunks may run in any order and in parallel. `name.run(ptr pool, ptr args)` runs them all.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twinflow.compiler._builder import ITEMSIZE, Builder, Module, Value
from twinflow.compiler.loops._ir import (
    Apply,
    Axis,
    Buffer,
    Expr,
    Kernel,
    Reduce,
    Store,
    walk,
)
from twinflow.compiler.loops._schedule import Schedule, merge_axes, power_of_two_from, schedule
from twinflow.compiler.loops._states import (
    COMBINE,
    PLACES,
    State,
    across_lanes,
    advance,
    finished,
    identity,
    in_first_lane,
    merge,
    states,
)
from twinflow.compiler.loops._values import Values
from twinflow.compiler.loops._verify import verify
from twinflow.compiler.scalar import FUNCTIONS, STORED, apply, narrow, widen

SCRATCH_NBYTES = 65536  # of stack for a row's values that later passes use again


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


class _Emitter(Values):
    """Writes one kernel's function: its rows, passes and loops."""

    def __init__(
        self, b: Builder, kernel: Kernel, plan: Schedule, arguments: tuple[tuple[Buffer, ...], tuple[str, ...]]
    ) -> None:
        super().__init__(b, kernel, *arguments)
        self.plan = plan
        self.stages = self.passes()

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

    # Loops

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
        start = [v for r in reductions for v in identity(b, r, lanes)]
        values = [r.value for r in reductions]
        scalar_axes = axes if along_rows else axes[:-1]

        def accumulate(carried: list[Value]) -> list[Value]:
            pairs = zip(reductions, states(reductions, carried))
            return [v for r, state in pairs for v in self.advance(r, state)]

        scalars = [v for r in reductions for v in identity(b, r, 1)]

        def join(vectors: list[Value], tails: list[Value]) -> list[Value]:
            ends = zip(reductions, states(reductions, vectors), states(reductions, tails))
            return [v for r, state, tail in ends for v in merge(b, r, state, in_first_lane(b, r, tail, lanes))]

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
        for r, state in zip(reductions, states(reductions, results)):
            self.known[-1][id(r)] = finished(b, r, state if along_rows else across_lanes(b, r, state))

    def inner_vectors(
        self, axis: Axis, lanes: int, carry: "_Carry", accumulate: Callable[[list[Value]], list[Value]]
    ) -> list[Value]:
        """The vector loop of a reduction along an inner axis."""

        def body(i: Value, width: int, mask: Value | None, c: list[Value]) -> list[Value]:
            with self.lanes_along(axis, i, width, mask):
                return accumulate(c)

        return self.vector_loop(self.b.const(0, "int64"), self.extent(axis.extent), lanes, body, carry)

    def advance(self, r: Reduce, state: State) -> State:
        """The state of a reduction after the values of the current vector."""
        b = self.b
        lanes = state[0].lanes
        mask = self.vector.mask if self.plan.vector is None else None
        place = b.splat(self.place(r.axes), lanes) if r.op in PLACES else None
        return advance(b, r, state, b.splat(self.value(r.value), lanes), mask, place)

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
