"""The native way into compiled programs of eager operations: what `NativeGraph.run_once` does for usual operands."""

from __future__ import annotations

from twinflow.tensor._door_frame import Way
from twinflow.tensor._door_record import C_CONTIGUOUS, DATA, FLAGS, TYPE, Module

# Fields of a program's callable, which takes the place of those of an operation (`_door_record.FIELDS`). It owns nothing
# that they point to: whoever has it keeps that.
FIELDS = (
    "vectorcall",
    "python",  # the function that means the same, and knows how to wait
    "table",
    "graph",  # the NativeGraph
    "program",  # its NativeProgram; if the graph has another by now, this callable is of no use any more
    "pool",
    "observers",  # a list: while there are any, Python runs the program
    "acquire",  # of the lock that a run holds
    "release",
    "enter",  # the function that runs the program, its frame and its table of addresses
    "frame",
    "io",
    "inputs",  # how many arrays it is called with
    "results",  # memory: how many results, then for each its number in the table and the list of arrays that may hold it
)
AT = {name: 16 + 8 * k for k, name in enumerate(FIELDS)}
MOST = 16  # results


def write_program(m: Module) -> None:
    """(operation, arrays, count and flag, names of keywords) -> the result, or a tuple of them."""
    c = Way(m, "program", 0, tensors=False)

    def field(name: str, type: str = "ptr") -> str:
        return c.load(c.operation, AT[name], type)

    inputs = field("inputs", "i64")
    c.unless(c.equal(c.n, inputs, "i64"), "slow")
    c.unless(c.equal(c.call("PyList_Size", field("observers"), result="i64"), "0", "i64"), "slow")
    for owner, name, value in (("pool", "started", c.known("True")), ("graph", "program", field("program"))):
        found = c.call("PyObject_GetAttr", field(owner), c.known(f"'{name}'"))
        c.unless(c.differ(found), "failed")
        c.drop(found)
        c.unless(c.equal(found, value), "slow")
    with c.count("0", inputs) as k:
        a = c.load(c.args, c.value(f"shl i64 {k}, 3"))
        c.unless(c.equal(c.load(a, TYPE), c.known("ndarray")), "slow")
        c.unless(c.differ(c.value(f"and i32 {c.load(a, FLAGS, 'i32')}, {C_CONTIGUOUS}"), "0", "i32"), "slow")
    # one run at a time; who has to wait does so in Python
    without_waiting = c.variable(c.known("False"))
    got = c.call("PyObject_Vectorcall", field("acquire"), without_waiting, "i64 1", "null")
    c.unless(c.differ(got), "failed")
    c.drop(got)
    c.unless(c.equal(got, c.known("True")), "slow")
    io = field("io")
    with c.count("0", inputs) as k:
        at = c.value(f"shl i64 {k}, 3")
        c.store(c.load(c.load(c.args, at), DATA), io, at)
    places, made = field("results"), c.variable(count=MOST)
    n = c.load(places, 0, "i64")
    with c.count("0", n) as k:
        place = c.at(places, c.value(f"add i64 {c.value(f'shl i64 {k}, 4')}, 8"))
        spares, chosen = c.load(place, 8), c.variable("null")
        size = c.call("PyList_Size", spares, result="i64")
        with c.count("0", size) as j:
            spare = c.call("PyList_GetItem", spares, f"i64 {j}")
            # the references in the header, in CPython's stable ABI: only the list holds it
            with c.when(c.both(c.equal(c.load(spare, 0, "i32"), "1", "i32"), c.equal(c.load(chosen), "null"))):
                c.store(spare, chosen)
        c.unless(c.differ(c.load(chosen)), "full")
        c.store(c.load(chosen), made, c.value(f"shl i64 {k}, 3"))
        number = c.load(place, 0, "i64")
        c.store(c.load(c.load(chosen), DATA), io, c.value(f"shl i64 {number}, 3"))
    state = c.call("PyEval_SaveThread")
    c.call(field("enter"), field("frame"), result="void")
    c.call("PyEval_RestoreThread", state, result="void")
    with c.count("0", n) as k:
        c.owned(c.load(made, c.value(f"shl i64 {k}, 3")))
    _release(c)
    with c.when(c.equal(n, "1", "i64")):
        c.ret(c.load(made))
    out = c.call("PyTuple_New", f"i64 {n}")
    with c.when(c.differ(out)), c.count("0", n) as k:
        at = c.value(f"shl i64 {k}, 3")
        c.call("PyTuple_SetItem", out, f"i64 {k}", c.load(made, at), result="i32")
    c.ret(out)
    c.label("full")
    _release(c)
    c.jump("slow")
    c.end()


def _release(c: Way) -> None:
    done = c.call("PyObject_Vectorcall", c.load(c.operation, AT["release"]), "null", "i64 0", "null")
    c.drop(done)
