"""From LLVM IR to loaded machine code, through the on-disk cache.

    text of a module ──optimise──► object code ──load──► Executable, whose functions have addresses

The engine of this process is `engine()`; `compile_object` alone serves any target LLVM knows.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import functools
import hashlib
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinflow.core import log, log_enabled
from twinflow.core.errors import ArgumentError, CompileError
from twinflow.runtime._cache import KernelCache, default_cache_dir
from twinflow.runtime._processor import Processor, host_processor
from twinflow.runtime._support import CONVERSIONS, CONVERSIONS_IR, c_library_addresses

LEVELS = (0, 1, 2, 3)
DEFAULT_LEVEL = 1


class Executable:
    """Machine code in memory. It stays as long as this object does: keep it while its addresses are in use.

    Attributes:
        key: the content hash it is kept under.
        names: the functions and variables it defines.
        nbytes: size of the object code.
    """

    __slots__ = ("__weakref__", "_addresses", "_close", "_needs", "key", "names", "nbytes")

    def __init__(self, key: str, addresses: dict[str, int], nbytes: int, library: Any, needs: tuple[Any, ...]) -> None:
        self.key = key
        self.names = tuple(sorted(addresses))
        self.nbytes = nbytes
        self._addresses = addresses
        self._needs = needs  # the JIT and the executables it is linked to live at least as long
        self._close = weakref.finalize(self, _unload, library)
        self._close.atexit = False  # at exit a worker may still be inside: the process's memory goes all at once anyway

    def address(self, name: str) -> int:
        """Where the function or variable `name` lies.

        Raises: CompileError if there is none of this name.
        """
        try:
            return self._addresses[name]
        except KeyError:
            raise CompileError(f"address: no {name!r} in this executable; it defines {', '.join(self.names)}") from None

    def function(self, name: str, *argtypes: Any, restype: Any = None) -> Any:
        """The function `name` as a ctypes callable (without the GIL), which keeps the executable alive."""
        call: Any = ctypes.CFUNCTYPE(restype, *argtypes)(self.address(name))
        call.executable = self
        return call


@dataclass(slots=True)
class EngineStats:
    """What an engine has done so far: a second run of a program should show `compiled == 0`."""

    compiled: int = 0
    from_disk: int = 0
    reused: int = 0
    compile_s: float = 0.0
    load_s: float = 0.0


def compile_object(ir: object, processor: Processor, *, level: int = DEFAULT_LEVEL, vectorize: bool = False) -> bytes:
    """Relocatable object code (ELF, Mach-O, COFF or WebAssembly, as the target's triple says) of a module.

    Args:
        ir: LLVM IR, as text or as something whose `str` is that text (an `llvmlite.ir.Module`).
        processor: what to generate code for.
        level: 0 none; 1 scalar clean-up, which is what code that is written in vectors needs and a fraction of the
            time of LLVM's own lists of passes; 2 and 3 those of `-O2` and `-O3`.
        vectorize: whether levels 2 and 3 also look for loops and statements to vectorise.
    Raises: CompileError if LLVM refuses the module.
    """
    with _llvm():
        return _emit(str(ir), processor, level, vectorize)[1]


def compile_assembly(ir: object, processor: Processor, *, level: int = DEFAULT_LEVEL, vectorize: bool = False) -> str:
    """The same as `compile_object`, as assembly text to read."""
    with _llvm():
        return _emit_assembly(str(ir), processor, level, vectorize)


class Engine:
    """Compiles modules for one processor, keeps them on disk, and loads them.

    Compiling the same text again gives the same `Executable` while someone holds it. Safe with many threads.

    Args:
        processor: what to generate code for; by default this machine's (see `TWINFLOW_CPU`).
        cache: where object code is kept; by default the user's (see `TWINFLOW_CACHE`).

    >>> double = "define i64 @double(i64 %x) { %y = add i64 %x, %x  ret i64 %y }"
    >>> executable = Engine(cache=KernelCache(None)).compile(double)
    >>> executable.function("double", ctypes.c_int64, restype=ctypes.c_int64)(21)
    42
    """

    def __init__(self, processor: Processor | None = None, cache: KernelCache | None = None) -> None:
        self.processor = host_processor() if processor is None else processor
        self.cache = KernelCache(default_cache_dir()) if cache is None else cache
        self.stats = EngineStats()
        self._salt = f"{_versions()}\n{self.processor}"
        self._live: weakref.WeakValueDictionary[str, Executable] = weakref.WeakValueDictionary()
        self.kernels: weakref.WeakValueDictionary[str, Executable] = (
            weakref.WeakValueDictionary()
        )  # by symbol, of programs
        self._jit: Any = None
        self._conversions: Executable | None = None

    def key(self, text: str) -> str:
        """A key of the cache that changes with the processor and the versions too."""
        return hashlib.sha256(f"{self._salt}\n{text}".encode()).hexdigest()

    def compile(self, ir: object, *, level: int = DEFAULT_LEVEL, vectorize: bool = False) -> Executable:
        """Machine code of a module, from memory, from disk, or compiled now. Arguments as in `compile_object`."""
        text = str(ir)
        return self.compile_keyed(f"{vectorize}\n{text}", lambda: text, level=level, vectorize=vectorize)

    def compile_keyed(
        self, key: str, write: Callable[[], str], *, level: int = DEFAULT_LEVEL, vectorize: bool = False
    ) -> Executable:
        """The same for a module known by what it is made from: `write` gives its text, and is called only if no cache
        has its code. Equal keys must mean equal text."""
        _check_level(level)
        key = self.key(f"{level}\n{key}")
        with _LOCK:
            if (live := self._live.get(key)) is not None:
                self.stats.reused += 1
                return live
            packed = self.cache.get(key)
            fresh = packed is None
            if packed is None:
                start = time.perf_counter()
                packed = self._compile(write(), level, vectorize)
                self.stats.compile_s += time.perf_counter() - start
                self.stats.compiled += 1
                self.cache.put(key, packed)
            else:
                self.stats.from_disk += 1
            start = time.perf_counter()
            names, code = _unpack(packed)
            executable = self._load(key, names, code)
            self.stats.load_s += time.perf_counter() - start
            if log_enabled("cache"):
                log(
                    "cache",
                    f"{'compiled' if fresh else 'from disk'}: {', '.join(names)} ({len(code)} bytes, {key[:12]})",
                )
            self._live[key] = executable
            return executable

    def _compile(self, text: str, level: int, vectorize: bool) -> bytes:
        with _llvm():
            globals_, code = _emit(text, self.processor, level, vectorize)
            if missing := sorted(globals_.declared - c_library_addresses().keys() - set(CONVERSIONS)):
                raise CompileError(f"compile: {', '.join(missing)} is declared but defined nowhere")
            return _pack(sorted(globals_.defined), code)

    def _load(self, key: str, names: list[str], code: bytes) -> Executable:
        with _llvm() as llvm:
            if self._jit is None:
                # JITLink puts code and constants side by side, which the small code model needs, and gives memory back.
                machine = _machine(llvm, self.processor, DEFAULT_LEVEL)
                self._jit = llvm.create_lljit_compiler(machine, use_jit_link=os.name != "nt")
            builder = llvm.JITLibraryBuilder().add_object_img(code)
            for name in names:
                builder.export_symbol(name)
            for name, address in c_library_addresses().items():
                if name not in names and name.encode() in code:
                    builder.import_symbol(name, address)
            if wanted := [name for name in CONVERSIONS if name not in names and name.encode() in code]:
                if self._conversions is None:
                    self._conversions = self.compile(CONVERSIONS_IR)
                for name in wanted:
                    builder.import_symbol(name, self._conversions.address(name))
            try:
                library = builder.link(self._jit, f"kernel{next(_LIBRARY_NUMBER)}")
            except RuntimeError as error:
                raise CompileError(f"load: the code of {', '.join(names)} cannot be linked: {error}") from error
            return Executable(
                key, {name: library[name] for name in names}, len(code), library, (self._jit, self._conversions)
            )


@functools.cache
def engine() -> Engine:
    """The engine of this process, made on the first call for this machine and the user's cache."""
    return Engine()


# One thread at a time is inside LLVM. llvmlite has a lock of its own; as every call to it, disposal included, is made
# under this one, holding this one during a fork gives the child a free lock of llvmlite's too.
_LOCK = threading.RLock()
_UNLOADING: collections.deque[Any] = collections.deque()
_LIBRARY_NUMBER = itertools.count()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


@contextlib.contextmanager
def _llvm() -> Iterator[Any]:
    """LLVM's Python binding, initialised, for one thread at a time."""
    with _LOCK:
        _dispose_unloaded()
        yield _binding()


def _unload(library: Any) -> None:
    """Give a library's memory back, now if LLVM is free, else when it is next used.

    The garbage collector calls this in whatever thread it runs in, which may hold any lock: it must not wait for one.
    """
    _UNLOADING.append(library)
    if _LOCK.acquire(blocking=False):
        try:
            _dispose_unloaded()
        finally:
            _LOCK.release()


def _dispose_unloaded() -> None:
    while _UNLOADING:
        _UNLOADING.popleft().close()


@functools.cache
def _binding() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@functools.cache
def _all_targets() -> None:
    _binding().initialize_all_targets()
    _binding().initialize_all_asmprinters()


@functools.cache
def _versions() -> str:
    """Everything besides the text and the processor that may change the code made from it."""
    import llvmlite

    llvm = ".".join(str(part) for part in _binding().llvm_version_info)
    own = Path(__file__).stat()  # this file chooses LLVM's passes
    return f"engine {own.st_size} {own.st_mtime_ns}, llvmlite {llvmlite.__version__}, LLVM {llvm}"


def _check_level(level: int) -> None:
    if level not in LEVELS:
        raise ArgumentError(f"compile: level {level!r} is not one of {', '.join(map(str, LEVELS))}")


def _machine(llvm: Any, processor: Processor, level: int) -> Any:
    if processor.triple != llvm.get_process_triple():
        _all_targets()
    try:
        target = llvm.Target.from_triple(processor.triple)
    except RuntimeError as error:
        raise CompileError(f"compile: LLVM does not know the target {processor.triple!r}: {error}") from error
    return target.create_target_machine(
        cpu=processor.name, features=processor.features, opt=max(level, 1), reloc="pic", codemodel="small"
    )


def _optimised(text: str, processor: Processor, level: int, vectorize: bool) -> tuple[Any, Any]:
    """The module after its passes, and the machine that turns it into code."""
    _check_level(level)
    llvm = _binding()
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise CompileError(f"compile: LLVM refuses the generated code: {error}") from error
    machine = _machine(llvm, processor, level)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    tuning = llvm.create_pipeline_tuning_options(speed_level=max(level, 1))
    tuning.loop_vectorization = tuning.slp_vectorization = vectorize
    builder = llvm.create_pass_builder(machine, tuning)
    if level == 1:
        passes = llvm.create_new_module_pass_manager()
        passes.add_always_inliner_pass()
        passes.add_sroa_pass()
        passes.add_simplify_cfg_pass()
        passes.add_instruction_combine_pass()
        passes.add_new_gvn_pass()
        passes.add_dead_store_elimination_pass()
        passes.add_simplify_cfg_pass()
        passes.add_global_dead_code_eliminate_pass()
        passes.run(module, builder)
    elif level > 1:
        builder.getModulePassManager().run(module, builder)
    return module, machine


# LLVM's objects are disposed of when these functions return, which is why they are functions: under the lock.


@dataclass(frozen=True, slots=True)
class _Globals:
    """The names a module defines for others, and those it expects from others."""

    defined: set[str]
    declared: set[str]


def _emit(text: str, processor: Processor, level: int, vectorize: bool) -> tuple[_Globals, bytes]:
    module, machine = _optimised(text, processor, level, vectorize)
    values = [*module.functions, *module.global_variables]
    defined = {v.name for v in values if not v.is_declaration and v.linkage.name not in ("internal", "private")}
    declared = {v.name for v in values if v.is_declaration and not v.name.startswith("llvm.")}
    return _Globals(defined, declared), machine.emit_object(module)


def _emit_assembly(text: str, processor: Processor, level: int, vectorize: bool) -> str:
    module, machine = _optimised(text, processor, level, vectorize)
    return str(machine.emit_assembly(module))


def _pack(names: list[str], code: bytes) -> bytes:
    head = "\n".join(names).encode()
    return len(head).to_bytes(8, "little") + head + code


def _unpack(packed: bytes) -> tuple[list[str], bytes]:
    end = 8 + int.from_bytes(packed[:8], "little")
    return packed[8:end].decode().splitlines(), packed[end:]
