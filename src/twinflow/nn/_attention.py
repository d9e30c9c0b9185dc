"""Multi-head attention as a layer."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.nn import init
from twinflow.nn._linear import Linear
from twinflow.nn._module import Module
from twinflow.nn._parameter import Parameter
from twinflow.nn.functional._multihead import multi_head_attention_forward
from twinflow.ops import empty
from twinflow.tensor import Tensor


class MultiheadAttention(Module):
    """Attention by several heads, each with its own projections of query, key and value.

    head_h = softmax(q W_qh (k W_kh)ᵀ / √d) v W_vh with d = embed_dim / num_heads;  y = concat(head_1, ..., head_H) W_o + b_o

    Args:
        embed_dim: the features of query and output; the heads divide it.
        num_heads: how many heads.
        dropout: the probability with which each attention weight is dropped in training.
        bias: whether the projections have biases.
        add_bias_kv: append one learned key and value to every sequence.
        add_zero_attn: append a key and a value of zeros.
        kdim, vdim: the features of key and value, if they differ from embed_dim.
        batch_first: whether batches come as [N, positions, features] instead of [positions, N, features].
    Parameters: `in_proj_weight` [3E, E] (rows for q, k, v; or `q_proj_weight`, `k_proj_weight`, `v_proj_weight` with kdim or
        vdim), `in_proj_bias` [3E], `out_proj`, `bias_k`, `bias_v`: PyTorch's names and shapes.
    Raises: ArgumentError if embed_dim does not divide among the heads.
    Cost: 2·N·(4·L·E² + 2·L·S·E) flops when S = L.
    Source: Vaswani et al. 2017, arXiv:1706.03762, sec. 3.2.2.

    >>> import twinflow
    >>> attention = MultiheadAttention(8, 2, batch_first=True)
    >>> x = twinflow.ones(3, 5, 8)
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    (twinflow.Size([3, 5, 8]), twinflow.Size([3, 5, 5]))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ArgumentError(
                f"MultiheadAttention: embed_dim and num_heads must be positive, not {embed_dim} and {num_heads}"
            )
        if embed_dim % num_heads:
            raise ArgumentError(f"MultiheadAttention: embed_dim {embed_dim} does not divide among {num_heads} heads")
        super().__init__()
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.head_dim = embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first, self.add_zero_attn = batch_first, add_zero_attn
        self._one_weight = self.kdim == embed_dim == self.vdim
        e = embed_dim
        shapes: dict[str, tuple[int, ...] | None] = {
            "in_proj_weight": (3 * e, e) if self._one_weight else None,
            "q_proj_weight": None if self._one_weight else (e, e),
            "k_proj_weight": None if self._one_weight else (e, self.kdim),
            "v_proj_weight": None if self._one_weight else (e, self.vdim),
            "in_proj_bias": (3 * e,) if bias else None,
            "bias_k": (1, 1, e) if add_bias_kv else None,
            "bias_v": (1, 1, e) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            self.register_parameter(name, None if shape is None else Parameter(empty(shape, dtype=dtype)))
        self.out_proj = Linear(e, e, bias=bias, dtype=dtype)
        self._reset_projections()
        if device is not None:
            self.to(device=device)

    def _reset_projections(self) -> None:
        for name, p in self._parameters.items():
            if p is None:
                continue
            if name.startswith("bias_"):
                init.xavier_normal_(p)
            elif name == "in_proj_bias":
                init.zeros_(p)
            else:
                init.xavier_uniform_(p)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.out_proj.reset_parameters()
        self._reset_projections()

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            query: [L, N, E]; [N, L, E] with batch_first; or [L, E].
            key, value: [S, N, kdim] and [S, N, vdim], in the form of the query.
            key_padding_mask: [N, S] (or [S]): bool, True for keys that nobody may see; or floating, added to the scores.
            need_weights: whether to return the attention weights.
            attn_mask: [L, S] or [N·H, L, S]: bool, True where attention is forbidden (the opposite of
                `scaled_dot_product_attention`, as in PyTorch); or floating, added to the scores.
            average_attn_weights: return the mean over the heads.
            is_causal: query i sees keys 0 to i only, besides what attn_mask says.
        Returns: (y in the form of the query; the weights [N, L, S] or [N, H, L, S], or None). A query that may see nothing
            gets zeros before the last projection.
        """
        swap = self.batch_first and isinstance(query, Tensor) and query.ndim == 3
        if swap:
            # one transposed tensor for operands that are one, so that they keep sharing one product
            turned = {id(x): x.transpose(0, 1) for x in (query, key, value) if isinstance(x, Tensor) and x.ndim == 3}
            query, key, value = (turned.get(id(x), x) for x in (query, key, value))
        y, weights = multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._one_weight,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (y.transpose(0, 1) if swap else y), weights

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.embed_dim}, {self.num_heads}" + (", batch_first=True" if self.batch_first else "")
