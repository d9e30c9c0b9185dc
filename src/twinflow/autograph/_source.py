"""The syntax tree that a function was compiled from."""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Iterator
from types import CodeType
from typing import Any

FunctionNode = ast.FunctionDef | ast.Lambda


class NoSource(Exception):
    """The text of a function cannot be found."""


def find_function(code: CodeType) -> tuple[FunctionNode, str]:
    """(the function's node, the name of the class around it or ""). Raises: NoSource if there is none or it is not unique."""
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename)
    if not lines:
        raise NoSource(f"the text of {code.co_filename} cannot be read")
    found = [(n, c) for n, c in _functions("".join(lines)) if _is(n, code)]
    if len(found) != 1:
        raise NoSource(f"line {code.co_firstlineno} of {code.co_filename} has {len(found)} functions like it")
    return found[0]


def _is(node: FunctionNode, code: CodeType) -> bool:
    if isinstance(node, ast.Lambda):
        return code.co_name == "<lambda>" and node.lineno == code.co_firstlineno and _spans(node.body, code)
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return node.name == code.co_name and code.co_firstlineno in (first, node.lineno)


def _spans(body: ast.expr, code: CodeType) -> bool:
    """Whether the instructions stand where the expression does: there may be several lambdas in a line."""
    starts = [start for line, _, start, end in code.co_positions() if line == body.lineno and start is not None and end]
    return bool(starts) and min(starts) == body.col_offset


@functools.lru_cache(maxsize=64)
def _functions(text: str) -> tuple[tuple[FunctionNode, str], ...]:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ()
    return tuple(_walk(tree, ""))


def _walk(node: Any, owner: str) -> Iterator[tuple[FunctionNode, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.Lambda)):
            yield child, owner
        yield from _walk(child, child.name if isinstance(child, ast.ClassDef) else owner)
