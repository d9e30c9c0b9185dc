"""The code of a program: its kernels, each distinct one once, compiled or taken from the cache.

What is asked of the cache is the kernels' structure, not their LLVM text: a program that is known costs no emission.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import twinflow.compiler
from twinflow.compiler.contraction import Machine
from twinflow.compiler.loops import Target
from twinflow.lower._launch import Modules, Source
from twinflow.runtime import Executable, cache_nbytes, engine, host_processor


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


@functools.cache
def _compiler_version() -> str:
    """Changes with the sources of the compiler, so that code which an older one wrote is never taken for current."""
    digest = hashlib.sha256()
    for folder in twinflow.compiler.__path__:
        for path in sorted(Path(folder).rglob("*.py")):
            status = path.stat()
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


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

    def load(self) -> None:
        """Compile what the cache does not have."""
        target, machine = _host()
        for chunked in (True, False):
            part = {name: s for name, s in self.sources.items() if s.chunked is chunked}
            if part:
                key = f"{_compiler_version()}\n{target}\n{machine}\n" + "\n".join(part)
                text = functools.partial(self._text, part)
                self._parts.append(engine().compile_keyed(key, text))
        self._where = {name: p for p in self._parts for name in p.names}

    def _text(self, part: dict[str, Source]) -> str:
        modules = Modules(*_host())
        for symbol, source in part.items():
            source.write(modules, symbol)
        noted = [
            f"@{symbol}.workspace = constant [2 x i64] [i64 {shared}, i64 {each}]"
            for symbol, (shared, each) in modules.workspace.items()
        ]
        return "\n".join([*_joined(str(modules.loops), str(modules.products)), *noted, ""])

    @property
    def text(self) -> str:
        """All kernels as LLVM IR."""
        return "\n".join(
            self._text(part)
            for chunked in (True, False)
            if (part := {name: s for name, s in self.sources.items() if s.chunked is chunked})
        )

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
