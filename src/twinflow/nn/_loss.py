"""Loss layers: each fixes the options of the function of the same name in `nn.functional`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.nn import functional as F
from twinflow.nn._function import FunctionLayer
from twinflow.tensor import Tensor


class _Loss(FunctionLayer):
    """A loss with a reduction; weights are buffers."""

    buffers_: tuple[str, ...] = ()

    def __init__(self, reduction: str = "mean", **options: Any) -> None:
        if reduction not in ("none", "mean", "sum", "batchmean"):
            raise ArgumentError(f"{type(self).__name__}: reduction is 'mean', 'sum' or 'none', not {reduction!r}")
        tensors = {name: options.pop(name) for name in self.buffers_}
        super().__init__(reduction=reduction, **options)
        for name, value in tensors.items():
            self.register_buffer(name, value)

    def extra_repr(self) -> str:
        """The reduction, if it is not the mean."""
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class L1Loss(_Loss):
    """|x - t|."""

    function = staticmethod(F.l1_loss)
    options = ("reduction",)

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)


class MSELoss(_Loss):
    """(x - t)²."""

    function = staticmethod(F.mse_loss)
    options = ("reduction",)

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)


class SmoothL1Loss(_Loss):
    """½ d² / β where |d| < β, |d| - ½ β elsewhere."""

    function = staticmethod(F.smooth_l1_loss)
    options = ("reduction", "beta")

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction, beta=beta)


class HuberLoss(_Loss):
    """½ d² where |d| ≤ δ, δ (|d| - ½ δ) elsewhere."""

    function = staticmethod(F.huber_loss)
    options = ("reduction", "delta")

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction, delta=delta)


class CrossEntropyLoss(_Loss):
    """-log softmax(x)[t], of logits x and labels (or probabilities) t. See `functional.cross_entropy`."""

    function = staticmethod(F.cross_entropy)
    options = ("weight", "ignore_index", "reduction", "label_smoothing")
    buffers_ = ("weight",)

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing)


class NLLLoss(_Loss):
    """-x[t] of log-probabilities x and labels t."""

    function = staticmethod(F.nll_loss)
    options = ("weight", "ignore_index", "reduction")
    buffers_ = ("weight",)

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight, ignore_index=ignore_index)


NLLLoss2d = NLLLoss


class BCELoss(_Loss):
    """-(t log x + (1 - t) log(1 - x)) of probabilities x."""

    function = staticmethod(F.binary_cross_entropy)
    options = ("weight", "reduction")
    buffers_ = ("weight",)

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of sigmoid(x), without overflow."""

    function = staticmethod(F.binary_cross_entropy_with_logits)
    options = ("weight", "reduction", "pos_weight")
    buffers_ = ("weight", "pos_weight")

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(reduction, weight=weight, pos_weight=pos_weight)


class KLDivLoss(_Loss):
    """t (log t - x) of log-probabilities x; use reduction="batchmean" for the divergence as it is defined."""

    function = staticmethod(F.kl_div)
    options = ("reduction", "log_target")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction, log_target=log_target)


class PoissonNLLLoss(_Loss):
    """eˣ - t x: the negative log-likelihood of counts."""

    function = staticmethod(F.poisson_nll_loss)
    options = ("log_input", "full", "eps", "reduction")

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction, log_input=log_input, full=full, eps=eps)


class GaussianNLLLoss(_Loss):
    """½ (log v + (x - t)² / v); called with (input, target, var)."""

    function = staticmethod(F.gaussian_nll_loss)
    options = ("full", "eps", "reduction")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction, full=full, eps=eps)


class HingeEmbeddingLoss(_Loss):
    """x where t = 1, max(0, margin - x) where t = -1."""

    function = staticmethod(F.hinge_embedding_loss)
    options = ("margin", "reduction")

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction, margin=margin)


class SoftMarginLoss(_Loss):
    """log(1 + e^(-t x)), t = ±1."""

    function = staticmethod(F.soft_margin_loss)
    options = ("reduction",)

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)


class MarginRankingLoss(_Loss):
    """max(0, -t (x₁ - x₂) + margin)."""

    function = staticmethod(F.margin_ranking_loss)
    options = ("margin", "reduction")

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction, margin=margin)


class MultiMarginLoss(_Loss):
    """Σ_{j≠t} max(0, margin - x[t] + x[j])^p / C."""

    function = staticmethod(F.multi_margin_loss)
    options = ("p", "margin", "weight", "reduction")
    buffers_ = ("weight",)

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction, p=p, margin=margin, weight=weight)


class MultiLabelMarginLoss(_Loss):
    """Σ max(0, 1 - (x[j] - x[i])) / C over labels j and other classes i."""

    function = staticmethod(F.multilabel_margin_loss)
    options = ("reduction",)

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """Binary cross-entropy of sigmoid(x), averaged over the classes."""

    function = staticmethod(F.multilabel_soft_margin_loss)
    options = ("weight", "reduction")
    buffers_ = ("weight",)

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight)


class CosineEmbeddingLoss(_Loss):
    """1 - cos(x₁, x₂) where t = 1, max(0, cos(x₁, x₂) - margin) where t = -1."""

    function = staticmethod(F.cosine_embedding_loss)
    options = ("margin", "reduction")

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction, margin=margin)


class TripletMarginLoss(_Loss):
    """max(0, d(a, p) - d(a, n) + margin)."""

    function = staticmethod(F.triplet_margin_loss)
    options = ("margin", "p", "eps", "swap", "reduction")

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction, margin=margin, p=p, eps=eps, swap=swap)


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with a distance of one's own."""

    function = staticmethod(F.triplet_margin_with_distance_loss)
    options = ("distance_function", "margin", "swap", "reduction")

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction, distance_function=distance_function, margin=margin, swap=swap)


class CTCLoss(_Loss):
    """-log of the probability of a label sequence over all alignments; called with (log_probs, targets, input_lengths,
    target_lengths)."""

    function = staticmethod(F.ctc_loss)
    options = ("blank", "reduction", "zero_infinity")

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction, blank=blank, zero_infinity=zero_infinity)
