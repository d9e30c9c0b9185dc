"""Machine code that refers to nothing outside: taken out of an object file, and put into memory without LLVM.

Loading LLVM takes half a second and a hundred megabytes; such code needs a page or two, and no more than this file.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from typing import Any

from twinflow.core.errors import CompileError

_SECTION, _SYMBOL = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")
_SYMBOLS, _RELOCATIONS = 2, (4, 9)  # kinds of sections
_GLOBAL_FUNCTION = 0x12


def flat_code(packed: bytes) -> tuple[bytes, dict[str, int]]:
    """The instructions in an ELF object file of 64 bits, and where each of its public functions begins.

    Raises: CompileError if the code lies in several pieces or refers to something outside of it.
    """
    start, n, names_at = struct.unpack_from("<Q", packed, 40)[0], *struct.unpack_from("<HH", packed, 60)
    sections = [_SECTION.unpack_from(packed, start + _SECTION.size * k) for k in range(n)]

    def text(table: int, at: int) -> str:
        begin = sections[table][4] + at
        return packed[begin : packed.index(0, begin)].decode()

    names = [text(names_at, s[0]) for s in sections]
    code = names.index(".text")
    if any(s[1] in _RELOCATIONS and s[7] == code for s in sections):
        raise CompileError("flat_code: the code refers to something outside of it")
    functions: dict[str, int] = {}
    for section in sections:
        if section[1] != _SYMBOLS:
            continue
        for at in range(section[4], section[4] + section[5], _SYMBOL.size):
            name, info, _, where, value, _ = _SYMBOL.unpack_from(packed, at)
            if info == _GLOBAL_FUNCTION:
                if where != code:
                    raise CompileError("flat_code: the code lies in several pieces")
                functions[text(section[6], name)] = value
    begin, size = sections[code][4:6]
    return packed[begin : begin + size], functions


def place_code(code: bytes) -> int:
    """Put instructions into memory, for as long as the process lives: their address.

    Raises: OSError if the system forbids memory that was written to be executed.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    memory = mmap.mmap(-1, max(len(code), 1), flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    memory.write(code)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    library: Any = ctypes.CDLL(None, use_errno=True)
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if library.mprotect(start, len(memory), mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "mprotect")
    _placed.append(memory)
    return start


_placed: list[mmap.mmap] = []
