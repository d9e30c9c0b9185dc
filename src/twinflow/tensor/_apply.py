"""The one door through which every operation goes.

Plain evaluation runs the primitive on NumPy arrays at once. Otherwise the innermost transformation among the operands,
or the tracer, takes the operation. Afterwards, if an operand requires gradients, the tape records it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import is_under_way, quiet, silently
from twinflow.core.errors import ShapeError, TraceError, TwinflowError
from twinflow.graph import Aval, Node, Primitive, aval_of
from twinflow.tensor._mode import MODE, SPECIAL
from twinflow.tensor._tape import record, record_unary
from twinflow.tensor._tensor import Tensor, Tie, _new, look_from, new_meta, payload, wrap

_ndarray = np.ndarray


def apply(prim: Primitive, *args: Any, **params: Any) -> Any:
    """`prim` on tensors and Python numbers: a tensor, or a tuple of them."""
    if SPECIAL.count:
        return _apply_special(prim, args, params)
    data: list[Any] = []
    wanted = False
    for a in args:
        if isinstance(a, Tensor):
            data.append(a._data)
            m = a._info
            if m is not None and m.requires_grad:
                wanted = True
        else:
            data.append(a)
    if (
        data and type(data[0]) is _ndarray and data[0].dtype.kind == "c"
    ):  # NumPy orders complex numbers, and drops imaginary parts
        prim.out(*map(operand_aval, args), **params)
    try:
        out = quiet(prim.run, *data, **params)
    except Exception as error:
        out = _run_again(prim, args, data, params, error)
    if prim.n_out == 1:
        result: Any = _new(Tensor)
        result._data = out if type(out) is _ndarray else np.asarray(out)
        result._info = None
    else:
        result = tuple([wrap(o if type(o) is _ndarray else np.asarray(o)) for o in out])
    if wanted and MODE.grad:
        record(prim, args, params, result)
    if prim.view is not None:
        _tie_view(prim, args[0], params, result)
    return result


def _run_again(
    prim: Primitive, args: tuple[Any, ...], data: list[Any], params: dict[str, Any], error: Exception
) -> Any:
    """Run an operation that could not be run quietly; raise what explains the error if the operation itself failed."""
    if not is_under_way(error):
        raise explain(prim, args, params, error) from error
    try:
        return silently(prim.run, *data, **params)
    except Exception as failed:
        raise explain(prim, args, params, failed) from failed


def is_plain(x: Tensor) -> bool:
    """Whether nothing but computing goes on with `x`: no trace, no transformation, nothing to record."""
    m = x._info
    return not SPECIAL.count and (m is None or not m.requires_grad or not MODE.grad)


def result_of(prim: Primitive, x: Tensor, out: Any, params: dict[str, Any]) -> Any:
    """The end of a fast path: `out` is what `prim` makes of `x`, in plain evaluation, as NumPy has computed it."""
    t = _new(Tensor)
    t._data = out if type(out) is _ndarray else np.asarray(out)
    m = x._info
    t._info = None
    if m is not None and m.requires_grad and MODE.grad:
        record_unary(prim, x, params, t)
    return t


def view_of(prim: Any, x: Tensor, out: np.ndarray[Any, Any], params: Any) -> Tensor | None:
    """The same for a view. `prim` may be a function of (x, params) that names the steps (see `Tie`); then the result is
    None if gradients are wanted, and the steps have to be applied one by one.
    """
    m = x._info
    t: Tensor = _new(Tensor)
    t._data = out
    t._info = None
    if m is not None:
        if m.requires_grad and MODE.grad:
            if not isinstance(prim, Primitive):
                return None
            record_unary(prim, x, params, t)
            _tie_view(prim, x, params, t)
            return t
        if type(m) is not Tie and (m.requires_grad or m.base is not None):
            look_from(x, ((prim, params),) if isinstance(prim, Primitive) else prim(x, params), t)
            return t
    t._info = tie = Tie()
    tie.base = x
    tie.prim = prim
    tie.params = params
    return t


def finish(prim: Primitive, args: tuple[Any, ...], params: dict[str, Any], result: Any, level: int = 0) -> Any:
    """Record the operation if a gradient will be wanted, and tie views to what they look at.

    Inside a transformation (`level`), operands of the levels below have been recorded there already.
    """
    if MODE.grad:
        for a in args:
            if (
                isinstance(a, Tensor)
                and a._meta is not None
                and a._meta.requires_grad
                and (level == 0 or getattr(a._data, "level", 0) == level)
            ):
                record(prim, args, params, result, level)
                break
    if prim.view is not None:
        _tie_view(prim, args[0], params, result)
    if MODE.inference:
        for t in (result,) if prim.n_out == 1 else result:
            if t._meta is None:
                t._meta = new_meta()
            t._meta.inference = True
    return result


def _tie_view(prim: Primitive, base: Tensor, params: dict[str, Any], out: Tensor) -> None:
    a, b = base._data, out._data
    if type(a) is _ndarray and type(b) is _ndarray:
        root = b.base
        if root is not a and (root is None or root is not a.base):
            return  # reshape had to copy: new memory
    m = base._info
    plain = m is None or type(m) is Tie or not (m.requires_grad or m.base is not None)
    if plain and out._info is None and not SPECIAL.count:
        out._info = tie = Tie()
        tie.base = base
        tie.prim = prim
        tie.params = params
    else:
        look_from(base, ((prim, params),), out)


def _apply_special(prim: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
    level = 0
    top: Any = None
    symbolic = False
    for a in args:
        if isinstance(a, Tensor):
            p = payload(a)
            if type(p) is not _ndarray:
                symbolic = True
                if not isinstance(p, Node) and p.level > level:
                    level, top = p.level, p
    tracer = MODE.tracer
    if tracer is not None and tracer.level > level:
        result = tracer.record(prim, args, params)
    elif top is not None:
        return finish(prim, args, params, top.process(prim, args, params), level)
    else:
        if symbolic:
            raise TraceError(
                f"{prim.name}: an operand was made while a function was traced, and has no value outside it; "
                "return it from the function instead of keeping it"
            )
        data = [a._data if isinstance(a, Tensor) else a for a in args]
        try:
            out = quiet(prim.run, *data, **params)
        except Exception as error:
            out = _run_again(prim, args, data, params, error)
        result = wrap(np.asarray(out)) if prim.n_out == 1 else tuple([wrap(np.asarray(o)) for o in out])
    return finish(prim, args, params, result)


def operand_aval(a: Any) -> Any:
    """The Aval of an operand: of a tensor whatever its payload; numbers stay."""
    if not isinstance(a, Tensor):
        return a
    p = payload(a)
    if isinstance(p, Node):
        return p.aval
    return aval_of(p) if isinstance(p, np.ndarray) else Aval(tuple(p.shape), a.dtype)


def explain(prim: Primitive, args: tuple[Any, ...], params: dict[str, Any], error: Exception) -> Exception:
    """The error to raise when the reference failed: the shape rule's, which knows how to say it."""
    if isinstance(error, TwinflowError):
        return error
    for a in args:
        if isinstance(a, Tensor) and not isinstance(a._data, _ndarray):
            where = "while a function was traced" if isinstance(a._data, Node) else f"inside {a._data.transform}"
            return TraceError(
                f"{prim.name}: an operand was made {where}, and has no value outside it; "
                "return it from the function instead of keeping it"
            )
    avals = [operand_aval(a) for a in args]
    try:
        prim.out(*avals, **params)
    except TwinflowError as better:
        return better
    if isinstance(error, MemoryError):
        return error
    listed = ", ".join(repr(a) for a in avals)
    return ShapeError(f"{prim.name}({listed}): {error}")
