"""What programs ask about, and set on, PyTorch's libraries: `backends.cudnn`, `backends.mps`, ... None of them is here.

`is_available()` is False for each. Switches such as `backends.cudnn.deterministic = True` may be set, as in PyTorch on a
machine without the library: results here are the same bits every time, whatever they say.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Backend(SimpleNamespace):
    """A library that is not here, with its switches."""

    def __init__(self, **switches: Any) -> None:
        super().__init__(**switches)

    def is_available(self) -> bool:
        """False."""
        return False

    def is_built(self) -> bool:
        """False."""
        return False


cudnn = Backend(enabled=False, benchmark=False, deterministic=True, allow_tf32=False)
cuda = Backend(matmul=SimpleNamespace(allow_tf32=False))
mps = Backend()
mkl = Backend()
mkldnn = Backend(enabled=False)
openmp = Backend()
