"""Compiling, loading, dropping; the processor and its mask; errors."""

import ctypes
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from twinflow.core.errors import ArgumentError, CompileError
from twinflow.runtime import (
    Engine,
    KernelCache,
    Processor,
    cache_nbytes,
    compile_assembly,
    compile_object,
)
from twinflow.runtime import _processor as processor_module

ADD_ONE = "define i64 @add_one(i64 %x) { %y = add i64 %x, 1  ret i64 %y }"
FROM_TABLE = """
@table = private constant [4 x i64] [i64 10, i64 20, i64 30, i64 40]
define i64 @from_table(i64 %i) { %p = getelementptr i64, ptr @table, i64 %i  %v = load i64, ptr %p  ret i64 %v }
"""
CLEAR = """
define void @clear(ptr %p, i64 %n) {
entry: br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %q = getelementptr i64, ptr %p, i64 %i
  store i64 0, ptr %q
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done: ret void
}
"""


@pytest.fixture
def fresh() -> Engine:
    """An engine that keeps nothing on disk."""
    return Engine(cache=KernelCache(None))


def call(executable, name, *args):
    return executable.function(name, *[ctypes.c_int64] * len(args), restype=ctypes.c_int64)(*args)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_functions_and_constants_work_at_every_level(fresh: Engine, level: int) -> None:
    executable = fresh.compile(ADD_ONE + FROM_TABLE, level=level)
    assert executable.names == ("add_one", "from_table")
    assert call(executable, "add_one", 41) == 42
    assert [call(executable, "from_table", i) for i in range(4)] == [10, 20, 30, 40]


def test_a_loop_that_becomes_memset_is_linked(fresh: Engine) -> None:
    a = np.ones(100, np.int64)
    assert "memset" in compile_assembly(CLEAR, fresh.processor, level=2)
    fresh.compile(CLEAR, level=2).function("clear", ctypes.c_void_p, ctypes.c_int64)(a.ctypes.data, 60)
    assert a.sum() == 40


def test_an_llvmlite_module_is_taken_too(fresh: Engine) -> None:
    from llvmlite import ir

    module = ir.Module()
    i64 = ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(i64, [i64]), "triple")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(builder.mul(function.args[0], i64(3)))
    assert call(fresh.compile(module), "triple", 7) == 21


def test_the_same_text_is_the_same_executable_while_one_is_held(fresh: Engine) -> None:
    first = fresh.compile(ADD_ONE)
    assert fresh.compile(ADD_ONE) is first
    assert fresh.compile(ADD_ONE, level=2) is not first
    assert fresh.stats.reused == 1 and fresh.stats.compiled == 2
    del first
    gc.collect()
    fresh.compile(ADD_ONE)
    assert fresh.stats.compiled == 3


def test_a_function_keeps_its_executable_alive(fresh: Engine) -> None:
    function = fresh.compile(ADD_ONE).function("add_one", ctypes.c_int64, restype=ctypes.c_int64)
    gc.collect()
    assert function(1) == 2


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="counts the mappings that Linux lists")
def test_dropping_executables_gives_memory_back(fresh: Engine, tmp_path: Path) -> None:
    engine = Engine(cache=KernelCache(tmp_path))

    def mappings() -> int:
        return len(Path("/proc/self/maps").read_text().splitlines())

    held = [engine.compile(ADD_ONE)]
    before = mappings()
    held += [engine.compile(ADD_ONE.replace("i64 %x, 1", f"i64 %x, {i}"), level=0) for i in range(2, 12)]
    assert mappings() >= before + 10
    del held[1:]
    gc.collect()
    assert mappings() <= before + 4


def test_threads_may_compile_at_once(fresh: Engine) -> None:
    results = {}

    def work(i: int) -> None:
        results[i] = call(fresh.compile(ADD_ONE.replace("%x, 1", f"%x, {i % 3}")), "add_one", 100)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: 100 + i % 3 for i in range(9)}


def test_errors_name_what_is_wrong(fresh: Engine) -> None:
    with pytest.raises(CompileError, match="LLVM refuses the generated code"):
        fresh.compile("define i64 @broken( {")
    with pytest.raises(CompileError, match="LLVM refuses the generated code"):
        fresh.compile("define i64 @f() { ret i64 %nothing }")
    with pytest.raises(CompileError, match="mystery is declared but defined nowhere"):
        fresh.compile("declare i64 @mystery()\ndefine i64 @f() { %r = call i64 @mystery()  ret i64 %r }")
    with pytest.raises(CompileError, match="no 'absent' in this executable; it defines add_one"):
        fresh.compile(ADD_ONE).address("absent")
    with pytest.raises(ArgumentError, match="level 7 is not one of 0, 1, 2, 3"):
        fresh.compile(ADD_ONE, level=7)


def test_object_code_for_another_target() -> None:
    wasm = Processor("wasm32-unknown-unknown", "generic", "")
    assert compile_object(ADD_ONE, wasm)[:4] == b"\0asm"
    arm = Processor("aarch64-unknown-linux-gnu", "generic", "+neon")
    assert "add\tx0, x0, #1" in compile_assembly(ADD_ONE, arm)
    assert arm.has_neon and arm.has_fma and arm.vector_nbytes == 16
    with pytest.raises(CompileError, match="does not know the target 'toaster'"):
        compile_object(ADD_ONE, Processor("toaster", "generic", ""))


x86 = pytest.mark.skipif(not processor_module.host_processor().triple.startswith("x86_64"), reason="features of x86-64")


@x86
def test_masked_features_compile_and_run(monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
    declare <16 x float> @llvm.fmuladd.v16f32(<16 x float>, <16 x float>, <16 x float>)
    define void @f(ptr %p) {
      %v = load <16 x float>, ptr %p, align 4
      %r = call <16 x float> @llvm.fmuladd.v16f32(<16 x float> %v, <16 x float> %v, <16 x float> %v)
      store <16 x float> %r, ptr %p, align 4
      ret void
    }
    """
    host = processor_module.host_processor()
    for request, nbytes in [("x86-64", 16), ("generic", 16), ("x86-64,+avx2", 32), ("native,-avx512f", 32)]:
        if nbytes > host.vector_nbytes:
            continue
        monkeypatch.setenv("TWINFLOW_CPU", request)
        engine = Engine(cache=KernelCache(None))
        assert engine.processor.vector_nbytes == min(nbytes, host.vector_nbytes)
        assert ("ymm" in compile_assembly(source, engine.processor)) == (nbytes == 32)
        assert "zmm" not in compile_assembly(source, engine.processor)
        a = np.arange(16, dtype=np.float32)
        engine.compile(source).function("f", ctypes.c_void_p)(a.ctypes.data)
        np.testing.assert_array_equal(a, np.arange(16) ** 2 + np.arange(16))
    monkeypatch.setenv("TWINFLOW_CPU", "x86-64")
    baseline = processor_module.host_processor()
    assert not (baseline.has_fma or baseline.has_avx512 or baseline.has_avx512_bf16 or baseline.has_amx_bf16)


@x86
@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("pentium-xx", "unknown processor 'pentium-xx'"),
        ("native,+flux", r"'\+flux' in 'native,\+flux' is not"),
        ("native,avx2", "'avx2' in 'native,avx2' is not"),
        ("generic,+avx10.2", "lacks avx10.2"),
    ],
)
def test_a_mask_that_cannot_be_is_an_error(request_: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINFLOW_CPU", request_)
    with pytest.raises(ArgumentError, match=message):
        processor_module.host_processor()


def test_the_log_says_what_was_compiled(monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path) -> None:
    Engine(cache=KernelCache(tmp_path)).compile(ADD_ONE)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("TWINFLOW_LOG", "cache")
    Engine(cache=KernelCache(tmp_path)).compile(ADD_ONE)
    Engine(cache=KernelCache(None)).compile(ADD_ONE)
    said = capsys.readouterr().err.splitlines()
    assert "from disk: add_one" in said[0] and "compiled: add_one" in said[1]


def test_cache_sizes() -> None:
    sizes = [cache_nbytes(level) for level in (1, 2, 3)]
    assert 2**13 <= sizes[0] <= 2**20 and sizes == sorted(sizes)
    with pytest.raises(ArgumentError, match="level is 4"):
        cache_nbytes(4)


HALVES = """
define void @to_half(ptr %p, ptr %q) {
  %v = load float, ptr %p  %h = fptrunc float %v to half  store half %h, ptr %q  ret void
}
define void @to_bfloat(ptr %p, ptr %q) {
  %v = load float, ptr %p  %h = fptrunc float %v to bfloat  store bfloat %h, ptr %q  ret void
}
define void @double_to_half(ptr %p, ptr %q) {
  %v = load double, ptr %p  %h = fptrunc double %v to half  store half %h, ptr %q  ret void
}
define void @double_to_bfloat(ptr %p, ptr %q) {
  %v = load double, ptr %p  %h = fptrunc double %v to bfloat  store bfloat %h, ptr %q  ret void
}
define void @from_half(ptr %p, ptr %q) {
  %v = load half, ptr %p  %f = fpext half %v to float  store float %f, ptr %q  ret void
}
"""


@x86
def test_conversions_an_old_processor_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    import ml_dtypes

    monkeypatch.setenv("TWINFLOW_CPU", "x86-64")
    executable = Engine(cache=KernelCache(None)).compile(HALVES)
    rng = np.random.default_rng(0)
    halves = np.arange(0, 65536, 7, dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):
        exact = halves.astype(np.float32)
        middle = ((exact[:-1].astype(np.float64) + exact[1:]) / 2).astype(np.float32)
        spread = np.exp2(rng.uniform(-30, 20, 2000)).astype(np.float32) * rng.choice([-1, 1], 2000).astype(np.float32)
        singles = np.concatenate(
            [exact, middle, spread, np.array([0, -0.0, np.inf, -np.inf, np.nan, 65519, 65520, 3.4e38], np.float32)]
        )
        widened = singles.astype(np.float64)
        doubles = np.concatenate([widened, np.nextafter(middle.astype(np.float64), np.inf)])

    def check(name: str, values, out_type) -> None:
        function = executable.function(name, ctypes.c_void_p, ctypes.c_void_p)
        got = np.empty(len(values), out_type)
        for i in range(len(values)):
            function(values.ctypes.data + i * values.itemsize, got.ctypes.data + i * got.itemsize)
        with np.errstate(all="ignore"):
            want = values.astype(out_type)
            number = ~np.isnan(values.astype(np.float64))
        bits = f"u{got.itemsize}"
        np.testing.assert_array_equal(got.view(bits)[number], want.view(bits)[number])
        assert np.isnan(got[~number].astype(np.float64)).all()

    check("from_half", halves, np.float32)
    check("to_half", singles, np.float16)
    check("to_bfloat", singles, ml_dtypes.bfloat16)
    check("double_to_half", doubles, np.float16)
    # ml_dtypes narrows a double by way of float, which rounds twice; a float's own value is rounded once
    check("double_to_bfloat", widened, ml_dtypes.bfloat16)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_compiles_while_the_parent_was_compiling() -> None:
    script = """
import os, threading, ctypes
from twinflow.runtime import Engine, KernelCache
engine = Engine(cache=KernelCache(None))
text = "define i64 @f(i64 %x) { %y = add i64 %x, NUMBER  ret i64 %y }"
stop = threading.Event()
def busy():
    n = 0
    while not stop.is_set():
        n += 1
        engine.compile(text.replace("NUMBER", str(n)))
thread = threading.Thread(target=busy)
thread.start()
for i in range(3):
    child = os.fork()
    if child == 0:
        f = engine.compile(text.replace("NUMBER", "7")).function("f", ctypes.c_int64, restype=ctypes.c_int64)
        os._exit(f(0))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
stop.set()
thread.join()
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "done\n", done.stderr


def test_importing_the_runtime_does_not_import_llvmlite() -> None:
    script = "import sys, twinflow.runtime; sys.exit('llvmlite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0
