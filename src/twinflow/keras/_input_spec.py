"""InputSpec: what a layer of the user's says of its inputs."""

from __future__ import annotations

from typing import Any

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, ShapeError


class InputSpec:
    """What an input must look like, for a layer's attribute `input_spec`: one, or a list of them for several inputs.

    Args:
        dtype: its type.
        shape: its whole shape, None for any size.
        ndim, max_ndim, min_ndim: how many axes it has.
        axes: {axis: size}.
        allow_last_axis_squeeze: whether a last axis of size 1 may be missing, or there beside the others of `shape`.
        name: the key of the input in a dict.

    >>> from twinflow import keras
    >>> keras.layers.InputSpec(ndim=4, axes={-1: 3})
    InputSpec(ndim=4, axes={-1: 3})
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
    ) -> None:
        self.dtype = None if dtype is None else as_dtype(dtype).name
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(a): n for a, n in (axes or {}).items()}
        self.allow_last_axis_squeeze, self.name = allow_last_axis_squeeze, name

    def differs(self, shape: tuple[int | None, ...], dtype: str) -> str:
        """In which way an input does not fit, in words; empty if it does."""
        if self.dtype is not None and dtype != self.dtype:
            return f"its type must be {self.dtype}, not {dtype}"
        n = len(shape)
        if self.max_ndim is not None and n > self.max_ndim:
            return f"it must have at most {self.max_ndim} axes"
        if self.min_ndim is not None and n < self.min_ndim:
            return f"it must have at least {self.min_ndim} axes"
        if self.allow_last_axis_squeeze and self.shape is not None:
            if n == len(self.shape) + 1 and shape[-1] == 1:
                shape = shape[:-1]
            elif n == len(self.shape) - 1 and self.shape[-1] == 1:
                shape = (*shape, 1)
        if self.ndim is not None and len(shape) != self.ndim:
            return f"it must have {self.ndim} axes"
        wanted = {**dict(enumerate(self.shape or ())), **self.axes}
        for axis, size in wanted.items():
            if size is not None and not -len(shape) <= axis < len(shape):
                return f"it must have an axis {axis}"
            if size is not None and shape[axis] not in (None, size):
                return f"its axis {axis} must have size {size}"
        return ""

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {k: v for k, v in vars(self).items() if v is not None}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """The inverse of `get_config`."""
        return cls(**config)

    def __repr__(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if v not in (None, {}, False))
        return f"InputSpec({given})"


def check_inputs(layer: str, spec: Any, inputs: Any, shapes: Any) -> None:
    """Raise: ShapeError unless the inputs are as a layer's `input_spec` says; ArgumentError for another number of them."""
    if isinstance(spec, dict):
        inputs, shapes = [inputs[k] for k in spec], [shapes[k] for k in spec]
        spec = list(spec.values())
    several = isinstance(spec, (list, tuple))
    specs = list(spec) if several else [spec]
    given, found = (list(inputs), list(shapes)) if isinstance(inputs, (list, tuple)) else ([inputs], [shapes])
    if several and len(specs) != len(given):
        raise ArgumentError(
            f"{layer}: {len(specs)} inputs are needed, as its input_spec says, but {len(given)} were given"
        )
    for k, (s, x, shape) in enumerate(zip(specs, given, found)):
        wrong = "" if s is None or shape is None else s.differs(tuple(shape), x.dtype.name)
        if wrong:
            which = f"input {k}" if several else "the input"
            raise ShapeError(
                f"{layer}: {which} does not fit its input_spec: {wrong}, but the input is {x.dtype.name}{list(shape)}"
            )
