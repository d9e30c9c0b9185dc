"""The name that tensors with gradients had in PyTorch before 0.4, and still have in many articles."""

from __future__ import annotations

from twinflow.tensor import Tensor


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """A tensor that shares the memory of `data`: every tensor is a variable now.

    >>> import twinflow
    >>> from twinflow.autograd import Variable
    >>> Variable(twinflow.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """
    made: Tensor = data.detach()
    return made.requires_grad_(requires_grad)
