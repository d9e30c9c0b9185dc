"""Forward-mode differentiation by hand: tensors that carry a tangent while a `dual_level` is open."""

from __future__ import annotations

from typing import NamedTuple

from twinflow.core.errors import GradientError, ShapeError
from twinflow.tensor import MODE, JvpLevel, Tensor


class UnpackedDualTensor(NamedTuple):
    """A tensor and its tangent, or None if it has none."""

    primal: Tensor
    tangent: Tensor | None


class dual_level(JvpLevel):
    """Within it, `make_dual` gives tensors a tangent that operations carry on.

    >>> import twinflow
    >>> import twinflow.autograd.forward_ad as fwd
    >>> with fwd.dual_level():
    ...     y = fwd.make_dual(twinflow.tensor(3.0), twinflow.tensor(1.0)) ** 2
    ...     fwd.unpack_dual(y).tangent
    tensor(6.)
    """


def _innermost(op: str) -> JvpLevel:
    for level in reversed(MODE.transforms):
        if isinstance(level, JvpLevel):
            return level
    raise GradientError(f"{op}: no dual level is open; use it inside `with forward_ad.dual_level():`")


def make_dual(tensor: Tensor, tangent: Tensor) -> Tensor:
    """`tensor` with a tangent of the same shape."""
    if tuple(tensor.shape) != tuple(tangent.shape):
        raise ShapeError(f"make_dual: a tangent of shape {tuple(tangent.shape)} for a tensor of {tuple(tensor.shape)}")
    return _innermost("make_dual").enter_dual(tensor, tangent)


def unpack_dual(tensor: Tensor) -> UnpackedDualTensor:
    """The two parts of a tensor."""
    return UnpackedDualTensor(*_innermost("unpack_dual").leave(tensor))
