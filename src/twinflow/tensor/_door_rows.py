"""The native ways of functions along axes: the sum of all elements, linear layers, softmax along rows."""

from __future__ import annotations

from twinflow.tensor._door_elementwise import ARITHMETIC, SIZES, write_loop
from twinflow.tensor._door_frame import Way
from twinflow.tensor._door_record import DATA, DIMS, NDIM, Module

_SUMMED = 1 << 16  # elements, from which on sums are compiled (`ops/_reductions.py`)
_DOT = 4096  # elements of the first factor, from which on others than `dot` are asked
_PRODUCTS = 1 << 16  # of products in a linear layer, likewise
_SOFTMAX = 4096  # elements, up to which other threads can wait
_COLUMNS = 1024  # up to which sums of rows are products with ones (`ops/_softmax.py`)
_RANKS = 8  # for which there are parameters of a sum


def write_rows(m: Module) -> None:
    """These ways."""
    for kind in SIZES:
        _row_max(m, kind)
        for what in ("sub", "div"):
            write_loop(m, f"row_{what}_{kind}", kind, ARITHMETIC[what], public=False)
            _matrix_rows(m, kind, what)
    for write in (_sum, _linear, _softmax):
        write(m)


def _sum(m: Module) -> None:
    """The sum of all elements."""
    c = Way(m, "sum", 1)
    x = c.load(c.args)
    a = c.tensor(x)
    d, _ = c.float_type(a)
    rank = c.value(f"sext i32 {c.load(a, NDIM, 'i32')} to i64")
    c.unless(c.value(f"icmp ult i64 {rank}, {_RANKS}"), "slow")
    size = c.call("@elements", a, result="i64")
    c.unless(c.value(f"icmp ult i64 {size}, {_SUMMED}"), "slow")
    wanted = c.wanted(x)
    place = c.call(
        "PyArray_NewFromDescr", c.known("ndarray"), c.owned(d), "i32 0", "null", "null", "null", "i32 0", "null"
    )
    c.unless(c.differ(place), "failed")
    given = c.variable(c.owned(a), count=4)
    for i, value in enumerate((c.known("None"), c.known("None"), place)):
        c.store(value, given, 8 * (i + 1))
    out = c.call("@quietly", c.field("run"), given, "i64 4")
    c.drop(a, place)
    c.unless(c.differ(out), "raised")
    c.finish(out, wanted, x, params=c.call("PyTuple_GetItem", c.field("params"), f"i64 {rank}"))


def _linear(m: Module) -> None:
    """x Wᵀ + b: for a few rows as `_np_compose` has it, else by `run`."""
    c = Way(m, "linear", 3)
    x, w, b = (c.load(c.args, 8 * k) for k in range(3))
    data, weight, bias = c.tensor(x), c.tensor(w), c.tensor(b)
    d, single = c.float_type(data)
    c.same_type(weight, d)
    c.same_type(bias, d)
    for array, axes in ((weight, "2"), (bias, "1")):
        c.unless(c.equal(c.load(array, NDIM, "i32"), axes, "i32"), "slow")
    rank = c.value(f"sext i32 {c.load(data, NDIM, 'i32')} to i64")
    c.unless(c.value(f"icmp sgt i64 {rank}, 1"), "slow")
    dims = c.load(data, DIMS)
    n_in = c.load(dims, c.value(f"shl i64 {c.value(f'sub i64 {rank}, 1')}, 3"), "i64")
    n_out = c.load(c.load(weight, DIMS), 0, "i64")
    c.unless(c.equal(c.load(c.load(weight, DIMS), 8, "i64"), n_in, "i64"), "slow")
    c.unless(c.equal(c.load(c.load(bias, DIMS), 0, "i64"), n_out, "i64"), "slow")
    n = c.call("@elements", data, result="i64")
    c.unless(c.differ(n, "0", "i64"), "slow")
    wanted = c.wanted(x, w, b)
    out = c.variable()
    c.unless(c.equal(rank, "2", "i64"), "large")
    c.unless(c.value(f"icmp ult i64 {n}, {_DOT}"), "large")
    c.unless(c.value(f"icmp ult i64 {c.value(f'mul i64 {n}, {n_out}')}, {_PRODUCTS}"), "large")
    c.unless(c.differ(c.call("@size", bias, result="i64"), "-1", "i64"), "large")
    turned = c.call("PyArray_Transpose", weight, "null")
    c.unless(c.differ(turned), "raised")
    made = c.call("PyArray_MatrixProduct2", data, turned, "null")
    c.drop(turned)
    c.unless(c.differ(made), "raised")
    c.store(made, out)
    loop = c.choose(single, c.field("loop"), c.field("loop64"))
    nbytes = c.value(f"mul i64 {n_out}, {c.choose(single, '4', '8', 'i64')}")
    with c.count("0", c.load(dims, 0, "i64")) as k:
        row = c.at(c.load(made, DATA), c.value(f"mul i64 {k}, {nbytes}"))
        c.call(loop, row, row, "i64 1", c.load(bias, DATA), "i64 1", f"i64 {n_out}", result="void")
    c.jump("made")
    c.label("large")
    c.store(c.run(c.field("run"), data, weight, bias), out)
    c.label("made")
    c.finish(c.load(out), wanted, x, w, b)


def _row_max(m: Module, kind: str) -> None:
    """The largest of n numbers, or NaN if there is one, into `out`."""
    c = m.function(f"largest_{kind}", ["ptr", "ptr", "i64"], "void")
    out, x, n = c.params
    c.store(c.load(x, 0, kind), out, 0, kind)
    with c.count("1", n) as k:
        value, best = c.load(x, c.value(f"mul i64 {k}, {SIZES[kind]}"), kind), c.load(out, 0, kind)
        above = c.value(f"fcmp ogt {kind} {value}, {best}")
        better = c.either(above, c.value(f"fcmp uno {kind} {value}, {value}"))
        c.store(c.choose(better, value, best, kind), out, 0, kind)
    c.ret("", "void")
    m.add(c)


def _matrix_rows(m: Module, kind: str, what: str) -> None:
    """out = x - max(x), or x / s, for every row of a matrix: (out, x, s, rows, n)."""
    c = m.function(f"rows_{what}_{kind}", ["ptr", "ptr", "ptr", "i64", "i64"], "void")
    out, x, s, rows, n = c.params
    size = SIZES[kind]
    largest = c.variable("0.0", kind)
    with c.count("0", rows) as k:
        at = c.value(f"mul i64 {k}, {c.value(f'mul i64 {n}, {size}')}")
        row, other = c.at(x, at), largest if what == "sub" else c.at(s, c.value(f"mul i64 {k}, {size}"))
        if what == "sub":
            c.call(f"@largest_{kind}", largest, row, f"i64 {n}", result="void")
        c.call(f"@row_{what}_{kind}", c.at(out, at), row, "i64 1", other, "i64 0", f"i64 {n}", result="void")
    c.ret("", "void")
    m.add(c)


def _softmax(m: Module) -> None:
    """exp(x - max) / Σ exp(x - max) along the rows of a small matrix, step by step as `_np_softmax` does it."""
    c = Way(m, "softmax", 2)
    x, dim = c.load(c.args), c.load(c.args, 8)
    a = c.tensor(x)
    d, single = c.float_type(a)
    c.unless(c.either(c.equal(dim, c.known("-1")), c.equal(dim, c.known("1"))), "slow")
    c.unless(c.equal(c.load(a, NDIM, "i32"), "2", "i32"), "slow")
    rows, n = (c.load(c.load(a, DIMS), 8 * k, "i64") for k in range(2))
    size = c.call("@size", a, result="i64")
    c.unless(c.value(f"icmp ult i64 {c.value(f'sub i64 {size}, 1')}, {_SOFTMAX}"), "slow")
    c.unless(c.value(f"icmp ule i64 {n}, {_COLUMNS}"), "slow")
    wanted = c.wanted(x)
    out = c.empty(d, a)
    column = c.variable(n, "i64", 2)
    c.store("1", column, 8, "i64")
    made = c.call(
        "PyArray_NewFromDescr", c.known("ndarray"), c.owned(d), "i32 2", column, "null", "null", "i32 0", "null"
    )
    c.unless(c.differ(made), "failed")

    def each_row(what: str, source: str, divisors: str) -> None:
        for kind, on in (("float", single), ("double", c.negated(single))):
            with c.when(on):
                given = (c.load(out, DATA), c.load(source, DATA), divisors, f"i64 {rows}", f"i64 {n}")
                c.call(f"@rows_{what}_{kind}", *given, result="void")

    each_row("sub", a, "null")
    for kind, one, on in (("i32", 0x3F800000, single), ("i64", 0x3FF0000000000000, c.negated(single))):  # 1.0
        with c.when(on), c.count("0", n) as k:
            c.store(str(one), c.load(made, DATA), c.value(f"mul i64 {k}, {int(kind[1:]) // 8}"), kind)
    given = c.variable(out, count=2)
    c.store(out, given, 8)
    e = c.call("@quietly", c.field("run"), given, "i64 2")
    sums = c.variable("null")
    with c.when(c.differ(e)):
        c.store(c.call("PyArray_MatrixProduct2", out, made, "null"), sums)
    c.drop(e, made)
    with c.when(c.equal(c.load(sums), "null")):
        c.drop(out)
        c.jump("raised")
    each_row("div", out, c.load(c.load(sums), DATA))
    c.drop(c.load(sums))
    c.finish(out, wanted, x)
