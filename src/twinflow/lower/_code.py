"""The code of a program: its kernels, each distinct one once, compiled or taken from the cache.

What is asked of the cache is the kernels' structure, not their LLVM text: a program that is known costs no emission.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import twinflow.compiler
from twinflow.compiler.contraction import Machine
from twinflow.compiler.loops import Target
from twinflow.lower._launch import Modules, Source
from twinflow.runtime import Executable, cache_nbytes, engine, host_processor
from twinflow.runtime._image import Image


@functools.cache
def _host() -> tuple[Target, Machine]:
    processor = host_processor()
    machine = Machine(
        vector_nbytes=processor.vector_nbytes,
        registers=processor.vector_registers,
        fma=processor.has_fma,
        memory_operands=processor.has_avx512,
        l1_nbytes=cache_nbytes(1),
        l2_nbytes=cache_nbytes(2),
    )
    return Target.from_features(processor.features, processor.arch), machine


def _version(*packages: str) -> str:
    """Changes with the sources of these packages, so that what an older one wrote is never taken for current."""
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted((Path(twinflow.compiler.__file__).parents[1] / package).rglob("*.py")):
            status = path.stat()
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


@functools.cache
def _kernel_environment() -> str:
    """What the code of a kernel depends on beside its structure."""
    target, machine = _host()
    return f"{_version('compiler')}\n{target}\n{machine}"


@functools.cache
def environment() -> str:
    """What a program depends on beside its graph."""
    return f"{_kernel_environment()}\n{_version('core', 'graph', 'lower', 'ops', 'runtime')}\n{sys.version_info}"


def _joined(*modules: str) -> Iterator[str]:
    """The lines of several modules as one; each function is declared once."""
    declared: set[str] = set()
    for text in modules:
        for line in text.splitlines():
            if line.startswith("declare "):
                name = line[line.index("@") : line.index("(", line.index("@"))]
                if name in declared:
                    continue
                declared.add(name)
            yield line


def _all_symbols(image: Image) -> Iterator[tuple[list[str], list[str]]]:
    yield image.symbols
    for part, _, _ in image.parts:
        yield from _all_symbols(part)


def _not_there(part: list[str]) -> str:
    raise LookupError(part)


class Code:
    """The kernels of one program. Add sources, `load`, then ask for addresses by symbol."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}  # by symbol
        self._parts: list[Executable] = []

    def add(self, source: Source) -> str:
        """The symbol of a kernel; the same for equal ones."""
        symbol = "k" + hashlib.sha256(source.key.encode()).hexdigest()[:16]
        self.sources.setdefault(symbol, source)
        return symbol

    @property
    def symbols(self) -> tuple[list[str], list[str]]:
        """The names of the kernels: those that run in chunks, and those that run whole."""
        return tuple([name for name, s in self.sources.items() if s.chunked is chunked] for chunked in (True, False))  # type: ignore[return-value]

    def load(self) -> None:
        """Compile what the cache does not have."""
        self._load(*self.symbols, self._text)

    def _load(self, chunked: list[str], whole: list[str], write: Callable[[list[str]], str]) -> None:
        for part in (chunked, whole):
            if part:
                key = f"{_kernel_environment()}\n" + "\n".join(part)
                self._parts.append(engine().compile_keyed(key, functools.partial(write, part)))
        self._where = {name: p for p in self._parts for name in p.names}

    @classmethod
    def of_kept(cls, image: Image) -> Code | None:
        """The code of a program and its nested ones from the cache, or None if a part is not there."""
        code = cls()
        try:
            for chunked, whole in _all_symbols(image):
                code._load(chunked, whole, _not_there)
        except LookupError:
            return None
        return code

    def _text(self, part: list[str]) -> str:
        modules = Modules(*_host())
        for symbol in part:
            self.sources[symbol].write(modules, symbol)
        noted = [
            f"@{symbol}.workspace = constant [2 x i64] [i64 {shared}, i64 {each}]"
            for symbol, (shared, each) in modules.workspace.items()
        ]
        return "\n".join([*_joined(str(modules.loops), str(modules.products)), *noted, ""])

    @property
    def text(self) -> str:
        """All kernels as LLVM IR."""
        return "\n".join(self._text(part) for part in self.symbols if part)

    def address(self, symbol: str) -> int:
        """Where a kernel's function lies."""
        return self._where[symbol].address(symbol)

    def chunks(self, symbol: str, arguments: int) -> int:
        """How many chunks a loop kernel has, given the address of its argument block."""
        count = self._where[symbol].function(f"{symbol}.nchunks", ctypes.c_void_p, restype=ctypes.c_int64)
        return int(count(arguments))

    def workspace_nbytes(self, symbol: str, workers: int) -> int:
        """Bytes that a kernel wants to work in when so many threads take part."""
        at = self._where[symbol].address(f"{symbol}.workspace")
        shared, each = (ctypes.c_int64 * 2).from_address(at)
        return int(shared + workers * each)
