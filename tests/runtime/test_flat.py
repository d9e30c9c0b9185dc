"""Machine code taken out of object files, and run without LLVM."""

import ctypes
import sys
import sysconfig

import pytest

from twinflow.core.errors import CompileError
from twinflow.runtime import Processor, compile_object
from twinflow.runtime._flat import flat_code, place_code

if not (sys.platform == "linux" and sysconfig.get_platform() == "linux-x86_64"):
    pytest.skip("the code is written for Linux on x86-64", allow_module_level=True)

PROCESSOR = Processor("x86_64-unknown-linux-gnu", "x86-64", "")
TWO = """
define internal i64 @twice(i64 %x) noinline { %y = add i64 %x, %x  ret i64 %y }
define i64 @four_times(i64 %x) { %y = call i64 @twice(i64 %x)  %z = call i64 @twice(i64 %y)  ret i64 %z }
define i64 @next(i64 %x) { %y = add i64 %x, 1  ret i64 %y }
"""


def test_functions_run_where_they_are_put():
    code, functions = flat_code(compile_object(TWO, PROCESSOR))
    assert functions.keys() == {"four_times", "next"}
    start = place_code(code)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    assert call(start + functions["four_times"])(5) == 20
    assert call(start + functions["next"])(5) == 6


def test_code_that_refers_to_something_else_is_refused():
    text = "@x = global i64 1\ndefine i64 @get() { %v = load i64, ptr @x  ret i64 %v }"
    with pytest.raises(CompileError, match="refers to something outside"):
        flat_code(compile_object(text, PROCESSOR))
