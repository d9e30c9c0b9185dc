"""From a function to the same function with its control flow rewritten."""

from __future__ import annotations
import __future__

import ast
import copy
import functools
from collections.abc import Callable
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from twinflow.autograph._rewrite import OPERATORS, is_special, rewrite_function
from twinflow.autograph._source import NoSource, find_function

_FUTURES = __future__.annotations.compiler_flag
_OFF = "_autograph_off"
OPERATORS_CELL = CellType()  # of rewritten functions: the module of operators, which puts itself here
_codes: dict[CodeType, CodeType | None] = {}  # None where there is no source
_done: set[CodeType] = set()  # what was rewritten already


def convert(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function with `if`, `while`, `for`, `and`, `or`, `not`, `assert` and `print` that take tensors while it is traced.

    Functions that it calls are rewritten when they are called. A generator, and a function whose text cannot be found, stay
    as they are.

    >>> import twinflow
    >>> from twinflow.autograph import convert
    >>> def leaky(x):
    ...     return x if x > 0 else 0.1 * x
    >>> twinflow.compile(convert(leaky))(twinflow.tensor(-2.0))
    tensor(-0.2000)
    """
    if isinstance(fn, MethodType) and isinstance(fn.__func__, FunctionType):
        return MethodType(convert(fn.__func__), fn.__self__)
    if not isinstance(fn, FunctionType) or getattr(fn, _OFF, False):
        return fn
    wrapped = getattr(fn, "__wrapped__", None)
    if fn.__code__ in _done or (wrapped is not None and getattr(wrapped, _OFF, False)):
        return fn
    code = code_of(fn)
    if code is None:
        return fn
    cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or ()))
    cells[OPERATORS] = OPERATORS_CELL
    made = FunctionType(
        code, fn.__globals__, fn.__name__, fn.__defaults__, tuple(cells[n] for n in code.co_freevars) or None
    )
    made.__kwdefaults__ = fn.__kwdefaults__
    functools.update_wrapper(made, fn)
    return made


def has_source(fn: Callable[..., Any]) -> bool:
    """Whether a function is rewritten by `convert`, or needs not be."""
    inner = getattr(fn, "__func__", fn)
    return not isinstance(inner, FunctionType) or inner.__code__ in _done or code_of(inner) is not None


def do_not_convert(func: Any = None) -> Any:
    """Leave a function as it is: a decorator.

    >>> from twinflow.autograph import convert, do_not_convert
    >>> @do_not_convert
    ... def f(x):
    ...     return x
    >>> convert(f) is f
    True
    """
    if func is None:
        return do_not_convert

    @functools.wraps(func)
    def plain(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    setattr(plain, _OFF, True)
    return plain


def rewritten_source(fn: Callable[..., Any]) -> str:
    """The rewritten function as text. Raises: NoSource if its text cannot be found."""
    node, _ = _rewritten_node(getattr(fn, "__func__", fn).__code__)
    return ast.unparse(node)


def code_of(fn: FunctionType) -> CodeType | None:
    """The rewritten code of a function, None if its text cannot be found."""
    if fn.__code__ not in _codes:
        try:
            _codes[fn.__code__] = _rewrite(fn.__code__)
        except NoSource:
            _codes[fn.__code__] = None
    return _codes[fn.__code__]


def _rewritten_node(code: CodeType) -> tuple[Any, str]:
    found, owner = find_function(code)
    if is_special(found):
        raise NoSource("a generator keeps its own control flow")
    node = copy.deepcopy(found)
    rewrite_function(node, owner)
    return node, owner


def _rewrite(code: CodeType) -> CodeType:
    node, _ = _rewritten_node(code)
    _drop_defaults(node.args)
    made: ast.stmt = ast.Return(node) if isinstance(node, ast.Lambda) else node
    names = [OPERATORS, *code.co_freevars]
    around = ast.parse(f"def around({', '.join(names)}):\n    pass")
    around.body[0].body = [made]  # type: ignore[attr-defined]
    ast.fix_missing_locations(around)
    flags = code.co_flags & _FUTURES
    module = compile(around, code.co_filename, "exec", flags=flags, dont_inherit=True)
    outer = _inner(module, "around")
    found = _named(_inner(outer, code.co_name), code)
    _mark(found)
    return found


def _drop_defaults(args: ast.arguments) -> None:
    """Defaults are taken from the function itself; here they only count."""
    args.defaults = [ast.Constant(None) for _ in args.defaults]
    args.kw_defaults = [None if d is None else ast.Constant(None) for d in args.kw_defaults]


def _inner(code: CodeType, name: str) -> CodeType:
    return next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)


def _named(code: CodeType, original: CodeType) -> CodeType:
    """Parts of a function bear its name, so that errors and tracebacks speak of what the user wrote."""
    consts = tuple(_named(c, original) if isinstance(c, CodeType) else c for c in code.co_consts)
    if code.co_name.startswith("ag__"):
        return code.replace(co_consts=consts, co_name=original.co_name, co_qualname=original.co_qualname)
    return code.replace(co_consts=consts)


def _mark(code: CodeType) -> None:
    _done.add(code)
    for c in code.co_consts:
        if isinstance(c, CodeType):
            _mark(c)
