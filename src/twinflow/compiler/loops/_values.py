"""Values and addresses at a point inside the loops of a kernel: what is known there, and how the rest is computed.

An expression is a scalar unless it varies along the axis that the lanes lie along. It is computed in the outermost loop
that binds the axes it needs, by `hoist` before a loop is entered, and once.
"""

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass

from twinflow.compiler._builder import ITEMSIZE, Builder, Value
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
    Size,
    Sym,
    walk,
)
from twinflow.compiler.loops._verify import free_axes
from twinflow.compiler.scalar import STORED, apply, widen


@dataclass
class Vector:
    """The vector loop being emitted: its axis, lanes, and the mask of its tail."""

    axis: Axis | None = None
    lanes: int = 1
    mask: Value | None = None


class Values:
    """The loops around the point where code is being written, and what has been computed in each.

    Args:
        b: writes the function.
        kernel: the kernel.
        buffers, symbols: its arguments, in the order in which their addresses and values are passed.
    """

    def __init__(self, b: Builder, kernel: Kernel, buffers: tuple[Buffer, ...], symbols: tuple[str, ...]) -> None:
        self.b = b
        self.kernel = kernel
        self.buffers = buffers
        roots = [o for s in kernel.stores for o in s.operands]
        self.free = free_axes(roots)
        self.uses: dict[int, frozenset[Reduce]] = {}  # the reductions an expression needs the values of
        for e in walk(roots):
            below = frozenset().union(*(self.uses[id(o)] for o in e.operands))
            self.uses[id(e)] = frozenset((e,)) if isinstance(e, Reduce) else below
        self.bound: dict[Axis, Value] = {}
        self.vector = Vector()
        # values by expression, and addresses by index with the axes they include: a table for each enclosing loop
        self.known: list[dict[int, Value]] = [{}]
        self.bases: list[dict[tuple[Buffer, Index], tuple[Value, frozenset[Axis]]]] = [{}]
        self.pointers: dict[Buffer, Value] = {}
        # values of a row kept for later passes: the pass that computes them, the room they lie in, their axes
        self.kept: dict[int, tuple[int, Value, tuple[Axis, ...]]] = {}
        self.stage = 0  # the number of the pass
        self.sizes = {
            name: b.load(b.address(Value("%args", "ptr"), b.const(len(buffers) + k, "int64"), 8), "int64")
            for k, name in enumerate(symbols)
        }

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
        self.vector = Vector(axis, lanes, mask)
        with self.inside({axis: i}):
            yield
        self.vector = Vector()

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
            case Size():
                return self.size(e.sym)
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

    def kept_address(self, e: Expr) -> Value:
        """Where the lanes' values of a kept expression lie."""
        _, room, space = self.kept[id(e)]
        flat = self.bound[space[0]]
        for axis in space[1:]:
            flat = self.b.add(self.times(flat, self.extent(axis.extent)), self.bound[axis])
        return self.b.address(room, flat, ITEMSIZE[e.dtype])

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
