"""Softmax over very many classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn._containers import ModuleList, Sequential
from twinflow.nn._linear import Linear, size
from twinflow.nn._module import Module
from twinflow.nn.functional._loss_checks import choose, class_labels
from twinflow.ops import cat, log_softmax
from twinflow.tensor import Tensor


class ASMoutput(NamedTuple):
    """What `AdaptiveLogSoftmaxWithLoss` gives: the log-probability of each label, and their mean, negated."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """A softmax over so many classes that rare ones share outputs: the head decides between the most frequent classes and one
    entry for each cluster of the others, a cluster's own narrow layer decides within it.

    log p(c) = head(x)_c for a class of the head, head(x)_k + tail_k(x)_c for one of cluster k. Every cluster is computed for
    every row, so that the function can be compiled; its gain is in parameters, not in time.

    Args:
        in_features: the extent of the input's last axis.
        n_classes: how many classes; they are numbered from the most frequent on.
        cutoffs: where the clusters begin, rising: the head has classes below cutoffs[0].
        div_value: cluster k's layer is in_features / div_value^(k + 1) wide.
        head_bias: whether the head has a bias.

    Source: Grave et al., arXiv:1609.04309.

    >>> import twinflow
    >>> layer = twinflow.nn.AdaptiveLogSoftmaxWithLoss(8, 100, [10, 50])
    >>> layer.log_prob(twinflow.zeros(2, 8)).shape
    twinflow.Size([2, 100])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        given = list(cutoffs)
        if not given or given != sorted(set(given)) or given[0] < 1 or given[-1] > n_classes - 1:
            raise ArgumentError(
                "AdaptiveLogSoftmaxWithLoss: cutoffs are whole numbers that rise, each from 1 to n_classes - 1, "
                f"but {given} was given for {n_classes} classes"
            )
        self.in_features = size("AdaptiveLogSoftmaxWithLoss", "in_features", in_features)
        self.n_classes, self.cutoffs = n_classes, [*given, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for k in range(self.n_clusters):
            width = int(in_features // div_value ** (k + 1))
            inside = self.cutoffs[k + 1] - self.cutoffs[k]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, False, device, dtype), Linear(width, inside, False, device, dtype)
                )
            )

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.head.reset_parameters()
        for cluster in self.tail:
            for layer in cluster:
                layer.reset_parameters()

    def forward(self, input: Tensor, target: Tensor) -> ASMoutput:
        """The log-probability of each row's label, and the mean of their negatives: [N, in_features] and [N] → ([N], [])."""
        if input.ndim not in (1, 2) or input.shape[-1] != self.in_features:
            raise ShapeError(
                f"AdaptiveLogSoftmaxWithLoss: input must be [N, {self.in_features}], but its shape is {tuple(input.shape)}"
            )
        single = input.ndim == 1
        x, label = (input.unsqueeze(0), target.reshape(1)) if single else (input, target)
        whole = self.log_prob(x)
        class_labels("AdaptiveLogSoftmaxWithLoss", whole, label)
        output = choose("AdaptiveLogSoftmaxWithLoss", whole, label, 1)
        return ASMoutput(output.squeeze(0) if single else output, -output.mean())

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes: [N, in_features] → [N, n_classes]."""
        head = log_softmax(self.head(input), -1)
        parts = [head[..., : self.shortlist_size]]
        for k, cluster in enumerate(self.tail):
            at = self.shortlist_size + k
            parts.append(log_softmax(cluster(input), -1) + head[..., at : at + 1])
        return cat(parts, -1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row: [N, in_features] → [N]."""
        return self.log_prob(input).argmax(-1)
