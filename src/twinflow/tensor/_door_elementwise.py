"""The native ways through small operations: functions that CPython calls (its vectorcall protocol).

Each looks whether everything is usual: nothing special is active, the operands are tensors with NumPy arrays of one type,
float32 or float64. If so it computes, makes the tensor, and records the operation; if not, or if NumPy refuses the operands,
it hands its arguments on to the Python function of the same meaning.
"""

from __future__ import annotations

from twinflow.tensor._door_frame import Way
from twinflow.tensor._door_record import ALIGNED, C_CONTIGUOUS, DATA, DIMS, FLAGS, NDIM, TYPE, Module

_SMALL = 1024  # elements, up to which our own loops are quicker than NumPy's; larger ones let other threads run
_LANES = 8
_DOT = 4096  # elements of the first factor, from which on others than `dot` are asked (`ops/_contract.py`)
ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
COMPARISONS = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
SIZES = {"float": 4, "double": 8}


def write_elementwise(m: Module) -> None:
    """The ways of arithmetic, comparisons and functions of one operand, and of products; and the loops they run."""
    for name, instruction in ARITHMETIC.items():
        for kind in SIZES:
            write_loop(m, f"{name}_{kind}", kind, instruction)
    for name, condition in COMPARISONS.items():
        for kind in SIZES:
            write_loop(m, f"{name}_{kind}", kind, f"fcmp {condition}")
    _elements(m)
    _size(m)
    _fit(m)
    for write in (_unary, _binary, _matmul):
        write(m)


# -- loops of our own ---------------------------------------------------------------------------------------------


def write_loop(m: Module, name: str, kind: str, instruction: str, *, public: bool = True) -> None:
    """out[i] = a[i] op b[i], or a number for one of them: (out, a, its step, b, its step, n), steps 0 or 1."""
    compares = instruction.startswith("fcmp")  # whose vectors LLVM would turn into bytes with constants kept elsewhere
    c = m.function(name, ["ptr", "ptr", "i64", "ptr", "i64", "i64"], "void", public=public)
    out, a, step_a, b, step_b, n = c.params
    size = SIZES[kind]

    def combine(x: str, y: str, lanes: int, k: str) -> None:
        vector = kind if lanes == 1 else f"<{lanes} x {kind}>"
        value = c.value(f"{instruction} {vector} {x}, {y}")
        if compares:
            c.store(c.value(f"zext i1 {value} to i8"), c.at(out, k), 0, "i8")
        else:
            c.do(f"store {vector} {value}, ptr {at(out, k)}, align {size}")

    def at(p: str, k: str) -> str:
        return c.at(p, c.value(f"mul nsw i64 {k}, {size}"))

    def element(p: str, step: str, k: str) -> str:
        return c.load(at(p, c.value(f"mul nsw i64 {k}, {step}")), 0, kind)

    spread = "<" + ", ".join(["i32 0"] * _LANES) + ">"

    def lanes_of(p: str, step: str, k: str) -> str:
        vector = f"<{_LANES} x {kind}>"
        made = c.variable("", vector)
        fixed = c.equal(step, "0", "i64")
        with c.when(fixed):
            one = c.value(f"insertelement {vector} poison, {kind} {c.load(p, 0, kind)}, i32 0")
            value = c.value(f"shufflevector {vector} {one}, {vector} poison, <{_LANES} x i32> {spread}")
            c.store(value, made, 0, vector)
        with c.when(c.negated(fixed)):
            c.store(c.value(f"load {vector}, ptr {at(p, k)}, align {size}"), made, 0, vector)
        return c.load(made, 0, vector)

    whole = "0"
    if not compares:
        whole = c.value(f"and i64 {n}, {-_LANES}")
        with c.count("0", whole, _LANES) as k:
            combine(lanes_of(a, step_a, k), lanes_of(b, step_b, k), _LANES, k)
    with c.count(whole, n) as k:
        combine(element(a, step_a, k), element(b, step_b, k), 1, k)
    c.ret("", "void")
    m.add(c)


def _elements(m: Module) -> None:
    """The number of elements of an array."""
    c = m.function("elements", ["ptr"], "i64")
    rank, size = c.value(f"sext i32 {c.load(c.params[0], NDIM, 'i32')} to i64"), c.variable("1", "i64")
    dims = c.load(c.params[0], DIMS)
    with c.count("0", rank) as k:
        extent = c.load(dims, c.value(f"shl i64 {k}, 3"), "i64")
        c.store(c.value(f"mul i64 {c.load(size, 0, 'i64')}, {extent}"), size, 0, "i64")
    c.ret(c.load(size, 0, "i64"), "i64")
    m.add(c)


def _size(m: Module) -> None:
    """The number of elements of an array that lies in order; -1 of one that does not."""
    c = m.function("size", ["ptr"], "i64")
    wanted = C_CONTIGUOUS | ALIGNED
    flags = c.value(f"and i32 {c.load(c.params[0], FLAGS, 'i32')}, {wanted}")
    c.unless(c.equal(flags, str(wanted), "i32"), "no")
    c.ret(c.call("@elements", c.params[0], result="i64"), "i64")
    c.label("no")
    c.ret("-1", "i64")
    m.add(c)


def _fit(m: Module) -> None:
    """How two arrays combine without broadcasting: 3 if they have one shape, 1 if the second has no axes and the first is
    combined with its number, 2 the other way round, 0 otherwise."""
    c = m.function("fit", ["ptr", "ptr"], "i32")
    a, b = c.params
    na, nb = c.load(a, NDIM, "i32"), c.load(b, NDIM, "i32")
    c.unless(c.equal(na, nb, "i32"), "differ")
    n = c.value(f"sext i32 {na} to i64")
    da, db = c.load(a, DIMS), c.load(b, DIMS)
    with c.count("0", n) as k:
        at = c.value(f"shl i64 {k}, 3")
        c.unless(c.equal(c.load(da, at, "i64"), c.load(db, at, "i64"), "i64"), "no")
    c.ret("3", "i32")
    c.label("differ")
    second = c.choose(c.equal(na, "0", "i32"), "2", "0", "i32")
    c.ret(c.choose(c.equal(nb, "0", "i32"), "1", second, "i32"), "i32")
    c.label("no")
    c.ret("0", "i32")
    m.add(c)


# -- the ways -----------------------------------------------------------------------------------------------------


def _unary(m: Module) -> None:
    """run(x), or run(x, extra)."""
    c = Way(m, "unary", 1)
    x = c.load(c.args)
    a = c.tensor(x)
    _, single = c.float_type(a)
    wanted = c.wanted(x)
    extra = c.choose(single, c.field("extra"), c.field("extra64"))
    given = c.variable(c.owned(a), count=2)
    c.store(extra, given, 8)
    n = c.choose(c.equal(extra, "null"), "1", "2", "i64")
    out = c.call("@quietly", c.field("run"), given, f"i64 {n}")
    c.drop(a)
    c.unless(c.differ(out), "raised")
    c.finish(out, wanted, x)


def _operand(c: Way, x: str) -> tuple[str, str, str]:
    """A tensor or a number: the tensor and its array, or nulls; and where the number is kept, as a double."""
    tensor, data, number = c.variable("null"), c.variable("null"), c.variable("0.0", "double")
    is_tensor = c.call("@is_tensor", x, result="i1")
    with c.when(is_tensor):
        a = c.load(x, c.m.layout.tensor["_data"])
        c.unless(c.equal(c.load(a, TYPE), c.known("ndarray")), "slow")
        c.store(x, tensor)
        c.store(a, data)
    with c.when(c.negated(is_tensor)):
        kind = c.load(x, TYPE)
        c.unless(c.either(c.equal(kind, c.known("float")), c.equal(kind, c.known("int"))), "slow")
        value = c.call("PyFloat_AsDouble", x, result="double")
        c.unless(c.equal(c.call("PyErr_Occurred"), "null"), "raised")
        c.store(value, number, 0, "double")
    return c.load(tensor), c.load(data), number


def _binary(m: Module) -> None:
    """x op y, for two tensors or one and a number, by a loop of our own where they need no broadcasting, else by `run`."""
    c = Way(m, "binary", 2)
    reflected = c.differ(c.field("reflected", "i64"), "0", "i64")
    first, second = c.load(c.args), c.load(c.args, 8)
    x, a, number_x = _operand(c, c.choose(reflected, second, first))
    y, b, number_y = _operand(c, c.choose(reflected, first, second))
    both = c.both(c.differ(a), c.differ(b))
    some = c.choose(c.differ(a), a, b)
    c.unless(c.differ(some), "slow")
    d, single = c.float_type(some)
    with c.when(both):
        c.same_type(b, d)
    wanted = c.wanted(x, y)
    out = c.variable()
    _own_loop(c, out, (a, number_x), (b, number_y), d, single)
    c.label("numpy")
    c.unless(both, "slow")
    c.store(c.run(c.field("run"), a, b), out)
    c.label("made")
    c.finish(c.load(out), wanted, (x, number_x), (y, number_y))


def _own_loop(c: Way, out: str, x: tuple[str, str], y: tuple[str, str], d: str, single: str) -> None:
    """Compute by the operation's own loop and go on at `made`, or at `numpy` if that cannot be."""
    loop = c.choose(single, c.field("loop"), c.field("loop64"))
    c.unless(c.differ(loop), "numpy")
    (a, _), (b, _) = x, y
    places = []
    for data, number in (x, y):
        place = c.variable(number)
        narrow = c.variable("0.0", "float")
        with c.when(single):
            wide = c.load(number, 0, "double")
            c.store(c.value(f"fptrunc double {wide} to float"), narrow, 0, "float")
            c.store(narrow, place)
        with c.when(c.differ(data)):
            c.store(c.load(data, DATA), place)
        places.append(place)
    fit = c.variable(c.choose(c.equal(a, "null"), "2", "1", "i32"), "i32")
    with c.when(c.both(c.differ(a), c.differ(b))):
        c.store(c.call("@fit", a, b, result="i32"), fit, 0, "i32")
    how = c.load(fit, 0, "i32")
    c.unless(c.differ(how, "0", "i32"), "numpy")
    like = c.choose(c.equal(how, "2", "i32"), b, a)
    n = c.call("@size", like, result="i64")
    c.unless(c.value(f"icmp ule i64 {n}, {_SMALL}"), "numpy")
    with c.when(c.equal(how, "3", "i32")):
        c.unless(c.differ(c.call("@size", b, result="i64"), "-1", "i64"), "numpy")
    own = c.field("result")
    made = c.empty(c.choose(c.equal(own, "null"), d, own), like)
    c.store(made, out)
    steps = [c.value(f"zext i1 {c.differ(how, k, 'i32')} to i64") for k in ("2", "1")]
    c.call(
        loop, c.load(made, DATA), c.load(places[0]), f"i64 {steps[0]}", c.load(places[1]), f"i64 {steps[1]}", f"i64 {n}",
        result="void",
    )  # fmt: skip
    c.jump("made")


def _matmul(m: Module) -> None:
    """The product of two small matrices."""
    c = Way(m, "matmul", 2)
    x, y = c.load(c.args), c.load(c.args, 8)
    a, b = c.tensor(x), c.tensor(y)
    d, _ = c.float_type(a)
    c.same_type(b, d)
    for data in (a, b):
        c.unless(c.equal(c.load(data, NDIM, "i32"), "2", "i32"), "slow")
    dims = c.load(a, DIMS)
    size = c.value(f"mul i64 {c.load(dims, 0, 'i64')}, {c.load(dims, 8, 'i64')}")
    c.unless(c.value(f"icmp ult i64 {size}, {_DOT}"), "slow")
    wanted = c.wanted(x, y)
    out = c.call("PyArray_MatrixProduct2", a, b, "null")
    c.unless(c.differ(out), "raised")
    c.finish(out, wanted, x, y)
