"""`compile`: a Python function traced once per signature and run as one graph."""

from typing import NoReturn as _NoReturn

from twinflow.jit._compile import Compiled as Compiled
from twinflow.jit._compile import compile as compile
from twinflow.jit._compile import interpreted as interpreted
from twinflow.jit._compile import native as native
from twinflow.jit._debug import Finding as Finding
from twinflow.jit._debug import Replay as Replay
from twinflow.jit._debug import debug as debug
from twinflow.jit._profile import KernelTime as KernelTime
from twinflow.jit._profile import profile as profile

_ABSENT = {
    "script": "call twinflow.compile(fn) instead; it takes any function or module",
    "trace": "call twinflow.compile(fn) instead: it traces by itself, and again for other sizes",
    "save": "save the state_dict: twinflow.save(model.state_dict(), path)",
    "load": "build the model and load its state_dict: model.load_state_dict(twinflow.load(path))",
}


def __getattr__(name: str) -> _NoReturn:
    why = f": {_ABSENT[name]} (docs/from-pytorch.md)" if name in _ABSENT else ""
    raise AttributeError(f"module 'twinflow.jit' has no attribute {name!r}{why}")
