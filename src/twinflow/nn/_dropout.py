"""Dropout layers."""

from __future__ import annotations

from twinflow.nn import functional as F
from twinflow.nn._function import FunctionLayer
from twinflow.nn.functional._arguments import probability


class _Dropout(FunctionLayer):
    options = ("p", "training", "inplace")

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        probability(type(self).__name__, p)
        super().__init__(p=p, inplace=inplace)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training each element is 0 with probability p, and the others are divided by 1 - p."""

    function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """In training whole channels of [N, C, L] are 0 with probability p."""

    function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """In training whole channels of [N, C, H, W] are 0 with probability p."""

    function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """In training whole channels of [N, C, D, H, W] are 0 with probability p."""

    function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout for networks of SELU: mean and variance stay."""

    function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels."""

    function = staticmethod(F.feature_alpha_dropout)
