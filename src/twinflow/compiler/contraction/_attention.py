"""Attention and its derivative, block by block: products of the building block with a running softmax between them.

A block of scores is some keys times some queries, with the queries in the lanes of vectors. Both of its products, and in the derivative all
five, read keys, values, queries and cotangents where they lie; only the queries (and cotangents) of a block are transposed.

Source: Dao et al., "FlashAttention", NeurIPS 2022; Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
"""

from __future__ import annotations

from dataclasses import dataclass

from twinflow.compiler._builder import Module as LoopModule
from twinflow.compiler.contraction._attention_rows import MASK_TYPES, Block, RowPass
from twinflow.compiler.contraction._kernel import SCALAR, Kernel, phase_function, round_up, write_entry
from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._pack import Pack
from twinflow.compiler.contraction._plan import Split, split_cols
from twinflow.compiler.contraction._text import NBYTES, Function, Module, Value
from twinflow.compiler.contraction._tile import Axis, Tile, Tiles

KEYS = 64  # of a block of scores, unless all keys are fewer than twice as many
GRAIN_FLOPS = 5e5  # of a chunk: few heads of one text should not be uneven parts of the work
LARGE_FLOPS = 4e6  # of a head whose queries are divided


@dataclass(frozen=True)
class AttentionSpec:
    """One attention, or its derivative.

    Args:
        queries, keys: how many there are; None: read from the context.
        heads, shared: heads of the queries, and of keys and values, which serve heads / shared of them each.
        features, value_features: of queries and keys, and of values.
        rows: elements between positions of q, k, v, of the result o, and in the derivative of g, dq, dk, dv. Features are contiguous.
        n_batch: batch axes; their extents and all other steps are read from the context.
        causal: query i sees keys 0 to i.
        scale: factor of the scores.
        mask: type of the mask's elements, or None.
        mask_rows: whether the mask differs from query to query.
        threshold, keep: of dropout, see `Block`.
        dtype: float32 or float64.
        grad: whether it is the derivative.
    """

    queries: int | None
    keys: int | None
    heads: int
    shared: int
    features: int
    value_features: int
    rows: tuple[tuple[str, int], ...]
    n_batch: int
    causal: bool
    scale: float
    mask: str | None
    mask_rows: bool
    threshold: int
    keep: float
    dtype: str
    grad: bool

    @property
    def operands(self) -> tuple[str, ...]:
        """The arrays, in the order of their slots."""
        names = ("q", "k", "v", "g", "lse", "delta", "dq", "dk", "dv") if self.grad else ("q", "k", "v", "o", "lse")
        return (*names, *(("mask",) if self.mask else ()), *(("state",) if self.threshold else ()))

    @property
    def slots(self) -> dict[str, int]:
        """Where everything lies in the context: addresses by name, "workspace", extents "L", "S" and "batch0", ..., and the
        steps of an array along an axis: "q.batch0", "q.head", "mask.query", "mask.key"."""
        arrays = [x for x in self.operands if x != "state"]
        names = [*self.operands[:3], "workspace", *self.operands[3:], "L", "S"]
        names += [f"batch{n}" for n in range(self.n_batch)]
        names += [f"{x}.{axis}" for x in arrays for axis in (*(f"batch{n}" for n in range(self.n_batch)), "head")]
        names += ["mask.query", "mask.key"] if self.mask else []
        return {name: n for n, name in enumerate(names)}


def emit_attention(module: Module, loops: LoopModule, machine: Machine, spec: AttentionSpec, *, name: str) -> Kernel:
    """Write an attention, or its derivative, into `module`; helper functions go into `loops`."""
    made = _Grad if spec.grad else _Forward
    return made(module, loops, machine, spec, name).emit()


class _Attention:
    """What both directions share. Workspace is a worker's own, planned by `_take`."""

    def __init__(self, module: Module, loops: LoopModule, machine: Machine, spec: AttentionSpec, name: str) -> None:
        self.module, self.machine, self.spec, self.name = module, machine, spec, name
        self.scalar = SCALAR[spec.dtype]
        self.lanes = machine.lanes(self.scalar)
        self.row = dict(spec.rows)
        vectors = 1 if spec.queries is not None and spec.queries <= self.lanes else 2
        self.width = vectors * self.lanes  # queries in a block
        self.depth = spec.keys if spec.keys is not None and spec.keys < 2 * KEYS else KEYS  # keys in a block
        self.block = Block(
            self.scalar,
            self.lanes,
            vectors,
            spec.causal,
            spec.mask,
            spec.mask_rows,
            spec.threshold,
            spec.keep,
            spec.scale,
        )
        self.passes = RowPass(module, loops, self.block, name)
        self.tiles = Tiles(module, machine, name)
        self.slots = spec.slots
        self.nbytes = 0

    # -- the context and the workspace

    def _get(self, f: Function, name: str) -> str:
        kind = "ptr" if name in self.spec.operands or name == "workspace" else "i64"
        return f.op(f"load {kind}, ptr {f.shift('%ctx', self.slots[name], 'ptr')}, align 8")

    def _take(self, count: int) -> int:
        """Room for so many elements in the workspace: where it begins."""
        at = self.nbytes
        self.nbytes += round_up(count * NBYTES[self.scalar], 64)
        return at

    def _queries(self, f: Function) -> Value:
        return self.spec.queries if self.spec.queries is not None else self._get(f, "L")

    def _keys(self, f: Function) -> Value:
        return self.spec.keys if self.spec.keys is not None else self._get(f, "S")

    def _items(self, f: Function, heads: int) -> Value:
        """Batch entries times heads."""
        count: Value = heads
        for n in range(self.spec.n_batch):
            count = f.mul(self._get(f, f"batch{n}"), count)
        return count

    def _group(self, products: int) -> tuple[int, bool]:
        """How many items (a head of a batch entry) are one chunk, and whether one item alone is large."""
        spec = self.spec
        if spec.queries is None or spec.keys is None:
            return 1, True
        flops = products * spec.queries * spec.keys * (spec.features + spec.value_features)
        return max(1, int(GRAIN_FLOPS / max(flops, 1))), flops >= LARGE_FLOPS

    def _place(self, f: Function, name: str, entry: Value, head: Value) -> str:
        """Where an array's part for a batch entry and head begins."""
        at, rest = self._get(f, name), entry
        kind = MASK_TYPES[self.spec.mask] if name == "mask" and self.spec.mask else self.scalar
        for n in reversed(range(self.spec.n_batch)):
            here = rest if n == 0 else f.rem(rest, self._get(f, f"batch{n}"))
            rest = rest if n == 0 else f.div(rest, self._get(f, f"batch{n}"))
            at = f.shift(at, f.mul(here, self._get(f, f"{name}.batch{n}")), kind)
        return f.shift(at, f.mul(head, self._get(f, f"{name}.head")), kind)

    # -- products

    def _tile_rows(self, vectors: int) -> int:
        return next(r for r in (8, 6, 4, 3, 2, 1) if r == 1 or self.machine.fits(r, vectors))

    def _split(self, extent: int | None, size: int) -> Split:
        """Pieces of rows whose number is a whole block, or what remains of `extent`."""
        even = extent is not None and not any(n % size for n in (extent, self.width, self.depth))
        return Split(None, size, () if even else tuple(t for t in (4, 1) if t < size))

    def _product(
        self, f: Function, a: str, a_step: tuple[int, int], b: str, b_row: int, c: str, c_row: int,
        m: Value, extent: int | None, n: int, k: Value, *, accumulate: bool | str = False, padded: bool = False,
    ) -> None:  # fmt: skip
        """C[m, n] (+)= A[m, k] · B[k, n]; `a_step` are A's steps along m and k. `extent`: all rows, where they are known."""
        most = max(1, min(4, -(-n // self.lanes)))
        size = self._tile_rows(most)

        def cols(width: int, col: Value, _: bool) -> None:
            right, vectors = f.shift(b, col, self.scalar), -(-width // self.lanes)

            def rows(height: int, row: Value, _: bool) -> None:
                tile = Tile(
                    rows=tuple(r * a_step[0] for r in range(height)),
                    c_rows=tuple(r * c_row for r in range(height)),
                    indices=tuple(range(height)),
                    vectors=vectors,
                    reduce=(Axis(k if isinstance(k, int) else None, a_step[1], b_row),),
                    cols=width, padded=padded, accumulate=None if isinstance(accumulate, str) else accumulate,
                    finish=False, a_type=self.scalar, b_type=self.scalar, c_type=self.scalar, sum_type=self.scalar,
                )  # fmt: skip
                left = f.shift(a, f.mul(row, a_step[0]), self.scalar)
                at = f.shift(c, f.add(f.mul(row, c_row), col), self.scalar)
                self.tiles.get(tile).call(f, a=left, b=right, c=at, n0=k, accumulate=accumulate)

            self._split(extent, size).walk(f, 0, m, rows)

        split_cols(n, most * self.lanes).walk(f, 0, n, cols)

    def _pass_arguments(
        self, f: Function, entry: Value, head: Value, i0: Value, j0: Value, count: Value, s: str, stats: str
    ) -> list[tuple[str, Value]]:
        """The arguments of a pass over a block."""
        spec = self.spec
        args: list[Value] = [s, count, stats, i0, j0]
        if spec.mask:
            query, key = self._get(f, "mask.query"), self._get(f, "mask.key")
            at = f.add(f.mul(i0, query), f.mul(j0, key))
            mask = f.shift(self._place(f, "mask", entry, head), at, MASK_TYPES[spec.mask])
            args += [mask, query, key, f.sub(self._queries(f), 1)]
        if spec.threshold:
            state, keys = self._get(f, "state"), self._keys(f)
            seed = f.op(f"load i64, ptr {state}, align 8")
            counter = f.op(f"load i64, ptr {f.shift(state, 1, 'i64')}, align 8")
            row = f.add(f.mul(f.add(f.mul(entry, spec.heads), head), self._queries(f)), i0)
            args += [seed, counter, f.add(f.mul(row, keys), j0), keys]
        return [(kind, value) for (kind, _), value in zip(self.block.params, args)]

    def _packed(self, name: str, row: int) -> Pack:
        return Pack(self.module, self.machine, f"{self.name}.pack_{name}", row, 1, self.scalar, self.scalar, whole=True)

    def _seen(self, f: Function, i0: Value) -> Value:
        """How many keys the queries of a block see at most."""
        keys = self._keys(f)
        return f.min(keys, f.add(i0, self.width)) if self.spec.causal else keys

    def _count(self, f: Function, stop: Value, at: Value, most: int) -> Value:
        """How many keys or queries of a block there are."""
        if isinstance(stop, int) and stop % most == 0:
            return most
        return f.min(most, f.sub(stop, at))


class _Forward(_Attention):
    """o and lse: one pass over the keys for each block of queries."""

    def emit(self) -> Kernel:
        spec, wide = self.spec, round_up(self.spec.value_features, self.lanes)
        self.wide = wide
        self.at_q = self._take(spec.features * self.width)
        self.at_s = self._take(self.depth * self.width)
        self.at_sums = self._take(self.width * wide)
        self.at_stats = self._take(3 * self.width)
        self.pack = self._packed("q", self.row["q"])
        passes = self.passes
        self.call_scale = passes.multiply(spec.features * self.width, spec.scale)
        self.call_begin, self.call_softmax = passes.begin(), passes.softmax()
        self.call_rescale, self.call_end = passes.rescale(wide), passes.end(wide, spec.value_features, self.row["o"])
        self.group, self.large = self._group(2)
        name = f"{self.name}.work"
        self._work(phase_function(self.module, name))

        def chunks(f: Function) -> Value:
            return f.mul(f.ceil_div(self._items(f, spec.heads), self.group), self._parts(f))

        done = write_entry(self.module, self.name, [(name, chunks)])
        return Kernel(self.name, done, None, 0, self.nbytes)

    def _parts(self, f: Function) -> Value:
        """Chunks that share one head of one batch entry: each takes some blocks of queries."""
        return f.ceil_div(self._queries(f), 4 * self.width) if self.large else 1

    def _work(self, f: Function) -> None:
        spec = self.spec
        space = f.shift(self._get(f, "workspace"), f.mul("%worker", self.nbytes), "i8")
        parts = self._parts(f)
        part, number = f.rem("%chunk", parts), f.div("%chunk", parts)
        queries = self._queries(f)
        start = f.mul(part, 4 * self.width)
        stop = f.min(queries, f.add(start, 4 * self.width)) if self.large else queries
        first = f.mul(number, self.group)
        last = f.min(f.add(first, self.group), self._items(f, spec.heads))

        def item(n: Value, _: list[str]) -> None:
            entry, head = f.div(n, spec.heads), f.rem(n, spec.heads)
            f.loop(start, stop, self.width, lambda i0, _: self._queries_block(f, entry, head, i0, space))

        f.loop(first, last, 1, item)

    def _queries_block(self, f: Function, entry: Value, head: Value, i0: Value, space: str) -> None:
        spec, row = self.spec, self.row
        shared = f.div(head, spec.heads // spec.shared)
        turned, s, sums, stats = (
            f.shift(space, at, "i8") for at in (self.at_q, self.at_s, self.at_sums, self.at_stats)
        )
        count = self._count(f, self._queries(f), i0, self.width)
        q = f.shift(self._place(f, "q", entry, head), f.mul(i0, row["q"]), self.scalar)
        self.pack.call(f, q, turned, spec.features, self.width, count)
        f.call(self.call_scale, [("ptr", turned)])
        f.call(self.call_begin, [("ptr", stats)])
        k, v = self._place(f, "k", entry, shared), self._place(f, "v", entry, shared)
        seen = self._seen(f, i0)

        def keys_block(j0: Value, _: list[str]) -> None:
            n = self._count(f, seen, j0, self.depth)
            left = f.shift(k, f.mul(j0, row["k"]), self.scalar)
            self._product(
                f,
                left,
                (row["k"], 1),
                turned,
                self.width,
                s,
                self.width,
                n,
                spec.keys,
                self.width,
                spec.features,
                padded=True,
            )
            f.call(self.call_softmax, self._pass_arguments(f, entry, head, i0, j0, n, s, stats))
            factors = f.shift(stats, 2 * self.width, self.scalar)
            flag: bool | str = False
            if j0 != 0:
                later = f.op(f"icmp ne i64 {j0}, 0")
                f.when(later, lambda: f.call(self.call_rescale, [("ptr", sums), ("ptr", factors)]))
                flag = f.op(f"zext i1 {later} to i64")
            right = f.shift(v, f.mul(j0, row["v"]), self.scalar)
            self._product(
                f, s, (1, self.width), right, row["v"], sums, self.wide, self.width, self.width, spec.value_features, n,
                accumulate=flag,
            )  # fmt: skip

        f.loop(0, seen, self.depth, keys_block)
        o = f.shift(self._place(f, "o", entry, head), f.mul(i0, row["o"]), self.scalar)
        lse = f.shift(self._place(f, "lse", entry, head), i0, self.scalar)
        f.call(self.call_end, [("ptr", sums), ("ptr", stats), ("ptr", o), ("ptr", lse), ("i64", count)])


class _Grad(_Attention):
    """dq, dk and dv: a chunk takes the keys of some heads, and all queries that these serve."""

    def emit(self) -> Kernel:
        spec = self.spec
        self.at_q = self._take(spec.features * self.width)
        self.at_g = self._take(spec.value_features * self.width)
        self.at_s = self._take(self.depth * self.width)
        self.at_d = self._take(self.depth * self.width)
        self.at_stats = self._take(2 * self.width)
        self.pack_q = self._packed("q", self.row["q"])
        self.pack_g = self._packed("g", self.row["g"])
        passes = self.passes
        self.call_scale = passes.multiply(spec.features * self.width, spec.scale)
        self.call_recall, self.call_differentiate = passes.recall(), passes.differentiate()
        self.call_clear_k = passes.clear("clear_k", spec.features, self.row["dk"])
        self.call_clear_v = passes.clear("clear_v", spec.value_features, self.row["dv"])
        self.group, _ = self._group(5)
        name = f"{self.name}.work"
        self._work(phase_function(self.module, name))
        done = write_entry(
            self.module, self.name, [(name, lambda f: f.ceil_div(self._items(f, spec.shared), self.group))]
        )
        return Kernel(self.name, done, None, 0, self.nbytes)

    def _work(self, f: Function) -> None:
        spec = self.spec
        space = f.shift(self._get(f, "workspace"), f.mul("%worker", self.nbytes), "i8")
        first = f.mul("%chunk", self.group)
        last = f.min(f.add(first, self.group), self._items(f, spec.shared))
        served = spec.heads // spec.shared

        def item(n: Value, _: list[str]) -> None:
            entry, shared = f.div(n, spec.shared), f.rem(n, spec.shared)
            keys = self._keys(f)
            dk, dv = self._place(f, "dk", entry, shared), self._place(f, "dv", entry, shared)
            f.call(self.call_clear_k, [("ptr", dk), ("i64", keys)])
            f.call(self.call_clear_v, [("ptr", dv), ("i64", keys)])

            def served_head(g: Value, _: list[str]) -> None:
                head = f.add(f.mul(shared, served), g)
                f.loop(
                    0, self._queries(f), self.width,
                    lambda i0, _: self._queries_block(f, entry, head, shared, i0, dk, dv, space),
                )  # fmt: skip

            f.loop(0, served, 1, served_head)

        f.loop(first, last, 1, item)

    def _queries_block(
        self, f: Function, entry: Value, head: Value, shared: Value, i0: Value, dk: str, dv: str, space: str
    ) -> None:
        spec, row, width = self.spec, self.row, self.width
        turned_q, turned_g, s, d, stats = (
            f.shift(space, at, "i8") for at in (self.at_q, self.at_g, self.at_s, self.at_d, self.at_stats)
        )
        count = self._count(f, self._queries(f), i0, width)

        def here(name: str) -> str:
            return f.shift(self._place(f, name, entry, head), f.mul(i0, row.get(name, 1)), self.scalar)

        q, g, dq, lse, delta = (here(name) for name in ("q", "g", "dq", "lse", "delta"))
        self.pack_q.call(f, q, turned_q, spec.features, width, count)
        f.call(self.call_scale, [("ptr", turned_q)])
        self.pack_g.call(f, g, turned_g, spec.value_features, width, count)
        f.call(self.call_recall, [("ptr", stats), ("ptr", lse), ("ptr", delta), ("i64", count)])
        k, v = self._place(f, "k", entry, shared), self._place(f, "v", entry, shared)
        seen = self._seen(f, i0)

        def keys_block(j0: Value, _: list[str]) -> None:
            n = self._count(f, seen, j0, self.depth)
            keys, values, d_keys, d_values = (
                f.shift(x, f.mul(j0, row[name]), self.scalar)
                for x, name in ((k, "k"), (v, "v"), (dk, "dk"), (dv, "dv"))
            )
            self._product(
                f, keys, (row["k"], 1), turned_q, width, s, width, n, spec.keys, width, spec.features, padded=True
            )
            self._product(
                f,
                values,
                (row["v"], 1),
                turned_g,
                width,
                d,
                width,
                n,
                spec.keys,
                width,
                spec.value_features,
                padded=True,
            )
            arguments = self._pass_arguments(f, entry, head, i0, j0, n, s, stats)
            f.call(self.call_differentiate, [*arguments, ("ptr", d)])
            self._product(
                f,
                s,
                (width, 1),
                g,
                row["g"],
                d_values,
                row["dv"],
                n,
                spec.keys,
                spec.value_features,
                count,
                accumulate=True,
            )
            self._product(
                f, d, (width, 1), q, row["q"], d_keys, row["dk"], n, spec.keys, spec.features, count, accumulate=True
            )
            flag: bool | str = False
            if j0 != 0:
                flag = f.op(f"zext i1 {f.op(f'icmp ne i64 {j0}, 0')} to i64")
            self._product(
                f, d, (1, width), keys, row["k"], dq, row["dq"], count, spec.queries, spec.features, n, accumulate=flag
            )

        f.loop(0, seen, self.depth, keys_block)
