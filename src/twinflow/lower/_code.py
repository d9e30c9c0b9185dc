"""The code of a program: its kernels, each distinct one once, compiled or taken from the cache.

What is asked of the cache is the kernels' structure, not their LLVM text: a program that is known costs no emission.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
from collections.abc import Iterator

from twinflow.compiler.contraction import Machine
from twinflow.compiler.loops import Target
from twinflow.lower._launch import Modules, Source
from twinflow.lower._loaded import LoadedCode
from twinflow.runtime import host_processor


@functools.cache
def _host() -> tuple[Target, Machine]:
    processor = host_processor()
    return Target.from_features(processor.features, processor.arch), Machine.of(processor)


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


class Code(LoadedCode):
    """The kernels of one program. Add sources, `load`, then ask for addresses by symbol."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: dict[str, Source] = {}  # by symbol

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
        self.load_parts(*self.symbols, self._text)

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

    def chunks(self, symbol: str, arguments: int) -> int:
        """How many chunks a loop kernel has, given the address of its argument block."""
        count = self._where[symbol].function(f"{symbol}.nchunks", ctypes.c_void_p, restype=ctypes.c_int64)
        return int(count(arguments))

    def workspace_nbytes(self, symbol: str, workers: int) -> int:
        """Bytes that a kernel wants to work in when so many threads take part."""
        at = self._where[symbol].address(f"{symbol}.workspace")
        shared, each = (ctypes.c_int64 * 2).from_address(at)
        return int(shared + workers * each)
