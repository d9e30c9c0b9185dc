"""The loop IR: what a loop kernel computes, on one page.

A kernel iterates over its outer `axes` (the *rows*; iterations are independent and may run in any order). For each row
it computes reductions over inner axes and stores results, each store over inner axes of its own:

    kernel softmax(x: float32, y: float32):
      for i < 64:
        %m = max[j < 10] x[10·i + j]
        %s = sum[j < 10] exp(sub(x[10·i + j], %m))
        for j < 10:
          y[10·i + j] = div(exp(sub(x[10·i + j], %m)), %s)

Values are a DAG of scalar expressions; using a node twice computes it once where that is possible. A reduction is an
expression whose value belongs to a row, so passes over a row need not be spelled out: they follow from which
reductions use which. Indices count elements from the buffer's start and are affine in the axes, plus optional gathered
terms (integer expressions times a stride). float16 and bfloat16 live in memory only: a load widens them to float32.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from twinflow.compiler._builder import ITEMSIZE
from twinflow.compiler.scalar import FUNCTIONS, result_dtype

REDUCTIONS = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")
COMBINERS = ("sum", "prod", "max", "min")


@dataclass(frozen=True)
class Sym:
    """An extent or stride known only when the kernel runs: factor·⌈scale·value / block⌉ of the value called `name`."""

    name: str
    scale: int = 1
    block: int = 1
    factor: int = 1

    def __str__(self) -> str:
        text = self.name if self.scale == 1 else f"{self.scale}{self.name}"
        if self.block != 1:
            text = f"⌈{text}/{self.block}⌉"
        return text if self.factor == 1 else f"{self.factor}{text}"

    def __mul__(self, factor: int) -> "Sym":
        if self.block == 1:
            return Sym(self.name, self.scale * factor)
        return Sym(self.name, self.scale, self.block, self.factor * factor)

    __rmul__ = __mul__

    def blocks(self, block: int) -> "Sym":
        """How many blocks of so many values it takes."""
        if self.block != 1:
            raise ValueError(f"{self} is already a number of blocks")
        return Sym(self.name, self.scale, block)

    def value(self, symbols: Mapping[str, int]) -> int:
        """Its value, given those of the names."""
        return self.factor * -(-self.scale * symbols[self.name] // self.block)


@dataclass(frozen=True)
class Rest:
    """The extent of one block of an axis cut into blocks: min(block, total - block·outer)."""

    total: "int | Sym"
    block: int
    outer: "Axis"


Extent = int | Sym | Rest


@dataclass(frozen=True, eq=False)
class Axis:
    """One loop variable, 0 <= value < extent. Axes are told apart by identity; the name is for printing."""

    name: str
    extent: Extent


@dataclass(frozen=True, eq=False)
class Buffer:
    """A kernel argument: consecutive elements of a dtype, at least one of which may be absent (size 0)."""

    name: str
    dtype: str

    def __post_init__(self) -> None:
        if self.dtype not in ITEMSIZE:
            raise ValueError(f"buffer {self.name}: no such dtype {self.dtype!r}; one of {', '.join(ITEMSIZE)}")

    def __getitem__(self, index: "Index | Axis | int") -> "Load":
        return Load(self, index if isinstance(index, Index) else Index.of(index))


@dataclass(frozen=True, eq=False)
class Index:
    """offset + Σ stride·axis + Σ stride·expression, in elements."""

    terms: tuple[tuple[Axis, int | Sym], ...] = ()
    offset: int = 0
    gathered: "tuple[tuple[Expr, int | Sym], ...]" = ()

    @staticmethod
    def of(*parts: "Axis | int | tuple[Axis, int | Sym] | tuple[Expr, int | Sym]") -> "Index":
        """Sum of axes, numbers, (axis, stride) and (expression, stride) pairs.

        >>> i, j = Axis("i", 4), Axis("j", 8)
        >>> print(Index.of((i, 8), j, 3))
        8·i + j + 3
        """
        terms: dict[Axis, int | Sym] = {}
        gathered: list[tuple[Expr, int | Sym]] = []
        offset = 0
        for part in parts:
            if isinstance(part, int):
                offset += part
                continue
            what, stride = part if isinstance(part, tuple) else (part, 1)
            if isinstance(what, Expr):
                gathered.append((what, stride))
            elif what in terms:
                terms[what] = add_extents(terms[what], stride)
            else:
                terms[what] = stride
        kept = tuple((a, s) for a, s in terms.items() if s != 0)
        return Index(kept, offset, tuple(gathered))

    def stride(self, axis: Axis) -> int | Sym:
        """Elements between neighbours along an axis."""
        return next((s for a, s in self.terms if a is axis), 0)

    def __str__(self) -> str:
        return Printer().index(self)


def add_extents(a: int | Sym, b: int | Sym) -> int | Sym:
    """a + b, where both are numbers or multiples of one symbol."""
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if isinstance(a, Sym) and isinstance(b, Sym) and a.name == b.name and a.block == b.block == 1:
        return Sym(a.name, a.scale + b.scale)
    if a == 0 or b == 0:
        return b if a == 0 else a
    raise ValueError(f"the strides {a} and {b} have no sum of one term; pass the sum as a symbol of its own")


class Expr:
    """A scalar value at one point of the iteration space, with its dtype."""

    __slots__ = ("dtype",)
    dtype: str

    @property
    def operands(self) -> "tuple[Expr, ...]":
        """The expressions this one is computed from, those in its index included."""
        return ()


class Const(Expr):
    """A number."""

    __slots__ = ("value",)

    def __init__(self, value: float | int | bool, dtype: str) -> None:
        self.value = value
        self.dtype = dtype


class Coordinate(Expr):
    """The value of an axis as a number (iota, masks, padding tests)."""

    __slots__ = ("axis",)

    def __init__(self, axis: Axis, dtype: str = "int64") -> None:
        self.axis = axis
        self.dtype = dtype


class Size(Expr):
    """The value of a runtime size as a number."""

    __slots__ = ("sym",)

    def __init__(self, sym: Sym) -> None:
        self.sym = sym
        self.dtype = "int64"


class Load(Expr):
    """An element of a buffer. With `mask`, nothing is read where it is false and the value is `other`."""

    __slots__ = ("buffer", "index", "mask", "other")

    def __init__(self, buffer: Buffer, index: Index, mask: Expr | None = None, other: float | int = 0) -> None:
        self.buffer = buffer
        self.index = index
        self.mask = mask
        self.other = other
        self.dtype = "float32" if buffer.dtype in ("float16", "bfloat16") else buffer.dtype
        if mask is not None and mask.dtype != "bool":
            raise ValueError(f"load of {buffer.name}: the mask is {mask.dtype}, not bool")

    @property
    def operands(self) -> tuple[Expr, ...]:
        inner = tuple(e for e, _ in self.index.gathered)
        return inner if self.mask is None else (*inner, self.mask)


class Apply(Expr):
    """A function of the scalar table, or "cast" with the dtype to convert to.

    Casting to float16 or bfloat16 rounds to that type's precision and keeps the value as float32.
    """

    __slots__ = ("args", "function", "to")

    def __init__(self, function: str, *args: Expr, to: str | None = None) -> None:
        if function not in FUNCTIONS:
            raise ValueError(f"no scalar function {function!r}; the table has {', '.join(sorted(FUNCTIONS))}")
        self.function = function
        self.args = args
        self.to = to
        self.dtype = result_dtype(function, [a.dtype for a in args], to)

    @property
    def operands(self) -> tuple[Expr, ...]:
        return self.args


class Reduce(Expr):
    """A reduction over inner axes: a value of the row, for use in its later passes and stores.

    argmax and argmin give the position (int64) in row-major order of the axes; the first of equals wins, and a NaN
    counts as greater (less) than every number. max and min propagate NaN. Over nothing, sum is 0, prod 1, any false,
    all true, max and min the least and greatest value of the dtype, and argmax and argmin 0.
    """

    __slots__ = ("axes", "op", "value")

    def __init__(self, op: str, value: Expr, axes: Sequence[Axis]) -> None:
        if op not in REDUCTIONS:
            raise ValueError(f"no reduction {op!r}; one of {', '.join(REDUCTIONS)}")
        if op in ("any", "all") and value.dtype != "bool":
            raise ValueError(f"{op} reduces bool values, not {value.dtype}")
        if op not in ("any", "all") and value.dtype == "bool":
            raise ValueError(f"{op} does not reduce bool values; cast them first")
        if not axes:
            raise ValueError(f"{op}: a reduction needs at least one axis")
        self.op = op
        self.value = value
        self.axes = tuple(axes)
        self.dtype = "int64" if op in ("argmax", "argmin") else value.dtype

    @property
    def operands(self) -> tuple[Expr, ...]:
        return (self.value,)


@dataclass(frozen=True, eq=False)
class Store:
    """buffer[index] = value for every point of the kernel's axes and of the store's own inner `axes`.

    With `combine`, the value is added to (multiplied into, ...) what the buffer holds, in the order of the iteration:
    the scatter-add. Its targets may coincide only along axes that `emit` keeps within one chunk, see `serial`.
    """

    buffer: Buffer
    index: Index
    value: Expr
    axes: tuple[Axis, ...] = ()
    combine: str | None = None
    mask: Expr | None = None

    def __post_init__(self) -> None:
        if self.combine is not None and self.combine not in COMBINERS:
            raise ValueError(f"store to {self.buffer.name}: no combiner {self.combine!r}; one of {COMBINERS}")

    @property
    def operands(self) -> tuple[Expr, ...]:
        """The expressions needed to carry it out."""
        inner = tuple(e for e, _ in self.index.gathered)
        return (self.value, *inner) if self.mask is None else (self.value, *inner, self.mask)


@dataclass(frozen=True, eq=False)
class Kernel:
    """Stores over a common space of rows.

    A buffer that is stored to may be loaded at the very index of the store (an update in place, seen by every value of
    the row as it was before), and at others only if those are never stored to.

    Args:
        name: used in printing and as the stem of the function's name.
        axes: the outer axes, outermost first.
        stores: carried out in order within a row, except that stores of the same inner axes share one loop.
        serial: outer axes along which stores with `combine` may meet; they stay in one chunk and run in order.
    """

    name: str
    axes: tuple[Axis, ...]
    stores: tuple[Store, ...]
    serial: tuple[Axis, ...] = ()

    @cached_property
    def buffers(self) -> tuple[Buffer, ...]:
        """All buffers, in order of first use: the order of the kernel's arguments."""
        found = {e.buffer: None for loads in self.loads for e in loads}
        for store in self.stores:
            found[store.buffer] = None
        return tuple(found)

    @cached_property
    def expressions(self) -> tuple[tuple[Expr, ...], ...]:
        """For each store every expression below it, operands before users."""
        return tuple(tuple(walk(store.operands)) for store in self.stores)

    @cached_property
    def loads(self) -> tuple[tuple[Load, ...], ...]:
        """What each store reads."""
        return tuple(tuple(e for e in below if isinstance(e, Load)) for below in self.expressions)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Names of the runtime values its extents and strides need: arguments after the buffers."""
        names: dict[str, None] = {}

        def note(extent: Extent) -> None:
            if isinstance(extent, Sym):
                names[extent.name] = None
            elif isinstance(extent, Rest):
                note(extent.total)

        for axis in all_axes(self):
            note(axis.extent)
        for index in all_indices(self):
            for _, stride in (*index.terms, *index.gathered):
                note(stride)
        for e in walk([o for store in self.stores for o in store.operands]):
            if isinstance(e, Size):
                note(e.sym)
        return tuple(names)

    def __str__(self) -> str:
        return Printer().kernel(self)


def walk(roots: Sequence[Expr]) -> Iterator[Expr]:
    """Every expression below the roots once, operands before users."""
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(r, False) for r in reversed(roots)]
    while stack:
        e, expanded = stack.pop()
        if expanded:
            yield e
        elif id(e) not in seen:
            seen.add(id(e))
            stack.append((e, True))
            stack.extend((o, False) for o in reversed(e.operands) if id(o) not in seen)


def all_indices(kernel: Kernel) -> Iterator[Index]:
    """The index of every load and store."""
    for store, loads in zip(kernel.stores, kernel.loads):
        yield store.index
        yield from (e.index for e in loads)


def all_axes(kernel: Kernel) -> tuple[Axis, ...]:
    """Outer axes, then inner ones in order of first use."""
    found: dict[Axis, None] = dict.fromkeys(kernel.axes)
    for store, below in zip(kernel.stores, kernel.expressions):
        for e in below:
            if isinstance(e, Reduce):
                found.update(dict.fromkeys(e.axes))
        found.update(dict.fromkeys(store.axes))
    return tuple(found)


class Printer:
    """Prints kernels canonically: two kernels of the same structure print the same but for the names given."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.lines: list[str] = []

    def index(self, index: Index) -> str:
        """An index as a sum."""
        parts = [a.name if s == 1 else f"{s}·{a.name}" for a, s in index.terms]
        parts += [f"{s}·{self.expr(e)}" if s != 1 else self.expr(e) for e, s in index.gathered]
        if index.offset or not parts:
            parts.append(str(index.offset))
        return " + ".join(parts).replace("+ -", "- ")

    def expr(self, e: Expr) -> str:
        """An expression by the name it was given, or in full."""
        if id(e) in self.names:
            return self.names[id(e)]
        match e:
            case Const():
                return f"{e.value!r}:{e.dtype}"
            case Coordinate():
                return e.axis.name if e.dtype == "int64" else f"{e.axis.name}:{e.dtype}"
            case Size():
                return str(e.sym)
            case Load():
                text = f"{e.buffer.name}[{self.index(e.index)}]"
                return text if e.mask is None else f"({text} if {self.expr(e.mask)} else {e.other!r})"
            case Apply():
                name = e.function if e.to is None else f"{e.function}<{e.to}>"
                return f"{name}({', '.join(self.expr(a) for a in e.args)})"
            case Reduce():
                axes = ", ".join(f"{a.name} < {extent_text(a.extent)}" for a in e.axes)
                return f"{e.op}[{axes}] {self.expr(e.value)}"
        raise TypeError(f"unknown expression {type(e).__name__}")

    def name_shared(self, roots: Sequence[Expr], indent: str) -> None:
        """Print every node that is used more than once, and every reduction, on a line of its own."""
        uses: dict[int, int] = {}
        order = list(walk(roots))
        for e in order:
            for o in e.operands:
                uses[id(o)] = uses.get(id(o), 0) + 1
        for r in roots:
            uses[id(r)] = uses.get(id(r), 0) + 1
        for e in order:
            trivial = isinstance(e, Const | Coordinate | Size)
            if id(e) not in self.names and not trivial and (uses[id(e)] > 1 or isinstance(e, Reduce)):
                text = self.expr(e)
                self.names[id(e)] = f"%{len(self.names)}"
                self.lines.append(f"{indent}{self.names[id(e)]} = {text}")

    def kernel(self, kernel: Kernel) -> str:
        """A whole kernel."""
        arguments = [f"{b.name}: {b.dtype}" for b in kernel.buffers] + list(kernel.symbols)
        self.lines = [f"kernel {kernel.name}({', '.join(arguments)}):"]
        indent = "  "
        for axis in kernel.axes:
            how = "serial " if axis in kernel.serial else ""
            self.lines.append(f"{indent}{how}for {axis.name} < {extent_text(axis.extent)}:")
            indent += "  "
        self.name_shared([o for s in kernel.stores for o in s.operands], indent)
        for store in kernel.stores:
            inner = indent
            for axis in store.axes:
                self.lines.append(f"{inner}for {axis.name} < {extent_text(axis.extent)}:")
                inner += "  "
            sign = f"{store.combine}=" if store.combine else "="
            condition = f" if {self.expr(store.mask)}" if store.mask is not None else ""
            self.lines.append(
                f"{inner}{store.buffer.name}[{self.index(store.index)}] {sign} {self.expr(store.value)}{condition}"
            )
        return "\n".join(self.lines)


def extent_text(extent: Extent) -> str:
    """An extent as printed."""
    if isinstance(extent, Rest):
        return f"min({extent.block}, {extent.total} - {extent.block}·{extent.outer.name})"
    return str(extent)
