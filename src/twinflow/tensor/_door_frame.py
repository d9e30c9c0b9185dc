"""The frame of a native way: what every function that CPython calls here does first and last."""

from __future__ import annotations

from typing import Any

from twinflow.runtime._c_code import Code
from twinflow.tensor._door_record import AT, DESCR, DIMS, NDIM, TYPE, Module


class Way(Code):
    """A public function (operation, args, count and flag, names of keywords) -> tensor, and what all of them do."""

    def __init__(self, m: Module, name: str, n: int, *, tensors: bool = True) -> None:
        super().__init__(m.names, name, ["ptr", "ptr", "i64", "ptr"], public=True)
        self.m = m
        self.operation, self.args, self.flagged, self.keywords = self.params
        self.table = self.load(self.operation, AT["table"])
        self.unless(self.equal(self.keywords, "null"), "slow")
        self.n = self.value(f"and i64 {self.flagged}, {(1 << 63) - 1}")
        if n:
            self.unless(self.equal(self.n, str(n), "i64"), "slow")
        if tensors:  # then nothing special may be active
            count = self.load(self.known("SPECIAL"), m.layout.special["count"])
            self.unless(self.equal(count, self.known("0")), "slow")

    def field(self, name: str, type: str = "ptr") -> str:
        """A field of the operation."""
        return self.load(self.operation, AT[name], type)

    def tensor(self, x: str) -> str:
        """The array of a tensor."""
        self.unless(self.call("@is_tensor", x, result="i1"), "slow")
        data = self.load(x, self.m.layout.tensor["_data"])
        self.unless(self.equal(self.load(data, TYPE), self.known("ndarray")), "slow")
        return data

    def float_type(self, data: str) -> tuple[str, str]:
        """The type of an array's elements, and whether it is float32; it may also be float64."""
        d = self.load(data, DESCR)
        single = self.equal(d, self.known("float32"))
        self.unless(self.either(single, self.equal(d, self.known("float64"))), "slow")
        return d, single

    def same_type(self, data: str, d: str) -> None:
        """Goes on only with elements of this type."""
        self.unless(self.equal(self.load(data, DESCR), d), "slow")

    def wanted(self, *operands: str) -> str:
        """The bits of the tensors for which a gradient is wanted and recorded. Null stands for a number."""
        bits = "0"
        for k, x in enumerate(operands):
            one = self.variable("0", "i64")
            with self.when(self.differ(x)):
                self.store(self.call("@wanted", x, result="i64"), one, 0, "i64")
            w = self.load(one, 0, "i64")
            self.unless(self.value(f"icmp slt i64 {w}, 2"), "slow")
            bits = self.value(f"or i64 {bits}, {self.value(f'shl i64 {w}, {k}')}")
        found = self.call("@recording", self.operation, f"i64 {bits}", result="i64")
        self.unless(self.differ(found, "-1", "i64"), "failed")
        with self.when(self.differ(found, "0", "i64")):
            for x in operands:
                with self.when(self.differ(x)):
                    self.unless(self.call("@keepable", x, result="i1"), "slow")
        return found

    def unrecorded(self, *operands: str) -> None:
        """Goes on only if no gradient is wanted."""
        for x in operands:
            self.unless(self.equal(self.call("@wanted", x, result="i64"), "0", "i64"), "slow")

    def empty(self, d: str, like: str) -> str:
        """A new array of this type and the shape of another."""
        self.owned(d)
        made = self.call(
            "PyArray_NewFromDescr", self.known("ndarray"), d, f"i32 {self.load(like, NDIM, 'i32')}", self.load(like, DIMS),
            "null", "null", "i32 0", "null",
        )  # fmt: skip
        self.unless(self.differ(made), "failed")
        return made

    def run(self, run: str, *arrays: str) -> str:
        """What NumPy's function makes of arrays, which nobody can take away meanwhile."""
        given = self.variable(count=len(arrays))
        for k, a in enumerate(arrays):
            self.store(self.owned(a), given, 8 * k)
        out = self.call("@quietly", run, given, f"i64 {len(arrays)}")
        self.drop(*arrays)
        self.unless(self.differ(out), "raised")
        return out

    def finish(self, out: str, wanted: str = "", *operands: Any, params: str = "") -> None:
        """Return a tensor around `out`, recorded if gradients are wanted; then what else may happen. An operand is a tensor, or
        (tensor or null, where a number is)."""
        t = self.call("@tensor", out)
        self.unless(self.differ(t), "failed")
        if wanted:
            with self.when(self.differ(wanted, "0", "i64")):
                self._record(t, wanted, operands, params or self.field("params"))
        self.ret(t)
        self.end()

    def _record(self, t: str, wanted: str, operands: tuple[Any, ...], params: str) -> None:
        given = self.variable(count=len(operands))
        numbers = []
        for k, x in enumerate(operands):
            if isinstance(x, tuple):  # a tensor, or null and where a number is
                x, number = x
                made = self.variable("null")
                with self.when(self.equal(x, "null")):
                    self.store(self.call("PyFloat_FromDouble", f"double {self.load(number, 0, 'double')}"), made)
                numbers.append(self.load(made))
                x = self.choose(self.equal(x, "null"), numbers[-1], x)
                with self.when(self.equal(x, "null")):
                    self.drop(t, *numbers)
                    self.ret("null")
            self.store(x, given, 8 * k)
        record = f"@record{len(operands)}"
        done = self.call(record, self.operation, t, given, f"i64 {wanted}", params, result="i1")
        self.drop(*numbers)
        with self.when(self.negated(done)):
            self.drop(t)
            self.ret("null")

    def end(self) -> None:
        """What happens otherwise. Errors that are not of `Exception` (an interrupt) go to the caller."""
        self.label("failed")
        self.ret("null")
        self.label("raised")
        usual = self.call("PyErr_ExceptionMatches", self.load(self.known("PyExc_Exception")), result="i32")
        self.unless(self.differ(usual, "0", "i32"), "failed")
        self.call("PyErr_Clear", result="void")
        self.jump("slow")
        self.label("slow")
        vectorcall = self.known("PyObject_Vectorcall")
        given = f"ptr {self.field('python')}, ptr {self.args}, i64 {self.flagged}, ptr {self.keywords}"
        self.ret(self.value(f"tail call ptr {vectorcall}({given})"))
        self.m.add(self)
