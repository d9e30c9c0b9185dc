"""The code of a program, as the cache has it; and what it depends on."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from twinflow.runtime import Executable, cache_nbytes, engine, host_processor
from twinflow.runtime._image import Image
from twinflow.runtime._library import find_loop


def _version(*packages: str) -> str:
    """Changes with the sources of these packages, so that what an older one wrote is never taken for current."""
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted((Path(__file__).parents[1] / package).rglob("*.py")):
            status = path.stat()
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


@functools.cache
def _kernel_environment() -> str:
    """What the code of a kernel depends on beside its structure, and what the engine adds to keys (the processor, LLVM).

    Whether the system lets this process use tiles is asked here, before the first kernel is found or made.
    """
    return f"{_version('compiler')}\n{cache_nbytes(1)} {cache_nbytes(2)} {host_processor().has_amx_bf16}"


@functools.cache
def environment() -> str:
    """What a program depends on beside its graph."""
    return f"{_kernel_environment()}\n{_version('core', 'graph', 'lower', 'ops', 'runtime')}\n{sys.version_info} {np.__version__}"


def _all_images(image: Image) -> Iterator[Image]:
    yield image
    for part, _, _ in image.parts:
        yield from _all_images(part)


def _not_there(part: list[str]) -> str:
    raise LookupError(part)


class LoadedCode:
    """The kernels of one program, by symbol."""

    def __init__(self) -> None:
        self._where: dict[str, Executable] = {}  # what keeps their code alive

    def load_parts(self, chunked: list[str], whole: list[str], write: Callable[[list[str]], str]) -> None:
        """Load kernels that run in chunks, and others; `write` gives the text of what the cache does not have. Those of living
        programs are taken as they are: a program traced for other sizes shares most of its kernels."""
        known = engine().kernels
        for part in (chunked, whole):
            self._where |= {name: p for name in part if (p := known.get(name)) is not None}
            rest = [name for name in part if name not in self._where]
            if rest:
                key = f"{_kernel_environment()}\n" + "\n".join(rest)
                made = dict.fromkeys(rest, engine().compile_keyed(key, functools.partial(write, rest)))
                self._where |= made
                known.update(made)

    @classmethod
    def of_kept(cls, image: Image) -> LoadedCode | None:
        """The code of a program and its nested ones from the cache, or None if a part is not there."""
        code = cls()
        try:
            for part in _all_images(image):
                code.load_parts(*part.symbols, _not_there)
                if any(find_loop(name) is None for _, name in part.loops):
                    return None
        except LookupError:
            return None
        return code

    def address(self, symbol: str) -> int:
        """Where a kernel's function lies."""
        return self._where[symbol].address(symbol)
