"""`tf.TensorArray`: tensors of one shape that are written and read by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinflow import ops
from twinflow.autograph import Grows, known_number
from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, IndexOutOfRange, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor
from twinflow.tf._array import tensor_scatter_nd_update
from twinflow.tf._shapes import known_int


@dataclass(init=False, eq=False)
class TensorArray:
    """A list of tensors of one shape, held as one tensor with a further first axis, so that loops carry it along.

    Args:
        dtype: the type of the elements.
        size: how many there are.
        dynamic_size: whether a write behind the end makes it longer. In a traced function its number must be known, so a loop
            with such writes is unrolled, and must be over a range (or tensor) of known length.
        element_shape: the shape of the elements; without it the first write decides.

    A write gives a new array, as in TensorFlow: `ta = ta.write(i, x)`. Elements that were not written are zeros.

    >>> from twinflow import tf
    >>> @tf.function
    ... def powers(x):
    ...     ta = tf.TensorArray(tf.float32, size=3)
    ...     for i in tf.range(3):
    ...         ta = ta.write(i, x ** tf.cast(i, tf.float32))
    ...     return ta.stack()
    >>> powers(tf.constant(2.0))
    tensor([1., 2., 4.])
    """

    buffer: Any  # [size, *element's shape]; None before the first write

    def __new__(
        cls, dtype: Any = "float32", size: Any = 0, dynamic_size: bool = False, *args: Any, **kwargs: Any
    ) -> Any:
        """One that is told by its class if it has no element yet and may become longer."""
        grows = dynamic_size and kwargs.get("buffer") is None and known_int(size) == 0
        return super().__new__(Growing if grows else cls)

    def __init__(
        self,
        dtype: Any = "float32",
        size: Any = 0,
        dynamic_size: bool = False,
        clear_after_read: bool | None = None,
        element_shape: Any = None,
        infer_shape: bool = True,
        name: str | None = None,
        buffer: Any = None,
    ) -> None:
        if not infer_shape:
            raise ArgumentError("tf.TensorArray: elements have one shape, so infer_shape=False cannot be kept")
        self.buffer = buffer
        self._dtype = as_dtype(dtype)
        self._size = known_int(size)
        self._dynamic = dynamic_size
        if buffer is None and element_shape is not None and None not in tuple(element_shape):
            self.buffer = ops.zeros((self._size, *element_shape), dtype=self._dtype)

    @property
    def is_blank(self) -> bool:
        """Whether the shape of the elements is not known yet; a loop that writes it finds it out."""
        return self.buffer is None

    @property
    def dtype(self) -> Any:
        """The type of the elements."""
        return self._dtype if self.buffer is None else self.buffer.dtype

    @property
    def element_shape(self) -> Any:
        """The shape of the elements, None if none was written yet."""
        return None if self.buffer is None else tuple(self.buffer.shape[1:])

    @property
    def dynamic_size(self) -> bool:
        """Whether writes behind the end make it longer."""
        return getattr(self, "_dynamic", False)

    def size(self, name: str | None = None) -> Tensor:
        """The number of elements."""
        return ops.tensor(self._count(), dtype="int32")

    def _count(self) -> int:
        return self._size if self.buffer is None else int(self.buffer.shape[0])

    def _with(self, buffer: Tensor) -> TensorArray:
        made = type(self)(buffer.dtype, int(buffer.shape[0]), buffer=buffer)
        made._dynamic = self.dynamic_size
        return made

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with another element. Raises: IndexOutOfRange, or ShapeError for an element of another shape."""
        x = to_tensor(value, self.dtype)
        buffer = self.buffer
        if buffer is None:
            buffer = ops.zeros((self._count(), *x.shape), dtype=x.dtype)
        if tuple(x.shape) != tuple(buffer.shape[1:]):
            raise ShapeError(
                f"tf.TensorArray.write: the elements have the shape {tuple(buffer.shape[1:])}, not {tuple(x.shape)}"
            )
        known = known_number(index)
        if known is None:
            if isinstance(self, Growing):
                raise Grows(
                    "tf.TensorArray.write: in a loop whose number of steps is a tensor an array cannot become longer; make it with size=n"
                )
            return self._with(tensor_scatter_nd_update(buffer, to_tensor(index).reshape(1, 1), x.unsqueeze(0)))
        i, n = known_int(known), int(buffer.shape[0])
        if i >= n and self.dynamic_size:
            more = ops.zeros((i + 1 - n, *x.shape), dtype=x.dtype)
            buffer = ops.concat([buffer, more], 0) if n else more
        elif not 0 <= i < n:
            raise IndexOutOfRange(f"tf.TensorArray.write: there are {n} elements, so none has the number {i}")
        return self._with(ops.concat([buffer[:i], x.unsqueeze(0), buffer[i + 1 :]], 0))

    def _full(self, op: str) -> Tensor:
        if self.buffer is None:
            raise ArgumentError(f"tf.TensorArray.{op}: nothing was written, so the shape of the elements is not known")
        return self.buffer

    def read(self, index: Any, name: str | None = None) -> Tensor:
        """The element with this number."""
        at = to_tensor(index).to(dtype="int64").reshape(1)
        return ops.index_select(self._full("read"), 0, at)[0]

    def gather(self, indices: Any, name: str | None = None) -> Tensor:
        """The elements with these numbers, stacked."""
        return ops.index_select(self._full("gather"), 0, to_tensor(indices).to(dtype="int64"))

    def stack(self, name: str | None = None) -> Tensor:
        """All elements, stacked."""
        return self._full("stack")

    def concat(self, name: str | None = None) -> Tensor:
        """All elements one after the other along their first axis."""
        x = self._full("concat")
        return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """The array of the slices of a tensor."""
        return self._with(to_tensor(value, self.dtype))

    def scatter(self, indices: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with the slices of a tensor at these numbers."""
        x = to_tensor(value, self.dtype)
        buffer = ops.zeros((self._count(), *x.shape[1:]), dtype=x.dtype) if self.buffer is None else self.buffer
        return self._with(tensor_scatter_nd_update(buffer, to_tensor(indices).unsqueeze(-1), x))

    def split(self, value: Any, lengths: Any, name: str | None = None) -> TensorArray:
        """The array of pieces of a tensor. Raises: ShapeError unless they are of one length."""
        sizes = {int(n) for n in to_tensor(lengths).reshape(-1).tolist()}
        x = to_tensor(value, self.dtype)
        if len(sizes) != 1:
            raise ShapeError(f"tf.TensorArray.split: the pieces must be of one length, not {sorted(sizes)}")
        return self._with(x.reshape(-1, sizes.pop(), *x.shape[1:]))

    def identity(self) -> TensorArray:
        """The array itself."""
        return self

    def close(self, name: str | None = None) -> None:
        """Let go of the elements."""
        self.buffer = None

    def __len__(self) -> int:
        return self._count()


class Growing(TensorArray):
    """An array that began without elements and becomes longer with each write."""

    @property
    def dynamic_size(self) -> bool:
        """Whether writes behind the end make it longer."""
        return True
