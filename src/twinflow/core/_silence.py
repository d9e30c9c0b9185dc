"""NumPy's warnings of overflow, division by zero and invalid values, kept from the users of tensors.

Infinities and NaN are values here, as in the other frameworks, and their users' `np.seterr` is none of our business. NumPy
keeps its error state in a context variable, so running a function in a context of our own is enough: it costs some 40 ns,
where `np.errstate` costs a microsecond, which would be half of a small operation.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

import numpy as np

_context = Context()
_context.run(np.seterr, all="ignore")

quiet: Callable[..., Any] = (
    _context.run
)  # (function, *args, **kwargs); raises RuntimeError where a call is under way already


def silently(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The same from anywhere: inside another such call, or while another thread is in one."""
    try:
        return quiet(function, *args, **kwargs)
    except RuntimeError as error:
        if not is_under_way(error):
            raise
    with np.errstate(all="ignore"):
        return function(*args, **kwargs)


def is_under_way(error: BaseException) -> bool:
    """Whether `quiet` could not call the function, because it is at work on another one."""
    return type(error) is RuntimeError and str(error).startswith("cannot enter context")
