"""The methods and operators of Tensor: each is a function of this package."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import DType, as_dtype, broadcast_shapes, normalize_axis
from twinflow.core.errors import ArgumentError, GradientError, IndexOutOfRange, ShapeError, TraceError
from twinflow.ops import _generator as G
from twinflow.ops import _index, _products
from twinflow.ops import _math as M
from twinflow.ops import _shaping as P
from twinflow.ops._create import CPU, Device, _full, at_level_of, tensor
from twinflow.ops._declare import BF16, call
from twinflow.ops._promote import convert, is_number, promote
from twinflow.ops._repr import tensor_repr
from twinflow.ops._settings import check_format, is_conj, is_neg, strided
from twinflow.ops._shape import cast
from twinflow.ops._unary import copy as copy_prim
from twinflow.ops._unary import stop_gradient
from twinflow.tensor import (
    MODE,
    Tensor,
    apply,
    array_of,
    assign,
    backward,
    base_of,
    current_grad_fn,
    is_tracing,
    meta_of,
    new_meta,
    sum_to,
    wrap,
)
from twinflow.tensor._door import METHODS
from twinflow.tensor._inplace import old_value, share


def _set(**methods: Any) -> None:
    for name, fn in methods.items():
        setattr(Tensor, name, fn)


def _reflected(fn: Any) -> Any:
    def method(self: Tensor, other: Any) -> Any:
        return fn(other, self) if is_number(other) or isinstance(other, np.ndarray) else NotImplemented

    if fn in METHODS:
        METHODS[fn][0].serves(method, reflected=True)
    return method


UFUNCS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide, "truediv": np.true_divide}


def _operator(fn: Any) -> Any:
    """The function as a binary operator: foreign operands get their turn."""

    def method(self: Tensor, other: Any) -> Any:
        if isinstance(other, (Tensor, float, int, complex, np.generic, np.ndarray)):
            return fn(self, other)
        return NotImplemented

    if fn in METHODS:
        METHODS[fn][0].serves(method)
    return method


_OPERATORS: dict[str, Any] = {
    "add": M._add, "sub": M.sub, "mul": M.mul, "truediv": M.true_divide, "floordiv": M.floor_divide, "mod": M.remainder, "pow": M.pow,
    "and": M.bitwise_and, "or": M.bitwise_or, "xor": M.bitwise_xor, "lshift": M.bitwise_left_shift, "rshift": M.bitwise_right_shift,
    "matmul": _products.matmul,
}  # fmt: skip
for _name, _fn in _OPERATORS.items():
    setattr(Tensor, f"__{_name}__", _operator(_fn))
    setattr(Tensor, f"__r{_name}__", _reflected(_fn))
    setattr(
        Tensor,
        f"__i{_name}__",
        M.inplace(
            _fn,
            f"__i{_name}__",
            UFUNCS.get(_name),
        ),
    )
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Tensor, f"__{_name}__", _operator(getattr(M, _name)))
setattr(Tensor, "__hash__", object.__hash__)  # noqa: B010 - == compares elements; tensors are keys by identity
# the four that loops are made of go without the wrapper
_set(
    __add__=M._add,
    __mul__=M.mul,
    __truediv__=M.true_divide,
    __neg__=M.neg,
    __pos__=lambda self: self,
    __abs__=M.abs,
    __invert__=M.bitwise_not,
)


# -- values -----------------------------------------------------------------------------------------------------


def item(self: Tensor) -> Any:
    """The only element, as a Python number."""
    data = array_of(self, "item()")
    if data.size != 1:
        raise ShapeError(
            f"item: a tensor with one element is needed, but its shape is {tuple(self.shape)}; use tolist()"
        )
    return data.reshape(()).astype(np.float32).item() if data.dtype == BF16 else data.item()


def tolist(self: Tensor) -> Any:
    """The elements as nested lists of Python numbers."""
    data = array_of(self, "tolist()")
    return (data.astype(np.float32) if data.dtype == BF16 else data).tolist()


def _reads_plainly(t: Tensor) -> bool:
    """Whether it was computed from variables of a face that knows no detach()."""
    seen: set[int] = set()
    waiting: list[Any] = [t if t.grad_fn is None else t.grad_fn]
    while waiting:
        at = waiting.pop()
        if isinstance(at, Tensor):
            if getattr(at, "reads_plainly", False) or meta_of(at).reads_plainly:
                return True
        elif id(at) not in seen:
            seen.add(id(at))
            waiting.extend(e[0] for e in at.edges if e is not None)
    return False


def numpy(self: Tensor, *, force: bool = False) -> np.ndarray[Any, Any]:
    """The elements as a NumPy array that shares the memory."""
    if self.requires_grad and not force and not _reads_plainly(self):
        raise GradientError("numpy: this tensor requires gradients; use t.detach().numpy()")
    return array_of(self, "numpy()")


def _truth(self: Tensor) -> bool:
    data = array_of(self, "branching on a tensor (bool())")
    if data.size != 1:
        raise ShapeError(f"bool: the truth of a tensor of shape {tuple(self.shape)} is ambiguous; use .any() or .all()")
    return bool(data.reshape(())[()])


def _length(self: Tensor) -> int:
    if not self._data.shape:
        raise ShapeError("len: a 0-dimensional tensor has no length")
    return self._data.shape[0]


def _iterate(self: Tensor) -> Any:
    if not self._data.shape:
        raise ShapeError("iteration over a 0-dimensional tensor; use item() for its value")
    return iter(P.unbind(self, 0))


def _contains(self: Tensor, element: Any) -> bool:
    return bool((self == element).any())


def _index_value(self: Tensor) -> int:
    data = array_of(self, "using a tensor as an index")
    if data.size != 1 or data.dtype.kind not in "iub":
        raise IndexOutOfRange(
            f"index: only tensors with one whole number are indices, not {self.dtype.name}{list(self.shape)}"
        )
    return int(data.reshape(())[()])


def _to_array(self: Tensor, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
    data = numpy(self)
    return np.array(data, dtype) if copy else data if dtype is None else data.astype(dtype, copy=False)


def _format(self: Tensor, spec: str) -> str:
    """In an f-string a tensor without axes is its number."""
    if spec and self._data.size == 1:
        return format(item(self), spec)
    plain = type(self) is Tensor and self._data.ndim == 0 and type(self._data) is np.ndarray and not is_tracing()
    return format(item(self)) if plain else repr(self)


_set(
    item=item, tolist=tolist, numpy=numpy, __bool__=_truth, __len__=_length, __iter__=_iterate, __contains__=_contains, __index__=_index_value,
    __float__=lambda self: float(item(self)), __int__=lambda self: int(item(self)), __complex__=lambda self: complex(item(self)),
    __array__=_to_array, __array_priority__=1000, __repr__=tensor_repr, __format__=_format,
    __getitem__=_index.getitem, __setitem__=_index.setitem,
)  # fmt: skip


# -- identity, type, device -------------------------------------------------------------------------------------


def detach(self: Tensor) -> Tensor:
    """The same memory, outside of differentiation."""
    m = meta_of(self)  # made if there is none: both must count the writes of either
    tracer = MODE.tracer
    plain = type(self._data) is np.ndarray and tracer is None
    if not plain and m.base is not None:
        return _look_again(detach(base_of(m)), m.view)
    traced = tracer is not None and tracer.level > getattr(self._data, "level", 0)
    t = wrap(tracer.node_of(self) if traced else self._data)
    if not plain and (not traced or tracer.body):
        t = apply(stop_gradient, t)  # for what differentiates without a tape
    meta = t._meta = new_meta(m.version)
    meta.inference = m.inference
    if not plain:
        share(self, t)
    return t


def _look_again(base: Tensor, view: tuple[Any, ...]) -> Tensor:
    """The view of `base` to which these steps lead."""
    for prim, params in view:
        base = apply(prim, base, **params)
    return base


def clone(self: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy in new memory; gradients flow through."""
    check_format("clone", memory_format)
    return apply(copy_prim, self)


def to(
    self: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    copy: bool = False,
    non_blocking: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """In another type, or on another device: `to(dtype)`, `to(device)`, `to(other)`. Itself if nothing changes."""
    check_format("to", memory_format)
    for a in args:
        if isinstance(a, Tensor):
            dtype = a.dtype
        elif isinstance(a, (DType, type, np.dtype)):
            dtype = a
        elif isinstance(a, Device) or (
            isinstance(a, str) and a.partition(":")[0] in ("cpu", "cuda", "mps", "xpu", "tpu", "gpu", "meta")
        ):
            device = a
        elif isinstance(a, bool):
            continue
        else:
            dtype = as_dtype(a)
    if device is not None:
        Device(device)
    d = self.dtype if dtype is None else as_dtype(dtype)
    if d is not self.dtype:
        return apply(cast, self, dtype=d)
    return clone(self) if copy else self


def _type(name: str) -> Any:
    dtype = as_dtype(name)

    def method(self: Tensor) -> Tensor:
        return convert(self, dtype)

    method.__doc__ = f"In {name}."
    return method


for _short, _long in {
    "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "int": "int32", "long": "int64", "short": "int16", "char": "int8",
    "byte": "uint8", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128",
}.items():  # fmt: skip
    setattr(Tensor, _short, _type(_long))


def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or one extent of it."""
    return self.shape if dim is None else self.shape[dim]


def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """With elements in row-major order in memory; itself if they are."""
    check_format("contiguous", memory_format)
    data = self._data
    if isinstance(data, np.ndarray) and not data.flags.c_contiguous:
        return clone(self)
    return self


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Write the elements of `src` (broadcast, converted) into this tensor."""
    source = src if isinstance(src, Tensor) else wrap(np.asarray(src))
    return assign(self, convert(source, self.dtype), "copy_")


def fill_(self: Tensor, value: Any) -> Tensor:
    """Write one value everywhere."""
    v = value if isinstance(value, Tensor) else call("full", shape=(), value=value, dtype=self.dtype)
    return assign(self, convert(v, self.dtype), "fill_")


def view(self: Tensor, *shape: Any) -> Tensor:
    """The same memory under another shape; an error where memory does not allow it (use reshape)."""
    if len(shape) == 1 and isinstance(shape[0], DType):
        made = call("bitcast", self, dtype=shape[0])
        return made if made.ndim <= self.ndim else P.reshape(made, *self.shape[:-1], -1)
    y = P.reshape(self, *shape)
    data, made = self._data, y._data  # while a function is traced, `made` is a node even where `data` is an array
    if (
        isinstance(data, np.ndarray)
        and isinstance(made, np.ndarray)
        and data.size
        and not np.may_share_memory(data, made)
    ):
        raise ShapeError(
            f"view: the elements of this {tuple(self.shape)} tensor do not lie in memory as {tuple(y.shape)} would need; use reshape"
        )
    return y


def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of `data` in this tensor's type."""
    return tensor(data, dtype=dtype or self.dtype, requires_grad=requires_grad)


def _new_full(value: int) -> Any:
    def method(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        t = at_level_of(self, _full(size, value, dtype or self.dtype, False, device))
        return t.requires_grad_() if requires_grad else t

    return method


def new_full(
    self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One value in this tensor's type."""
    return _full(size, fill_value, dtype or self.dtype, requires_grad, device)


def _offset(self: Tensor) -> int:
    """How many elements before this view's first one its memory begins."""
    data = array_of(self, "storage_offset()")
    base = data.base
    return 0 if not isinstance(base, np.ndarray) else (data.ctypes.data - base.ctypes.data) // data.dtype.itemsize


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Write one value on the main diagonal; `wrap` starts it again below the last column of a tall matrix."""
    if self.ndim < 2 or (self.ndim > 2 and len(set(self.shape)) > 1):
        raise ShapeError(f"fill_diagonal_: a matrix, or equal extents, are needed, not shape {tuple(self.shape)}")
    rows = [call("iota", n=n, dtype=as_dtype("int64")) for n in self.shape]
    first = P.reshape(rows[0], (-1,) + (1,) * (self.ndim - 1))
    first = call("remainder", first, self.shape[1] + 1) if wrap else first
    on: Any = None
    for k, at in enumerate(rows[1:], 1):
        here = call("eq", first, P.reshape(at, (-1,) + (1,) * (self.ndim - 1 - k)))
        on = here if on is None else call("bitwise_and", on, here)
    return self.masked_fill_(on, convert(call("full", shape=(), value=fill_value, dtype=self.dtype), self.dtype))


def detach_(self: Tensor) -> Tensor:
    """Take this tensor out of differentiation, in place."""
    m = meta_of(self)
    if m.base is not None:
        raise GradientError("detach_: a view cannot be detached in place; use detach()")
    m.requires_grad, m.grad_fn, m.index = False, None, 0
    return self


def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Summed down to a shape that broadcasts to this one."""
    target = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else tuple(size)
    if broadcast_shapes(tuple(self.shape), target, op="sum_to_size") != tuple(self.shape):
        raise ShapeError(f"sum_to_size: shape {target} does not broadcast to {tuple(self.shape)}")
    return sum_to(self, target)


def as_type(self: Tensor, dtype: Any = None) -> Any:
    """In another type; without one, the name of this one."""
    if dtype is None:
        return f"twinflow.{self.dtype.name}"
    return self.to(dtype=as_dtype(getattr(dtype, "dtype", dtype)))  # FloatTensor and its kin name their type so


def on_device(name: str) -> Any:
    """The method that moves a tensor to a device of this name: an error, for there is only the processor."""

    def method(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
        return to(self, device=name if device is None else device)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`to(device={name!r})`: see there."
    return method


def stride(self: Tensor, dim: int | None = None) -> Any:
    """How many elements in memory lie between neighbours along each axis, or along one."""
    data = array_of(self, "stride()")
    steps = tuple([s // data.dtype.itemsize for s in data.strides])
    return steps if dim is None else steps[normalize_axis(dim, len(steps), "stride")]


def new(self: Tensor, *args: Any) -> Tensor:
    """A tensor of this one's type: of sizes, `x.new(2, 3)`, or of elements, `x.new([1, 2])`."""
    if len(args) == 1 and not isinstance(args[0], (int, np.integer)):
        return tensor(args[0], dtype=self.dtype)
    return _full((args if args else (0,),), 0, self.dtype, False, None)


def share_memory_(self: Tensor) -> Tensor:
    """The tensor itself: worker processes share memory through the data loader."""
    return self


def _device(self: Tensor) -> Device:
    return CPU


def _data_get(self: Tensor) -> Tensor:
    """The same memory, outside of differentiation; assigning a tensor exchanges the memory."""
    return detach(self)


def _data_set(self: Tensor, value: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise ArgumentError(f".data takes a tensor, not {type(value).__name__}")
    if is_tracing():
        with_grad = MODE.grad
        MODE.grad = False
        try:
            assign(self, value, ".data =")
        finally:
            MODE.grad = with_grad
        return
    self._data = value._data
    meta_of(self).version[0] += 1


def register_hook(self: Tensor, hook: Any) -> Any:
    """Call `hook(gradient)` when the gradient of this tensor is known; what it returns (if not None) replaces it."""
    if MODE.tracer is not None and MODE.tracer.body:
        raise TraceError(
            "register_hook: in the body of a traced loop or branch a hook would be lost, because the body is differentiated later; "
            "use an autograd.Function, whose backward may change gradients, or register it outside"
        )
    if not self.requires_grad:
        raise GradientError("register_hook: this tensor does not require gradients")
    m = meta_of(self)
    fn = current_grad_fn(self)
    if fn is not None:

        def passing(g: Tensor) -> Tensor:
            changed = hook(g)
            return g if changed is None else changed

        fn.add_prehook(m.index, passing)
        hooks = fn.prehooks[m.index]
        if m.retains in hooks:  # retain_grad keeps what all hooks have left
            hooks.remove(m.retains)
            hooks.append(m.retains)
        return HookHandle(hooks, passing)
    if m.hooks is None:
        m.hooks = {}
    key = max(m.hooks, default=-1) + 1
    m.hooks[key] = hook
    return HookHandle(m.hooks, key)


def register_post_accumulate_grad_hook(self: Tensor, hook: Any) -> Any:
    """Call `hook(tensor)` when backward has added to the `.grad` of this leaf: to step, and forget the gradient, at once."""
    if not self.requires_grad or not self.is_leaf:
        raise GradientError("register_post_accumulate_grad_hook: only a leaf that requires gradients accumulates them")
    m = meta_of(self)
    if m.accumulated is None:
        m.accumulated = {}
    key = max(m.accumulated, default=-1) + 1
    m.accumulated[key] = hook
    return HookHandle(m.accumulated, key)


class HookHandle:
    """What registering a hook returns: `remove()` takes it away."""

    def __init__(self, store: Any, key: Any) -> None:
        self._store, self._key = store, key

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        if isinstance(self._store, dict):
            self._store.pop(self._key, None)
        elif self._key in self._store:
            self._store.remove(self._key)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def _backward(
    self: Tensor, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
) -> None:
    """Accumulate the gradient of this tensor into `.grad` of every leaf it depends on."""
    backward(self, gradient, retain_graph, create_graph, [inputs] if isinstance(inputs, Tensor) else inputs)


def masked_fill(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`value` where the mask holds."""
    return M.where(M.bool_of(mask, "masked_fill", "mask"), *reversed(promote_to(self, value)))


def promote_to(x: Tensor, value: Any) -> tuple[Any, Any]:
    """`value` beside `x` in the type of `x`."""
    return x, convert(value, x.dtype) if isinstance(value, Tensor) else promote("masked_fill", x, value)[1]


_set(
    detach=detach, clone=clone, to=to, size=size, contiguous=contiguous, copy_=copy_, fill_=fill_, view=view, new_tensor=new_tensor,
    new_zeros=_new_full(0), new_ones=_new_full(1), new_empty=_new_full(0), share_memory_=share_memory_, new_full=new_full, fill_diagonal_=fill_diagonal_, detach_=detach_, sum_to_size=sum_to_size, type=as_type,
    ndimension=lambda self: self.ndim, is_inference=lambda self: self._meta is not None and self._meta.inference, storage_offset=_offset, register_hook=register_hook, register_post_accumulate_grad_hook=register_post_accumulate_grad_hook, backward=_backward,
    zero_=lambda self: fill_(self, 0), cpu=lambda self: self, dim=lambda self: self.ndim, numel=lambda self: self._data.size, nelement=lambda self: self._data.size,
    element_size=lambda self: self.dtype.itemsize, is_floating_point=lambda self: self.dtype.is_floating_point, is_complex=lambda self: self.dtype.is_complex,
    is_contiguous=lambda self, memory_format=None: not isinstance(self._data, np.ndarray) or bool(self._data.flags.c_contiguous),
    data_ptr=lambda self: array_of(self, "data_ptr()").ctypes.data, get_device=lambda self: -1,
    stride=stride, new=new, is_conj=is_conj, is_neg=is_neg, cuda=on_device("cuda"), xpu=on_device("xpu"), is_pinned=lambda self: False, is_shared=lambda self: False,
    view_as=lambda self, other: view(self, tuple(other.shape)), reshape_as=lambda self, other: P.reshape(self, tuple(other.shape)),
    expand_as=lambda self, other: P.expand(self, tuple(other.shape)), type_as=lambda self, other: convert(self, other.dtype),
    where=lambda self, condition, other: M.where(condition, self, other),
    masked_fill=masked_fill, masked_fill_=lambda self, mask, value: assign(self, masked_fill(old_value(self), mask, value), "masked_fill_"),
    uniform_=G.uniform_, normal_=G.normal_,
)  # fmt: skip
# What help() says of those that are a line long.
_DOCS = {
    "new_zeros": "Zeros of this size in this tensor's type.",
    "new_ones": "Ones of this size in this tensor's type.",
    "new_empty": "Elements of this size (zeros) in this tensor's type.",
    "ndimension": "The number of axes.",
    "dim": "The number of axes.",
    "numel": "The number of elements.",
    "nelement": "The number of elements.",
    "element_size": "Bytes that an element takes.",
    "is_inference": "Whether it was made in inference mode.",
    "zero_": "Write zeros everywhere.",
    "cpu": "The tensor itself: it is on the processor.",
    "is_floating_point": "Whether the elements are floating-point numbers.",
    "is_complex": "Whether the elements are complex numbers.",
    "is_contiguous": "Whether the elements lie in row-major order in memory.",
    "data_ptr": "The address of the first element.",
    "get_device": "-1: the processor has no number.",
    "is_pinned": "False: there is no other device to copy to.",
    "is_shared": "False: the data loader shares memory by itself.",
    "view_as": "`view` in the shape of another tensor.",
    "reshape_as": "`reshape` to the shape of another tensor.",
    "expand_as": "`expand` to the shape of another tensor.",
    "type_as": "In the type of another tensor.",
    "where": "This tensor where the condition holds, `other` elsewhere.",
    "masked_fill_": "`masked_fill` in place.",
}
for _name, _doc in _DOCS.items():
    getattr(Tensor, _name).__doc__ = _doc
_PROPERTY_DOCS = {
    "T": "The tensor with its axes in reverse order.",
    "mT": "Each matrix (the last two axes) transposed.",
    "H": "The conjugate of a matrix, transposed.",
    "mH": "The conjugate of each matrix, transposed.",
    "real": "The real parts.",
    "imag": "The imaginary parts.",
    "device": "Where the elements are: `cpu`.",
    "nbytes": "Bytes that all elements take.",
    "itemsize": "Bytes that an element takes.",
    "is_sparse": "False: all tensors hold every element.",
    "is_quantized": "False.",
    "is_meta": "False: all tensors have elements.",
    "is_nested": "False.",
    "is_mps": "False.",
    "is_xpu": "False.",
    "layout": "`strided`.",
    "is_cpu": "True.",
    "is_cuda": "False.",
    "output_nr": "Which result of its operation it is.",
}
for _name, _get in {
    "T": P.reversed_axes, "mT": lambda self: P.transpose(self, -2, -1), "H": lambda self: M.conj(P.t(self)),
    "mH": lambda self: M.conj(P.transpose(self, -2, -1)), "real": M.real, "imag": M.imag, "device": _device, "nbytes": lambda self: self._data.size * self.dtype.itemsize,
    "itemsize": lambda self: self.dtype.itemsize, "is_sparse": lambda self: False, "is_quantized": lambda self: False, "is_meta": lambda self: False, "is_nested": lambda self: False, "is_mps": lambda self: False,
    "is_xpu": lambda self: False, "layout": lambda self: strided, "output_nr": lambda self: meta_of(self).index, "is_cpu": lambda self: True, "is_cuda": lambda self: False,
}.items():  # fmt: skip
    setattr(Tensor, _name, property(_get, doc=_PROPERTY_DOCS[_name]))
setattr(Tensor, "data", property(_data_get, _data_set))  # noqa: B010
