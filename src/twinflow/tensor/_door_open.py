"""Opening the doors of small operations: from the code on disk to callables that stand in the place of Python functions."""

from __future__ import annotations

import ctypes
import hashlib
import marshal
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from twinflow.core import log, quiet
from twinflow.core.errors import CompileError
from twinflow.graph import Primitive
from twinflow.runtime import KernelCache, Processor, compile_object, default_cache_dir
from twinflow.runtime._c_api import (
    c_address,
    can_call_python,
    keep_alive,
    native_callable_type,
    new_object,
    slot_offsets,
    words_of,
)
from twinflow.runtime._flat import flat_code, place_code
from twinflow.tensor import _backward, _tape
from twinflow.tensor._door import Door
from twinflow.tensor._door_arranging import write_arranging
from twinflow.tensor._door_backward import write_backward
from twinflow.tensor._door_elementwise import write_elementwise
from twinflow.tensor._door_program import AT as PROGRAM_AT
from twinflow.tensor._door_program import write_program
from twinflow.tensor._door_record import (
    AT,
    BASE,
    DATA,
    DESCR,
    DIMS,
    FLAGS,
    NDIM,
    OPERATION_NBYTES,
    Layout,
    Module,
    write_shared,
)
from twinflow.tensor._door_rows import write_rows
from twinflow.tensor._mode import MODE, SPECIAL, _Special
from twinflow.tensor._tensor import Meta, Tensor, Tie, ViewMeta

_PROCESSOR = Processor("x86_64-unknown-linux-gnu", "x86-64", "")  # the least there is: the work lies elsewhere
_OBJECTS = {
    "None": None, "True": True, "False": False, "0": 0, "1": 1, "-1": -1, "float": float, "int": int, "tuple": tuple, "list": list, "slice": slice,
    "Tensor": Tensor, "Meta": Meta, "ViewMeta": ViewMeta, "Tie": Tie, "GradNode": _tape.GradNode, "Spec": _tape.Spec,
    "SPECIAL": SPECIAL, "MODE": MODE, "sequence": _tape._sequence, "ndarray": np.ndarray, "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64), "bool": np.dtype(np.bool_), "quiet": quiet.__self__,  # type: ignore[attr-defined] # the context it runs things in
    "'started'": "started", "'program'": "program", "'grad'": "grad", "'requires_grad'": "requires_grad", "'_meta'": "_meta",
    "'n_out'": "n_out", "'hooks'": "hooks", "'prehooks'": "prehooks", "'accumulated'": "accumulated",
    "node_vjp": _backward.node_vjp, "visit_hooked": _backward.visit_hooked, "add_grads": _backward.add_grads,
    "accumulate_grad": _backward.accumulate_grad, "hold": _backward.hold, "let_go": _backward.let_go,
}  # fmt: skip


class FlatCode:
    """The machine code of all ways, in memory."""

    def __init__(self, code: bytes, functions: dict[str, int], names: list[str]) -> None:
        start = place_code(code)
        self.functions = {name: start + offset for name, offset in functions.items()}
        addresses = [keep_alive(_OBJECTS[n]) if n in _OBJECTS else c_address(n) for n in names]
        self.table = np.array(addresses, np.uint64)
        keep_alive(self.table)


def find_code(make: bool) -> FlatCode | None:
    """The ways' code from disk, or made now if `make`; None where there is none or the system does not let it run."""
    if not can_call_python() or not _arrays_are_known():
        return None
    module = Module(_layout())
    write_shared(module)
    write_elementwise(module)
    write_arranging(module)
    write_rows(module)
    write_program(module)
    write_backward(module)
    text = module.text()
    cache = KernelCache(default_cache_dir())
    key = hashlib.sha256(f"{_PROCESSOR}\n{text}".encode()).hexdigest()
    kept = cache.get(key)
    if kept is None and not make:
        return None
    try:
        code, functions = flat_code(compile_object(text, _PROCESSOR)) if kept is None else marshal.loads(kept)
        if kept is None:
            cache.put(key, marshal.dumps((code, functions)))
        return FlatCode(code, functions, list(module.names.names))
    except (CompileError, OSError) as error:
        log("compile", f"small operations stay in Python: {error}")
        return None


def _layout() -> Layout:
    """Where the slots lie that native code reads and writes."""
    return Layout(
        special=slot_offsets(_Special, ["count"]),
        tensor=slot_offsets(lambda: object.__new__(Tensor), ["_data", "_info"]),
        meta=slot_offsets(Meta, ["base", "grad_fn", "index", "inference", "requires_grad", "version"]),
        tie=slot_offsets(Tie, ["base", "params", "prim"]),
        node=slot_offsets(_tape.GradNode, ["args", "edges", "out", "params", "prim", "seq", "versions"]),
        primitive=slot_offsets(lambda: object.__new__(Primitive), ["back", "n_out"]),
        spec=slot_offsets(_tape.Spec, ["np_dtype", "shape"]),
    )


def _arrays_are_known() -> bool:
    """Whether the fields of an array lie where NumPy's headers have them."""
    a = np.zeros((3, 5), np.float32)
    words = words_of(a)
    dims = words[DIMS // 8]
    return bool(
        words[DATA // 8] == a.ctypes.data
        and words[BASE // 8] == 0
        and words_of(a[1:])[BASE // 8] == id(a)
        and words[NDIM // 8] & 0xFFFFFFFF == 2
        and words[DESCR // 8] == id(a.dtype)
        and words[FLAGS // 8] & 0x101 == 0x101
        and bytes((ctypes.c_char * 16).from_address(dims)) == np.array([3, 5]).tobytes()
    )


_open: list[tuple[Any, FlatCode]] = []  # the type of native callables and the code, once the doors are open


def hang(code: FlatCode, doors: list[Door], methods: dict[Any, tuple[Door, bool]]) -> None:
    """Open each door, and let the methods of tensors that are its operation go through it directly."""
    kind = native_callable_type("twinflow.tensor.native_operation", OPERATION_NBYTES, AT["vectorcall"], AT["dict"])
    kind.__reduce__ = lambda self: (_itself, (self.__wrapped__,))
    kind.__repr__ = lambda self: f"<native {getattr(self, '__wrapped__', 'program')!r}>"
    _open.append((kind, code))
    for door in doors:
        door.call = _operation(kind, code, door, door.python, reflected=False)
    for name, function in list(vars(Tensor).items()):
        if type(function) is FunctionType and function in methods:
            door, reflected = methods[function]
            setattr(Tensor, name, _operation(kind, code, door, function, reflected=reflected))


def _itself(function: Any) -> Any:
    return function


def _operation(kind: Any, code: FlatCode, door: Door, python: Callable[..., Any], *, reflected: bool) -> Any:
    """The native callable of an operation, which leaves what is unusual to `python`."""
    operation = new_object(kind)
    words = words_of(operation)

    def put(field: str, value: Any) -> None:
        words[AT[field] // 8] = value & 0xFFFF_FFFF_FFFF_FFFF

    put("vectorcall", code.functions[door.way])
    put("table", code.table.ctypes.data)
    extra = door.extra or (None, None)
    objects = {
        "python": python, "run": door.run, "extra": extra[0], "extra64": extra[1], "result": door.result,
        "prim": door.prim, "params": _NO_PARAMS if door.params is None else door.params,
    }  # fmt: skip
    for field, o in objects.items():
        if o is not None:
            put(field, keep_alive(o))
    if door.loop:
        put("loop", code.functions[f"{door.loop}_float"])
        put("loop64", code.functions[f"{door.loop}_double"])
    if door.prim is not None:
        put("recorded", -1 if door.prim.vjp is not None else 0)
        put("elementwise", int(door.prim.elementwise))
        put("keeps", _keeps(door.prim, door.n))
    put("reflected", int(reflected))
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(operation, name, getattr(python, name))
    operation.__wrapped__ = python
    keep_alive(operation)
    return operation


_NO_PARAMS: dict[str, Any] = {}


def _keeps(prim: Primitive, n: int) -> int:
    """For each set of operands whose gradients are wanted, a byte: the operands that the tape keeps, and the result."""
    found = 0
    for wanted in range(1, 1 << n) if prim.vjp is not None else ():
        operands, result = prim.keep_for(wanted, n)
        bits = sum(1 << k for k, kept in enumerate((*operands, result)) if kept)
        found |= bits << 8 * wanted
    return found


class ProgramCall:
    """What a compiled program is called by: (*arrays) -> result, or a tuple of them. `call` is native, and lives as long as
    this does.

    Args:
        python: the function of the same meaning, which waits for `lock`.
        graph: the NativeGraph, of which nothing is remembered between runs, and whose references never raise.
        observers: a list of who watches programs.
    """

    def __init__(self, python: Callable[..., Any], graph: Any, lock: Any, observers: list[Any], n_inputs: int) -> None:
        kind, code = _open[0]
        program = graph.program
        places = [len(graph.results)]
        for number, _ in graph.results:
            places += number, id(graph.spares[number])
        results = np.array(places, np.int64)
        acquire, release = lock.acquire, lock.release
        self._kept = python, graph, program, lock, observers, results, acquire, release, graph.spares, graph.pool
        self.call = new_object(kind)
        words = words_of(self.call)
        values = {
            "vectorcall": code.functions["program"], "python": id(python), "table": code.table.ctypes.data, "graph": id(graph),
            "program": id(program), "pool": id(graph.pool), "observers": id(observers), "acquire": id(acquire),
            "release": id(release), "enter": program.enter_address, "frame": program.frame, "io": program.io_address,
            "inputs": n_inputs, "results": results.ctypes.data,
        }  # fmt: skip
        for field, value in values.items():
            words[PROGRAM_AT[field] // 8] = value
