"""Linear layers."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core import as_int
from twinflow.core.errors import ArgumentError
from twinflow.nn import functional as F
from twinflow.nn import init
from twinflow.nn._lazy import LazyLayer
from twinflow.nn._module import Module
from twinflow.nn._parameter import Parameter, UninitializedParameter
from twinflow.ops import empty
from twinflow.tensor import Tensor


def size(op: str, name: str, value: Any, *, least: int = 1) -> int:
    """`value` as a whole number that is at least `least`."""
    n = as_int(value, f"{op}: {name}")
    if n < least:
        raise ArgumentError(f"{op}: {name} must be at least {least}, but {n} was given")
    return n


class Identity(Module):
    """The input itself; arguments are accepted and ignored, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The input."""
        return input


class Linear(Module):
    """y = x Wᵀ + b over the last axis: [..., in_features] → [..., out_features].

    Args:
        in_features, out_features: the extents of the last axis of input and output.
        bias: whether there is a b.

    Parameters: weight [out_features, in_features] and bias [out_features], uniform in ±1/√in_features.

    >>> import twinflow
    >>> twinflow.nn.Linear(3, 5)(twinflow.zeros(2, 3)).shape
    twinflow.Size([2, 5])
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = size("Linear", "in_features", in_features, least=0)
        self.out_features = size("Linear", "out_features", out_features, least=0)
        self.weight = Parameter(empty(self.out_features, self.in_features, dtype=dtype, device=device))
        self.bias = Parameter(empty(self.out_features, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """x Wᵀ + b."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """y = x₁ᵀ W x₂ + b.

    Parameters: weight [out_features, in1_features, in2_features] and bias [out_features], uniform in ±1/√in1_features.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features = size("Bilinear", "in1_features", in1_features)
        self.in2_features = size("Bilinear", "in2_features", in2_features)
        self.out_features = size("Bilinear", "out_features", out_features)
        self.weight = Parameter(
            empty(self.out_features, self.in1_features, self.in2_features, dtype=dtype, device=device)
        )
        self.bias = Parameter(empty(self.out_features, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """x₁ᵀ W x₂ + b."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class LazyLinear(LazyLayer, Linear):
    """A Linear that takes in_features from its first input."""

    becomes = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False, device, dtype)
        self.out_features = size("LazyLinear", "out_features", out_features, least=0)
        self.weight = UninitializedParameter(dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(dtype=dtype)

    def infer(self, input: Tensor) -> None:
        """Take in_features from the last axis."""
        self.in_features = input.shape[-1]
        self.give_shapes(weight=(self.out_features, self.in_features), bias=(self.out_features,))
