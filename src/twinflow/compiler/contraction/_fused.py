"""A loop kernel as the epilogue of a contraction: elementwise code applied to sums while they are in registers.

The kernel runs over the elements of the contraction's result and loads the sums from one buffer, at the element itself. What
it stores first is what the contraction stores; its other results are stored beside, and its other buffers are the epilogue's
operands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from twinflow.compiler._builder import ITEMSIZE, Builder
from twinflow.compiler._builder import Module as LoopModule
from twinflow.compiler._builder import Value as Scalar
from twinflow.compiler.contraction._text import Function, Value
from twinflow.compiler.contraction._tile import At
from twinflow.compiler.contraction._vectors import iota, load, splat, store
from twinflow.compiler.loops import Apply, Axis, Buffer, Const, Coordinate, Expr, Index, Kernel, Load, walk
from twinflow.compiler.scalar import FUNCTIONS, STORED, apply, narrow, widen

_MEMORY = {"bool": "i8", "float16": "i16", "bfloat16": "i16", "float32": "float", "float64": "double"}


@dataclass(frozen=True)
class Steps:
    """Elements between neighbours along rows, columns and batch entries of a contraction's result."""

    row: int
    col: int
    batch: int
    offset: int


def flattened(index: Index, groups: Sequence[Sequence[Axis]]) -> Steps | None:
    """An index in terms of rows, columns and batch, each of which is a group of axes, outermost first; None if a group
    cannot be walked with one step."""
    if index.gathered or any(not isinstance(s, int) for _, s in index.terms):
        return None
    steps = []
    for group in groups:
        step = 0
        reach: int | None = None
        for k, axis in enumerate(reversed(group)):
            here = index.stride(axis)
            if not isinstance(here, int) or (k and here != reach):
                return None
            if k == 0:
                step = here
            # an open extent has no known reach, except over nothing
            reach = here * axis.extent if isinstance(axis.extent, int) else 0 if here == 0 else None
        steps.append(step)
    row, col, batch = steps
    return Steps(row, col, batch, index.offset)


@dataclass
class FusedEpilogue:
    """An `Epilogue` made of a loop kernel.

    Args:
        kernel: elementwise, without inner axes.
        sums: the buffer that stands for the contraction's result.
        rows, cols, batch: the kernel's axes that are rows, columns and batch entries of the result, outermost first.
        module: where helper functions go.

    `operands` are the buffers whose addresses the caller puts into the slots after `OPERANDS`, in order; `result` is the
    buffer that the contraction's own C is: the first store's, or the sums themselves where `keep_sums`.
    """

    kernel: Kernel
    sums: Buffer
    rows: tuple[Axis, ...]
    cols: tuple[Axis, ...]
    batch: tuple[Axis, ...]
    module: LoopModule
    keep_sums: bool = False
    _steps: dict[Index, Steps] = field(default_factory=dict)

    @property
    def operands(self) -> tuple[Buffer, ...]:
        """The buffers besides C, in the order of their slots."""
        mine = self.sums if self.keep_sums else self.kernel.stores[0].buffer
        return tuple(b for b in self.kernel.buffers if b is not mine and b is not self.sums)

    @property
    def weight(self) -> int:
        """About how many instructions it takes for a vector."""
        roots = [o for s in self.kernel.stores for o in s.operands]
        return sum(15 if isinstance(e, Apply) and FUNCTIONS[e.function].heavy else 1 for e in walk(roots))

    @property
    def updated(self) -> list[tuple[int, Steps, str]]:
        """What it reads, and as it seems also writes, beside C: the operand's number, its steps, the type of its elements."""
        stored = {(self._steps[s.index], s.buffer.dtype) for s in self.kernel.stores if s.buffer in self.operands}
        loads = {e.buffer: e for s in self.kernel.stores for e in walk(s.operands) if isinstance(e, Load)}
        return [
            (self.operands.index(b), self._steps[e.index], _memory(b.dtype))
            for b, e in loads.items()
            if b in self.operands and (self._steps[e.index], b.dtype) in stored
        ]

    def fits(self) -> bool:
        """Whether the kernel can be an epilogue."""
        kernel, groups = self.kernel, (self.rows, self.cols, self.batch)
        place = flattened(kernel.stores[0].index, groups)
        if place is None or kernel.serial:
            return False
        for s in kernel.stores:
            where = flattened(s.index, groups)
            if s.axes or s.combine or s.mask is not None or where is None:
                return False
            self._steps[s.index] = where
            for e in walk(s.operands):
                if isinstance(e, Load):
                    where = flattened(e.index, groups)
                    if where is None or e.mask is not None or (e.buffer is self.sums and where != place):
                        return False
                    self._steps[e.index] = where
                elif isinstance(e, Coordinate):
                    if not any(len(g) == 1 and g[0] is e.axis for g in groups):
                        return False
                elif not isinstance(e, Apply | Const):
                    return False
        return True

    def __call__(self, f: Function, value: str, at: At) -> str:
        """Write the epilogue of one vector."""
        return _Inline(self, f, value, at).run()


class _Inline(Builder):
    """Scalar functions written into a contraction's function."""

    def __init__(self, fused: FusedEpilogue, f: Function, value: str, at: At) -> None:
        super().__init__(fused.module)
        self.fused, self.f, self.at = fused, f, at
        self.lines = f.lines
        self._count = f.taken
        dtype = {"float": "float32", "double": "float64"}[at.scalar]
        self.sum = Scalar(value, dtype, at.lanes)
        self.made: dict[int, Scalar] = {}
        self.block = f.block

    def run(self) -> str:
        fused = self.fused
        values = []
        for s in fused.kernel.stores:
            for e in walk(s.operands):
                if id(e) not in self.made:
                    self.made[id(e)] = self._value(e)
            values.append(self.made[id(s.value)])
        first = 0 if fused.keep_sums else 1
        for s, x in zip(fused.kernel.stores[first:], values[first:]):
            stored = narrow(self, self.splat(x, self.at.lanes), s.buffer.dtype)
            pointer, stride = self._place(s.buffer, s.index)
            self._give()
            store(self.f, _memory(s.buffer.dtype), stored.text, pointer, self.at.lanes, stride, self.at.mask)
            self._take()
        self._give()
        return self.sum.text if fused.keep_sums else self.splat(values[0], self.at.lanes).text

    def _take(self) -> None:
        self._count = self.f.taken

    def _give(self) -> None:
        self.f.taken = self._count
        self.f.block = self.block

    def _place(self, buffer: Buffer, index: Index) -> tuple[str, int]:
        """The address of lane 0, and the step between lanes."""
        at, steps = self.at, self.fused._steps[index]
        self._give()
        f = self.f
        offset: Value = f.add(f.add(f.mul(at.row, steps.row), f.mul(at.col, steps.col)), f.mul(at.batch, steps.batch))
        base = at.operand(self.fused.operands.index(buffer))
        pointer = f.shift(base, f.add(offset, steps.offset), _memory(buffer.dtype))
        self._take()
        return pointer, steps.row if at.down else steps.col

    def _value(self, e: Expr) -> Scalar:
        at = self.at
        match e:
            case Const():
                return self.const(e.value, e.dtype, at.lanes)
            case Coordinate():
                return self._coordinate(e)
            case Load() if e.buffer is self.fused.sums:
                return self.sum
            case Load():
                pointer, stride = self._place(e.buffer, e.index)
                kind = e.buffer.dtype
                self._give()
                text = load(self.f, _memory(kind), pointer, at.lanes, stride, at.mask)
                self._take()
                return widen(self, Scalar(text, STORED.get(kind, kind), at.lanes), kind)
            case Apply():
                return apply(self, e.function, [self.made[id(a)] for a in e.args], e.to)
        raise TypeError(f"{type(e).__name__} in an epilogue")

    def _coordinate(self, e: Coordinate) -> Scalar:
        fused, at = self.fused, self.at
        row, col = e.axis in fused.rows, e.axis in fused.cols
        first = at.row if row else at.col if col else at.batch
        runs = (row and at.down) or (col and not at.down)
        self._give()
        text = splat(self.f, "i64", str(first), at.lanes)
        if runs:
            text = self.f.op(f"add <{at.lanes} x i64> {text}, {iota('i64', at.lanes)}")
        self._take()
        here = Scalar(text, "int64", at.lanes)
        return here if e.dtype == "int64" else apply(self, "cast", [here], e.dtype)


def _memory(dtype: str) -> str:
    """LLVM's name of the elements of a dtype as they lie in memory."""
    return _MEMORY.get(dtype, f"i{8 * ITEMSIZE[dtype]}")
