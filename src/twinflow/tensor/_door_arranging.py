"""The native ways of views (transpose, reshape, index), and of choosing and joining (where, cat)."""

from __future__ import annotations

from twinflow.tensor._door_frame import Way
from twinflow.tensor._door_record import ALIGNED, C_CONTIGUOUS, DATA, DESCR, FLAGS, NDIM, TYPE, Module

_SMALL = 1024  # elements, as for the loops of arithmetic
_AXES = 8


def write_arranging(m: Module) -> None:
    """These ways."""
    for write in (_transpose, _reshape, _index, _where, _cat):
        write(m)


def _plain(c: Way, x: str) -> str:
    """The array of a tensor of which a view is made, which nothing but its memory ties to it (`Tie`)."""
    a = c.tensor(x)
    c.unrecorded(x)
    at = c.m.layout
    info = c.load(x, at.tensor["_info"])
    kind = c.load(info, TYPE)
    with c.when(c.equal(kind, c.known("ViewMeta"))):
        c.jump("slow")
    with c.when(c.equal(kind, c.known("Meta"))):
        c.unless(c.equal(c.load(info, at.meta["base"]), c.known("None")), "slow")
    return a


def _finish_view(c: Way, x: str, out: str, params: str) -> None:
    """Return a tensor around `out`, which looks at the memory of `x`. Takes the references to `out` and `params`."""
    at = c.m.layout
    t = c.call("@tensor", out)
    with c.when(c.equal(t, "null")):
        c.drop(params)
        c.ret("null")
    tie = c.call("PyType_GenericAlloc", c.known("Tie"), "i64 0")
    with c.when(c.equal(tie, "null")):
        c.drop(params, t)
        c.ret("null")
    c.store(c.owned(x), tie, at.tie["base"])
    c.store(c.owned(c.field("run")), tie, at.tie["prim"])
    c.store(params, tie, at.tie["params"])
    c.store(tie, t, at.tensor["_info"])
    c.drop(c.known("None"))
    c.ret(t)
    c.end()


def _transpose(m: Module) -> None:
    """The transpose of a matrix."""
    c = Way(m, "transpose", 1)
    x = c.load(c.args)
    a = _plain(c, x)
    c.unless(c.equal(c.load(a, NDIM, "i32"), "2", "i32"), "slow")
    out = c.call("PyArray_Transpose", a, "null")
    c.unless(c.differ(out), "raised")
    _finish_view(c, x, out, c.owned(c.field("params")))


def _reshape(m: Module) -> None:
    """Another shape, given as whole numbers or as a tuple of them, of an array that lies in order."""
    c = Way(m, "reshape", 0)
    c.unless(c.value(f"icmp sgt i64 {c.n}, 1"), "slow")
    c.unless(c.value(f"icmp sle i64 {c.n}, {_AXES + 1}"), "slow")
    x = c.load(c.args)
    a = _plain(c, x)
    wanted = C_CONTIGUOUS | ALIGNED
    c.unless(c.equal(c.value(f"and i32 {c.load(a, FLAGS, 'i32')}, {wanted}"), str(wanted), "i32"), "slow")
    entries, count = c.variable(c.at(c.args, 8)), c.variable(c.value(f"sub i64 {c.n}, 1"), "i64")
    dims, items = c.variable("", "i64", _AXES), c.variable(count=_AXES)
    first = c.load(c.args, 8)
    given = c.variable("null")
    single = c.both(c.equal(c.n, "2", "i64"), c.equal(c.load(first, TYPE), c.known("tuple")))
    with c.when(single):
        size = c.call("PyTuple_Size", first, result="i64")
        c.unless(c.value(f"icmp ule i64 {size}, {_AXES}"), "slow")
        with c.count("0", size) as k:
            c.store(c.call("PyTuple_GetItem", first, f"i64 {k}"), items, c.value(f"shl i64 {k}, 3"))
        c.store(items, entries)
        c.store(size, count, 0, "i64")
        c.store(first, given)
    n = c.load(count, 0, "i64")
    with c.count("0", n) as k:
        at = c.value(f"shl i64 {k}, 3")
        entry = c.load(c.load(entries), at)
        c.unless(c.equal(c.load(entry, TYPE), c.known("int")), "slow")
        extent = c.call("PyLong_AsSsize_t", entry, result="i64")
        # -1 is what an error gives too, and the extent to be found: the first goes on in Python, which says what is wrong
        c.unless(c.equal(c.call("PyErr_Occurred"), "null"), "raised")
        c.unless(c.value(f"icmp sge i64 {extent}, -1"), "slow")
        c.store(extent, dims, at, "i64")
    shape = c.variable("", "[2 x i64]")  # PyArray_Dims
    c.store(dims, shape)
    c.store(n, shape, 8, "i64")
    out = c.call("PyArray_Newshape", a, shape, "i32 0")
    c.unless(c.differ(out), "raised")
    with c.when(c.equal(c.load(given), "null")):
        made = c.call("PyTuple_New", f"i64 {n}")
        with c.when(c.equal(made, "null")):
            c.drop(out)
            c.ret("null")
        with c.count("0", n) as k:
            entry = c.load(c.load(entries), c.value(f"shl i64 {k}, 3"))
            c.call("PyTuple_SetItem", made, f"i64 {k}", c.owned(entry), result="i32")
        c.store(made, given)
    with c.when(single):
        c.owned(first)
    _finish_view(c, x, out, c.load(given))


def _index(m: Module) -> None:
    """x[i] for a whole number where axes are left, and x[a:b]."""
    c = Way(m, "index", 2)
    x, index = c.load(c.args), c.load(c.args, 8)
    a = _plain(c, x)
    kind, n = c.load(index, TYPE), c.load(a, NDIM, "i32")
    whole = c.both(c.equal(kind, c.known("int")), c.value(f"icmp sgt i32 {n}, 1"))
    part = c.both(c.equal(kind, c.known("slice")), c.value(f"icmp sgt i32 {n}, 0"))
    c.unless(c.either(whole, part), "slow")
    c.owned(a)
    out = c.call("PyObject_GetItem", a, index)
    c.drop(a)
    c.unless(c.differ(out), "raised")
    _finish_view(c, x, out, c.owned(index))


def _where(m: Module) -> None:
    """Elements of one of two arrays, where a third of one shape and bools says; all lie in order and are small."""
    c = Way(m, "where", 3)
    condition, x, y = (c.load(c.args, 8 * k) for k in range(3))
    held, a, b = c.tensor(condition), c.tensor(x), c.tensor(y)
    d, single = c.float_type(a)
    c.same_type(b, d)
    c.unless(c.equal(c.load(held, DESCR), c.known("bool")), "slow")
    size = c.call("@size", a, result="i64")
    c.unless(c.value(f"icmp ule i64 {size}, {_SMALL}"), "slow")
    for other in (held, b):
        c.unless(c.equal(c.call("@fit", a, other, result="i32"), "3", "i32"), "slow")
        c.unless(c.equal(c.call("@size", other, result="i64"), size, "i64"), "slow")
    wanted = c.wanted(condition, x, y)
    out = c.empty(d, a)
    at = [c.load(p, DATA) for p in (out, held, a, b)]
    for kind, shift, on in (("i32", 2, single), ("i64", 3, c.negated(single))):
        with c.when(on), c.count("0", size) as k:
            offset = c.value(f"shl i64 {k}, {shift}")
            yes = c.differ(c.load(at[1], k, "i8"), "0", "i8")
            c.store(c.choose(yes, c.load(at[2], offset, kind), c.load(at[3], offset, kind), kind), at[0], offset, kind)
    c.finish(out, wanted, condition, x, y)


def _cat(m: Module) -> None:
    """Arrays of one type, in a list or a tuple, one after the other along an axis; nothing is recorded."""
    c = Way(m, "cat", 0)
    c.unless(c.value(f"icmp ult i64 {c.value(f'sub i64 {c.n}, 1')}, 2"), "slow")
    tensors = c.load(c.args)
    is_list = c.equal(c.load(tensors, TYPE), c.known("list"))
    c.unless(c.either(is_list, c.equal(c.load(tensors, TYPE), c.known("tuple"))), "slow")
    axis = c.variable("0", "i32")
    with c.when(c.equal(c.n, "2", "i64")):
        given = c.load(c.args, 8)
        c.unless(c.equal(c.load(given, TYPE), c.known("int")), "slow")
        number = c.call("PyLong_AsLong", given, result="i64")
        c.unless(c.equal(c.call("PyErr_Occurred"), "null"), "raised")
        c.unless(c.value(f"icmp ult i64 {c.value(f'add i64 {number}, 64')}, 128"), "slow")
        c.store(c.value(f"trunc i64 {number} to i32"), axis, 0, "i32")
    n = c.call("PySequence_Size", tensors, result="i64")
    c.unless(c.value(f"icmp sgt i64 {n}, 0"), "slow")
    arrays = c.call("PyList_New", f"i64 {n}")
    c.unless(c.differ(arrays), "failed")
    d = c.variable("null")
    with c.count("0", n) as k:
        x = c.variable()
        with c.when(is_list):
            c.store(c.call("PyList_GetItem", tensors, f"i64 {k}"), x)
        with c.when(c.negated(is_list)):
            c.store(c.call("PyTuple_GetItem", tensors, f"i64 {k}"), x)
        t = c.load(x)
        c.unless(c.call("@is_tensor", t, result="i1"), "other")
        c.unless(c.equal(c.call("@wanted", t, result="i64"), "0", "i64"), "other")
        a = c.load(t, m.layout.tensor["_data"])
        c.unless(c.equal(c.load(a, TYPE), c.known("ndarray")), "other")
        with c.when(c.equal(k, "0", "i64")):
            c.store(c.load(a, DESCR), d)
        c.unless(c.equal(c.load(a, DESCR), c.load(d)), "other")
        c.call("PyList_SetItem", arrays, f"i64 {k}", c.owned(a), result="i32")
    out = c.call("PyArray_Concatenate", arrays, f"i32 {c.load(axis, 0, 'i32')}")
    c.drop(arrays)
    c.unless(c.differ(out), "raised")
    c.jump("joined")
    c.label("other")
    c.drop(arrays)
    c.jump("slow")
    c.label("joined")
    c.finish(out)
