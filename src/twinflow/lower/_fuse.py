"""Which nodes share a kernel.

Every computed node that loops can express is a *unit*, or free: free nodes (structural ones, constants) are rearrangements that
cost nothing where they are used. Units are merged along the edges between them as long as their iteration spaces agree
and no circle arises. A group then has one space: `dims`, its extents other than 1, of which `inner` are folded by its
reductions. Its *full* members have all of `dims`, its *row* members only those that are not inner.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

from twinflow.core import Dim
from twinflow.graph import Graph, Node
from twinflow.lower._attention import ATTENTION, walked_operands
from twinflow.lower._conv import CONVOLUTIONS, SLIDING
from twinflow.lower._index import split_needed
from twinflow.lower._recompute import find_recomputed
from twinflow.lower._strided import walkable
from twinflow.lower._transpose import transpose_spec
from twinflow.lower._values import REDUCTIONS, STRUCTURAL, is_heavy, is_inlinable, reduced_axes

FREE = STRUCTURAL - {"random_bits", "take", "gather", "slice_update"}
_ONE_ROW = 1 << 14
_TURNED = 1 << 10  # elements from which on a transpose is worth a kernel
_MOST_LATE = 1 << 12  # elements of a state that are copied at a step's end without regret
_EPILOGUE_STREAMS = (
    3  # arrays of the result's size that an epilogue may read and write: a tile is only some columns wide
)
_MAX_STORES = 8  # more streams than this at once cost the prefetcher more than fusing saves


def wide(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The extents other than 1."""
    return tuple(s for s in shape if s != 1)


@dataclass(eq=False)
class Group:
    """Nodes computed by one kernel."""

    index: int
    dims: tuple[int, ...]
    inner: tuple[int, ...] | None  # positions in dims that its reductions fold; None: no reduction yet
    members: list[Node] = field(default_factory=list)
    product: Node | None = None  # the matrix product whose epilogue the other members are
    joined: list[Node] = field(default_factory=list)  # concatenations of members, which are stored straight into them
    bits: int = 0  # bit set of the groups that were merged into this one, itself included
    anc: int = 0  # bit sets of groups that must run before and after, with all bits of each
    desc: int = 0

    @property
    def row(self) -> tuple[int, ...]:
        """The extents of row members."""
        return tuple(d for i, d in enumerate(self.dims) if i not in (self.inner or ()))

    @property
    def is_column(self) -> bool:
        """Whether the folded axes are not the last ones: then full results are not stored here."""
        if not self.inner:
            return False
        n = len(self.dims)
        if len(self.inner) == n and (prod(self.dims) > _ONE_ROW or any(isinstance(d, Dim) for d in self.dims)):
            return True  # one row of everything would run on one core
        return self.inner != tuple(range(n - len(self.inner), n))


@dataclass
class Plan:
    """The outcome: groups and single nodes in the order they run, and which nodes get a buffer."""

    order: list[Group | Node]
    stored: set[Node]
    group_of: dict[Node, Group]


LOOPED = frozenset(
    [
        "put_add",
        "scatter",
        "scatter_add",
        "scatter_fold",
        "cumsum",
        "cumprod",
        "cummax",
        "cummin",
        "max_pool",
        "max_pool_input",
        "window_sum",
        "sort",
        "searchsorted",
        "matmul",
    ]
)
"""Operations with loop kernels of their own, which read operands through free nodes (matmul: for unusual types)."""
PRODUCT_DTYPES = ("float32", "float64", "bfloat16", "float16")  # what the contraction kernel takes


def _space(node: Node) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """(dims, inner) of a unit by itself."""
    if type(node.aval) is tuple:
        return (), None  # several results: it has a kernel of its own
    if node.op not in REDUCTIONS:
        return wide(node.aval.shape), None
    shape = node.inputs[0].aval.shape
    axes = reduced_axes(node)
    kept = [i for i, s in enumerate(shape) if s != 1]
    return tuple(shape[i] for i in kept), tuple(n for n, i in enumerate(kept) if i in axes)


class Fuser:
    """Decides groups for one graph. `opaque(node)` says which nodes have kernels of their own."""

    def __init__(self, graph: Graph, opaque: Any) -> None:
        self.graph = graph
        self.nodes = list(graph.nodes)
        self.opaque = {n for n in self.nodes if opaque(n) or not is_inlinable(n)}
        self.users = graph.users()
        self.results = {r for r in graph.results if isinstance(r, Node)}
        self.must: set[Node] = set()
        self.group: dict[Node, Group] = {}
        self.all: list[Group] = []
        self.alive = 0  # bit set of the groups that were not merged into others

    def plan(self) -> Plan:
        self._find_required()
        self._find_transposes()
        self._make_units()
        self._merge_vertically()
        self._merge_siblings()
        self._merge_joined()
        self._merge_products()
        stored = self._stored()
        stored -= find_recomputed(self.nodes, stored, self._may_recompute, self._units_and_inputs, self._readers)
        order = self._order()
        return Plan(order, stored, self.group)

    # -- what needs memory -------------------------------------------------------------------------------------

    def _require(self, x: Any) -> None:
        if isinstance(x, Node) and x.prim is not None and x not in self.opaque:
            self.must.add(x)

    def _find_required(self) -> None:
        for r in self.results:
            self._require(r)
        for node in self.nodes:
            if node in self.opaque:
                if node.op in ATTENTION:
                    for x in walked_operands(node):
                        self._require(x)
                    continue
                if node.op in LOOPED and not (node.op == "matmul" and node.aval.dtype.name in PRODUCT_DTYPES):
                    for x in self._units_below(node):
                        self._require(x)
                    continue
                product = node.op == "matmul" and node.aval.dtype.name in PRODUCT_DTYPES
                for x in node.inputs:
                    if product:
                        self._require(walkable(x))
                    else:  # contiguous, under any shape
                        self._require(below_reshapes(x) if node.op in CONVOLUTIONS else x)
            elif node.op in ("take", "gather"):
                self._require(node.inputs[0])
            elif node.op == "reshape" and split_needed(node.inputs[0].aval.shape, node.aval.shape):
                self._require(below_reshapes(node.inputs[0]))

    def _find_transposes(self) -> None:
        """Permutes that turn a stored value around have a kernel of their own, if they need memory, or meet other values
        as large: whichever way a loop ran, it would gather one or the other element by element."""
        for node in self.nodes:
            if node.op != "permute" or node.aval.size < _TURNED or node in self.opaque:
                continue
            source = below_reshapes(node.inputs[0])
            if source.op in FREE and source not in self.must:
                continue
            if (node in self.must or self._meets_others(node)) and transpose_spec(node, source) is not None:
                self.must.discard(node)
                self.opaque.add(node)
                self._require(source)

    def _meets_others(self, node: Node) -> bool:
        for u in self.users[node]:
            if u.op == "reshape" and len(self.users[u]) == 1:
                (u,) = self.users[u]
            others = [x for x in u.inputs if isinstance(x, Node) and below_reshapes(x) is not node]
            if u.prim is not None and u.prim.elementwise and any(x.aval.size == node.aval.size for x in others):
                return True
        return False

    def _is_free(self, node: Node) -> bool:
        return node.op in FREE and node not in self.must and node not in self.opaque

    # -- groups ------------------------------------------------------------------------------------------------

    def _new_group(self, node: Node) -> None:
        dims, inner = _space(node)
        g = Group(len(self.all), dims, inner, [node], bits=1 << len(self.all))
        self.alive |= g.bits
        self.all.append(g)
        self.group[node] = g

    def _make_units(self) -> None:
        """Every node that is not free gets a group; dependencies between groups go into the bit sets."""
        reach: dict[Node, int] = {}  # bit set of groups that a node (free ones included) depends on, itself included
        for node in self.nodes:
            before = 0
            for x in node.inputs:
                if isinstance(x, Node):
                    before |= reach.get(x, 0)
            if self._is_free(node):
                reach[node] = before
                continue
            self._new_group(node)
            g = self.group[node]
            g.anc = before
            reach[node] = before | (1 << g.index)
        needed: dict[Node, int] = {}  # the same for those that depend on it
        for node in reversed(self.nodes):
            after = 0
            for u in self.users[node]:
                after |= needed[u] if u not in self.group else needed[u] | 1 << self.group[u].index
            needed[node] = after
            if node in self.group:
                self.group[node].desc = after

    def _edges(self, node: Node) -> list[tuple[Node, str]]:
        """The units that a unit reads, through free nodes: (unit, how): "same", "row" or "other"."""
        found: dict[Node, str] = {}
        dims, _ = _space(node)
        stack: list[tuple[Any, tuple[int | None, ...]]] = []

        def push(x: Any, space: tuple[int | None, ...], shape: tuple[int, ...]) -> None:
            if isinstance(x, Node):
                lead = len(space) - len(x.aval.shape)
                if lead < 0:  # an operand with more axes than the result runs along none of its own
                    stack.append((x, (-1,) * len(x.aval.shape)))
                    return
                stack.append((x, tuple(None if n == 1 else a for a, n in zip(space[lead:], x.aval.shape))))

        base_shape = node.inputs[0].aval.shape if node.op in REDUCTIONS else node.aval.shape
        count = 0
        space: list[int | None] = []
        for n in base_shape:
            space.append(None if n == 1 else count)
            count += n != 1
        if node.op in ("take", "gather", "random_bits"):
            return [(u, "other") for u in self._units_below(node)]
        for x in node.inputs:
            push(x, tuple(space), base_shape)
        while stack:
            x, at = stack.pop()
            if not self._is_free(x):
                if x.prim is not None:
                    how = _relation(at, dims)
                    found[x] = how if found.get(x, how) == how else "other"
                continue
            inner = self._through(x, at)
            for y, sub in inner:
                if isinstance(y, Node):
                    stack.append((y, sub))
        return list(found.items())

    def _units_below(self, node: Node) -> list[Node]:
        out, stack, seen = [], [x for x in node.inputs if isinstance(x, Node)], set()
        while stack:
            x = stack.pop()
            if x in seen:
                continue
            seen.add(x)
            if not self._is_free(x):
                if x.prim is not None:
                    out.append(x)
            else:
                stack += [y for y in x.inputs if isinstance(y, Node)]
        return out

    def _through(self, node: Node, at: tuple[int | None, ...]) -> list[tuple[Any, tuple[int | None, ...]]]:
        """The operands of a free node, and along which axes of the consumer's space each of their axes runs (-1: not
        along one)."""
        if node.op == "cast":
            return [(node.inputs[0], at)]
        if node.op == "expand":
            x = node.inputs[0]
            lead = len(at) - x.aval.ndim
            return [(x, tuple(None if n == 1 else a for a, n in zip(at[lead:], x.aval.shape)))]
        if node.op == "permute":
            inner: list[int | None] = [None] * len(at)
            for i, a in enumerate(node.params["axes"]):
                inner[a] = at[i]
            return [(node.inputs[0], tuple(inner))]
        if node.op == "reshape":
            old, new = node.inputs[0].aval.shape, node.aval.shape
            if wide(old) == wide(new):
                left = iter([a for a, n in zip(at, new) if n != 1])
                return [(node.inputs[0], tuple(None if n == 1 else next(left) for n in old))]
        return [(x, (-1,) * x.aval.ndim) for x in node.inputs if isinstance(x, Node)]

    # -- merging -----------------------------------------------------------------------------------------------

    def _fits(self, producer: Node, consumer: Node, how: str) -> tuple[tuple[int, ...], tuple[int, ...] | None] | None:
        """The space of the merged group, or None if the two cannot share a kernel."""
        a, b = self.group[producer], self.group[consumer]
        p_row = producer.op in REDUCTIONS or (a.inner is not None and wide(producer.aval.shape) == a.row != a.dims)
        c_dims = wide(consumer.inputs[0].aval.shape) if consumer.op in REDUCTIONS else wide(consumer.aval.shape)
        c_row = b.inner is not None and consumer.op not in REDUCTIONS and c_dims == b.row != b.dims
        if how == "same":
            if p_row and not c_row and consumer.op in REDUCTIONS:
                return None  # a reduction of a reduction's result
            if p_row == c_row or (p_row and b.inner is None and b.dims == a.row):
                if p_row and not c_row:  # a map over the rows of a's kernel
                    return a.dims, a.inner
                if a.dims != b.dims:
                    return None
                if a.inner is not None and b.inner is not None and a.inner != b.inner:
                    return None
                inner = a.inner if a.inner is not None else b.inner
                return a.dims, inner
            return None
        if how == "row" and p_row and a.inner is not None and not a.is_column and not c_row:
            # a row's value used all along the row
            if a.dims != b.dims or (b.inner is not None and b.inner != a.inner):
                return None
            return a.dims, a.inner
        return None

    def _circle(self, a: Group, b: Group) -> bool:
        """Whether merging would make a group depend on itself: something runs between the two."""
        return bool((a.desc & b.anc | b.desc & a.anc) & ~(a.bits | b.bits))

    def _try(self, producer: Node, consumer: Node, how: str) -> bool:
        a, b = self.group[producer], self.group[consumer]
        if a is b or producer in self.opaque or consumer in self.opaque:
            return False
        space = self._fits(producer, consumer, how)
        if space is None or self._circle(a, b):
            return False
        merged_column = Group(0, *space).is_column
        if merged_column and any(
            self._needs_store(m, a, b) for m in (*a.members, *b.members) if self._is_full(m, space)
        ):
            return False
        self._merge(a, b, space)
        return True

    def _is_full(self, m: Node, space: tuple[tuple[int, ...], tuple[int, ...] | None]) -> bool:
        return m.op not in REDUCTIONS and wide(m.aval.shape) == space[0]

    def _needs_store(self, m: Node, a: Group, b: Group) -> bool:
        if m in self.must:
            return True
        return any(self.group.get(u) not in (a, b) for u in self._unit_users(m))

    def _unit_users(self, node: Node) -> list[Node]:
        out, stack, seen = [], list(self.users[node]), set()
        while stack:
            u = stack.pop()
            if u in seen:
                continue
            seen.add(u)
            if self._is_free(u):
                stack += self.users[u]
            else:
                out.append(u)
        return out

    def _merge(self, a: Group, b: Group, space: tuple[tuple[int, ...], tuple[int, ...] | None]) -> None:
        a.dims, a.inner = space
        a.members += b.members
        for m in b.members:
            self.group[m] = a
        bits = a.bits | b.bits
        anc, desc = (a.anc | b.anc) & ~bits, (a.desc | b.desc) & ~bits
        self.alive &= ~(1 << b.index)
        # groups that come before both, or after both, know everything already
        for i in _bits((a.anc ^ b.anc) & anc & self.alive):
            self.all[i].desc |= desc | bits
        for i in _bits((a.desc ^ b.desc) & desc & self.alive):
            self.all[i].anc |= anc | bits
        a.bits, a.anc, a.desc = bits, anc, desc
        b.members = []
        b.anc = b.desc = 0

    def _merge_vertically(self) -> None:
        for node in self.nodes:
            if node in self.group and node not in self.opaque:
                for producer, how in self._edges(node):
                    if how != "other" and producer not in self.opaque:
                        self._try(producer, node, how)

    def _merge_joined(self) -> None:
        """A stored concatenation of values that one group computes is written by that group, piece by piece."""
        for node in self.nodes:
            if node.op != "concat" or node not in self.must:
                continue
            own = self.group[node]
            pieces = [below_reshapes(x) for x in node.inputs]
            g = self.group.get(pieces[0])
            if g is None or g is own or g.inner is not None or own.members != [node] or self._circle(g, own):
                continue
            if all(
                self.group.get(x) is g and x not in self.opaque and wide(x.aval.shape) == wide(y.aval.shape) == g.dims
                for x, y in zip(pieces, node.inputs)
            ):
                self._merge(g, own, (g.dims, None))
                g.joined.append(node)

    def _merge_products(self) -> None:
        """An elementwise group that reads a product element by element becomes its epilogue."""
        for node in self.nodes:
            if node.op not in ("matmul", *SLIDING) or node not in self.opaque:
                continue
            if node.aval.dtype.name not in PRODUCT_DTYPES:
                continue
            own, dims = self.group[node], wide(node.aval.shape)
            for user in self._unit_users(node):
                g = self.group.get(user)
                if g is None or user in self.opaque or g.inner is not None or g.dims != dims or g.product or g.joined:
                    continue
                if any(map(is_heavy, g.members)) or self._streams(g, node) > _EPILOGUE_STREAMS or self._circle(own, g):
                    continue  # costly functions gain nothing from registers; many streams are faster along whole rows
                if dict(self._edges(user)).get(node) == "same":
                    self._merge(g, own, (dims, None))
                    g.product = node
                    break

    def _streams(self, g: Group, product: Node) -> int:
        """How many arrays of the group's size its kernel reads and writes, without the product."""
        size = prod(g.dims)
        inside = set(g.members)
        loads = {x for m in g.members for x in self._loads(m) if x.aval.size == size and x is not product}
        loads |= {u for m in g.members for u in self._units_below(m) if u not in inside and u.aval.size == size} - {
            product
        }
        stores = [m for m in g.members if m in self.must or any(u not in inside for u in self._unit_users(m))]
        return len(loads) + len(stores)

    def _merge_siblings(self) -> None:
        """Groups over one space that read the same values run together: they are read once."""
        readers: dict[Node, list[Node]] = {}
        for node in self.nodes:
            if node in self.group and node not in self.opaque:
                # sums over columns of what another kernel makes read it once for all of them; for others, see `_loads`
                read = self._units_and_inputs(node) if self.group[node].is_column else []
                read = [x for x in read if x in self.group and type(x.aval) is not tuple]
                made = [self.group[x] for x in read if x.aval.size == prod(self.group[node].dims)]
                outside = [g.members[0] for g in made if g is not self.group[node]]
                for x in [*self._loads(node), *outside]:
                    readers.setdefault(x, []).append(node)
        for x, nodes in readers.items():
            if x.aval.size < 2:
                continue
            first: dict[Any, Node] = {}
            for n in nodes:
                g = self.group[n]
                key = (g.dims, g.inner)
                other = first.setdefault(key, n)
                h = self.group[other]
                if h is not g and len(h.members) + len(g.members) <= 4 * _MAX_STORES and not self._circle(h, g):
                    self._merge(h, g, (h.dims, h.inner))

    def _loads(self, node: Node) -> list[Node]:
        out, stack = [], [x for x in node.inputs if isinstance(x, Node)]
        seen: set[Node] = set()
        while stack:
            x = stack.pop()
            if x in seen:
                continue
            seen.add(x)
            if x.prim is None or x in self.opaque:
                out.append(x)
            elif self._is_free(x):
                stack += [y for y in x.inputs if isinstance(y, Node)]
        return out

    def _may_recompute(self, node: Node) -> bool:
        """Whether a stored node may be computed where it is read: nothing asks for its memory, and large states that are
        written are not read again late, which would keep their new values waiting."""
        if node in self.must or node in self.opaque:
            return False
        if self._is_pieced(node) and any(self.group[u].product for u in self._unit_users(node) if u in self.group):
            return False  # the epilogue of a product reads whole vectors
        writes = self.graph.writes
        return not any(x in writes and x.aval.size > _MOST_LATE for x in self._units_and_inputs(node))

    def _is_pieced(self, node: Node) -> bool:
        """Whether a unit reads something that is put together of pieces, through free nodes."""
        stack: list[Any] = list(node.inputs)
        while stack:
            x = stack.pop()
            if isinstance(x, Node) and self._is_free(x):
                if x.op in ("concat", "pad"):
                    return True
                stack += x.inputs
        return False

    def _readers(self, node: Node) -> tuple[int, set[Node]]:
        """How many other groups read a node; and what other members of its own group read or are."""
        own = self.group[node]
        users = {self.group[u].index for u in self._unit_users(node) if u in self.group} - {own.index}
        at_hand = set(own.members) - {node}
        for m in own.members:
            if m is not node:
                at_hand.update(self._units_and_inputs(m))
        return len(users), at_hand

    def _units_and_inputs(self, node: Node) -> list[Node]:
        """The units and inputs that a unit reads, through free nodes."""
        out, stack, seen = [], list(node.inputs), set()
        while stack:
            x = stack.pop()
            if isinstance(x, Node) and x not in seen:
                seen.add(x)
                if x.prim is None or not self._is_free(x):
                    out.append(x)
                else:
                    stack += x.inputs
        return out

    # -- the outcome -------------------------------------------------------------------------------------------

    def _stored(self) -> set[Node]:
        products = {g.product for g in self.all if g.product is not None and g.members}
        stored = (self.opaque - products) | self.must | (products & self.results)
        for node, g in self.group.items():
            if (node not in self.opaque or node in products) and any(
                self.group.get(u) is not g for u in self._unit_users(node)
            ):
                stored.add(node)
        return stored

    def _order(self) -> list[Group | Node]:
        """Groups after everything they need; among those that are ready, the one that was made first."""
        groups = [g for g in self.all if g.members]
        done = 0
        order: list[Group | Node] = []
        waiting = groups
        present = sum(1 << g.index for g in groups)
        while waiting:
            rest = []
            for g in waiting:
                if g.anc & present & ~done:
                    rest.append(g)
                    continue
                done |= 1 << g.index
                only = g.members[0]
                order.append(only if only in self.opaque and g.product is None else g)
            waiting = rest
        return order


def below_reshapes(x: Any) -> Any:
    """The node whose elements, in the same order, these are."""
    while isinstance(x, Node) and x.op == "reshape":
        x = x.inputs[0]
    return x


def _relation(at: tuple[int | None, ...], dims: tuple[int, ...]) -> str:
    used = [a for a in at if a is not None]
    if -1 in used:
        return "other"
    if used == list(range(len(dims))):
        return "same"
    return "row" if used == list(range(len(used))) else "other"


def _bits(mask: int) -> list[int]:
    """The positions of the ones."""
    text = bin(mask)[:1:-1]
    out, at = [], text.find("1")
    while at >= 0:
        out.append(at)
        at = text.find("1", at + 1)
    return out
