"""What the native ways through operations share, as LLVM IR: reading tensors, making them, recording operations.

It does what `_tape.record_unary` and `record_binary` do, for the common case; whatever else there is, Python does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinflow.runtime._c_code import Code, Table

# Fields of NumPy's arrays: PyArrayObject_fields, which NumPy's headers show to every extension, and keep.
DATA, NDIM, DIMS, BASE, DESCR, FLAGS = 16, 24, 32, 48, 56, 64
C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
TYPE = 8  # in an object's header, PyObject: part of CPython's stable ABI

# Fields of a native operation, behind its header.
FIELDS = (
    "vectorcall",  # the function below that is its way
    "python",  # what means the same in Python, and does everything unusual
    "table",
    "run",  # of NumPy
    "extra",  # a further operand of `run`, per type: float32, float64
    "extra64",
    "loop",  # a loop of our own, per type
    "loop64",
    "result",  # the type of the results, null for that of the operands
    "prim",
    "params",
    "keeps",  # a byte for each set of operands that gradients are wanted for: what the tape keeps
    "recorded",  # 0 where the tape has no use for it, else all bits
    "elementwise",
    "reflected",  # whether the operands come in the other order
    "dict",
)
AT = {name: 16 + 8 * k for k, name in enumerate(FIELDS)}
OPERATION_NBYTES = 16 + 8 * len(FIELDS)


@dataclass(frozen=True)
class Layout:
    """Where the slots of Python's classes lie in their objects, in bytes."""

    special: dict[str, int]
    tensor: dict[str, int]
    meta: dict[str, int]
    tie: dict[str, int]
    node: dict[str, int]
    primitive: dict[str, int]
    spec: dict[str, int]


class Module:
    """The functions written so far, and what they share."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.names = Table()
        self._parts: list[str] = []

    def function(self, name: str, params: list[str], result: str = "ptr", **options: Any) -> Code:
        """A new function, to be given to `add` when it is written."""
        return Code(self.names, name, params, result, **options)

    def add(self, *functions: Code) -> None:
        """Functions that are written."""
        self._parts += [c.text() for c in functions]

    def text(self) -> str:
        """The module."""
        return "\n".join(self._parts)


def write_shared(m: Module) -> None:
    """The functions that all ways use."""
    for write in (_is_tensor, _wanted, _keepable, _recording, _quietly, _tensor, _meta, _shape, _spec, _edge, _keep):
        write(m)
    for n in (1, 2, 3):
        _record(m, n)


def _is_tensor(m: Module) -> None:
    c = m.function("is_tensor", ["ptr"], "i1")
    kind = c.load(c.params[0], TYPE)
    with c.when(c.equal(kind, c.known("Tensor"))):
        c.ret("true", "i1")
    c.ret(c.differ(c.call("PyType_IsSubtype", kind, c.known("Tensor"), result="i32"), "0", "i32"), "i1")
    m.add(c)


def _wanted(m: Module) -> None:
    """Whether a gradient is wanted for a tensor: 0 or 1; 2 where Python has to find out or to do more."""
    meta = m.layout.meta
    c = m.function("wanted", ["ptr"], "i64")
    info = c.load(c.params[0], m.layout.tensor["_info"])
    with c.when(c.equal(info, c.known("None"))):
        c.ret("0", "i64")
    c.unless(c.equal(c.load(info, TYPE), c.known("Meta")), "view")
    with c.when(c.equal(c.load(info, meta["requires_grad"]), c.known("True"))):
        own = c.equal(c.load(info, meta["base"]), c.known("None"))
        fine = c.both(own, c.equal(c.load(info, meta["inference"]), c.known("False")))
        c.ret(c.choose(fine, "1", "2", "i64"), "i64")
    c.ret("0", "i64")
    c.label("view")
    answer = c.call("PyObject_GetAttr", info, c.known("'requires_grad'"))
    with c.when(c.equal(answer, "null")):
        c.call("PyErr_Clear", result="void")
        c.ret("2", "i64")
    c.drop(answer)
    c.ret(c.choose(c.equal(answer, c.known("False")), "0", "2", "i64"), "i64")
    m.add(c)


def _keepable(m: Module) -> None:
    """Whether `keep` may be called for a tensor; a view learns on the way whose view it is."""
    c = m.function("keepable", ["ptr"], "i1")
    place = c.at(c.params[0], m.layout.tensor["_info"])
    with c.when(c.equal(c.load(place), c.known("None"))):
        c.ret("true", "i1")
    with c.when(c.equal(c.load(c.load(place), TYPE), c.known("Tie"))):
        meta = c.call("PyObject_GetAttr", c.params[0], c.known("'_meta'"))
        with c.when(c.equal(meta, "null")):
            c.call("PyErr_Clear", result="void")
            c.ret("false", "i1")
        c.drop(meta)
    kind = c.load(c.load(place), TYPE)
    c.unless(c.either(c.equal(kind, c.known("Meta")), c.equal(kind, c.known("ViewMeta"))), "no")
    c.ret(c.equal(c.load(c.load(place), m.layout.meta["inference"]), c.known("False")), "i1")
    c.label("no")
    c.ret("false", "i1")
    m.add(c)


def _recording(m: Module) -> None:
    """The bits of operands for which gradients are wanted, or none if nothing is recorded; -1 if asking raised."""
    c = m.function("recording", ["ptr", "i64"], "i64")  # operation, bits
    bits = c.value(f"and i64 {c.params[1]}, {c.load(c.params[0], AT['recorded'], 'i64')}")
    with c.when(c.equal(bits, "0", "i64")):
        c.ret("0", "i64")
    grad = c.call("PyObject_GetAttr", c.known("MODE"), c.known("'grad'"))
    with c.when(c.equal(grad, "null")):
        c.ret("-1", "i64")
    c.drop(grad)
    c.ret(c.choose(c.equal(grad, c.known("True")), bits, "0", "i64"), "i64")
    m.add(c)


def _quietly(m: Module) -> None:
    """An array from run(*args), for so many arguments, where NumPy does not warn (`core/_silence`); null if it raised."""
    c = m.function("quietly", ["ptr", "ptr", "i64"])
    run, args, n = c.params
    with c.when(c.value(f"icmp slt i32 {c.call('PyContext_Enter', c.known('quiet'), result='i32')}, 0")):
        c.ret("null")
    out = c.call("PyObject_Vectorcall", run, args, f"i64 {n}", "null")
    c.call("PyContext_Exit", c.known("quiet"), result="i32")
    with c.when(c.equal(out, "null")):
        c.ret("null")
    with c.when(c.equal(c.load(out, TYPE), c.known("ndarray"))):
        c.ret(out)
    c.ret(c.call("PyArray_EnsureArray", out))
    m.add(c)


def _tensor(m: Module) -> None:
    """A tensor around an array, whose reference it takes; null if there is no memory."""
    c = m.function("tensor", ["ptr"])
    t = c.call("PyType_GenericAlloc", c.known("Tensor"), "i64 0")
    with c.when(c.equal(t, "null")):
        c.drop(c.params[0])
        c.ret("null")
    c.store(c.params[0], t, m.layout.tensor["_data"])
    c.store(c.owned(c.known("None")), t, m.layout.tensor["_info"])
    c.ret(t)
    m.add(c)


def _meta(m: Module) -> None:
    """`new_meta()`."""
    at = m.layout.meta
    c = m.function("meta", [])
    o = c.call("PyType_GenericAlloc", c.known("Meta"), "i64 0")
    with c.when(c.equal(o, "null")):
        c.ret("null")
    version = c.call("PyList_New", "i64 1")
    c.store(version, o, at["version"])
    with c.when(c.equal(version, "null")):
        c.drop(o)
        c.ret("null")
    c.call("PyList_SetItem", version, "i64 0", c.owned(c.known("0")), result="i32")
    for name, value in (
        ("base", "None"),
        ("grad_fn", "None"),
        ("index", "0"),
        ("inference", "False"),
        ("requires_grad", "False"),
    ):
        c.store(c.owned(c.known(value)), o, at[name])
    c.ret(o)
    m.add(c)


def _shape(m: Module) -> None:
    """The shape of an array."""
    c = m.function("shape", ["ptr"])
    n = c.value(f"sext i32 {c.load(c.params[0], NDIM, 'i32')} to i64")
    dims = c.load(c.params[0], DIMS)
    made = c.call("PyTuple_New", f"i64 {n}")
    with c.when(c.equal(made, "null")):
        c.ret("null")
    with c.count("0", n) as k:
        extent = c.call("PyLong_FromSsize_t", f"i64 {c.load(dims, c.value(f'shl i64 {k}, 3'), 'i64')}")
        with c.when(c.equal(extent, "null")):
            c.drop(made)
            c.ret("null")
        c.call("PyTuple_SetItem", made, f"i64 {k}", extent, result="i32")
    c.ret(made)
    m.add(c)


def _spec(m: Module) -> None:
    """The `Spec` of an array."""
    at = m.layout.spec
    c = m.function("spec", ["ptr"])
    o = c.call("PyType_GenericAlloc", c.known("Spec"), "i64 0")
    with c.when(c.equal(o, "null")):
        c.ret("null")
    c.store(c.owned(c.load(c.params[0], DESCR)), o, at["np_dtype"])
    shape = c.call("@shape", c.params[0])
    c.store(shape, o, at["shape"])
    with c.when(c.equal(shape, "null")):
        c.drop(o)
        c.ret("null")
    c.ret(o)
    m.add(c)


def _edge(m: Module) -> None:
    """Where the gradient of a tensor goes for which `wanted` is 1."""
    at = m.layout.meta
    c = m.function("edge", ["ptr"])
    info = c.load(c.params[0], m.layout.tensor["_info"])
    fn = c.load(info, at["grad_fn"])
    leaf = c.equal(fn, c.known("None"))
    index = c.choose(leaf, c.known("-1"), c.load(info, at["index"]))
    c.ret(c.call("PyTuple_Pack", "i64 2", c.choose(leaf, c.params[0], fn), index))
    m.add(c)


def _keep(m: Module) -> None:
    """The version of a tensor that is kept for backward, and is `keepable`; null if there is no memory."""
    c = m.function("keep", ["ptr"])
    place = c.at(c.params[0], m.layout.tensor["_info"])
    with c.when(c.equal(c.load(place), c.known("None"))):
        made = c.call("@meta")
        with c.when(c.equal(made, "null")):
            c.ret("null")
        c.store(made, place)
        c.drop(c.known("None"))
    c.ret(c.owned(c.call("PyList_GetItem", c.load(c.load(place), m.layout.meta["version"]), "i64 0")))
    m.add(c)


def _record(m: Module, n: int) -> None:
    """Put an operation of n operands on the tape: whether that could be done, else an error is set."""
    at, meta_at = m.layout.node, m.layout.meta
    c = m.function(f"record{n}", ["ptr", "ptr", "ptr", "i64", "ptr"], "i1")
    operation, result, operands, wanted, params = c.params
    shift = c.value(f"shl i64 {wanted}, 3")
    keeps = c.value(f"lshr i64 {c.load(operation, AT['keeps'], 'i64')}, {shift}")
    node = c.call("PyType_GenericAlloc", c.known("GradNode"), "i64 0")
    c.unless(c.differ(node), "failed")
    c.store(c.owned(c.known("None")), node, at["versions"])
    c.store(c.owned(c.known("None")), node, at["out"])
    c.store(c.owned(params), node, at["params"])
    c.store(c.owned(c.load(operation, AT["prim"])), node, at["prim"])
    sequence = c.call("PyIter_Next", c.known("sequence"))
    c.store(sequence, node, at["seq"])
    c.unless(c.differ(sequence), "drop")
    fields = {}
    for name in ("edges", "args"):
        fields[name] = c.call("PyTuple_New", f"i64 {n}")
        c.store(fields[name], node, at[name])
        c.unless(c.differ(fields[name]), "drop")
    any_kept = c.differ(c.value(f"and i64 {keeps}, {(1 << n) - 1}"), "0", "i64")
    with c.when(any_kept):
        versions = c.call("PyTuple_New", f"i64 {n}")
        c.unless(c.differ(versions), "drop")
        c.store(versions, node, at["versions"])
        c.drop(c.known("None"))
        for k in range(n):
            c.call("PyTuple_SetItem", versions, f"i64 {k}", c.owned(c.known("-1")), result="i32")
    for k in range(n):
        _record_operand(m, c, k, n, operation, operands, wanted, keeps, node, fields)
    meta = c.call("@meta")
    c.unless(c.differ(meta), "drop")
    c.store(c.owned(c.known("True")), meta, meta_at["requires_grad"])
    c.drop(c.known("False"))
    c.store(node, meta, meta_at["grad_fn"])
    c.drop(c.known("None"))
    c.store(meta, result, m.layout.tensor["_info"])
    c.drop(c.known("None"))
    with c.when(c.has_bit(keeps, n)):
        data = c.load(result, m.layout.tensor["_data"])
        one = c.call("PyTuple_Pack", "i64 3", data, c.load(meta, meta_at["version"]), c.known("0"))
        c.unless(c.differ(one), "failed")
        out = c.call("PyTuple_Pack", "i64 1", one)
        c.drop(one)
        c.unless(c.differ(out), "failed")
        c.store(out, node, at["out"])
        c.drop(c.known("None"))
    c.ret("true", "i1")
    c.label("drop")
    c.drop(node)
    c.label("failed")
    c.ret("false", "i1")
    m.add(c)


def _record_operand(
    m: Module,
    c: Code,
    k: int,
    n: int,
    operation: str,
    operands: str,
    wanted: str,
    keeps: str,
    node: str,
    fields: dict[str, str],
) -> None:
    """The edge and the argument of operand k."""
    x = c.load(operands, 8 * k)
    edge, arg = c.variable(c.known("None")), c.variable(x)
    with c.when(c.has_bit(wanted, k)):
        made = c.call("@edge", x)
        c.unless(c.differ(made), "drop")
        c.store(made, edge)
    with c.when(c.equal(c.load(edge), c.known("None"))):
        c.owned(c.known("None"))
    c.call("PyTuple_SetItem", fields["edges"], f"i64 {k}", c.load(edge), result="i32")
    tensor = c.call("@is_tensor", x, result="i1")
    kept = c.has_bit(keeps, k)
    with c.when(c.both(tensor, kept)):
        version = c.call("@keep", x)
        c.unless(c.differ(version), "drop")
        c.call("PyTuple_SetItem", c.load(node, m.layout.node["versions"]), f"i64 {k}", version, result="i32")
    with c.when(c.both(tensor, c.negated(kept))):
        data = c.load(x, m.layout.tensor["_data"])
        elementwise = c.differ(c.load(operation, AT["elementwise"], "i64"), "0", "i64") if n < 3 else "false"
        c.store("null", arg)
        with c.when(elementwise):
            c.store(c.owned(c.known("None")) if n == 1 else c.call("@shape", data), arg)
        with c.when(c.negated(elementwise)):
            c.store(c.call("@spec", data), arg)
        c.unless(c.differ(c.load(arg)), "drop")
    with c.when(c.equal(c.load(arg), x)):
        c.owned(x)
    c.call("PyTuple_SetItem", fields["args"], f"i64 {k}", c.load(arg), result="i32")
