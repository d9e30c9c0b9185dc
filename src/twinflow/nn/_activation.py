"""Activation layers: each fixes the options of the function of the same name in `nn.functional`."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.nn import functional as F
from twinflow.nn._function import FunctionLayer
from twinflow.nn._module import Module
from twinflow.nn._parameter import Parameter
from twinflow.ops import full
from twinflow.tensor import Tensor


class ReLU(FunctionLayer):
    """max(x, 0)."""

    function = staticmethod(F.relu)
    options = ("inplace",)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class ReLU6(FunctionLayer):
    """min(max(x, 0), 6)."""

    function = staticmethod(F.relu6)
    options = ("inplace",)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Hardtanh(FunctionLayer):
    """x limited to [min_val, max_val]."""

    function = staticmethod(F.hardtanh)
    options = ("min_val", "max_val", "inplace")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(min_val=min_val, max_val=max_val, inplace=inplace)


class ELU(FunctionLayer):
    """x for x > 0, α(eˣ - 1) below."""

    function = staticmethod(F.elu)
    options = ("alpha", "inplace")

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha=alpha, inplace=inplace)


class SELU(FunctionLayer):
    """Scaled elu whose outputs keep mean 0 and variance 1."""

    function = staticmethod(F.selu)
    options = ("inplace",)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class CELU(FunctionLayer):
    """x for x > 0, α(e^(x/α) - 1) below."""

    function = staticmethod(F.celu)
    options = ("alpha", "inplace")

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha=alpha, inplace=inplace)


class LeakyReLU(FunctionLayer):
    """x for x > 0, slope · x below."""

    function = staticmethod(F.leaky_relu)
    options = ("negative_slope", "inplace")

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(negative_slope=negative_slope, inplace=inplace)


class PReLU(Module):
    """x for x > 0, w · x below, with a learned w: one, or one for each channel (axis 1).

    Parameters: weight [num_parameters], all `init` at first.
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        if num_parameters < 1:
            raise ArgumentError(f"PReLU: num_parameters must be at least 1, but {num_parameters} was given")
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(full((num_parameters,), float(init), dtype=dtype, device=device))

    def reset_parameters(self) -> None:
        """Back to the initial value."""
        self.weight.data.fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        """x, or w · x."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The number of parameters."""
        return f"num_parameters={self.num_parameters}"


class RReLU(FunctionLayer):
    """leaky_relu with random slopes in training."""

    function = staticmethod(F.rrelu)
    options = ("lower", "upper", "training", "inplace")

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__(lower=lower, upper=upper, inplace=inplace)


class Threshold(FunctionLayer):
    """x for x > threshold, `value` otherwise."""

    function = staticmethod(F.threshold)
    options = ("threshold", "value", "inplace")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(threshold=threshold, value=value, inplace=inplace)


class GELU(FunctionLayer):
    """x · Φ(x), Φ the normal distribution function."""

    function = staticmethod(F.gelu)
    options = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)


class SiLU(FunctionLayer):
    """x · sigmoid(x)."""

    function = staticmethod(F.silu)
    options = ("inplace",)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Mish(FunctionLayer):
    """x · tanh(softplus(x))."""

    function = staticmethod(F.mish)
    options = ("inplace",)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Hardswish(FunctionLayer):
    """x · clamp(x + 3, 0, 6) / 6."""

    function = staticmethod(F.hardswish)
    options = ("inplace",)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Hardsigmoid(FunctionLayer):
    """clamp(x + 3, 0, 6) / 6."""

    function = staticmethod(F.hardsigmoid)
    options = ("inplace",)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Softplus(FunctionLayer):
    """log(1 + e^(βx)) / β; x itself where βx exceeds the threshold."""

    function = staticmethod(F.softplus)
    options = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)


class Softshrink(FunctionLayer):
    """x moved towards 0 by λ."""

    function = staticmethod(F.softshrink)
    options = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Hardshrink(FunctionLayer):
    """x outside [-λ, λ], 0 within."""

    function = staticmethod(F.hardshrink)
    options = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Softsign(FunctionLayer):
    """x / (1 + |x|)."""

    function = staticmethod(F.softsign)


class Tanhshrink(FunctionLayer):
    """x - tanh(x)."""

    function = staticmethod(F.tanhshrink)


class Sigmoid(FunctionLayer):
    """1 / (1 + e^-x)."""

    function = staticmethod(F.sigmoid)


class Tanh(FunctionLayer):
    """Hyperbolic tangent."""

    function = staticmethod(F.tanh)


class LogSigmoid(FunctionLayer):
    """log sigmoid(x)."""

    function = staticmethod(F.logsigmoid)


class GLU(FunctionLayer):
    """a · sigmoid(b), where a and b are the halves of an axis."""

    function = staticmethod(F.glu)
    options = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim=dim)


class Softmax(FunctionLayer):
    """exp(x) / Σ exp(x) along an axis."""

    function = staticmethod(F.softmax)
    options = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim=dim)


class LogSoftmax(FunctionLayer):
    """log softmax along an axis."""

    function = staticmethod(F.log_softmax)
    options = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim=dim)


class Softmin(FunctionLayer):
    """softmax of -x along an axis."""

    function = staticmethod(F.softmin)
    options = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim=dim)


class Softmax2d(FunctionLayer):
    """softmax over the channels of images [N, C, H, W] or [C, H, W]."""

    @staticmethod
    def function(x: Tensor) -> Tensor:
        """Softmax over the third axis from the end."""
        return F.softmax(x, -3)
