"""Tables of vectors for words and other symbols."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ShapeError
from twinflow.nn import functional as F
from twinflow.nn import init
from twinflow.nn._linear import size
from twinflow.nn._module import Module
from twinflow.nn._parameter import Parameter
from twinflow.nn.functional._embedding import padding_index
from twinflow.ops import empty
from twinflow.tensor import Tensor, no_grad


class _Table(Module):
    weight: Parameter

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, weight: Tensor | None, dtype: Any
    ) -> None:
        super().__init__()
        op = type(self).__name__
        self.num_embeddings = size(op, "num_embeddings", num_embeddings)
        self.embedding_dim = size(op, "embedding_dim", embedding_dim)
        self.padding_idx = padding_index(op, padding_idx, self.num_embeddings)
        if weight is None:
            self.weight = Parameter(empty(self.num_embeddings, self.embedding_dim, dtype=dtype))
            self.reset_parameters()
        else:
            if tuple(weight.shape) != (num_embeddings, embedding_dim):
                raise ShapeError(
                    f"{op}: a weight of shape {(num_embeddings, embedding_dim)} is needed, not {tuple(weight.shape)}"
                )
            self.weight = Parameter(weight)

    def reset_parameters(self) -> None:
        """Draw normal numbers; the row of padding_idx is 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0


class Embedding(_Table):
    """A table of vectors, looked up by number: [...] → [..., embedding_dim].

    Args:
        num_embeddings: the number of rows; indices run from 0 to num_embeddings - 1.
        embedding_dim: the number of features of each.
        padding_idx: a row that starts at 0 and gets no gradient.
        max_norm, norm_type: rows that are looked up are first scaled down to this norm.

    Parameters: weight [num_embeddings, embedding_dim], standard normal at first.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, _weight, dtype)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _freeze:
            self.weight.requires_grad_(False)

    def forward(self, input: Tensor) -> Tensor:
        """The rows that the input names."""
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Embedding:
        """A layer around a given table, which is not trained unless `freeze` is False."""
        if embeddings.ndim != 2:
            raise ShapeError(f"Embedding.from_pretrained: a matrix is needed, not shape {tuple(embeddings.shape)}")
        return cls(embeddings.shape[0], embeddings.shape[1], _weight=embeddings, _freeze=freeze, **options)

    def extra_repr(self) -> str:
        """The sizes and options."""
        s = f"{self.num_embeddings}, {self.embedding_dim}"
        s += f", padding_idx={self.padding_idx}" if self.padding_idx is not None else ""
        return s + (f", max_norm={self.max_norm}" if self.max_norm is not None else "")


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the rows that each bag names, without the rows in between.

    Args:
        mode: "sum", "mean" or "max".
        include_last_offset: whether the last offset is the end of the last bag.
        padding_idx: entries with this index do not count.
        others: as for `Embedding`.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, _weight, dtype)
        self.max_norm, self.norm_type, self.mode = max_norm, norm_type, mode
        self.scale_grad_by_freq, self.sparse, self.include_last_offset = scale_grad_by_freq, sparse, include_last_offset

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """One vector for each bag."""
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> EmbeddingBag:
        """A layer around a given table, which is not trained unless `freeze` is False."""
        made = cls(embeddings.shape[0], embeddings.shape[1], _weight=embeddings, **options)
        made.weight.requires_grad_(not freeze)
        return made

    def extra_repr(self) -> str:
        """The sizes and options."""
        return f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}"
