"""The native way back over the tape, in plain evaluation: what `_backward._walk` does where nobody but leaves asks for gradients.

Nodes that wait for their turn stand in memory of this walk, three words each: the number of the node, the node, and the gradient of its
result or a tuple of those of its results. What is unusual at one node or leaf is left to the Python functions for it.
"""

from __future__ import annotations

from twinflow.runtime._c_code import Code
from twinflow.tensor._door_frame import Way
from twinflow.tensor._door_record import BASE, C_CONTIGUOUS, DESCR, FLAGS, TYPE, WRITEABLE, Module

_EQUAL = "i32 2"  # Py_EQ
_ENTRY = 24  # bytes of an entry: number, node, gradients
_ROOM = 16  # entries there is room for at first
_LIST = {"entries": 0, "count": 8, "room": 16}  # of what waits


def write_backward(m: Module) -> None:
    """The walk and its parts."""
    for write in (
        _unchanged,
        _arrays,
        _results,
        _call_back,
        _derivative,
        _owns,
        _accumulate,
        _wait,
        _next,
        _reach,
        _visit,
        _walk,
    ):
        write(m)


def _if_tuple(c: Code, o: str, label: str) -> None:
    """Goes on only with a tuple."""
    c.unless(c.equal(c.load(o, TYPE), c.known("tuple")), label)


# -- one node -----------------------------------------------------------------------------------------------------


def _unchanged(m: Module) -> None:
    """Whether what a node keeps is there, and is what it was when it was kept."""
    at, meta = m.layout.node, m.layout.meta
    c = m.function("unchanged", ["ptr"], "i1")
    node = c.params[0]

    def same(cell: str, version: str) -> None:
        now = c.call("PyList_GetItem", cell, "i64 0")
        c.unless(c.equal(c.call("PyObject_RichCompareBool", version, now, _EQUAL, result="i32"), "1", "i32"), "no")

    args, versions, out = (c.load(node, at[name]) for name in ("args", "versions", "out"))
    _if_tuple(c, args, "no")
    with c.when(c.differ(versions, c.known("None"))):
        _if_tuple(c, versions, "no")
        with c.count("0", c.call("PyTuple_Size", versions, result="i64")) as k:
            version = c.call("PyTuple_GetItem", versions, f"i64 {k}")
            with c.when(c.differ(version, c.known("-1"))):
                info = c.load(c.call("PyTuple_GetItem", args, f"i64 {k}"), m.layout.tensor["_info"])
                kind = c.load(info, TYPE)
                c.unless(c.either(c.equal(kind, c.known("Meta")), c.equal(kind, c.known("ViewMeta"))), "no")
                same(c.load(info, meta["version"]), version)
    with c.when(c.differ(out, c.known("None"))):
        _if_tuple(c, out, "no")
        with c.count("0", c.call("PyTuple_Size", out, result="i64")) as k:
            one = c.call("PyTuple_GetItem", out, f"i64 {k}")
            cell = c.call("PyTuple_GetItem", one, "i64 1")
            with c.when(c.differ(cell, c.known("None"))):
                same(cell, c.call("PyTuple_GetItem", one, "i64 2"))
    c.ret("true", "i1")
    c.label("no")
    c.ret("false", "i1")
    m.add(c)


def _arrays(m: Module) -> None:
    """What `back` gets of a result or its gradient: of (tensor or None, or a tuple of them) the arrays; null if there is no memory."""
    c = m.function("arrays", ["ptr"])
    x = c.params[0]
    with c.when(c.call("@is_tensor", x, result="i1")):
        c.ret(c.owned(c.load(x, m.layout.tensor["_data"])))
    with c.when(c.equal(x, c.known("None"))):
        c.ret(c.owned(x))
    n = c.call("PyTuple_Size", x, result="i64")
    made = c.call("PyTuple_New", f"i64 {n}")
    with c.when(c.differ(made)), c.count("0", n) as k:
        t, one = c.call("PyTuple_GetItem", x, f"i64 {k}"), c.variable()
        c.store(t, one)
        with c.when(c.call("@is_tensor", t, result="i1")):
            c.store(c.load(t, m.layout.tensor["_data"]), one)
        c.call("PyTuple_SetItem", made, f"i64 {k}", c.owned(c.load(one)), result="i32")
    c.ret(made)
    m.add(c)


def _call_back(m: Module) -> None:
    """back(wanted, g, y, *arrays, **params) of a node that is `unchanged`, where NumPy does not warn; null if it raised."""
    at = m.layout.node
    c = m.function("call_back", ["ptr", "ptr", "ptr"])
    node, back, g = c.params
    edges, args, params = (c.load(node, at[name]) for name in ("edges", "args", "params"))
    n = c.call("PyTuple_Size", args, result="i64")
    given = c.call("PyTuple_New", f"i64 {c.value(f'add i64 {n}, 3')}")
    with c.when(c.equal(given, "null")):
        c.ret("null")
    n_edges = c.call("PyTuple_Size", edges, result="i64")
    wanted = c.call("PyList_New", f"i64 {n_edges}")
    c.call("PyTuple_SetItem", given, "i64 0", wanted, result="i32")
    c.unless(c.differ(wanted), "failed")
    with c.count("0", n_edges) as k:
        none = c.equal(c.call("PyTuple_GetItem", edges, f"i64 {k}"), c.known("None"))
        flag = c.owned(c.choose(none, c.known("False"), c.known("True")))
        c.call("PyList_SetItem", wanted, f"i64 {k}", flag, result="i32")
    gradient = c.call("@arrays", g)
    c.call("PyTuple_SetItem", given, "i64 1", gradient, result="i32")
    c.unless(c.differ(gradient), "failed")
    result = c.call("@results", node)
    c.call("PyTuple_SetItem", given, "i64 2", result, result="i32")
    c.unless(c.differ(result), "failed")
    with c.count("0", n) as k:
        a = c.call("PyTuple_GetItem", args, f"i64 {k}")
        one = c.variable()
        c.store(a, one)
        with c.when(c.call("@is_tensor", a, result="i1")):
            c.store(c.load(a, m.layout.tensor["_data"]), one)
        place = c.value(f"add i64 {k}, 3")
        c.call("PyTuple_SetItem", given, f"i64 {place}", c.owned(c.load(one)), result="i32")
    named = c.differ(c.call("PyDict_Size", params, result="i64"), "0", "i64")
    entered = c.call("PyContext_Enter", c.known("quiet"), result="i32")
    c.unless(c.value(f"icmp sge i32 {entered}, 0"), "failed")
    found = c.call("PyObject_Call", back, given, c.choose(named, params, "null"))
    c.call("PyContext_Exit", c.known("quiet"), result="i32")
    c.drop(given)
    c.ret(found)
    c.label("failed")
    c.drop(given)
    c.ret("null")
    m.add(c)


def _one_result(m: Module, c: Code, node: str) -> str:
    """Whether the rules of a node take one result and its gradient, not tuples."""
    n_out = c.load(c.load(node, m.layout.node["prim"]), m.layout.primitive["n_out"])
    return c.equal(n_out, c.known("1"))


def _results(m: Module) -> None:
    """The array of what a node keeps of its result, a tuple of them for several, None for nothing; null if there is no memory."""
    c = m.function("results", ["ptr"])
    out = c.load(c.params[0], m.layout.node["out"])
    with c.when(c.equal(out, c.known("None"))):
        c.ret(c.owned(out))
    with c.when(_one_result(m, c, c.params[0])):
        c.ret(c.owned(c.call("PyTuple_GetItem", c.call("PyTuple_GetItem", out, "i64 0"), "i64 0")))
    n = c.call("PyTuple_Size", out, result="i64")
    made = c.call("PyTuple_New", f"i64 {n}")
    with c.when(c.differ(made)), c.count("0", n) as k:
        one = c.call("PyTuple_GetItem", c.call("PyTuple_GetItem", out, f"i64 {k}"), "i64 0")
        c.call("PyTuple_SetItem", made, f"i64 {k}", c.owned(one), result="i32")
    c.ret(made)
    m.add(c)


def _derivative(m: Module) -> None:
    """`node_vjp`: of a primitive with a derivative on arrays here, of others there."""
    c = m.function("derivative", ["ptr", "ptr"])
    node, g = c.params
    c.unless(c.equal(c.load(c.known("SPECIAL"), m.layout.special["count"]), c.known("0")), "python")
    back = c.load(c.load(node, m.layout.node["prim"]), m.layout.primitive["back"])
    c.unless(c.differ(back, c.known("None")), "python")
    c.unless(c.call("@unchanged", node, result="i1"), "python")
    found = c.call("@call_back", node, back, g)
    c.unless(c.differ(found), "raised")
    values = c.call("PySequence_List", found)
    c.drop(found)
    c.unless(c.differ(values), "failed")
    with c.count("0", c.call("PyList_Size", values, result="i64")) as k:
        a = c.call("PyList_GetItem", values, f"i64 {k}")
        with c.when(c.differ(a, c.known("None"))):
            t = c.call("@tensor", c.owned(a))
            with c.when(c.equal(t, "null")):
                c.drop(values)
                c.jump("failed")
            c.call("PyList_SetItem", values, f"i64 {k}", t, result="i32")
    c.ret(values)
    c.label("raised")  # it may do better where it is called from Python, or say more
    usual = c.call("PyErr_ExceptionMatches", c.load(c.known("PyExc_Exception")), result="i32")
    c.unless(c.differ(usual, "0", "i32"), "failed")
    c.call("PyErr_Clear", result="void")
    c.jump("python")
    c.label("python")
    given = c.variable(node, count=2)
    c.store(g, given, 8)
    c.ret(c.call("PyObject_Vectorcall", c.known("node_vjp"), given, "i64 2", "null"))
    c.label("failed")
    c.ret("null")
    m.add(c)


# -- leaves -------------------------------------------------------------------------------------------------------


def _owns(m: Module) -> None:
    """Whether nobody else looks at the memory of an array: `_backward._owns`."""
    c = m.function("owns", ["ptr"], "i1")
    flags, base = c.load(c.params[0], FLAGS, "i32"), c.load(c.params[0], BASE)
    c.unless(c.differ(c.value(f"and i32 {flags}, {WRITEABLE}"), "0", "i32"), "no")
    with c.when(c.equal(base, "null")):
        c.ret("true", "i1")
    c.unless(c.equal(c.load(base, TYPE), c.known("ndarray")), "no")
    alone = c.both(c.equal(c.load(base, BASE), "null"), c.equal(c.load(base, 0, "i32"), "1", "i32"))
    c.ret(c.both(alone, c.differ(c.value(f"and i32 {flags}, {C_CONTIGUOUS}"), "0", "i32")), "i1")
    c.label("no")
    c.ret("false", "i1")
    m.add(c)


def _accumulate(m: Module) -> None:
    """`accumulate_grad`: a first gradient with memory of its own is kept here; whether that could be done."""
    c = m.function("accumulate", ["ptr", "ptr", "ptr"], "i1")
    leaf, g, shared = c.params
    info, data = c.load(leaf, m.layout.tensor["_info"]), c.load(g, m.layout.tensor["_data"])
    old = c.call("PyObject_GetAttr", info, c.known("'grad'"))
    c.unless(c.differ(old), "failed")
    c.drop(old)
    c.unless(c.equal(old, c.known("None")), "python")
    c.unless(c.equal(c.load(data, TYPE), c.known("ndarray")), "python")
    own = c.load(leaf, m.layout.tensor["_data"])
    c.unless(c.equal(c.load(own, DESCR), c.load(data, DESCR)), "python")
    c.unless(c.equal(c.call("@fit", own, data, result="i32"), "3", "i32"), "python")
    c.unless(c.call("@owns", data, result="i1"), "python")
    key = c.call("PyLong_FromVoidPtr", data)
    c.unless(c.differ(key), "failed")
    known = c.call("PySet_Contains", shared, key, result="i32")
    with c.when(c.differ(known, "0", "i32")):
        c.drop(key)
        c.jump("python")
    added = c.call("PySet_Add", shared, key, result="i32")
    c.drop(key)
    c.unless(c.equal(added, "0", "i32"), "failed")
    t = c.call("@tensor", c.owned(data))
    c.unless(c.differ(t), "failed")
    done = c.call("PyObject_SetAttr", info, c.known("'grad'"), t, result="i32")
    c.drop(t)
    c.ret(c.equal(done, "0", "i32"), "i1")
    c.label("python")
    given = c.variable(leaf, count=5)
    for k, o in enumerate((g, c.known("False"), shared, c.known("None"))):
        c.store(o, given, 8 * (k + 1))
    nothing = c.call("PyObject_Vectorcall", c.known("accumulate_grad"), given, "i64 5", "null")
    c.drop(nothing)
    c.ret(c.differ(nothing), "i1")
    c.label("failed")
    c.ret("false", "i1")
    m.add(c)


# -- what waits ---------------------------------------------------------------------------------------------------


def _wait(m: Module) -> None:
    """Let a node wait with a gradient of one of its results, added to what is there: whether that could be done."""
    c = m.function("wait", ["ptr", "ptr", "ptr", "ptr"], "i1")
    waiting, node, index, g = c.params
    entry = c.variable("null")
    count = c.load(waiting, _LIST["count"], "i64")
    with c.count("0", count) as k:
        other = c.at(c.load(waiting, _LIST["entries"]), c.value(f"mul i64 {k}, {_ENTRY}"))
        with c.when(c.equal(c.load(other, 8), node)):
            c.store(other, entry)
            c.jump("found")
    with c.when(c.equal(count, c.load(waiting, _LIST["room"], "i64"), "i64")):
        room = c.value(f"shl i64 {count}, 1")
        nbytes = c.value(f"mul i64 {room}, {_ENTRY}")
        moved = c.call("PyMem_Realloc", c.load(waiting, _LIST["entries"]), f"i64 {nbytes}")
        c.unless(c.differ(moved), "full")
        c.store(moved, waiting, _LIST["entries"])
        c.store(room, waiting, _LIST["room"], "i64")
    made = c.at(c.load(waiting, _LIST["entries"]), c.value(f"mul i64 {count}, {_ENTRY}"))
    seq = c.call("PyLong_AsLongLong", c.load(node, m.layout.node["seq"]), result="i64")
    several = c.variable("null")
    with c.when(c.negated(_one_result(m, c, node))):
        n_out = c.call("PyObject_GetAttr", node, c.known("'n_out'"))
        c.unless(c.differ(n_out), "failed")
        n = c.call("PyLong_AsLongLong", n_out, result="i64")
        c.drop(n_out)
        c.store(c.call("PyTuple_New", f"i64 {n}"), several)
        c.unless(c.differ(c.load(several)), "failed")
        with c.count("0", n) as k:
            c.call("PyTuple_SetItem", c.load(several), f"i64 {k}", c.owned(c.known("None")), result="i32")
    c.store(seq, made, 0, "i64")
    c.store(c.owned(node), made, 8)
    c.store(c.load(several), made, 16)
    c.store(c.value(f"add i64 {count}, 1"), waiting, _LIST["count"], "i64")
    c.store(made, entry)
    c.label("found")
    at = c.at(c.load(entry), 16)
    held = c.load(at)
    tuple_ = c.variable("false", "i1")
    with c.when(c.differ(held)):
        c.store(c.equal(c.load(held, TYPE), c.known("tuple")), tuple_, 0, "i1")
    old = c.variable(held)
    place = c.call("PyLong_AsLongLong", index, result="i64")
    with c.when(c.load(tuple_, 0, "i1")):
        one = c.call("PyTuple_GetItem", held, f"i64 {place}")
        c.unless(c.differ(one), "failed")
        c.store(c.choose(c.equal(one, c.known("None")), "null", one), old)
    total = c.variable(g)
    with c.when(c.equal(c.load(old), "null")):
        c.owned(g)
    with c.when(c.differ(c.load(old))):
        given = c.variable(c.load(old), count=2)
        c.store(g, given, 8)
        c.store(c.call("PyObject_Vectorcall", c.known("add_grads"), given, "i64 2", "null"), total)
        c.unless(c.differ(c.load(total)), "failed")
    with c.when(c.load(tuple_, 0, "i1")):
        c.call("PyTuple_SetItem", held, f"i64 {place}", c.load(total), result="i32")
        c.ret("true", "i1")
    c.store(c.load(total), at)
    c.drop(held)
    c.ret("true", "i1")
    c.label("full")
    c.call("PyErr_NoMemory")
    c.label("failed")
    c.ret("false", "i1")
    m.add(c)


def _next(m: Module) -> None:
    """Take the latest node out of those that wait: writes the node and its gradients there, which the caller then owns."""
    c = m.function("next", ["ptr", "ptr"], "void")
    waiting, there = c.params
    entries = c.load(waiting, _LIST["entries"])
    count = c.load(waiting, _LIST["count"], "i64")
    best = c.variable(entries)
    with c.count("1", count) as k:
        other = c.at(entries, c.value(f"mul i64 {k}, {_ENTRY}"))
        later = c.value(f"icmp slt i64 {c.load(other, 0, 'i64')}, {c.load(c.load(best), 0, 'i64')}")
        c.store(c.choose(later, other, c.load(best)), best)
    fewer = c.value(f"sub i64 {count}, 1")
    last = c.at(entries, c.value(f"mul i64 {fewer}, {_ENTRY}"))
    c.store(c.load(c.load(best), 8), there)
    c.store(c.load(c.load(best), 16), there, 8)
    for at in range(0, _ENTRY, 8):
        c.store(c.load(last, at, "i64"), c.load(best), at, "i64")
    c.store(fewer, waiting, _LIST["count"], "i64")
    c.ret("", "void")
    m.add(c)


# -- the walk -----------------------------------------------------------------------------------------------------


def _is_set(c: Code, o: str, *names: str) -> str:
    """Whether one of these attributes, which every object of the class has, is not None; errors go to `failed`."""
    found = "false"
    for name in names:
        value = c.call("PyObject_GetAttr", o, c.known(f"'{name}'"))
        c.unless(c.differ(value), "failed")
        c.drop(value)
        found = c.either(found, c.differ(value, c.known("None")))
    return found


def _reach(m: Module) -> None:
    """Send gradients along edges: whether that could be done. (edges, gradients, what waits, shared, hooked)"""
    c = m.function("reach", ["ptr", "ptr", "ptr", "ptr", "ptr"], "i1")
    edges, values, waiting, shared, hooked = c.params
    n, n_values = (c.call("PySequence_Size", s, result="i64") for s in (edges, values))
    n = c.choose(c.value(f"icmp slt i64 {n}, {n_values}"), n, n_values, "i64")
    with c.count("0", n) as k:
        edge, g = c.call("PySequence_GetItem", edges, f"i64 {k}"), c.call("PySequence_GetItem", values, f"i64 {k}")
        c.drop(edge, g)  # their sequences hold them, and are held
        none = c.known("None")
        with c.when(c.both(c.differ(edge, none), c.differ(g, none))):
            target, index = c.call("PyTuple_GetItem", edge, "i64 0"), c.call("PyTuple_GetItem", edge, "i64 1")
            done = c.variable("true", "i1")
            leaf = c.equal(index, c.known("-1"))
            with c.when(c.negated(leaf)):
                c.store(c.call("@wait", waiting, target, index, g, result="i1"), done, 0, "i1")
            with c.when(leaf):
                watched = _is_set(c, c.load(target, m.layout.tensor["_info"]), "hooks", "accumulated")
                with c.when(c.negated(watched)):
                    c.store(c.call("@accumulate", target, g, shared, result="i1"), done, 0, "i1")
                with c.when(watched):
                    given = c.variable(hooked, count=3)
                    c.store(target, given, 8)
                    c.store(g, given, 16)
                    nothing = c.call("PyObject_Vectorcall", c.known("hold"), given, "i64 3", "null")
                    c.drop(nothing)
                    c.store(c.differ(nothing), done, 0, "i1")
            c.unless(c.load(done, 0, "i1"), "failed")
    c.ret("true", "i1")
    c.label("failed")
    c.ret("false", "i1")
    m.add(c)


def _visit(m: Module) -> None:
    """The gradients of a node's operands, after which it keeps no values any more; null if that raised. (node, gradients, shared)"""
    at = m.layout.node
    c = m.function("visit", ["ptr", "ptr", "ptr"])
    node, g, shared = c.params
    values = c.variable("null")
    hooked = _is_set(c, node, "prehooks", "hooks")
    with c.when(c.negated(hooked)):
        c.store(c.call("@derivative", node, g), values)
    with c.when(hooked):
        given = c.variable(node, count=3)
        c.store(g, given, 8)
        c.store(shared, given, 16)
        c.store(c.call("PyObject_Vectorcall", c.known("visit_hooked"), given, "i64 3", "null"), values)
    keeps = c.negated(_one_result(m, c, node))
    for name in ("versions", "out"):
        keeps = c.either(keeps, c.differ(c.load(node, at[name]), c.known("None")))
    with c.when(c.both(c.differ(c.load(values)), keeps)):
        for name in ("args", "out"):
            kept = c.load(node, at[name])
            c.store(c.owned(c.known("None")), node, at[name])
            c.drop(kept)
    c.ret(c.load(values))
    c.label("failed")
    c.ret("null")
    m.add(c)


def _walk(m: Module) -> None:
    """(edges, gradients) -> None"""
    c = Way(m, "walk", 2)
    edges, values = c.variable(c.owned(c.load(c.args))), c.variable(c.owned(c.load(c.args, 8)))
    shared, hooked = c.variable("null"), c.variable("null")
    waiting = c.variable("0", "i64", 3)
    c.store("0", waiting, _LIST["count"], "i64")
    c.store(str(_ROOM), waiting, _LIST["room"], "i64")
    c.store(c.call("PySet_New", "null"), shared)
    c.store(c.call("PyDict_New"), hooked)
    c.unless(c.both(c.differ(c.load(shared)), c.differ(c.load(hooked))), "end")
    c.store(c.call("PyMem_Malloc", f"i64 {_ROOM * _ENTRY}"), waiting)
    c.unless(c.differ(c.load(waiting)), "end")
    with c.count("0", c.call("PySequence_Size", c.load(values), result="i64")) as k:
        g = c.call("PySequence_GetItem", c.load(values), f"i64 {k}")
        key = c.call("PyLong_FromVoidPtr", c.load(g, m.layout.tensor["_data"]))
        c.drop(g)
        c.unless(c.differ(key), "end")
        c.call("PySet_Add", c.load(shared), key, result="i32")
        c.drop(key)
    c.label("turn")
    given = (c.load(edges), c.load(values), waiting, c.load(shared), c.load(hooked))
    c.unless(c.call("@reach", *given, result="i1"), "end")
    c.drop(c.load(edges), c.load(values))
    c.store("null", edges)
    c.store("null", values)
    c.unless(c.differ(c.load(waiting, _LIST["count"], "i64"), "0", "i64"), "leaves")
    taken = c.variable(count=2)
    c.call("@next", waiting, taken, result="void")
    node = c.load(taken)
    c.store(c.call("@visit", node, c.load(taken, 8), c.load(shared)), values)
    c.drop(c.load(taken, 8))
    c.store(c.owned(c.load(node, m.layout.node["edges"])), edges)
    c.drop(node)
    c.unless(c.differ(c.load(values)), "end")
    c.jump("turn")
    c.label("leaves")
    c.unless(c.differ(c.call("PyDict_Size", c.load(hooked), result="i64"), "0", "i64"), "end")
    last = c.variable(c.load(hooked), count=2)
    c.store(c.load(shared), last, 8)
    c.drop(c.call("PyObject_Vectorcall", c.known("let_go"), last, "i64 2", "null"))
    c.label("end")
    with c.when(c.differ(c.load(waiting))), c.count("0", c.load(waiting, _LIST["count"], "i64")) as k:
        entry = c.at(c.load(waiting), c.value(f"mul i64 {k}, {_ENTRY}"))
        c.drop(c.load(entry, 8), c.load(entry, 16))
    c.call("PyMem_Free", c.load(waiting), result="void")
    c.drop(c.load(edges), c.load(values), c.load(shared), c.load(hooked))
    with c.when(c.differ(c.call("PyErr_Occurred"))):
        c.ret("null")
    c.ret(c.owned(c.known("None")))
    c.end()
