"""Calls from rewritten functions: functions of the user are rewritten as well, and a few of Python's take tensors."""

from __future__ import annotations

import builtins
import functools
import inspect
import os
import sysconfig
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from twinflow.autograph import _convert
from twinflow.autograph._unknown import Runs, Slices, known_number, make_range, runs_of, unknown
from twinflow.core import as_dtype, tree_leaves
from twinflow.ops import arange
from twinflow.tensor import is_tracing

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = sysconfig.get_paths()["stdlib"] + os.sep
RANGES: list[Any] = [builtins.range]  # functions whose result a loop may go along although its bounds are tensors


def call(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """fn(*args, **kwargs), rewritten first if it is a function of the user."""
    if not is_tracing():
        return fn(*args, **kwargs)
    if isinstance(fn, (BuiltinFunctionType, type)) and fn in BUILTINS:
        return BUILTINS[fn](*args, **kwargs)
    return prepared(fn)(*args, **kwargs)


def _cast(kind: type, dtype: str) -> Callable[..., Any]:
    def cast(*args: Any, **kwargs: Any) -> Any:
        return args[0].to(dtype=as_dtype(dtype)) if args and unknown(args[0]) else kind(*args, **kwargs)

    return cast


BUILTINS: dict[Any, Callable[..., Any]] = {int: _cast(int, "int32"), float: _cast(float, "float32")}


def iterable(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call that a loop goes along: ranges between tensors, `enumerate` and `zip` of tensors and data sets need not be known."""
    if fn in RANGES and is_tracing():
        names = inspect.signature(fn).parameters if kwargs and fn is not builtins.range else {}
        given = [*args, *(kwargs[n] for n in ("start", "limit", "delta")[len(args) :] if n in kwargs and n in names)]
        found = make_range(*given, dtype=kwargs.get("dtype"))
        if found is not None:
            return found
        if fn is builtins.range:
            return range(*[known_number(g) for g in given])
    if fn is builtins.zip and args and all(unknown(a) for a in args):
        n = min(int(a.shape[0]) for a in args)
        return Slices(tuple(a[:n] for a in args))
    if fn is builtins.enumerate and args:
        first = args[1] if len(args) > 1 else kwargs.get("start", 0)
        runs = [args[0]] if unknown(args[0]) else runs_of(args[0])
        if runs is not None:
            return Runs(_numbered(first, runs))
    return call(fn, args, kwargs)


def _numbered(first: int, runs: list[Any]) -> list[Any]:
    """Runs of elements with their numbers in front."""
    found = []
    for run in runs:
        n = int(tree_leaves(run)[0].shape[0])
        found.append((arange(first, first + n, dtype="int32"), run))
        first += n
    return found


def prepared(fn: Any) -> Callable[..., Any]:
    """The function rewritten if it is one of the user's that can be, else itself."""
    if isinstance(fn, functools.partial):
        return functools.partial(prepared(fn.func), *fn.args, **fn.keywords)
    if isinstance(fn, MethodType) and isinstance(fn.__func__, FunctionType):
        return MethodType(_rewritten(fn.__func__), fn.__self__)
    if isinstance(fn, FunctionType):
        return _rewritten(fn)
    own = getattr(type(fn), "__call__", None)  # noqa: B004  its function is wanted
    if isinstance(own, FunctionType) and not isinstance(fn, type) and _is_users(own):
        return MethodType(_rewritten(own), fn)
    return fn


def _rewritten(fn: FunctionType) -> Callable[..., Any]:
    return _convert.convert(fn) if _is_users(fn) else fn


def _is_users(fn: FunctionType) -> bool:
    """Whether a function is none of Python's, NumPy's or ours."""
    name = fn.__code__.co_filename
    if name.startswith(_PACKAGE) or name.startswith("<frozen") or (fn.__module__ or "").split(".")[0] == "numpy":
        return False
    return not name.startswith(_STDLIB) or "site-packages" in name
