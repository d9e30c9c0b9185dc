"""A program before it is linked: what its driver walks, with memory named instead of addressed.

An image is data: it can be kept on disk beside the code of its kernels, so that a program that was compiled once is
neither lowered nor compiled again. Linking gives it memory and turns names into addresses.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.runtime._buffers import address_of, aligned_empty
from twinflow.runtime._driver import PATCH, RECORD, NativeProgram
from twinflow.runtime._library import find_loop

_ARENA = 0  # number of the arena among the memory that words point into; then come own arrays, then frames of parts
_ALARM = -1
_KEPT_NBYTES = 1 << 24  # an image with larger constants is not worth keeping


class Image:
    """Argument blocks, records and patches of one program (see `NativeProgram`).

    Argument blocks lie one after the other in an array of 8-byte words and are named by their first word.

    Attributes:
        symbols: names of its kernels: those that run in chunks, and those that run whole.
        callbacks: addresses of Python functions by name. An image that has any lives in this process only.
        own: arrays of the program's own; those in `undefined` (by number) are written before they are read.
        parts: nested programs: (their image, repeats, what is added to each io entry after a turn).
        loops: (word, name) of loops of NumPy's that it calls.
    """

    def __init__(self) -> None:
        self.n_io = 0
        self.arena_nbytes = 0
        self.symbols: tuple[list[str], list[str]] = ([], [])
        self.callbacks: dict[str, int] = {}
        self.own: list[np.ndarray[Any, Any]] = []
        self.undefined: set[int] = set()
        self.parts: list[tuple[Image, int, list[int]]] = []
        self.loops: list[tuple[int, str]] = []
        self._words: list[int] = []
        self._links: list[tuple[int, int, int]] = []  # (word, number of the memory, offset)
        self._frames: list[tuple[int, int]] = []  # (word, number of the part)
        self._patches: list[tuple[int, int, int]] = []  # (io entry, word, offset)
        self._records: list[tuple[int, str, int, int]] = []  # (kind, function, block, count)

    # -- writing -----------------------------------------------------------------------------------------------

    def block(self, slots: int) -> int:
        """A new argument block of so many words."""
        start = len(self._words)
        self._words += [0] * int(slots)
        return start

    def number(self, word: int, value: int) -> None:
        """A word holds a number."""
        self._words[word] = int(value)

    def arena(self, word: int, offset: int) -> None:
        """A word points into the arena."""
        self._links.append((word, _ARENA, int(offset)))

    def array(self, word: int, array: np.ndarray[Any, Any], offset: int = 0, *, undefined: bool = False) -> None:
        """A word points into an array of the program's own."""
        number = next((k for k, a in enumerate(self.own) if a is array), len(self.own))
        if number == len(self.own):
            self.own.append(array)
        if undefined:
            self.undefined.add(number)
        self._links.append((word, 1 + number, int(offset)))

    def argument(self, word: int, io: int, offset: int) -> None:
        """A word points into what the caller gives for an io entry."""
        self._patches.append((int(io), word, int(offset)))

    def alarm(self, word: int) -> None:
        """A word points to the alarm, which a program and its nested ones have in common."""
        self._links.append((word, _ALARM, 0))

    def loop(self, word: int, name: str) -> None:
        """A word points to a loop of NumPy's, and the next one to what it is given (see `find_loop`)."""
        self.loops.append((word, name))

    def frame(self, word: int, part: int) -> None:
        """A word points to the frame of a nested program."""
        self._frames.append((word, part))

    def record(self, kind: int, function: str, block: int, count: int) -> None:
        """One more call: of a kernel, of a control function (`@loop`), or of a callback, by name."""
        self._records.append((kind, function, block, int(count)))

    # -- linking -----------------------------------------------------------------------------------------------

    def link(
        self,
        address: Callable[[str], int],
        arena: np.ndarray[Any, Any],
        alarm: np.ndarray[Any, Any],
        parts: list[NativeProgram],
        keep: Any,
    ) -> tuple[NativeProgram, np.ndarray[Any, Any]]:
        """The program, and the words of its argument blocks. `keep` must live as long as the program."""
        words = np.array(self._words or [0], np.uint64)
        memory = np.array([address_of(a) for a in (arena, *self.own, alarm)], np.uint64)
        if self._links:
            links = np.array(self._links, np.int64)
            words[links[:, 0]] = memory[links[:, 1]] + links[:, 2].astype(np.uint64)
        for word, part in self._frames:
            words[word] = parts[part].frame
        for word, name in self.loops:
            if (loop := find_loop(name)) is not None:
                words[word], words[word + 1] = loop.function, loop.data
        base = address_of(words)
        patches = np.zeros(len(self._patches), PATCH)
        if self._patches:
            table = np.array(self._patches, np.int64)
            patches["source"], patches["offset"] = table[:, 0], table[:, 2]
            patches["target"] = base + 8 * table[:, 1]
        records = np.zeros(len(self._records), RECORD)
        for k, (kind, function, block, count) in enumerate(self._records):
            where = self.callbacks.get(function) or (address(function) if function else 0)
            records[k] = (kind, where, base + 8 * block, count, 0, 0, 0)
        return NativeProgram(records, patches, self.n_io, [words, arena, alarm, self.own, keep], parts), words

    def again(self) -> Image:
        """The same image with own memory that is apart, where that is written: both can be linked and run at the same time."""
        image = Image()
        vars(image).update(vars(self))
        image.own = [aligned_empty(a.shape, a.dtype) if k in self.undefined else a for k, a in enumerate(self.own)]
        image.parts = [(part.again(), repeat, steps) for part, repeat, steps in self.parts]
        return image

    # -- as bytes ----------------------------------------------------------------------------------------------

    def pack(self, more: Any) -> bytes | None:
        """The image, and `more` (tuples, lists, numbers, texts), as bytes; None if they make no sense elsewhere."""
        fields = self._fields()
        return None if fields is None else marshal.dumps((fields, more))

    def _fields(self) -> Any:
        parts = [(image._fields(), repeat, steps) for image, repeat, steps in self.parts]
        large = sum(a.nbytes for k, a in enumerate(self.own) if k not in self.undefined) > _KEPT_NBYTES
        if self.callbacks or large or any(fields is None for fields, _, _ in parts):
            return None
        own = [
            (tuple(map(int, a.shape)), as_dtype(a.dtype).name, b"" if k in self.undefined else a.tobytes())
            for k, a in enumerate(self.own)
        ]
        tables = (self._words, self._links, self._frames, self._patches, self._records, self.loops)
        return (int(self.n_io), int(self.arena_nbytes), self.symbols, own, sorted(self.undefined), parts, *tables)

    @staticmethod
    def unpack(packed: bytes) -> tuple[Image, Any]:
        """What `pack` was given."""
        fields, more = marshal.loads(packed)
        return Image._of(fields), more

    @staticmethod
    def _of(fields: Any) -> Image:
        image = Image()
        image.n_io, image.arena_nbytes, image.symbols, own, undefined, parts, *tables = fields
        image._words, image._links, image._frames, image._patches, image._records, image.loops = tables
        image.undefined = set(undefined)
        image.parts = [(Image._of(f), repeat, steps) for f, repeat, steps in parts]
        for shape, dtype, content in own:
            array = aligned_empty(shape, as_dtype(dtype).np)
            if content:
                array[...] = np.frombuffer(content, array.dtype).reshape(shape)
            image.own.append(array)
        return image
