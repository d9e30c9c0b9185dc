"""Where in the user's program something happened."""

from __future__ import annotations

import linecache
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def user_frame() -> FrameType | None:
    """The innermost frame outside the package: the line the user wrote."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (
        frame.f_code.co_filename.startswith(_PACKAGE) or frame.f_code.co_filename.startswith("<frozen")
    ):
        frame = frame.f_back
    return frame


class _Blamed(threading.local):
    location: tuple[str, int, str] | None = None


_BLAMED = _Blamed()


@contextmanager
def blaming(location: tuple[str, int, str]) -> Iterator[None]:
    """Within it the user's line is this one: for operations that were defined earlier than they run."""
    before, _BLAMED.location = _BLAMED.location, location
    try:
        yield
    finally:
        _BLAMED.location = before


def user_location() -> tuple[str, int, str]:
    """(file, line number, function) of the user's line; empty strings and 0 if there is none."""
    if _BLAMED.location is not None:
        return _BLAMED.location
    frame = user_frame()
    if frame is None:
        return ("", 0, "")
    return (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def format_location(location: tuple[str, int, str] | None) -> str:
    """`train.py:41, in forward:  h = self.encoder(x)`; empty if the location is unknown."""
    if not location or not location[0]:
        return ""
    file, number, function = location
    text = linecache.getline(file, number).strip()
    inside = "" if function == "<module>" else f", in {function}"
    return f"{os.path.basename(file)}:{number}{inside}" + (f":  {text}" if text else "")


def user_line() -> str:
    """The user's line, formatted for an error message."""
    return format_location(user_location())
