"""Operations with derivatives of their own, under the path of `torch.autograd.function`."""

from twinflow.autodiff._function import Function as Function
from twinflow.autodiff._function import FunctionCtx as FunctionCtx
from twinflow.autodiff._function import once_differentiable as once_differentiable
