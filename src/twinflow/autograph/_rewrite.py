"""From Python's control flow to calls of functions that look at their condition first.

if test:            def ag__get_1(): return (y,)
    y = f(x)        def ag__set_1(values): nonlocal y; (y,) = values
else:         ->    def ag__body_1(): nonlocal y; y = f(x)
    y = g(x)        def ag__else_1(): nonlocal y; y = g(x)
                    ag__.if_stmt(test, ag__body_1, ag__else_1, ag__get_1, ag__set_1, names, 1)
"""

from __future__ import annotations

import ast
from typing import Any

from twinflow.autograph._jumps import lower_jumps
from twinflow.autograph._names import annotate, attribute_writes, writes

OPERATORS = "ag__"  # the name of the module of operators in rewritten code
_LEFT_ALONE = {"super", "locals", "globals", "vars", "dir", "eval", "exec"}  # they look at the frame that calls them


def rewrite_function(node: Any, owner: str) -> None:
    """Rewrite a function's node in place. `owner` is the class around it, for names such as `__x`."""
    if isinstance(node, ast.Lambda):
        node.body = Rewriter(owner, set(), {}).visit(node.body)
        return
    node.decorator_list, node.returns = [], None
    parameters = _parameters(node.args)
    node.body = lower_jumps(node.body)
    annotate(node.body)
    rewriter = Rewriter(owner, parameters, _declared(node.body))
    body = rewriter.block(node.body)
    begin = [s for s in body[:1] if isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)]
    early = [s for s in body[len(begin) :] if isinstance(s, (ast.Global, ast.Nonlocal))]
    rest = [s for s in body[len(begin) :] if not isinstance(s, (ast.Global, ast.Nonlocal))]
    undefined = [_parse(f"{n} = {OPERATORS}.Undefined({n!r})", node) for n in sorted(rewriter.unsure)]
    node.body = [*begin, *early, *undefined, *rest]


def _declared(body: list[ast.stmt]) -> dict[str, str]:
    """The names that a function declares as global or nonlocal."""
    found: dict[str, str] = {}
    stack: list[ast.AST] = list(body)
    while stack:
        n = stack.pop()
        if isinstance(n, (ast.Global, ast.Nonlocal)):
            found.update(dict.fromkeys(n.names, "global" if isinstance(n, ast.Global) else "nonlocal"))
        elif not isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            stack += ast.iter_child_nodes(n)
    return found


def _parameters(args: ast.arguments) -> set[str]:
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    for a in every:
        if a is not None:
            a.annotation = None
    return {a.arg for a in every if a is not None}


class Rewriter(ast.NodeTransformer):
    """Rewrites the statements of one function; functions inside it are rewritten on their own."""

    def __init__(self, owner: str, parameters: set[str], declared: dict[str, str]) -> None:
        self._owner = owner.lstrip("_")
        self._parameters = parameters
        self._declared = declared  # names that the user declared as global or nonlocal
        self._n = 0
        self.unsure: set[str] = set()  # names that may be without a value somewhere

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements rewritten."""
        out: list[ast.stmt] = []
        for s in body:
            new = self.visit(s)
            out += new if isinstance(new, list) else [new]
        return out

    # -- statements ------------------------------------------------------------------------------------------------

    def visit_If(self, s: Any) -> list[ast.stmt]:
        """A branch."""
        names, n_out = self._state([*s.body, *s.orelse, s.test], s.needed_after)
        test = self.visit(s.test)
        k = self._next()
        parts = [
            *self._accessors(k, names, s),
            self._function(f"ag__body_{k}", "", self.block(s.body), names, s),
            self._function(f"ag__else_{k}", "", self.block(s.orelse), names, s),
        ]
        call = _parse(
            f"{OPERATORS}.if_stmt(None, ag__body_{k}, ag__else_{k}, {OPERATORS}.State(ag__get_{k}, ag__set_{k}, {tuple(names)!r}, {n_out}))",
            s,
        )
        call.value.args[0] = test
        return [*parts, call]

    def visit_While(self, s: Any) -> list[ast.stmt]:
        """A loop with a condition."""
        names, n_out = self._state([*s.body, s.test], s.needed_after | s.needed_within, first=s.needed_within)
        n_within = len([n for n in names[:n_out] if n in s.needed_within or "." in n])
        k = self._next()
        test = self._with_stop(s.stop, s.test)
        parts = [
            *self._accessors(k, names, s),
            self._function(f"ag__test_{k}", "", [_at(ast.Return(value=self.visit(test)), s.test)], names, s),
            self._function(f"ag__body_{k}", "", self.block(s.body), names, s),
        ]
        call = _parse(
            f"{OPERATORS}.while_stmt(ag__test_{k}, ag__body_{k}, {OPERATORS}.State(ag__get_{k}, ag__set_{k}, {tuple(names)!r}, {n_out}, {n_within}))",
            s,
        )
        return [*parts, call]

    def visit_For(self, s: Any) -> list[ast.stmt]:
        """A loop along something."""
        names, n_out = self._state([*s.body, s.target], s.needed_after | s.needed_within, first=s.needed_within)
        n_within = len([n for n in names[:n_out] if n in s.needed_within or "." in n])
        k = self._next()
        take = _at(ast.Assign(targets=[s.target], value=ast.Name("ag__item", ast.Load())), s.target)
        parts = [
            *self._accessors(k, names, s),
            self._function(f"ag__body_{k}", "ag__item", [take, *self.block(s.body)], names, s),
        ]
        stop = "None"
        if s.stop:
            stop = f"ag__halt_{k}"
            flags = ast.BoolOp(ast.Or(), [ast.Name(f, ast.Load()) for f in s.stop])
            flag: ast.expr = flags if len(s.stop) > 1 else flags.values[0]
            parts.append(self._function(stop, "", [_at(ast.Return(value=self.visit(flag)), s)], names, s))
        call = _parse(
            f"{OPERATORS}.for_stmt(None, {stop}, ag__body_{k}, {OPERATORS}.State(ag__get_{k}, ag__set_{k}, {tuple(names)!r}, {n_out}, {n_within}))",
            s,
        )
        call.value.args[0] = self._iterated(s.iter)
        return [*parts, call]

    def _iterated(self, e: ast.expr) -> ast.expr:
        """What a loop goes along: a call may stand for a range that is not known yet."""
        new = self.visit(e)
        if isinstance(new, ast.Call) and isinstance(new.func, ast.Attribute) and new.func.attr == "call":
            new.func.attr = "iterable"
        return new

    def visit_Assert(self, s: ast.Assert) -> ast.stmt:
        """A check."""
        call = _parse(f"{OPERATORS}.assert_stmt(None, lambda: None)", s)
        call.value.args[0] = self.visit(s.test)
        if s.msg is not None:
            call.value.args[1].body = self.visit(s.msg)
        return call

    def visit_AugAssign(self, s: ast.AugAssign) -> Any:
        """`x += y` gives the name another tensor, as in TensorFlow; lists and variables change in place."""
        s.value = self.visit(s.value)
        if not isinstance(s.target, ast.Name):
            return s
        now = self.visit(_at(ast.Name(s.target.id, ast.Load()), s.target))
        new = _call("augmented", [ast.Constant(type(s.op).__name__), now, s.value], s)
        return _at(ast.Assign(targets=[s.target], value=new), s)

    def visit_Delete(self, s: ast.Delete) -> Any:
        """`del x` of a name that stands in a branch or loop: the name has no value again."""
        out: list[ast.stmt] = []
        for t in s.targets:
            known = isinstance(t, ast.Name) and t.id in self.unsure
            out.append(_parse(f"{t.id} = {OPERATORS}.Undefined({t.id!r})", s) if known else _at(ast.Delete([t]), s))  # type: ignore[attr-defined]
        return out

    def visit_FunctionDef(self, s: ast.FunctionDef) -> ast.stmt:
        """A function inside: on its own, if it can be."""
        decorators, returns = s.decorator_list, s.returns
        if not is_special(s):
            rewrite_function(s, self._owner)
        s.decorator_list, s.returns = decorators, returns
        return s

    def visit_AsyncFunctionDef(self, s: ast.AsyncFunctionDef) -> ast.stmt:
        """Left as it is."""
        return s

    def visit_ClassDef(self, s: ast.ClassDef) -> ast.stmt:
        """Left as it is."""
        return s

    # -- expressions -------------------------------------------------------------------------------------------------

    def visit_BoolOp(self, e: ast.BoolOp) -> ast.expr:
        """`and`, `or`: what follows is looked at only if it matters."""
        if _binds(e):
            return e
        parts = [self.visit(v) for v in e.values]
        name = "and_" if isinstance(e.op, ast.And) else "or_"
        out = parts[-1]
        for p in reversed(parts[:-1]):
            out = _call(name, [_thunk(p), _thunk(out)], e)
        return out

    def visit_UnaryOp(self, e: ast.UnaryOp) -> ast.expr:
        """`not`."""
        e.operand = self.visit(e.operand)
        return _call("not_", [e.operand], e) if isinstance(e.op, ast.Not) else e

    def visit_IfExp(self, e: ast.IfExp) -> ast.expr:
        """`a if test else b`."""
        if _binds(e):
            return e
        return _call("if_exp", [self.visit(e.test), _thunk(self.visit(e.body)), _thunk(self.visit(e.orelse))], e)

    def visit_Compare(self, e: ast.Compare) -> ast.expr:
        """`a < b < c` as `a < b and b < c`, where b may be looked at twice."""
        plain = (ast.Name, ast.Constant, ast.Attribute)
        if len(e.ops) == 1 or not all(isinstance(c, plain) for c in e.comparators[:-1]):
            return self.generic_visit(e)  # type: ignore[return-value]
        left = [e.left, *e.comparators]
        pairs: list[ast.expr] = [_at(ast.Compare(a, [op], [b]), e) for a, op, b in zip(left, e.ops, e.comparators)]
        return self.visit_BoolOp(_at(ast.BoolOp(ast.And(), pairs), e))

    def visit_Call(self, e: ast.Call) -> ast.expr:
        """A call: the function is rewritten too when it is run."""
        if isinstance(e.func, ast.Name) and e.func.id in _LEFT_ALONE:
            return e
        if isinstance(e.func, ast.Attribute) and isinstance(e.func.value, ast.Name) and e.func.value.id == OPERATORS:
            return e
        func = self.visit(e.func)
        args = ast.Tuple([self.visit(a) for a in e.args], ast.Load())
        names: list[ast.expr | None] = [ast.Constant(k.arg) if k.arg else None for k in e.keywords]
        kwargs = ast.Dict(names, [self.visit(k.value) for k in e.keywords])
        return _call("call", [func, args, kwargs], e)

    def visit_Name(self, e: ast.Name) -> ast.expr:
        """A name that may have no value says so when it is read."""
        e.id = self._mangled(e.id)
        if isinstance(e.ctx, ast.Load) and e.id in self.unsure:
            return _call("value", [e], e)
        return e

    def visit_Attribute(self, e: ast.Attribute) -> ast.expr:
        """`self.__x` is `self._Class__x` inside a class."""
        e.attr = self._mangled(e.attr)
        return self.generic_visit(e)  # type: ignore[return-value]

    def _mangled(self, name: str) -> str:
        private = self._owner and name.startswith("__") and not name.endswith("__")
        return f"_{self._owner}{name}" if private else name

    # -- parts -------------------------------------------------------------------------------------------------------

    def _next(self) -> int:
        self._n += 1
        return self._n

    def _state(self, nodes: list[Any], needed: set[str], first: set[str] | None = None) -> tuple[list[str], int]:
        """(what statements write, the n that matter afterwards in front, and in front of them those in `first`; their number)."""
        every = writes(nodes)
        self.unsure |= every - self._parameters - self._declared.keys()
        attributes = sorted(attribute_writes(nodes))
        kept = sorted(every & needed, key=lambda n: (first is not None and n not in first, n))
        rest = sorted(every - needed)
        names = [*attributes, *kept, *rest]
        return names, len(attributes) + len(kept)

    def _accessors(self, k: int, names: list[str], where: Any) -> list[ast.stmt]:
        read = ", ".join(_read(n) for n in names)
        get = _parse(
            f"def ag__get_{k}():\n    return ({read},)" if names else f"def ag__get_{k}():\n    return ()", where
        )
        plain = [n for n in names if "." not in n]
        lines = [f"    {OPERATORS}.set_attribute({_base(n)}, {_last(n)!r}, ag__values[{i}])" if "." in n else f"    {n} = ag__values[{i}]"
                 for i, n in enumerate(names)]  # fmt: skip
        put = _parse("\n".join([f"def ag__set_{k}(ag__values):", *(lines or ["    pass"])]), where)
        put.body = [*self._declarations(plain, where), *put.body]
        return [get, put]

    def _function(self, name: str, argument: str, body: list[ast.stmt], names: list[str], where: Any) -> ast.stmt:
        made = _parse(f"def {name}({argument}):\n    pass", where)
        plain = [n for n in names if "." not in n]
        inside = [s for s in body if not isinstance(s, (ast.Global, ast.Nonlocal))]
        made.body = [*self._declarations(plain, where), *(inside or [_at(ast.Pass(), where)])]
        return made

    def _declarations(self, names: list[str], where: Any) -> list[ast.stmt]:
        shared = [n for n in names if self._declared.get(n) != "global"]
        globals_ = [n for n in names if self._declared.get(n) == "global"]
        out: list[ast.stmt] = []
        if shared:
            out.append(_at(ast.Nonlocal(shared), where))
        if globals_:
            out.append(_at(ast.Global(globals_), where))
        return out

    def _with_stop(self, flags: list[str], test: ast.expr) -> ast.expr:
        parts: list[ast.expr] = [_at(ast.UnaryOp(ast.Not(), ast.Name(f, ast.Load())), test) for f in flags]
        return _at(ast.BoolOp(ast.And(), [*parts, test]), test) if parts else test


def is_special(node: ast.AST) -> bool:
    """Whether a function is a generator: it keeps its own control flow."""
    stack: list[ast.AST] = list(ast.iter_child_nodes(node))
    while stack:
        n = stack.pop()
        if isinstance(n, (ast.Yield, ast.YieldFrom, ast.Await)):
            return True
        if not isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            stack += ast.iter_child_nodes(n)
    return False


def _binds(e: ast.AST) -> bool:
    """Whether an expression binds names with `:=`, which a function around it would hide."""
    return any(isinstance(n, (ast.NamedExpr, ast.Yield, ast.YieldFrom, ast.Await)) for n in ast.walk(e))


def _base(name: str) -> str:
    return name.rpartition(".")[0]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _read(name: str) -> str:
    return f"{OPERATORS}.attribute({_base(name)}, {_last(name)!r})" if "." in name else name


def _thunk(e: ast.expr) -> ast.expr:
    empty = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return _at(ast.Lambda(empty, e), e)


def _call(name: str, args: list[ast.expr], where: ast.AST) -> ast.expr:
    function = ast.Attribute(ast.Name(OPERATORS, ast.Load()), name, ast.Load())
    return _at(ast.Call(function, args, []), where)


def _parse(text: str, where: ast.AST) -> Any:
    """A statement written as text, in the line of another."""
    made = ast.parse(text).body[0]
    for n in ast.walk(made):
        ast.copy_location(n, where)
        n.end_lineno = n.lineno = getattr(where, "lineno", 1)  # type: ignore[attr-defined]
    return made


def _at(node: Any, where: ast.AST) -> Any:
    return ast.fix_missing_locations(ast.copy_location(node, where))
