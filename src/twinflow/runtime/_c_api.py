"""The C interfaces of CPython and NumPy as addresses, and callables whose calls go straight to machine code.

Only what both promise to keep is used: CPython's stable ABI (functions, the header of objects, `PyType_Spec`), its vectorcall
protocol, and NumPy's table of functions, whose places extensions have compiled in.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

# Places in NumPy's table, as in its header `__multiarray_api.h`.
_NUMPY = {
    "PyArray_EnsureArray": 70,
    "PyArray_NewFromDescr": 94,
    "PyArray_Transpose": 123,
    "PyArray_Newshape": 135,
    "PyArray_Concatenate": 168,
    "PyArray_Where": 185,
    "PyArray_MatrixProduct2": 280,
}
# In `typeslots.h` and `object.h`, which are part of the stable ABI.
_CALL, _GET, _MEMBERS = 50, 54, 72
_DEFAULT, _IS_METHOD, _HAS_VECTORCALL = 1 << 18, 1 << 17, 1 << 11
_SIZE, _READONLY = 19, 1  # a type and a flag of members


_api: Any = ctypes.PyDLL(None)  # with types of our own, which others who use `ctypes.pythonapi` do not see


class _Member(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


class _Slot(ctypes.Structure):
    _fields_ = [("slot", ctypes.c_int), ("function", ctypes.c_void_p)]


class _Spec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    ]


def can_call_python() -> bool:
    """Whether machine code may call this interpreter as described here: CPython with its lock, on Linux, x86-64."""
    return (
        sys.implementation.name == "cpython"
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and sys.platform == "linux"
        and sysconfig.get_platform() == "linux-x86_64"
        and object.__basicsize__ == 16  # no debugging build, whose objects have more
    )


def c_address(name: str) -> int:
    """The address of a function (or variable) of CPython's or NumPy's C interface."""
    if name in _NUMPY:
        return _numpy_table()[_NUMPY[name]] or 0
    return ctypes.cast(getattr(_api, name), ctypes.c_void_p).value or 0


def _numpy_table() -> Any:
    get = _api.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsule = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]
    return (ctypes.c_void_p * (max(_NUMPY.values()) + 1)).from_address(get(capsule, None))


def slot_offsets(make: Callable[[], Any], names: Sequence[str]) -> dict[str, int]:
    """Where the slots of a class lie in its objects, found by looking where an object put there is seen."""
    found = {}
    for name in names:
        holder, value = make(), object()
        setattr(holder, name, value)
        memory = ctypes.string_at(id(holder), type(holder).__basicsize__)
        found[name] = memory.index(id(value).to_bytes(8, sys.byteorder), object.__basicsize__)
    return found


def native_callable_type(name: str, nbytes: int, vectorcall: int, dictionary: int) -> Any:
    """A type of objects that are called by the machine code whose address they hold, and that become methods as functions do.

    Args:
        name: of the type, with its module.
        nbytes: size of its objects.
        vectorcall, dictionary: where in them the address and the attributes lie.
    """
    _api.PyType_GetSlot.restype, _api.PyType_GetSlot.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_int]
    _api.PyType_FromSpec.restype, _api.PyType_FromSpec.argtypes = ctypes.py_object, [ctypes.c_void_p]
    members = (_Member * 3)(
        _Member(b"__vectorcalloffset__", _SIZE, vectorcall, _READONLY, None),
        _Member(b"__dictoffset__", _SIZE, dictionary, _READONLY, None),
        _Member(),
    )
    slots = (_Slot * 4)(
        _Slot(_MEMBERS, ctypes.addressof(members)),
        _Slot(_CALL, c_address("PyVectorcall_Call")),
        _Slot(_GET, _api.PyType_GetSlot(FunctionType, _GET)),
        _Slot(),
    )
    spec = _Spec(name.encode(), nbytes, 0, _DEFAULT | _IS_METHOD | _HAS_VECTORCALL, slots)
    made = _api.PyType_FromSpec(ctypes.addressof(spec))
    _kept.append((members, slots, spec))  # CPython copies them, but old versions keep the name
    return made


_kept: list[Any] = []


def new_object(type_: Any) -> Any:
    """An object of a type made here, with nothing in it."""
    _api.PyType_GenericAlloc.restype = ctypes.py_object
    _api.PyType_GenericAlloc.argtypes = [ctypes.py_object, ctypes.c_ssize_t]
    return _api.PyType_GenericAlloc(type_, 0)


def keep_alive(o: Any) -> int:
    """The address of an object, which from now on is never given back: machine code holds it."""
    _api.Py_IncRef.restype, _api.Py_IncRef.argtypes = None, [ctypes.py_object]
    _api.Py_IncRef(o)
    return id(o)


def words_of(o: Any) -> Any:
    """The memory of an object, as 8-byte words that can be written."""
    return (ctypes.c_uint64 * (type(o).__basicsize__ // 8)).from_address(id(o))
