"""x[...] for reading and writing: basic indexing gives views, index tensors and masks give new tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_int, broadcast_shapes, is_symbolic, silently
from twinflow.core.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from twinflow.ops._create import tensor
from twinflow.ops._declare import call
from twinflow.ops._gather import put_add, take
from twinflow.ops._promote import is_number
from twinflow.ops._shape import expand, permute, reshape, slice_
from twinflow.tensor import MODE, SPECIAL, Tensor, apply, array_of, assign, check_writable, meta_of, view_of, wrap
from twinflow.tensor._door import Door


class Plan:
    """An index taken apart: first a basic slice, then a reshape that drops and inserts axes, then index tensors."""

    __slots__ = ("advanced", "shape", "starts", "steps", "stops")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.stops: list[int] = []
        self.steps: list[int] = []
        self.shape: list[int] = []  # after dropping integer axes and inserting None axes
        self.advanced: list[tuple[int, Tensor]] = []  # (axis of `shape`, index)


def _entries(index: Any, ndim: int) -> list[Any]:
    entries = list(index) if isinstance(index, tuple) else [index]
    used = 0
    for e in entries:
        if isinstance(e, np.ndarray):
            e = wrap(e)
        if isinstance(e, Tensor) and e._data.dtype.kind == "b":
            used += max(e.ndim, 0)
        elif e is not None and e is not Ellipsis and not isinstance(e, bool):
            used += 1
    dots = sum(e is Ellipsis for e in entries)
    if dots > 1:
        raise ArgumentError("index: only one ... is allowed")
    if used > ndim:
        raise IndexOutOfRange(f"index: {used} indices for a tensor with {ndim} axes")
    fill = [slice(None)] * (ndim - used)
    if dots:
        at = next(i for i, e in enumerate(entries) if e is Ellipsis)
        return entries[:at] + fill + entries[at + 1 :]
    return entries + fill


def _int_index(e: Any, n: int, axis: int) -> int:
    i = as_int(e, "index")
    if not -n <= i < n:
        raise IndexOutOfRange(f"index: {i} is outside axis {axis} of extent {n}")
    return i + n if i < 0 else i


def _index_tensor(e: Any) -> Tensor:
    t = e if isinstance(e, Tensor) else tensor(e)
    if t._data.dtype.kind == "f" and t._data.size == 0:
        t = t.to(dtype="int64")
    if t._data.dtype.kind not in "iu":
        raise IndexOutOfRange(f"index: tensors used as indices are integers or bools, not {t.dtype.name}")
    return t


def plan_index(x: Tensor, index: Any) -> Plan:
    """Take an index apart. Masks become the positions where they hold, which needs their values."""
    shape = x._data.shape
    plan = Plan()
    axis = 0
    for e in _entries(index, len(shape)):
        if isinstance(e, (bool, np.bool_)):
            plan.advanced.append((len(plan.shape), tensor([0] if e else [], dtype="int64")))
            plan.shape.append(1)
            continue
        if e is None:
            plan.shape.append(1)
            continue
        if isinstance(e, (list, tuple, range, np.ndarray)):
            e = tensor(e)
        if isinstance(e, Tensor) and e._data.dtype.kind == "b":
            axis = _mask(plan, x, e, axis)
            continue
        if isinstance(e, Tensor) and e.dtype.name == "uint8":
            raise DTypeError("index: a uint8 tensor could be a mask or positions; say which with .bool() or .long()")
        n = shape[axis]
        if isinstance(e, slice):
            a, b, s = _resolve(e, n)
            plan.starts.append(a)
            plan.stops.append(b)
            plan.steps.append(s)
            plan.shape.append(max(0, -(-(b - a) // s)) if s > 0 else max(0, -((b - a) // -s)))
        elif isinstance(e, Tensor) and (
            e.ndim or e._data.dtype.kind not in "iu" or not isinstance(e._data, np.ndarray) or SPECIAL.count
        ):
            plan.starts.append(0)
            plan.stops.append(n)
            plan.steps.append(1)
            plan.advanced.append((len(plan.shape), _resolve_tensor(_index_tensor(e), n, axis)))
            plan.shape.append(n)
        else:
            i = _int_index(e._data if isinstance(e, Tensor) else e, n, axis)
            plan.starts.append(i)
            plan.stops.append(i + 1)
            plan.steps.append(1)
        axis += 1
    return plan


def _resolve(e: slice, n: int) -> tuple[int, int, int]:
    parts = [
        as_int(v, "index: a slice's start, stop and step") if v is not None else None for v in (e.start, e.stop, e.step)
    ]
    if parts[2] == 0:
        raise ArgumentError("index: a slice's step must not be 0")
    a, b, s = slice(*parts).indices(n)
    if s > 0:
        a, b = _symbolic(parts[0], a, n), _symbolic(n if parts[1] is None else parts[1], b, n)
        return a, max(a, b), s
    return (a, b, s) if a > b else (0, 0, s)  # a stop of -1 means through element 0


def _symbolic(given: int | None, value: int, n: int) -> int:
    """A bound of a slice that follows a named dimension, where it was given as one or counts from the end of one."""
    for form in (given, n if given is None else n + given):
        if is_symbolic(form) and form == value:
            return form
    return value


def _mask(plan: Plan, x: Tensor, mask: Tensor, axis: int) -> int:
    shape = x._data.shape
    if tuple(mask._data.shape) != tuple(shape[axis : axis + mask.ndim]):
        raise IndexOutOfRange(
            f"index: a mask of shape {tuple(mask._data.shape)} does not match axes {tuple(shape[axis : axis + mask.ndim])} of the tensor"
        )
    found = array_of(
        mask, "indexing with a mask (the number of results depends on its values; use where instead)"
    ).nonzero()
    for k, where in enumerate(found):
        n = shape[axis + k]
        plan.starts.append(0)
        plan.stops.append(n)
        plan.steps.append(1)
        plan.advanced.append((len(plan.shape), wrap(where)))
        plan.shape.append(n)
    return axis + mask.ndim


def _resolve_tensor(index: Tensor, n: int, axis: int) -> Tensor:
    """Negative indices counted from the end; the range is checked where the values are known."""
    data = index._data
    if type(data) is np.ndarray and not SPECIAL.count:
        if data.size:
            low, high = int(data.min()), int(data.max())
            if low < -n or high >= n:
                raise IndexOutOfRange(f"index: {low if low < -n else high} is outside axis {axis} of extent {n}")
            if low < 0:
                return wrap(np.where(data < 0, data + n, data).astype(np.int64))
        return index if data.dtype == np.int64 else wrap(data.astype(np.int64))
    index = index if data.dtype == np.int64 else index.to(dtype="int64")
    return call("where", call("lt", index, 0), call("add", index, n), index)


def basic_part(x: Tensor, plan: Plan) -> Tensor:
    """The view that slices and integers select."""
    shape = tuple(x._data.shape)
    starts, stops, steps = tuple(plan.starts), tuple(plan.stops), tuple(plan.steps)
    if starts != (0,) * len(shape) or stops != shape or steps != (1,) * len(shape):
        x = apply(slice_, x, starts=starts, stops=stops, steps=steps)
    if tuple(x._data.shape) != tuple(plan.shape):
        x = apply(reshape, x, shape=tuple(plan.shape))
    return x


def _layout(plan: Plan) -> tuple[list[int], list[int], bool]:
    """(axes with an index tensor, other axes, whether the indexed axes are neighbours)."""
    axes = [a for a, _ in plan.advanced]
    rest = [i for i in range(len(plan.shape)) if i not in axes]
    return axes, rest, axes == list(range(axes[0], axes[0] + len(axes)))


def _flat_index(plan: Plan, axes: list[int]) -> tuple[Tensor, tuple[int, ...]]:
    """One index into the indexed axes taken as a single axis, in the broadcast shape of the index tensors."""
    shapes = [tuple(t._data.shape) for _, t in plan.advanced]
    try:
        common = broadcast_shapes(*shapes, op="index")
    except ShapeError:
        raise ShapeError(f"index: index tensors of shapes {', '.join(map(str, shapes))} do not broadcast") from None
    flat: Any = 0
    for axis, (_, t) in zip(axes, plan.advanced):
        t = apply(expand, t, shape=common) if tuple(t._data.shape) != common else t
        flat = t if is_number(flat) else call("add", call("mul", flat, plan.shape[axis]), t)
    return flat, common


_BASIC = frozenset({int, slice, type(None), type(Ellipsis)})  # bool is not int here


def _basic_steps(base: Tensor, index: Any) -> tuple[Any, ...]:
    """The primitives that an index without tensors stands for."""
    shape = tuple(base._data.shape)
    plan = plan_index(base, index)
    where = {"starts": tuple(plan.starts), "stops": tuple(plan.stops), "steps": tuple(plan.steps)}
    return (
        ((slice_, where), (reshape, {"shape": tuple(plan.shape)}))
        if shape
        else ((reshape, {"shape": tuple(plan.shape)}),)
    )


def _basic_view(x: Tensor, index: Any) -> np.ndarray[Any, Any] | None:
    """What NumPy sees under an index of integers, slices, None and `...`; None for others, and where it fails."""
    if type(index) is tuple:
        for e in index:
            if type(e) not in _BASIC:
                return None
    elif type(index) not in _BASIC:
        return None
    try:
        out = x._data[index]
        if type(out) is np.ndarray:
            return out
        part: np.ndarray[Any, Any] = x._data[(*index, ...) if type(index) is tuple else (index, ...)]
    except (IndexError, ValueError, TypeError):
        return None
    return part


def _getitem(x: Tensor, index: Any) -> Tensor:
    if not SPECIAL.count:
        out = _basic_view(x, index)
        if out is not None:
            view = view_of(_basic_steps, x, out, index)
            if view is not None:
                return view
    plan = plan_index(x, index)
    part = basic_part(x, plan)
    if not plan.advanced:
        return apply(reshape, x, shape=tuple(x._data.shape)) if part is x else part
    axes, rest, together = _layout(plan)
    flat, _ = _flat_index(plan, axes)
    if len(axes) == 1:
        return apply(take, part, flat, axis=axes[0])
    lead = axes[0] if together else 0
    order = (*rest[:lead], *axes, *rest[lead:])
    part = apply(permute, part, axes=order) if order != tuple(range(len(order))) else part
    s = tuple(part._data.shape)
    n = 1
    for a in axes:
        n *= plan.shape[a]
    part = apply(reshape, part, shape=(*s[:lead], n, *s[lead + len(axes) :]))
    return apply(take, part, flat, axis=lead)


_getitem_door = Door(_getitem, "index", run=_basic_steps)


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index] with NumPy's and PyTorch's rules."""
    return _getitem_door.call(x, index)


_getitem_door.serves(getitem)


def setitem(x: Tensor, index: Any, value: Any) -> None:
    """x[index] = value: writes through, with the tape moved along."""
    if not SPECIAL.count and type(value) in (int, float) and x._data.dtype.kind == "f":
        m = x._meta
        if m is None or not (m.requires_grad or m.base is not None or m.inference):
            part = _basic_view(x, index)
            if part is not None and part.flags.writeable:
                silently(part.fill, value)
                if m is not None:
                    m.version[0] += 1
                return
    if not isinstance(value, Tensor):
        value = tensor(value, dtype=x.dtype)
    if SPECIAL.count and _set_where(x, index, value):
        return
    plan = plan_index(x, index)
    view = basic_part(x, plan)
    if view is not x and view._meta is not None and view._meta.base is None:
        raise ShapeError("index: this selection cannot be written through; index one step at a time")
    if not plan.advanced:
        assign(view, _drop_lead(value, len(view._data.shape)), "setitem")
        return
    recorded = MODE.grad and (value.requires_grad or x.requires_grad)
    axes, rest, together = _layout(plan)
    if not SPECIAL.count and not recorded:
        check_writable(view, "setitem")
        where: list[Any] = [slice(None)] * len(plan.shape)
        for a, t in plan.advanced:
            where[a] = array_of(t, "setitem")
        try:
            view._data[tuple(where)] = value.to(dtype=x.dtype)._data
        except ValueError as error:
            raise ShapeError(
                f"setitem: a value of shape {tuple(value._data.shape)} does not fit the selection: {error}"
            ) from None
        meta_of(x).version[0] += 1
        return
    flat, common = _flat_index(plan, axes)
    lead = axes[0] if together else 0
    order = (*rest[:lead], *axes, *rest[lead:])
    part = apply(permute, view, axes=order)
    s = tuple(part._data.shape)
    n = 1
    for a in axes:
        n *= plan.shape[a]
    merged = apply(reshape, part, shape=(*s[:lead], n, *s[lead + len(axes) :]))
    target = (*s[:lead], *common, *s[lead + len(axes) :])
    value = value.to(dtype=x.dtype)
    value = apply(expand, _drop_lead(value, len(target)), shape=target)
    new = put(merged, flat, value, lead)
    new = apply(reshape, new, shape=s)
    assign(view, apply(permute, new, axes=tuple(int(i) for i in np.argsort(order))), "setitem")


def _set_where(x: Tensor, index: Any, value: Tensor) -> bool:
    """x[mask] = value as a choice between `value` and what is there, if it is the same for all elements that a mask selects:
    then nobody needs to know how many there are. False, and nothing done, for every other assignment.
    """
    entries = _entries(index, len(x._data.shape))
    masks = [i for i, e in enumerate(entries) if isinstance(e, Tensor) and e.ndim and e._data.dtype.kind == "b"]
    if len(masks) != 1 or any(
        isinstance(e, (Tensor, np.ndarray, list, tuple, range, bool)) for e in entries[: masks[0]]
    ):
        return False
    at = masks[0]
    mask, after = entries[at], entries[at + 1 :]
    if any(not isinstance(e, slice) for e in after):
        return False
    view = getitem(x, (*entries[:at], *[slice(None)] * mask.ndim, *after))
    rest, k = len(after), mask.ndim
    lead = len(view._data.shape) - rest - k
    if tuple(view._data.shape[lead : lead + k]) != tuple(mask._data.shape):
        return False
    shape = tuple(value._data.shape)
    if len(shape) > rest:
        if shape[len(shape) - rest - 1] != 1:
            return False
        shape = (*shape[: len(shape) - rest - 1], *(1,) * k, *shape[len(shape) - rest :])
        value = apply(reshape, value, shape=shape)
    mask = apply(reshape, mask, shape=(*mask._data.shape, *(1,) * rest))
    assign(view, call("where", mask, value.to(dtype=x.dtype), view), "setitem")
    return True


def put(x: Tensor, index: Tensor, value: Tensor, axis: int) -> Tensor:
    """`x` with slices replaced along an axis: the old ones are taken out by a mask, the new ones added.

    Of repeated indices the last wins, as in NumPy: each target position reads from the last index that names it.
    """
    n = x._data.shape[axis]
    flat = apply(reshape, index, shape=(index._data.size,))
    k = flat._data.shape[0]
    vshape = (*x._data.shape[:axis], k, *x._data.shape[axis + 1 :])
    value = apply(reshape, value, shape=vshape)
    # last[j] = the largest position i with flat[i] == j, or -1
    order = call("iota", n=k, dtype=flat.dtype)
    last = call("scatter", call("full", shape=(n,), value=-1, dtype=flat.dtype), flat, order, axis=0)
    hit = call("ge", last, 0)
    if k == 0:
        return x
    taken = apply(take, value, call("maximum", last, 0), axis=axis)
    mask = apply(reshape, hit, shape=(n,) + (1,) * (len(x._data.shape) - axis - 1))
    return call("where", mask, taken, x)


def add_at(x: Tensor, index: Tensor, value: Tensor, axis: int) -> Tensor:
    """`x` with slices added along an axis; repeated indices accumulate."""
    return apply(put_add, x, index, value, axis=axis)


def _drop_lead(value: Tensor, ndim: int) -> Tensor:
    """Leading axes of extent 1 that the target does not have are dropped, as NumPy does when assigning."""
    shape = tuple(value._data.shape)
    extra = len(shape) - ndim
    if extra > 0 and all(s == 1 for s in shape[:extra]):
        return apply(reshape, value, shape=shape[extra:])
    return value
