"""What happens to a block of scores between attention's matrix products: masks, the running softmax, its derivative.

A block holds the scores of some keys (rows) and queries (columns: the lanes of its vectors), so that a number a query is a lane, and
maxima and sums over keys need no work across lanes.
"""

from __future__ import annotations

from dataclasses import dataclass

from twinflow.compiler._builder import Builder
from twinflow.compiler._builder import Module as LoopModule
from twinflow.compiler._builder import Value as Scalar
from twinflow.compiler.contraction._text import NBYTES, Function, Module, Value, suffix, vector
from twinflow.compiler.contraction._vectors import iota, load, load_scalar, splat, store, tail_mask
from twinflow.compiler.scalar import apply

NEVER = {"float": "0xFFF0000000000000", "double": "0xFFF0000000000000"}
MASK_TYPES = {"bool": "i8", "float32": "float", "float64": "double"}


class Scalars(Builder):
    """The scalar functions of loop kernels, written into a contraction's function."""

    def __init__(self, module: LoopModule, f: Function) -> None:
        self.f = f
        super().__init__(module)
        self.lines = f.lines

    @property
    def _count(self) -> int:  # the names that are taken are the function's
        return self.f.taken

    @_count.setter
    def _count(self, n: int) -> None:
        if n:
            self.f.taken = n

    @property
    def block(self) -> str:  # as is the block that is written
        return self.f.block

    @block.setter
    def block(self, name: str) -> None:
        if name != "entry":
            self.f.block = name


@dataclass(frozen=True)
class Block:
    """What is known of a block of scores when code is written.

    Args:
        scalar: the element type.
        lanes, vectors: how many queries a vector holds, and how many vectors there are.
        causal: query i sees keys 0 to i.
        mask: type of a mask's elements, or None.
        mask_rows: whether the mask differs from query to query.
        threshold: what the top 24 random bits of a weight must reach for dropout to keep it; 0: no dropout.
        keep: what kept weights are multiplied with.
        scale: the factor of the scores.
    """

    scalar: str
    lanes: int
    vectors: int
    causal: bool
    mask: str | None
    mask_rows: bool
    threshold: int
    keep: float
    scale: float

    @property
    def width(self) -> int:
        """Queries in a block."""
        return self.lanes * self.vectors

    @property
    def kind(self) -> str:
        """LLVM's name of a vector."""
        return vector(self.scalar, self.lanes)

    @property
    def params(self) -> list[tuple[str, str]]:
        """The parameters of a pass over a block: its scores and number of keys; statistics; the first query and key; the mask's
        element there and its steps, and the last query; the random key and counter, the element's number and its step."""
        params = [("ptr", "s"), ("i64", "n"), ("ptr", "stats"), ("i64", "i0"), ("i64", "j0")]
        if self.mask:
            params += [("ptr", "mask"), ("i64", "mask_query"), ("i64", "mask_key"), ("i64", "last")]
        if self.threshold:
            params += [("i64", "seed"), ("i64", "counter"), ("i64", "element"), ("i64", "keys")]
        return params


class RowPass:
    """Writes the passes over blocks of one kernel."""

    def __init__(self, module: Module, loops: LoopModule, block: Block, prefix: str) -> None:
        self.module, self.loops, self.block, self.prefix = module, loops, block, prefix
        self.dtype = {"float": "float32", "double": "float64"}[block.scalar]

    def _start(self, name: str, params: list[tuple[str, str]]) -> None:
        self.f = Function(self.module, f"{self.prefix}.{name}", params)
        self.b = Scalars(self.loops, self.f)

    # -- small things

    def _at(self, base: str, index: Value) -> str:
        return self.f.shift(base, index, self.block.scalar)

    def _load(self, pointer: str) -> str:
        return load(self.f, self.block.scalar, pointer, self.block.lanes)

    def _store(self, value: str, pointer: str) -> None:
        store(self.f, self.block.scalar, value, pointer, self.block.lanes)

    def _constant(self, value: float) -> str:
        return self.b.const(value, self.dtype, self.block.lanes).text

    def _binary(self, op: str, x: str, y: str) -> str:
        return self.f.op(f"{op} {self.block.kind} {x}, {y}")

    def _function(self, name: str, *args: str) -> str:
        lanes = self.block.lanes
        return apply(self.b, name, [Scalar(a, self.dtype, lanes) for a in args]).text

    def _select(self, condition: str, x: str, y: str) -> str:
        b = self.block
        return self.f.op(f"select <{b.lanes} x i1> {condition}, {b.kind} {x}, {b.kind} {y}")

    def _is(self, how: str, x: str, y: str) -> str:
        return self.f.op(f"fcmp {how} {self.block.kind} {x}, {y}")

    def _largest(self, x: str, y: str) -> str:
        b = self.block
        name = f"llvm.maxnum.{suffix(b.scalar, b.lanes)}"
        self.module.declare(name, b.kind, f"{b.kind}, {b.kind}")
        return self.f.op(f"call {b.kind} @{name}({b.kind} {x}, {b.kind} {y})")

    @property
    def _never(self) -> str:
        return f"splat ({self.block.scalar} {NEVER[self.block.scalar]})"

    def _zero_for_never(self, x: str) -> str:
        return self._select(self._is("oeq", x, self._never), "zeroinitializer", x)

    # -- what is allowed, and what is kept

    def _queries(self) -> list[str]:
        """The numbers of the queries in the lanes, for each vector."""
        b, f = self.block, self.f
        first = f.op("trunc i64 %i0 to i32")
        row = f.op(f"add <{b.lanes} x i32> {splat(f, 'i32', first, b.lanes)}, {iota('i32', b.lanes)}")
        step = [f"splat (i32 {v * b.lanes})" for v in range(b.vectors)]
        return [row if v == 0 else f.op(f"add <{b.lanes} x i32> {row}, {step[v]}") for v in range(b.vectors)]

    def _mask_places(self) -> list[str]:
        """Where the lanes' queries lie in the mask, for each vector; those beyond the last read what the last one does."""
        b, f = self.block, self.f
        if not (b.mask and b.mask_rows):
            return []
        kind, places = f"<{b.lanes} x i64>", []
        self.module.declare(f"llvm.smin.v{b.lanes}i64", kind, f"{kind}, {kind}")
        left = splat(f, "i64", str(f.sub("%last", "%i0")), b.lanes)
        steps = splat(f, "i64", "%mask_query", b.lanes)
        for v in range(b.vectors):
            lane = "<" + ", ".join(f"i64 {v * b.lanes + n}" for n in range(b.lanes)) + ">"
            inside = f.op(f"call {kind} @llvm.smin.v{b.lanes}i64({kind} {lane}, {kind} {left})")
            places.append(f.op(f"mul {kind} {inside}, {steps}"))
        return places

    def _allowed(self, values: list[str], j: Value, queries: list[str], places: list[str]) -> list[str]:
        """Scores of key j of the block with the mask."""
        b, f = self.block, self.f
        out = list(values)
        if b.mask:
            kind = MASK_TYPES[b.mask]
            base = f.shift("%mask", f.mul(j, "%mask_key"), kind)
            for v in range(b.vectors):
                if places:
                    at = f.op(f"getelementptr {kind}, ptr {base}, <{b.lanes} x i64> {places[v]}")
                    got = self._gathered(kind, at)
                elif v == 0:
                    got = splat(f, kind, load_scalar(f, kind, base), b.lanes)
                if b.mask == "bool":
                    holds = f.op(f"icmp ne {vector(kind, b.lanes)} {got}, zeroinitializer")
                    out[v] = self._select(holds, out[v], self._never)
                else:
                    out[v] = self._binary("fadd", out[v], got)
        if b.causal:
            key = splat(f, "i32", f.op(f"trunc i64 {f.add('%j0', j)} to i32"), b.lanes)
            for v in range(b.vectors):
                seen = f.op(f"icmp sle <{b.lanes} x i32> {key}, {queries[v]}")
                out[v] = self._select(seen, out[v], self._never)
        return out

    def _gathered(self, kind: str, at: str) -> str:
        lanes, name = self.block.lanes, suffix(kind, self.block.lanes)
        every = f"<{lanes} x i1> splat (i1 true), {vector(kind, lanes)} zeroinitializer"
        self.module.declare(
            f"llvm.masked.gather.{name}.v{lanes}p0", vector(kind, lanes),
            f"<{lanes} x ptr>, i32, <{lanes} x i1>, {vector(kind, lanes)}",
        )  # fmt: skip
        return self.f.op(
            f"call {vector(kind, lanes)} @llvm.masked.gather.{name}.v{lanes}p0("
            f"<{lanes} x ptr> {at}, i32 {NBYTES[kind]}, {every})"
        )

    def _elements(self) -> list[str]:
        """The numbers of the weights of the block's first key among all weights, for each vector."""
        b, f = self.block, self.f
        if not b.threshold:
            return []
        kind, out = f"<{b.lanes} x i64>", []
        first, step = splat(f, "i64", "%element", b.lanes), splat(f, "i64", "%keys", b.lanes)
        for v in range(b.vectors):
            lane = "<" + ", ".join(f"i64 {v * b.lanes + n}" for n in range(b.lanes)) + ">"
            out.append(f.op(f"add {kind} {first}, {f.op(f'mul {kind} {lane}, {step}')}"))
        return out

    def _kept(self, element: str, j: Value) -> str:
        """What dropout multiplies the weights of key j with."""
        b, f, lanes = self.block, self.f, self.block.lanes
        kind = f"<{lanes} x i64>"
        here = f.op(f"add {kind} {element}, {splat(f, 'i64', str(j), lanes)}")
        start = splat(f, "i64", str(f.mul("%counter", 4)), lanes)
        counted = Scalar(f.op(f"add {kind} {here}, {start}"), "uint64", lanes)
        key = Scalar(splat(f, "i64", "%seed", lanes), "uint64", lanes)
        bits = apply(self.b, "random_bits", [key, self.b.const(0, "uint64", lanes), counted])
        top = f.op(f"lshr <{lanes} x i32> {bits.text}, splat (i32 8)")
        holds = f.op(f"icmp uge <{lanes} x i32> {top}, splat (i32 {b.threshold})")
        return self._select(holds, self._constant(b.keep), "zeroinitializer")

    # -- forward

    def begin(self) -> str:
        """(stats): no key seen yet. Statistics are the largest score, the sum of exponentials, and a factor, a lane a query."""
        b = self.block
        self._start("begin", [("ptr", "stats")])
        for v in range(b.vectors):
            self._store(self._never, self._at("%stats", v * b.lanes))
            self._store("zeroinitializer", self._at("%stats", b.width + v * b.lanes))
        return self.f.name

    def softmax(self) -> str:
        """Scores become weights relative to the largest score so far; stats take the block in, and say by which factor what
        was summed before must be multiplied."""
        b = self.block
        self._start("softmax", b.params)
        f, n = self.f, range(b.vectors)
        queries = self._queries() if b.causal else []
        places, elements = self._mask_places(), self._elements()
        before = [self._load(self._at("%stats", v * b.lanes)) for v in n]
        changed = bool(b.mask or b.causal)

        def look(j: Value, top: list[str]) -> list[str]:
            row = self._at("%s", f.mul(j, b.width))
            values = [self._load(self._at(row, v * b.lanes)) for v in n]
            if changed:
                values = self._allowed(values, j, queries, places)
                for v in n:
                    self._store(values[v], self._at(row, v * b.lanes))
            return [self._largest(top[v], values[v]) for v in n]

        top = f.loop(0, "%n", 1, look, [(b.kind, x) for x in before])
        safe = [self._zero_for_never(x) for x in top]

        def weigh(j: Value, so_far: list[str]) -> list[str]:
            total = list(so_far)
            row = self._at("%s", f.mul(j, b.width))
            for v in n:
                at = self._at(row, v * b.lanes)
                p = self._function("exp", self._binary("fsub", self._load(at), safe[v]))
                total[v] = self._binary("fadd", total[v], p)
                if b.threshold:
                    p = self._binary("fmul", p, self._kept(elements[v], j))
                self._store(p, at)
            return total

        sums = f.loop(0, "%n", 1, weigh, [(b.kind, "zeroinitializer") for _ in n])
        for v in n:
            factor = self._function("exp", self._binary("fsub", before[v], safe[v]))
            at = self._at("%stats", b.width + v * b.lanes)
            total = self._binary("fadd", self._binary("fmul", self._load(at), factor), sums[v])
            self._store(top[v], self._at("%stats", v * b.lanes))
            self._store(total, at)
            self._store(factor, self._at("%stats", 2 * b.width + v * b.lanes))
        return f.name

    def rescale(self, wide: int) -> str:
        """(sums, factors): each query's row of `wide` elements times its factor."""
        b = self.block
        self._start("rescale", [("ptr", "sums"), ("ptr", "factors")])
        f = self.f

        def row(i: Value, _: list[str]) -> None:
            factor = splat(f, b.scalar, load_scalar(f, b.scalar, self._at("%factors", i)), b.lanes)
            for e in range(0, wide, b.lanes):
                at = self._at("%sums", f.add(f.mul(i, wide), e))
                self._store(self._binary("fmul", self._load(at), factor), at)

        f.loop(0, b.width, 1, row)
        return f.name

    def end(self, wide: int, features: int, out_row: int) -> str:
        """(sums, stats, out, lse, rows): the weighted means of the rows that exist, and their log-sum-exp."""
        b = self.block
        self._start("end", [("ptr", "sums"), ("ptr", "stats"), ("ptr", "out"), ("ptr", "lse"), ("i64", "rows")])
        f = self.f
        for v in range(b.vectors):
            top = self._load(self._at("%stats", v * b.lanes))
            total = self._load(self._at("%stats", b.width + v * b.lanes))
            lse = self._binary("fadd", self._zero_for_never(top), self._function("log", total))
            mask = tail_mask(f, "%rows", v * b.lanes, b.lanes)
            store(f, b.scalar, lse, self._at("%lse", v * b.lanes), b.lanes, mask=mask)
            some = self._is("une", total, "zeroinitializer")
            inverse = self._select(some, self._binary("fdiv", self._constant(1.0), total), "zeroinitializer")
            self._store(inverse, self._at("%stats", 2 * b.width + v * b.lanes))

        def row(i: Value, _: list[str]) -> None:
            place = self._at("%stats", f.add(i, 2 * b.width))
            factor = splat(f, b.scalar, load_scalar(f, b.scalar, place), b.lanes)
            for e in range(0, features, b.lanes):
                value = self._binary("fmul", self._load(self._at("%sums", f.add(f.mul(i, wide), e))), factor)
                at = self._at("%out", f.add(f.mul(i, out_row), e))
                store(f, b.scalar, value, at, b.lanes, mask=tail_mask(f, features, e, b.lanes))

        f.loop(0, "%rows", 1, row)
        return f.name

    # -- backward

    def recall(self) -> str:
        """(stats, lse, delta, rows): what is known of the queries' rows, a lane a query; weights of missing rows will be 0."""
        b = self.block
        self._start("recall", [("ptr", "stats"), ("ptr", "lse"), ("ptr", "delta"), ("i64", "rows")])
        f = self.f
        for v in range(b.vectors):
            mask = tail_mask(f, "%rows", v * b.lanes, b.lanes)
            lse = load(f, b.scalar, self._at("%lse", v * b.lanes), b.lanes, mask=mask)
            forever = f"splat ({b.scalar} 0x7FF0000000000000)"
            self._store(self._select(str(mask), self._zero_for_never(lse), forever), self._at("%stats", v * b.lanes))
            delta = load(f, b.scalar, self._at("%delta", v * b.lanes), b.lanes, mask=mask)
            self._store(delta, self._at("%stats", b.width + v * b.lanes))
        return f.name

    def differentiate(self) -> str:
        """(s, ..., d): scores become weights, and `d`, the derivatives by the weights, those by the scores, times the scale."""
        b = self.block
        self._start("differentiate", [*b.params, ("ptr", "d")])
        f, n = self.f, range(b.vectors)
        queries = self._queries() if b.causal else []
        places, elements = self._mask_places(), self._elements()
        lse = [self._load(self._at("%stats", v * b.lanes)) for v in n]
        delta = [self._load(self._at("%stats", b.width + v * b.lanes)) for v in n]
        scale = self._constant(b.scale)

        def key(j: Value, _: list[str]) -> None:
            at = f.mul(j, b.width)
            row, other = self._at("%s", at), self._at("%d", at)
            values = [self._load(self._at(row, v * b.lanes)) for v in n]
            values = self._allowed(values, j, queries, places)
            for v in n:
                p = self._function("exp", self._binary("fsub", values[v], lse[v]))
                d = self._load(self._at(other, v * b.lanes))
                kept = p
                if b.threshold:
                    z = self._kept(elements[v], j)
                    d, kept = self._binary("fmul", d, z), self._binary("fmul", p, z)
                d = self._binary("fmul", p, self._binary("fsub", d, delta[v]))
                self._store(self._binary("fmul", d, scale), self._at(other, v * b.lanes))
                self._store(kept, self._at(row, v * b.lanes))

        f.loop(0, "%n", 1, key)
        return f.name

    # -- both

    def multiply(self, count: int, factor: float) -> str:
        """(x): `count` elements, whole vectors, times a factor."""
        b = self.block
        self._start("scale", [("ptr", "x")])

        def body(i: Value, _: list[str]) -> None:
            at = self._at("%x", i)
            self._store(self._binary("fmul", self._load(at), self._constant(factor)), at)

        self.f.loop(0, count, b.lanes, body)
        return self.f.name

    def clear(self, name: str, features: int, step: int) -> str:
        """(x, rows): zeros in rows of so many elements, `step` apart."""
        b = self.block
        self._start(name, [("ptr", "x"), ("i64", "rows")])
        f = self.f

        def row(i: Value, _: list[str]) -> None:
            for e in range(0, features, b.lanes):
                at = self._at("%x", f.add(f.mul(i, step), e))
                store(f, b.scalar, "zeroinitializer", at, b.lanes, mask=tail_mask(f, features, e, b.lanes))

        f.loop(0, "%rows", 1, row)
        return f.name
