"""Transformations of operations (vmap, jvp): levels, and the two payloads that carry them.

Each call of `vmap` or `jvp` is a level above those that already run. A tensor of that level holds, as its payload, a
tensor of the levels below together with what the transformation adds: the mapped axis, or a tangent. An operation is
taken by the highest level among its operands, which expresses it in operations of the levels below.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import FROM_NUMPY
from twinflow.core.errors import GradientError, TraceError
from twinflow.graph import Primitive, find_primitive
from twinflow.tensor._apply import apply
from twinflow.tensor._mode import MODE, enter_special, exit_special, next_level
from twinflow.tensor._tensor import Tensor, payload, wrap


class Level:
    """One running transformation of this thread. A context manager; when it ends its tensors have no value."""

    name = "a transformation"

    def __init__(self) -> None:
        self.level = next_level()
        self.active = False

    def __enter__(self) -> Any:
        self.active = True
        MODE.transforms = (*MODE.transforms, self)
        enter_special()
        return self

    def __exit__(self, *exc: object) -> None:
        self.active = False
        MODE.transforms = MODE.transforms[:-1]
        exit_special()

    def lift(self, t: Tensor) -> Tensor:
        """`t` as a tensor of this level, without anything added."""
        raise NotImplementedError(f"{type(self).__name__} must define lift(self, t)")

    def parts(self, t: Any) -> Any:
        """The payload of `t` if it belongs to this level, else None."""
        if isinstance(t, Tensor):
            p = payload(t)
            if isinstance(p, Value) and p.owner is self:
                return p
        return None


class Value:
    """A payload of a transformation: a tensor of the levels below, and what its level adds."""

    __slots__ = ("owner", "value")

    def __init__(self, owner: Level, value: Tensor) -> None:
        self.owner = owner
        self.value = value

    @property
    def level(self) -> int:
        """The number of the level: higher ones are further inside."""
        return self.owner.level

    @property
    def transform(self) -> str:
        """The transformation's name, for messages."""
        return self.owner.name

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the function inside the transformation sees."""
        return tuple(self.value._data.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type of the elements."""
        return self.value._data.dtype

    @property
    def ndim(self) -> int:
        """The number of axes that the function inside sees."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements that the function inside sees."""
        n = 1
        for s in self.shape:
            n *= s
        return n

    def process(self, prim: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """The operation at this level, in operations of the levels below."""
        if not self.owner.active:
            raise TraceError(
                f"{prim.name}: an operand was made inside {self.transform}, which has ended, and has no value outside it; "
                "return it from the function instead of keeping it"
            )
        return self._process(prim, args, params)

    def _process(self, prim: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _process(self, prim, args, params)")


def innermost_level() -> Level | None:
    """The innermost transformation, unless a function is being traced inside it."""
    if not MODE.transforms:
        return None
    top: Level = MODE.transforms[-1]
    tracer = MODE.tracer
    return None if tracer is not None and tracer.level > top.level else top


def lifted(t: Tensor) -> Tensor:
    """`t` as a value of the innermost transformation, so that a gradient with respect to it is taken inside."""
    top = innermost_level()
    if top is None or top.parts(t) is not None:
        return t
    return top.lift(t)


def is_inexact(t: Tensor) -> bool:
    """Whether the elements are floating or complex, so that derivatives exist."""
    return t._data.dtype.kind in "fcV"


def zeros_for(t: Tensor) -> Tensor:
    """Zeros in the shape and type of `t`."""
    return apply(find_primitive("full"), shape=tuple(t._data.shape), value=0, dtype=FROM_NUMPY[t._data.dtype])


# -- vmap -------------------------------------------------------------------------------------------------------


class VmapLevel(Level):
    """One `vmap` over `size` examples; `randomness` says what random numbers do inside: error, same or different."""

    name = "vmap"

    def __init__(self, size: int, randomness: str = "error") -> None:
        super().__init__()
        self.size = size
        self.randomness = randomness

    def lift(self, t: Tensor) -> Tensor:
        """The same for every example."""
        return wrap(Batched(self, t, None))

    def enter_axis(self, t: Tensor, axis: int) -> Tensor:
        """`t` without `axis`, which holds the examples."""
        return wrap(Batched(self, t, axis))

    def leave(self, t: Tensor) -> tuple[Tensor, int | None]:
        """(value, axis of the examples); None if all examples share the value."""
        p = self.parts(t)
        return (t, None) if p is None else (p.value, p.axis)


class Batched(Value):
    """A tensor whose `axis` holds the examples; None: one value for all of them."""

    __slots__ = ("axis",)

    owner: VmapLevel

    def __init__(self, owner: VmapLevel, value: Tensor, axis: int | None) -> None:
        super().__init__(owner, value)
        self.axis = axis

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape without the axis of the examples."""
        s = tuple(self.value._data.shape)
        return s if self.axis is None else s[: self.axis] + s[self.axis + 1 :]

    def _process(self, prim: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        owner = self.owner
        values: list[Any] = []
        axes: list[int | None] = []
        for a in args:
            p = owner.parts(a)
            values.append(a if p is None else p.value)
            axes.append(None if p is None else p.axis)
        if all(axis is None for axis in axes):
            out, at = apply(prim, *values, **params), None
        elif prim.batch == "elementwise":
            out, at = _elementwise(prim, values, axes, params)
        elif prim.batch is None:
            raise GradientError(f"vmap: {prim.name} has no batching rule")
        else:
            out, at = prim.batch(tuple(values), tuple(axes), **params)
        if prim.n_out == 1:
            return self._wrap(out, at)
        places = at if isinstance(at, (tuple, list)) else [at] * len(out)
        return tuple([self._wrap(o, axis) for o, axis in zip(out, places)])

    def _wrap(self, t: Tensor, axis: int | None) -> Tensor:
        return t if axis is None and not is_inexact(t) else wrap(Batched(self.owner, t, axis))


def examples_first(t: Tensor, axis: int) -> Tensor:
    """The axis of the examples moved to the front."""
    if axis == 0:
        return t
    n = len(t._data.shape)
    return apply(find_primitive("permute"), t, axes=(axis, *(i for i in range(n) if i != axis)))


def _elementwise(prim: Primitive, values: list[Any], axes: list[int | None], params: dict[str, Any]) -> Any:
    """Examples in front, and extents of 1 behind them so that the other axes broadcast as before."""
    ranks = [len(v._data.shape) - (a is not None) if isinstance(v, Tensor) else 0 for v, a in zip(values, axes)]
    rank = max(ranks)
    places = {a for a in axes if a is not None}
    if len(places) == 1 and all(
        r == rank if a is not None else r == 0 or not isinstance(v, Tensor) for v, a, r in zip(values, axes, ranks)
    ):
        return apply(prim, *values, **params), places.pop()
    out = []
    for v, axis, r in zip(values, axes, ranks):
        if axis is not None:
            v = examples_first(v, axis)
            if r < rank:
                s = tuple(v._data.shape)
                v = apply(find_primitive("reshape"), v, shape=(s[0],) + (1,) * (rank - r) + s[1:])
        out.append(v)
    return apply(prim, *out, **params), 0


def mapped_randomness(what: str) -> list[VmapLevel]:
    """The running vmaps whose examples have different random numbers, outermost first.

    Raises: GradientError if one of them was not told what random numbers do.
    """
    levels = [t for t in MODE.transforms if isinstance(t, VmapLevel)]
    if any(t.randomness == "error" for t in levels):
        raise GradientError(
            f"vmap: {what} inside the mapped function; say vmap(..., randomness='different') for each example its own, or "
            "randomness='same'"
        )
    found = [t for t in levels if t.randomness == "different"]
    if found and innermost_level() is None:
        raise GradientError(
            f"vmap: {what} that differ between examples cannot be drawn in the body of a traced loop or branch"
        )
    return found


def vmap_call(fn: Any, tensors: list[Any], axes: list[int | None], size: int, randomness: str = "error") -> Any:
    """(values, axes) of the tensors that `fn(*tensors)` returns, mapped over the given axes."""
    with VmapLevel(size, randomness) as level:
        inside = [t if a is None else level.enter_axis(t, a) for t, a in zip(tensors, axes)]
        outs = fn(*inside)
        pairs = [level.leave(o) for o in outs]
    return [p[0] for p in pairs], [p[1] for p in pairs]


# -- jvp --------------------------------------------------------------------------------------------------------


class JvpLevel(Level):
    """One forward-mode derivative."""

    name = "jvp"

    def lift(self, t: Tensor) -> Tensor:
        """With a zero tangent."""
        return wrap(Dual(self, t, None))

    def enter_dual(self, t: Tensor, tangent: Tensor | None) -> Tensor:
        """`t` with its tangent."""
        return wrap(Dual(self, t, tangent))

    def leave(self, t: Tensor) -> tuple[Tensor, Tensor | None]:
        """(value, tangent); None stands for a zero tangent."""
        p = self.parts(t)
        return (t, None) if p is None else (p.value, p.tangent)


class Dual(Value):
    """A tensor with the derivative of its elements along one direction; None: zero."""

    __slots__ = ("tangent",)

    owner: JvpLevel

    def __init__(self, owner: JvpLevel, value: Tensor, tangent: Tensor | None) -> None:
        super().__init__(owner, value)
        self.tangent = tangent

    def _process(self, prim: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        values: list[Any] = []
        tangents: list[Any] = []
        for a in args:
            p = self.owner.parts(a)
            values.append(a if p is None else p.value)
            tangents.append(None if p is None else p.tangent)
        y = apply(prim, *values, **params)
        if (prim.vjp is None and prim.jvp is None) or all(t is None for t in tangents):
            t: Any = None if prim.n_out == 1 else (None,) * len(y)
        else:
            t = tangent_of(prim, values, tangents, y, params)
        if prim.n_out == 1:
            return self._wrap(y, t)
        return tuple([self._wrap(a, b) for a, b in zip(y, t)])

    def _wrap(self, y: Tensor, tangent: Tensor | None) -> Tensor:
        return wrap(Dual(self.owner, y, tangent)) if is_inexact(y) else y


def tangent_of(prim: Primitive, args: list[Any], tangents: list[Any], y: Any, params: dict[str, Any]) -> Any:
    """The tangent of `y = prim(*args)`, by the row's jvp rule."""
    rule = prim.jvp
    if rule == "linear":
        full = [t if t is not None else zeros_for(a) if isinstance(a, Tensor) else 0 for a, t in zip(args, tangents)]
        return apply(prim, *full, **params)
    if rule == "multilinear":
        total = None
        for i, t in enumerate(tangents):
            if t is not None:
                part = apply(prim, *args[:i], t, *args[i + 1 :], **params)
                total = part if total is None else apply(find_primitive("add"), total, part)
        return total
    if rule == "elementwise":
        return _elementwise_tangent(prim, args, tangents, y, params)
    if rule is None:
        raise GradientError(f"jvp: {prim.name} has no forward-mode derivative: {prim.why or 'no rule is known'}")
    return rule(tuple(tangents), y, *args, **params)


def _elementwise_tangent(prim: Primitive, args: list[Any], tangents: list[Any], y: Tensor, params: Any) -> Any:
    """Σ fᵢ'(x) tᵢ: the vjp rules, whose Jacobian is diagonal, applied to the tangents (conjugated for complex numbers)."""
    total = None
    shape = tuple(y._data.shape)
    for i, t in enumerate(tangents):
        rule = prim.vjp[i] if isinstance(prim.vjp, tuple) else None
        if t is None or rule is None:
            continue
        if tuple(t._data.shape) != shape:
            t = apply(find_primitive("expand"), t, shape=shape)
        part = _conj(rule(_conj(t), y, *args, **params))
        total = part if total is None else apply(find_primitive("add"), total, part)
    return total


def _conj(t: Tensor) -> Tensor:
    return apply(find_primitive("conj"), t) if t._data.dtype.kind == "c" else t


def jvp_call(fn: Any, tensors: list[Any], tangents: list[Any]) -> Any:
    """(values, tangents) of the tensors that `fn(*tensors)` returns; a None tangent is zero, both ways."""
    with JvpLevel() as level:
        inside = [x if t is None else level.enter_dual(x, t) for x, t in zip(tensors, tangents)]
        outs = fn(*inside)
        pairs = [level.leave(o) for o in outs]
    return [p[0] for p in pairs], [p[1] for p in pairs]
