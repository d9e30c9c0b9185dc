"""The one user-visible class: a tensor.

It holds a payload and, once differentiation or views are involved, a `Meta`. The payload is a NumPy array (eager), a
graph `Node` (while tracing), or a value of a transformation such as `vmap`. Operations are attached by `twinflow.ops`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from twinflow.core import FROM_NUMPY, DType
from twinflow.core.errors import GradientError, TraceError
from twinflow.graph import Node, Primitive
from twinflow.tensor._mode import MODE, SPECIAL


class Meta:
    """What a tensor knows beyond its elements. Made by `new_meta`. One is made for every recorded operation, so what most of
    them never set stands in the class, and costs nothing; the rest has slots, which native code fills (`_door`). `view`,
    `seen` and `former` are set where `base` is.
    """

    __slots__ = ("__dict__", "base", "grad_fn", "index", "inference", "requires_grad", "version")

    accumulated: dict[int, Any] | None = None  # hooks that run when `.grad` has been added to
    aliases: list[weakref.ref[Tensor]] | None = None  # outside plain memory: what detach() made of this one, and itself
    base: Tensor | None  # the tensor this one is a view of; `base_of` gives it in the shape that it had then
    former: Tensor | None = None  # stands for this tensor as it was before its shape was changed in place
    grad: Tensor | LateGrad | None = None  # read by `held_grad`
    grad_fn: Any
    hooks: dict[int, Any] | None = None
    index: int  # which result of grad_fn this is
    inference: bool
    requires_grad: bool
    reads_plainly = (
        False  # whether values computed from this leaf are read without detach(), as of a tensor that a tape watches
    )
    retains: Any = None  # the hook that keeps the gradient of a tensor that is no leaf
    seen: int  # the version at which payload and grad_fn of a view were last made
    version: list[int]  # one list shared by all views of the same memory
    view: tuple[Any, ...]  # ((primitive, params), ...) from base to here


class LateGrad:
    """A gradient in parts, as a compiled step leaves one that is zero almost everywhere: most steps are followed by the next
    without anybody looking at it. Whoever asks for `.grad` gets it whole."""

    __slots__ = ("make", "parts")

    def __init__(self, make: Callable[..., np.ndarray[Any, Any]], *parts: np.ndarray[Any, Any]) -> None:
        self.make, self.parts = make, parts


def held_grad(m: Meta) -> Tensor | None:
    """What `.grad` holds; parts are put together first."""
    g = m.grad
    if type(g) is LateGrad:
        g = m.grad = wrap(g.make(*g.parts))
    return cast("Tensor | None", g)


class Tie:
    """What a view of a tensor outside differentiation remembers until somebody asks for its Meta: where it came from.

    `prim` is the primitive that made it, or a function (base, params) -> ((primitive, params), ...).
    """

    __slots__ = ("base", "params", "prim")

    base: Tensor
    params: Any
    prim: Any

    @property
    def requires_grad(self) -> bool:
        """True once the base was written in place with a value that requires gradients."""
        m = self.base._info
        return m is not None and m.requires_grad and (type(m) is not Meta or m.grad_fn is not None)


class ViewMeta(Meta):
    """What a view knows: it requires gradients too once its base was written in place with a value that does."""

    _own = False

    @property
    def requires_grad(self) -> bool:  # a stored flag for all but views
        """Whether operations on the view are recorded."""
        return self._own or (self.seen != self.version[0] and was_recorded(base_of(self)))

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._own = value


def new_meta(version: list[int] | None = None, kind: type[Meta] = Meta) -> Meta:
    """A Meta of a tensor that nothing is known of; `version` is given for one that shares memory."""
    m = kind()
    m.base = m.grad_fn = None
    m.index = 0
    m.inference = m.requires_grad = False
    m.version = [0] if version is None else version
    return m


class Tensor:
    """A multi-dimensional array with a type, a device and, if asked, a gradient.

    Made by `twinflow.tensor`, `zeros`, `randn`, `from_numpy`, ... and by operations on other tensors.

    >>> import twinflow
    >>> x = twinflow.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ("__weakref__", "_data", "_info")

    _data: Any
    _info: Any  # None, a Meta, or a Tie that becomes one when `_meta` is read; fast paths look here

    if TYPE_CHECKING:  # `twinflow.ops` attaches operators and methods; type checkers learn of them here

        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __rfloordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __rmod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __rand__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __ror__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __rxor__(self, other: Any) -> Tensor: ...
        def __lshift__(self, other: Any) -> Tensor: ...
        def __rlshift__(self, other: Any) -> Tensor: ...
        def __rshift__(self, other: Any) -> Tensor: ...
        def __rrshift__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override] # elementwise, as in NumPy
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override] # the same
        def __hash__(self) -> int: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __iter__(self) -> Any: ...
        def __len__(self) -> int: ...
        def __bool__(self) -> bool: ...
        def __float__(self) -> float: ...
        def __int__(self) -> int: ...
        def __index__(self) -> int: ...
        def __getattr__(self, name: str) -> Any: ...

    @property
    def _meta(self) -> Meta | None:
        info = self._info
        return _resolve(self, info) if type(info) is Tie else info

    @_meta.setter
    def _meta(self, meta: Meta | None) -> None:
        self._info = meta

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The extents of the axes, a tuple with `numel()`."""
        return Size(self._data.shape)

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return FROM_NUMPY[self._data.dtype]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._data.shape)

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded for differentiation."""
        m = self._info
        return m is not None and m.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Switch recording for this tensor on or off, in place."""
        if requires_grad and not (self.dtype.is_floating_point or self.dtype.is_complex):
            raise GradientError(
                f"only floating and complex tensors can require gradients, not {self.dtype!r}; use .float()"
            )
        m = meta_of(self)
        if not requires_grad and m.grad_fn is not None:
            raise GradientError("requires_grad can only be switched off on leaf tensors; use .detach()")
        if requires_grad and m.inference:
            raise GradientError("a tensor made in inference_mode cannot require gradients; clone() it outside first")
        m.requires_grad = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """True for tensors that no recorded operation made: their gradients are kept in `.grad`."""
        m = self._meta
        return m is None or m.grad_fn is None

    @property
    def grad_fn(self) -> Any:
        """The recorded operation that made this tensor, or None."""
        return None if self._meta is None else current_grad_fn(self)

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has accumulated here."""
        m = self._meta
        if m is None:
            return None
        if SPECIAL.count and MODE.tracer is not None:
            MODE.tracer.touch_grad(self, reads=True)
        g = m.grad
        return held_grad(m) if type(g) is LateGrad else cast("Tensor | None", g)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is None and not SPECIAL.count:  # the hot path of zero_grad
            m = self._meta
            if m is not None:
                m.grad = None
            return
        if value is not None:
            if not isinstance(value, Tensor):
                raise GradientError(f".grad takes a tensor or None, not {type(value).__name__}")
            if tuple(value.shape) != tuple(self.shape):
                raise GradientError(f".grad of shape {tuple(value.shape)} for a tensor of shape {tuple(self.shape)}")
        m = meta_of(self)
        if MODE.tracer is not None:
            MODE.tracer.touch_grad(self, reads=False)
        m.grad = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    @property
    def _version(self) -> int:
        """How often the memory has been written in place."""
        return 0 if self._meta is None else self._meta.version[0]

    @property
    def _base(self) -> Tensor | None:
        """The tensor this one is a view of, or None."""
        return None if self._meta is None else base_of(self._meta)

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor in `.grad` although it is not a leaf."""
        if not self.requires_grad:
            raise GradientError("retain_grad: this tensor does not require gradients")
        m = meta_of(self)
        fn = current_grad_fn(self)
        if fn is None or m.retains is not None:
            return
        me = weakref.ref(self)

        def keep(g: Tensor) -> Tensor:
            t = me()
            if t is not None:
                t.grad = g
            return g

        m.retains = keep
        fn.add_prehook(m.index, keep)

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called."""
        return self._meta is not None and self._meta.retains is not None


class Size(tuple[int, ...]):
    """A shape: a tuple that also answers `numel()` and prints as PyTorch's does."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        n = 1
        for s in self:
            n *= s
        return n

    def as_list(self) -> list[int]:
        """The extents as a list: TensorFlow's name."""
        return list(self)

    @property
    def rank(self) -> int:
        """The number of axes: TensorFlow's name."""
        return len(self)

    ndims = rank

    def num_elements(self) -> int:
        """`numel()` by TensorFlow's name."""
        return self.numel()

    def is_fully_defined(self) -> bool:
        """True: a tensor's shape is known; TensorFlow asks."""
        return True

    def __repr__(self) -> str:
        return f"twinflow.Size([{', '.join(map(str, self))}])"


_new = object.__new__


def wrap(data: Any) -> Tensor:
    """A tensor around a payload."""
    t: Tensor = _new(Tensor)
    t._data = data
    t._info = None
    return t


def _resolve(t: Tensor, tie: Tie) -> Meta:
    """The Meta of a view, which shares the version counter of its base."""
    base = tie.base
    bm = meta_of(base)
    if bm.base is not None and bm.former is not None:
        base = bm.former
    steps = ((tie.prim, tie.params),) if isinstance(tie.prim, Primitive) else tie.prim(base, tie.params)
    m = look_from(base, steps, t)
    if was_recorded(base_of(m)):
        m.seen = -1  # whether the base was written in between is not known: look when it matters
    return m


def look_from(base: Tensor, steps: tuple[Any, ...], t: Tensor) -> Meta:
    """Make `t` a view that `steps` lead to from `base`, both up to date."""
    bm = meta_of(base)
    m = t._info
    if m is None or type(m) is Tie:
        m = t._info = new_meta(kind=ViewMeta)
    m.version = bm.version
    root = base_of(bm)
    m.base, m.view = (base, steps) if root is None else (root, (*bm.view, *steps))
    m.seen = bm.version[0]
    made: Meta = m
    return made


def base_of(m: Meta) -> Any:
    """The tensor that a view looks at, None where it is not a view."""
    base = m.base
    if base is not None:
        bm = base._meta
        if bm is not None and bm.base is not None:  # its shape was changed in place: it looks at what it was itself
            base = m.base = bm.former
    return base


def was_recorded(base: Tensor) -> bool:
    """Whether the elements of a tensor that is no view come from a recorded operation."""
    m = base._meta
    return m is not None and m.requires_grad and m.grad_fn is not None


def move_on_tape(t: Tensor, place: Meta | None) -> None:
    """Let `t` stand on the tape where `place` does, or nowhere. A gradient that is retained there is that of the new value."""
    m = meta_of(t)
    keep = m.retains
    if keep is not None and m.grad_fn is not None:
        m.grad_fn.prehooks[m.index].remove(keep)
        m.retains = None
    if place is None or not place.requires_grad:
        m.requires_grad, m.grad_fn, m.index = False, None, 0
        return
    m.requires_grad, m.grad_fn, m.index = True, place.grad_fn, place.index
    if keep is not None and m.grad_fn is not None:
        m.retains = keep
        m.grad_fn.add_prehook(m.index, keep)


def meta_of(t: Tensor) -> Meta:
    """The tensor's Meta, made if there is none."""
    m = t._meta
    if m is None:
        m = t._meta = new_meta()
    return m


def current_grad_fn(t: Tensor) -> Any:
    """The grad_fn of `t`, made anew if `t` is a view whose base was written since."""
    m = t._meta
    if m is None:
        return None
    if m.base is not None and m.seen != m.version[0]:
        refresh_view(t)
    return m.grad_fn


def refresh_view(t: Tensor) -> None:
    """Derive payload and grad_fn of a view from its base again, after the base was written in place."""
    from twinflow.tensor._apply import apply

    m = t._meta
    if m is None or m.base is None:
        return
    value: Tensor = base_of(m)
    recorded = was_recorded(value)
    in_memory = isinstance(t._data, np.ndarray)
    if recorded or not in_memory:
        before = MODE.grad
        MODE.grad |= recorded  # whoever asks, the view stands where its base stands
        try:
            for prim, params in m.view:
                value = apply(prim, value, **params)
        finally:
            MODE.grad = before
        if not in_memory:
            t._data = value._data
    if recorded:
        move_on_tape(t, value._meta)
    elif m.grad_fn is not None and not value.requires_grad:
        move_on_tape(t, None)  # the base was written with constants
    m.seen = m.version[0]


def payload(t: Tensor) -> Any:
    """The payload of `t`, brought up to date if `t` is a view outside plain memory."""
    m = t._meta
    if m is not None and m.base is not None and m.seen != m.version[0]:
        refresh_view(t)
    return t._data


def array_of(t: Tensor, op: str) -> np.ndarray[Any, Any]:
    """The NumPy array behind `t`; an error if its elements are not known yet (while tracing, inside vmap)."""
    if MODE.tracer is not None:
        raise TraceError(
            f"{op}: the value of a tensor is not known while a function is traced; use where, cond or while_loop to "
            "branch on values, return the tensor and look at it outside, or print it, which prints when the step runs"
        )
    data = t._data
    if type(data) is np.ndarray:
        return data
    if isinstance(data, Node):
        raise TraceError(
            f"{op}: this tensor was made while a function was traced and has no value outside it; return it instead"
        )
    raise TraceError(
        f"{op}: the value of a tensor is not known inside {data.transform}; return it and look at it outside"
    )
