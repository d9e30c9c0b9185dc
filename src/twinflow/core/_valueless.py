"""Payloads without elements: what is in them is known only while a trace or transformation runs."""

from __future__ import annotations

from typing import Any, NoReturn

from twinflow.core.errors import EscapedValue


class Valueless:
    """Refuses, with an error that says why, whatever NumPy would do with an array in its place.

    Operations in plain evaluation go straight to NumPy; a tensor that escaped from a trace must not become an array of
    objects there.
    """

    __slots__ = ()

    @property
    def made(self) -> str:
        """Where the value belongs."""
        return "while a function was traced"

    def refuse(self) -> NoReturn:
        """Raise the error of a value that escaped."""
        raise EscapedValue(
            f"a tensor that was made {self.made} has no value outside it; return it from the function instead of keeping it"
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        self.refuse()

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.refuse()

    def __array_function__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.refuse()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__") or name in ("level", "owner", "value", "transform", "tangent", "axis", "prim"):
            raise AttributeError(name)
        self.refuse()
