"""The native ways of functions along axes: the sum of all elements, linear layers, softmax along rows."""

from __future__ import annotations

from twinflow.tensor._door_frame import Way
from twinflow.tensor._door_record import DATA, DIMS, NDIM, Module

_SUMMED = 1 << 16  # elements, from which on sums are compiled (`ops/_reductions.py`)
_DOT = 4096  # elements of the first factor, from which on others than `dot` are asked
_PRODUCTS = 1 << 16  # of products in a linear layer, likewise
_RANKS = 8  # for which there are parameters of a sum


def write_rows(m: Module) -> None:
    """These ways."""
    for write in (_sum, _linear):
        write(m)


def _sum(m: Module) -> None:
    """The sum of all elements."""
    c = Way(m, "sum", 1)
    x = c.load(c.args)
    a = c.tensor(x)
    d, _ = c.float_type(a)
    rank = c.value(f"sext i32 {c.load(a, NDIM, 'i32')} to i64")
    c.unless(c.value(f"icmp ult i64 {rank}, {_RANKS}"), "slow")
    size = c.variable("1", "i64")
    with c.count("0", rank) as k:
        extent = c.load(c.load(a, DIMS), c.value(f"shl i64 {k}, 3"), "i64")
        c.store(c.value(f"mul i64 {c.load(size, 0, 'i64')}, {extent}"), size, 0, "i64")
    c.unless(c.value(f"icmp ult i64 {c.load(size, 0, 'i64')}, {_SUMMED}"), "slow")
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
    """x Wᵀ + b for a few rows."""
    c = Way(m, "linear", 3)
    x, w, b = (c.load(c.args, 8 * k) for k in range(3))
    data, weight, bias = c.tensor(x), c.tensor(w), c.tensor(b)
    d, single = c.float_type(data)
    for array, rank in ((data, 2), (weight, 2), (bias, 1)):
        c.same_type(array, d)
        c.unless(c.equal(c.load(array, NDIM, "i32"), str(rank), "i32"), "slow")
    rows, n_in = (c.load(c.load(data, DIMS), 8 * k, "i64") for k in range(2))
    n_out = c.load(c.load(weight, DIMS), 0, "i64")
    c.unless(c.equal(c.load(c.load(weight, DIMS), 8, "i64"), n_in, "i64"), "slow")
    c.unless(c.equal(c.call("@size", bias, result="i64"), n_out, "i64"), "slow")
    size = c.value(f"mul i64 {rows}, {n_in}")
    c.unless(c.value(f"icmp ult i64 {c.value(f'sub i64 {size}, 1')}, {_DOT - 1}"), "slow")
    c.unless(c.value(f"icmp ult i64 {c.value(f'mul i64 {size}, {n_out}')}, {_PRODUCTS}"), "slow")
    wanted = c.wanted(x, w, b)
    turned = c.call("PyArray_Transpose", weight, "null")
    c.unless(c.differ(turned), "raised")
    out = c.call("PyArray_MatrixProduct2", data, turned, "null")
    c.drop(turned)
    c.unless(c.differ(out), "raised")
    loop = c.choose(single, c.field("loop"), c.field("loop64"))
    nbytes = c.value(f"mul i64 {n_out}, {c.choose(single, '4', '8', 'i64')}")
    with c.count("0", rows) as k:
        row = c.at(c.load(out, DATA), c.value(f"mul i64 {k}, {nbytes}"))
        c.call(loop, row, row, "i64 1", c.load(bias, DATA), "i64 1", f"i64 {n_out}", result="void")
    c.finish(out, wanted, x, w, b)
