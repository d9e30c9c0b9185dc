"""Which names statements read and write, and which of them are still needed afterwards."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def reads(node: ast.AST | None) -> set[str]:
    """The names that an expression or statement may read, those of functions inside it included."""
    if node is None:
        return set()
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Store)}
    return found | {
        n.target.id for n in ast.walk(node) if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)
    }


def writes(nodes: Iterable[ast.AST]) -> set[str]:
    """The names of the same function that statements bind."""
    found: set[str] = set()
    stack = list(nodes)
    while stack:
        n = stack.pop()
        if isinstance(n, ast.Name):
            if not isinstance(n.ctx, ast.Load):
                found.add(n.id)
        elif isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(n.name)
        elif isinstance(n, (ast.Import, ast.ImportFrom)):
            found |= {(a.asname or a.name).split(".")[0] for a in n.names}
        elif isinstance(n, _COMPREHENSIONS):
            found |= {w.target.id for w in ast.walk(n) if isinstance(w, ast.NamedExpr)}  # binds outside
        elif isinstance(n, (ast.MatchAs, ast.MatchStar)) and n.name:
            found.add(n.name)
            stack += ast.iter_child_nodes(n)
        elif not isinstance(n, ast.Lambda):
            stack += ast.iter_child_nodes(n)
    return found


def attribute_writes(nodes: Iterable[ast.AST]) -> set[str]:
    """The attributes such as `self.count` that statements set, of objects that they do not make themselves."""
    nodes = list(nodes)
    bound = writes(nodes)
    found: set[str] = set()
    stack = nodes
    while stack:
        n = stack.pop()
        if isinstance(n, ast.Attribute) and not isinstance(n.ctx, ast.Load):
            base: Any = n.value
            while isinstance(base, ast.Attribute):
                base = base.value
            if isinstance(base, ast.Name) and base.id not in bound:
                found.add(ast.unparse(n))
        if not isinstance(n, _SCOPES):
            stack += ast.iter_child_nodes(n)
    return found


def captured(body: list[ast.stmt]) -> set[str]:
    """The names that functions inside a function read: they may be needed at any time."""
    found: set[str] = set()
    stack: list[ast.AST] = list(body)
    while stack:
        n = stack.pop()
        if isinstance(n, _SCOPES):
            found |= reads(n)
        else:
            stack += ast.iter_child_nodes(n)
    return found


def annotate(body: list[ast.stmt]) -> None:
    """Give each `if` and loop of a function's statements (without early jumps) the names that matter to it.

    `needed_after`: those read after it; for loops also `needed_within`: those that a step may read before it writes them.
    """
    _block(body, captured(body), captured(body))


def _block(body: list[ast.stmt], after: set[str], always: set[str]) -> set[str]:
    """The names needed before the statements, from those needed after them."""
    for s in reversed(body):
        after = _statement(s, after, always) | always
    return after


def _statement(s: Any, after: set[str], always: set[str]) -> set[str]:
    if isinstance(s, ast.If):
        s.needed_after = after  # type: ignore[attr-defined]
        return reads(s.test) | _block(s.body, after, always) | _block(s.orelse, after, always)
    if isinstance(s, (ast.While, ast.For)):
        return _loop(s, after, always)
    if isinstance(s, (ast.With, ast.AsyncWith)):
        before = _block(s.body, after, always) - writes(s.items)
        return before | set().union(*(reads(i) for i in s.items))
    if isinstance(s, ast.Assign):
        return (after - writes(s.targets)) | reads(s.value) | set().union(*(reads(t) for t in s.targets))
    if isinstance(s, ast.AnnAssign):
        return (after - (writes([s.target]) if s.value else set())) | reads(s.value) | reads(s.target)
    if isinstance(s, ast.Return):
        return reads(s.value)
    for field in ("body", "orelse", "finalbody"):  # of `try`: any part of it may be skipped
        if isinstance(getattr(s, field, None), list) and not isinstance(s, _SCOPES):
            _block(getattr(s, field), after | reads(s), always)
    for part in (*getattr(s, "handlers", ()), *getattr(s, "cases", ())):
        _block(part.body, after | reads(s), always)
    return after | reads(s)


def _loop(s: Any, after: set[str], always: set[str]) -> set[str]:
    given = writes([s.target]) if isinstance(s, ast.For) else set()
    test = set(s.stop) | (reads(s.test) if isinstance(s, ast.While) else set())
    s.needed_after = after
    head: set[str] = set()
    while True:
        before = test | (_block(s.body, after | head | test, always) - given)
        if before <= head:
            break
        head |= before
    s.needed_within = head
    return after | head | (reads(s.iter) | reads(s.target) if isinstance(s, ast.For) else set())
