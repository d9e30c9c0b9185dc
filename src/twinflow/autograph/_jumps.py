"""Early `return`, `break` and `continue` as flags: afterwards a function has one way through it.

while test:              while test and not stop:      # `stop` stands beside the loop
    if a: break    ->        if a: stop = True
    rest                     else: rest
"""

from __future__ import annotations

import ast
from typing import Any

RESULT = "ag__result"  # what the function returns
DONE = "ag__done"  # whether it has returned

_Loop = (ast.While, ast.For)
_JUMP = (ast.Return, ast.Break, ast.Continue)
_OPAQUE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def lower_jumps(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements of a function without early returns, breaks and continues; loops have the names of their flags in `stop`."""
    lowering = _Lowering()
    if not _returns_early(body):
        last = [s for s in body[-1:] if isinstance(s, ast.Return)]
        return [*lowering.block(body[: len(body) - len(last)])[0], *last]
    if not _always_jumps(body):
        body = [*body, _at(ast.Return(value=None), body[-1])]
    first = body[0]
    start = [_set(DONE, ast.Constant(False), first)]
    end = ast.Return(value=ast.Name(RESULT, ast.Load()))
    return [*start, *lowering.block(body)[0], _at(end, body[-1])]


def _returns_early(body: list[ast.stmt]) -> bool:
    return any(_holds(s, ast.Return) for s in body if not isinstance(s, ast.Return)) or any(
        isinstance(s, ast.Return) for s in body[:-1]
    )


def _holds(node: ast.AST, kind: type) -> bool:
    if isinstance(node, kind):
        return True
    return not isinstance(node, _OPAQUE) and any(_holds(c, kind) for c in ast.iter_child_nodes(node))


def _always_jumps(body: list[ast.stmt]) -> bool:
    """Whether control never reaches the end of a block."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, (*_JUMP, ast.Raise)):
        return True
    if isinstance(last, ast.If):
        return _always_jumps(last.body) and _always_jumps(last.orelse)
    if isinstance(last, ast.With):
        return _always_jumps(last.body)
    if isinstance(last, ast.While):
        return isinstance(last.test, ast.Constant) and bool(last.test.value) and not _breaks(last.body)
    return False


def _breaks(body: list[ast.stmt]) -> bool:
    """Whether a block leaves the loop that it belongs to."""
    return any(isinstance(s, ast.Break) or (not isinstance(s, (*_Loop, *_OPAQUE)) and _breaks(_inner(s))) for s in body)


def _inner(s: ast.AST) -> list[Any]:
    return list(ast.iter_child_nodes(s))


class _Lowering:
    def __init__(self) -> None:
        self._loops: list[tuple[str, str]] = []  # the flags of the loops around
        self._n = 0

    def block(self, body: list[ast.stmt]) -> tuple[list[ast.stmt], set[str]]:
        """(the statements, the flags that they may set)."""
        out: list[ast.stmt] = []
        every: set[str] = set()
        for k, s in enumerate(body):
            rest = body[k + 1 :]
            taken = bool(rest) and isinstance(s, ast.If) and self._takes(s, rest)
            new, flags = self._statement(s)
            out += new
            every |= flags
            if taken or isinstance(s, _JUMP):
                break
            if flags and rest:
                inner, more = self.block(rest)
                out.append(_at(ast.If(test=_none_of(sorted(flags)), body=inner, orelse=[]), rest[0]))
                every |= more
                break
        return out, every

    def _takes(self, s: ast.If, rest: list[ast.stmt]) -> bool:
        """Move what follows an `if` into the arm that does not always jump, if the other one does."""
        if not any(_holds(s, kind) for kind in _JUMP):
            return False
        yes, no = _always_jumps(s.body), _always_jumps(s.orelse)
        if yes and not no:
            s.orelse = [*s.orelse, *rest]
        elif no and not yes:
            s.body = [*s.body, *rest]
        return yes != no

    def _statement(self, s: ast.stmt) -> tuple[list[ast.stmt], set[str]]:
        if isinstance(s, ast.Return):
            value = s.value or ast.Constant(None)
            return [_set(RESULT, value, s), _set(DONE, ast.Constant(True), s)], {DONE}
        if isinstance(s, (ast.Break, ast.Continue)):
            flag = self._loops[-1][isinstance(s, ast.Continue)]
            return [_set(flag, ast.Constant(True), s)], {flag}
        if isinstance(s, _Loop):
            return self._loop(s)
        flags: set[str] = set()
        if not isinstance(s, _OPAQUE):
            for field in ("body", "orelse", "finalbody"):
                if isinstance(getattr(s, field, None), list):
                    inner, more = self.block(getattr(s, field))
                    setattr(s, field, inner)
                    flags |= more
            for part in (*getattr(s, "handlers", ()), *getattr(s, "cases", ())):
                part.body, more = self.block(part.body)
                flags |= more
        return [s], flags

    def _loop(self, s: Any) -> tuple[list[ast.stmt], set[str]]:
        self._n += 1
        stop, skip = f"ag__stop_{self._n}", f"ag__skip_{self._n}"
        self._loops.append((stop, skip))
        orelse = s.orelse
        s.body, flags = self.block(s.body)
        self._loops.pop()
        if skip in flags:
            s.body = [_set(skip, ast.Constant(False), s), *s.body]
        s.stop = sorted(flags & {stop, DONE})
        s.orelse = []
        out: list[ast.stmt] = [_set(stop, ast.Constant(False), s)] if stop in flags else []
        out.append(s)
        after = flags & {DONE}
        if orelse:
            inner, more = self.block(orelse)
            out += [_at(ast.If(test=_none_of(s.stop), body=inner, orelse=[]), s)] if s.stop else inner
            after |= more
        return out, after


def _none_of(flags: list[str]) -> ast.expr:
    """not a and not b ..."""
    parts: list[ast.expr] = [ast.UnaryOp(ast.Not(), ast.Name(f, ast.Load())) for f in flags]
    return parts[0] if len(parts) == 1 else ast.BoolOp(ast.And(), parts)


def _set(name: str, value: ast.expr, where: ast.AST) -> ast.stmt:
    return _at(ast.Assign(targets=[ast.Name(name, ast.Store())], value=value), where)


def _at(node: Any, where: ast.AST) -> Any:
    """The node, in the line of another."""
    return ast.fix_missing_locations(ast.copy_location(node, where))
