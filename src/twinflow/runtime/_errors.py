"""The runtime's errors."""

from __future__ import annotations


class ArgumentError(ValueError):
    """An argument or setting outside what the runtime accepts."""


class CompileError(RuntimeError):
    """Generated code that cannot be compiled, linked or found. A user who meets it has found a bug."""
