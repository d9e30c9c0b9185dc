"""In-place writes: into memory in plain evaluation, as new values of the same tensor everywhere else."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np

from twinflow.core import broadcast_shapes
from twinflow.core.errors import DTypeError, GradientError, ShapeError, TraceError
from twinflow.graph import Node, find_primitive
from twinflow.tensor._apply import apply
from twinflow.tensor._mode import MODE
from twinflow.tensor._tape import next_sequence
from twinflow.tensor._tensor import (
    Tensor,
    base_of,
    current_grad_fn,
    meta_of,
    move_on_tape,
    new_meta,
    payload,
    wrap,
)


def old_value(t: Tensor) -> Tensor:
    """A stand-in for `t` as it is before an in-place operation, with its place on the tape."""
    data = payload(t)
    if MODE.tracer is not None and MODE.tracer.level > getattr(data, "level", 0):
        data = MODE.tracer.node_of(t)
    old = wrap(data)
    m = t._meta
    if m is not None:
        om = old._meta = new_meta(m.version)
        om.requires_grad, om.grad_fn, om.index = m.requires_grad, m.grad_fn, m.index
    return old


def update(t: Tensor, fn: Callable[[Tensor], Tensor], op: str) -> Tensor:
    """`t` <- fn(t): an operation in place. What its derivative needs of the old elements is copied before they go."""
    since = next_sequence()
    old = old_value(t)
    result = fn(old)
    if result.requires_grad and _keeps(result, old, since):
        if type(old._data) is np.ndarray:
            old._data = old._data.copy()
        meta_of(old).version = list(meta_of(old).version)
    return assign(t, result, op)


def _keeps(result: Tensor, old: Tensor, since: int) -> bool:
    """Whether a node recorded after `since` keeps `old` for its derivative."""
    todo, seen = [current_grad_fn(result)], set()
    while todo:
        node = todo.pop()
        if node is None or id(node) in seen or node.seq > since:
            continue
        if any(a is old for a in node.args or ()):
            return True
        seen.add(id(node))
        todo += [e[0] for e in node.edges if e is not None and e[1] >= 0]
    return False


def check_writable(t: Tensor, op: str) -> None:
    """Raise if `t` cannot be written in place now: a leaf that requires gradients, or an expanded view."""
    m = t._meta
    if m is not None and MODE.grad and m.requires_grad and m.grad_fn is None:
        raise GradientError(
            f"{op}: a leaf tensor that requires gradients cannot be written in place while gradients are recorded; "
            "write it inside `with no_grad():`"
        )
    base = None if m is None else base_of(m)
    if base is not None and MODE.grad and base.is_leaf and base.requires_grad:
        raise GradientError(
            f"{op}: this is a view of a leaf tensor that requires gradients, which cannot be written in place while "
            "gradients are recorded; write it inside `with no_grad():`"
        )
    if m is not None and m.inference and not MODE.inference:
        raise GradientError(f"{op}: a tensor made in inference_mode cannot be written in place outside it; clone() it")
    if type(t._data) is np.ndarray and MODE.tracer is None and not t._data.flags.writeable:
        raise ShapeError(
            f"{op}: this tensor is read-only (several elements may share one place in memory, as after expand()); clone() it first"
        )


def assign(t: Tensor, value: Tensor, op: str) -> Tensor:
    """Write `value` (broadcast, converted) into `t`, and move the tape along. Returns `t`."""
    check_writable(t, op)
    shape, dtype = tuple(t._data.shape), t.dtype
    if tuple(value._data.shape) != shape:
        if broadcast_shapes(shape, tuple(value._data.shape), op=op) != shape:
            raise ShapeError(
                f"{op}: a result of shape {tuple(value._data.shape)} does not fit into the tensor of shape {shape}; in-place "
                "operations never change the shape"
            )
        value = apply(find_primitive("expand"), value, shape=shape)
    if value.dtype is not dtype:
        if value.dtype.category > dtype.category:
            raise DTypeError(
                f"{op}: a {value.dtype.name} result cannot be written into a {dtype.name} tensor; use the "
                "out-of-place operation, or convert first"
            )
        value = apply(find_primitive("cast"), value, dtype=dtype)
    recorded = MODE.grad and (value.requires_grad or t.requires_grad)
    if recorded and t._meta is not None and t._meta.base is not None:
        _write_through_view(t, value, recorded=True)
        return t
    _store(t, value)
    if recorded:
        vm = value._meta
        if (
            vm is not None and vm.requires_grad and vm.grad_fn is None
        ):  # a leaf was assigned: give it a place on the tape
            vm = meta_of(apply(find_primitive("copy"), value))
        move_on_tape(t, vm)
    return t


def _store(t: Tensor, value: Tensor) -> None:
    """Change what `t` holds, without the tape."""
    m = t._meta
    in_memory = type(t._data) is np.ndarray
    if in_memory and MODE.tracer is None and type(value._data) is np.ndarray:
        if value._data is not t._data:
            np.copyto(t._data, value._data)
        if m is not None:
            m.version[0] += 1
            m.seen = m.version[0]
        return
    if m is not None and m.base is not None:
        _write_through_view(t, value, recorded=False)
        return
    _replace(t, value)
    if m is not None:
        m.version[0] += 1


def _replace(t: Tensor, value: Tensor) -> None:
    """Let `t` stand for `value`, outside plain memory, and with it whatever shares its memory by `detach`."""
    _replace_one(t, value)
    for ref in (t._meta and t._meta.aliases) or ():
        other = ref()
        if other is not None and other is not t and _is_current(other):
            _replace_one(other, value)


def _is_current(t: Tensor) -> bool:
    """Whether `t` belongs to something that is still traced: an alias may have been kept from an earlier trace."""
    return not isinstance(t._data, Node) or (MODE.tracer is not None and MODE.tracer.runs(t._data.graph))


def share(t: Tensor, alias: Tensor) -> None:
    """Let a write to one be a write to the other, as it is by itself in plain memory."""
    m = meta_of(t)
    group = m.aliases or [weakref.ref(t)]
    group[:] = [r for r in group if r() is not None]
    group.append(weakref.ref(alias))
    m.aliases = meta_of(alias).aliases = group


def _replace_one(t: Tensor, value: Tensor) -> None:
    level, new_level = getattr(t._data, "level", 0), getattr(value._data, "level", 0)
    tracer = MODE.tracer
    if tracer is not None and tracer.level > max(level, new_level):
        tracer.write(t, value)
    elif new_level > level:
        raise GradientError(
            f"in-place: a value that belongs to {value._data.transform} cannot be written into a tensor from outside it; make the "
            "tensor inside, from one of the transformation's (for example zeros_like(x)), or return the new value"
        )
    elif type(value._data) is np.ndarray or level > new_level:
        fresh = wrap(value._data.copy() if type(value._data) is np.ndarray else value._data)
        t._data = t._data.owner.lift(fresh)._data
    else:
        t._data = value._data


def _write_through_view(t: Tensor, value: Tensor, *, recorded: bool) -> None:
    """base <- base with `value` where the view looks; then the view follows its base."""
    m = meta_of(t)
    base = base_of(m)
    if base is None:
        raise GradientError("in-place: not a view")
    chain: list[Tensor] = [old_value(base)]
    for prim, params in m.view[:-1]:
        chain.append(apply(prim, chain[-1], **params))
    new = value
    for (prim, params), source in zip(reversed(m.view), reversed(chain)):
        if prim.view is None:
            raise ShapeError(f"in-place: a result of {prim.name} cannot be written through")
        new = prim.view(source, new, **params)
    in_memory = type(t._data) is np.ndarray and MODE.tracer is None and type(value._data) is np.ndarray
    if in_memory:
        if value._data is not t._data:
            np.copyto(t._data, value._data)
    else:
        _replace(base, new)
    bm = meta_of(base)
    bm.version[0] += 1
    if recorded and new._meta is not None:
        move_on_tape(base, new._meta)
    if not in_memory and not isinstance(t._data, np.ndarray):
        t._data = value._data


def reshape_in_place(t: Tensor, rearrange: Callable[[Tensor], Tensor], op: str) -> Tensor:
    """`t` takes the shape, memory and place on the tape that `rearrange`, a view, gives.

    Views of `t` from before go on looking at what it was: a stand-in takes over its Meta, and `t` becomes a view of that.
    """
    m = meta_of(t)
    if m.requires_grad and current_grad_fn(t) is None:
        raise ShapeError(
            f"{op}: the shape of a leaf tensor that requires gradients cannot change; use {op[:-1]}, or assign to .data"
        )
    if MODE.tracer is not None and isinstance(t._data, np.ndarray):
        raise TraceError(
            f"{op}: a tensor from outside cannot change its shape while a function is traced; use {op[:-1]}"
        )
    former = wrap(payload(t))
    former._meta = m
    new = rearrange(former)
    if new is former:
        return t
    t._data, t._meta = new._data, new._meta
    nm = meta_of(t)
    nm.former = former if m.base is None or m.former is None else m.former
    nm.inference = m.inference
    nm.version[0] += 1
    nm.seen = nm.version[0]
    if m.retains is not None and nm.grad_fn is not None:
        nm.retains, m.retains = m.retains, None
        m.grad_fn.prehooks[m.index].remove(nm.retains)
        nm.grad_fn.add_prehook(nm.index, nm.retains)
    return t
