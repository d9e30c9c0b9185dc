"""The Transformer: encoder and decoder layers, stacks of them, and both together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn import functional as F
from twinflow.nn import init
from twinflow.nn._attention import MultiheadAttention
from twinflow.nn._containers import ModuleList
from twinflow.nn._dropout import Dropout
from twinflow.nn._linear import Linear
from twinflow.nn._module import Module
from twinflow.nn._norm import LayerNorm
from twinflow.nn.functional._attention import NEVER
from twinflow.ops import full, triu
from twinflow.tensor import Tensor

Activation = Callable[[Tensor], Tensor]


def activation_named(layer: str, activation: str | Activation) -> Activation:
    """relu, gelu, or the function itself. Raises: ArgumentError for another name."""
    named: dict[str, Activation] = {"relu": F.relu, "gelu": F.gelu}
    if callable(activation):
        return activation
    if activation not in named:
        raise ArgumentError(f"{layer}: activation is 'relu', 'gelu' or a function, not {activation!r}")
    return named[activation]


def copies(module: Module, n: int, what: str) -> ModuleList:
    """Independent copies of a layer, which begin with equal weights."""
    if n <= 0:
        raise ArgumentError(f"{what}: num_layers must be positive, not {n}")
    return ModuleList([copy.deepcopy(module) for _ in range(n)])


class _TransformerLayer(Module):
    """What encoder and decoder layers share: the feed-forward block, and where normalisation stands."""

    def _make(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: str | Activation,
        layer_norm_eps: float,
        batch_first: bool,
        norm_first: bool,
        bias: bool,
        dtype: Any,
        attentions: tuple[str, ...],
    ) -> None:
        for name in attentions:
            attention = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype)
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, dtype=dtype)
        self.norm_first = norm_first
        n_blocks = len(attentions) + 1
        for k in range(1, n_blocks + 1):
            setattr(self, f"norm{k}", LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype))
        for k in range(1, n_blocks + 1):
            setattr(self, f"dropout{k}", Dropout(dropout))
        self.activation = activation_named(type(self).__name__, activation)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _block(self, k: int, x: Tensor, sublayer: Activation) -> Tensor:
        """The residual connection around sub-layer k: x + f(norm(x)), or norm(x + f(x))."""
        norm, dropout = getattr(self, f"norm{k}"), getattr(self, f"dropout{k}")
        if self.norm_first:
            return x + dropout(sublayer(norm(x)))
        return norm(x + dropout(sublayer(x)))


class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention, then a feed-forward network for each position, both with residual connections.

    x = norm1(x + dropout(self_attn(x)));  x = norm2(x + dropout(linear2(dropout(activation(linear1(x))))))
    With norm_first: x = x + dropout(self_attn(norm1(x))), and likewise for the second.

    Args:
        d_model: the features of input and output.
        nhead: how many heads; they divide d_model.
        dim_feedforward: the features inside the feed-forward network.
        dropout: the probability in all places where something is dropped.
        activation: "relu", "gelu" or a function.
        layer_norm_eps: see `LayerNorm`.
        batch_first: whether batches come as [N, positions, features] instead of [positions, N, features].
        norm_first: whether normalisation stands before each sub-layer.
        bias: whether the linear maps and the normalisations have biases.
    Source: Vaswani et al. 2017, arXiv:1706.03762, sec. 3.1; norm_first: Xiong et al. 2020, arXiv:2002.04745.

    >>> import twinflow
    >>> TransformerEncoderLayer(8, 2, 16, batch_first=True)(twinflow.ones(3, 5, 8)).shape
    twinflow.Size([3, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._make(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, dtype,
            ("self_attn",),
        )  # fmt: skip
        if device is not None:
            self.to(device=device)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Encode [L, N, d_model] (or [N, L, d_model], or [L, d_model]); the masks are those of `MultiheadAttention`."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, src_key_padding_mask, need_weights=False, attn_mask=src_mask, is_causal=is_causal
            )[0]

        return self._block(2, self._block(1, src, attend), self._feed_forward)


class TransformerDecoderLayer(_TransformerLayer):
    """Self-attention, attention to the encoder's output (the memory), then a feed-forward network.

    x = norm1(x + dropout(self_attn(x)));  x = norm2(x + dropout(multihead_attn(x, memory)));  x = norm3(x + feed-forward(x))

    Args: those of `TransformerEncoderLayer`.
    Source: Vaswani et al. 2017, arXiv:1706.03762, sec. 3.1.

    >>> import twinflow
    >>> layer = TransformerDecoderLayer(8, 2, 16, batch_first=True)
    >>> layer(twinflow.ones(3, 5, 8), twinflow.ones(3, 7, 8)).shape
    twinflow.Size([3, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._make(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, dtype,
            ("self_attn", "multihead_attn"),
        )  # fmt: skip
        if device is not None:
            self.to(device=device)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Decode the target beside the memory; the masks are those of `MultiheadAttention`."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, tgt_key_padding_mask, need_weights=False, attn_mask=tgt_mask, is_causal=tgt_is_causal
            )[0]

        def recall(x: Tensor) -> Tensor:
            return self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, need_weights=False, attn_mask=memory_mask,
                is_causal=memory_is_causal,
            )[0]  # fmt: skip

        x = self._block(2, self._block(1, tgt, attend), recall)
        return self._block(3, x, self._feed_forward)


class TransformerEncoder(Module):
    """A stack of encoder layers.

    Args:
        encoder_layer: the layer to copy; the copies begin with equal weights.
        num_layers: how many.
        norm: a normalisation of the result, or None.
        enable_nested_tensor, mask_check: accepted as PyTorch's; they choose between ways to compute the same.

    >>> import twinflow
    >>> encoder = TransformerEncoder(TransformerEncoderLayer(8, 2, 16), num_layers=2)
    >>> encoder(twinflow.ones(5, 3, 8)).shape
    twinflow.Size([5, 3, 8])
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = copies(encoder_layer, num_layers, "TransformerEncoder")
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Encode; the masks are those of `MultiheadAttention`, and go to every layer."""
        x = src
        for layer in self.layers:
            x = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=is_causal)
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """A stack of decoder layers.

    Args:
        decoder_layer: the layer to copy; the copies begin with equal weights.
        num_layers: how many.
        norm: a normalisation of the result, or None.

    >>> import twinflow
    >>> decoder = TransformerDecoder(TransformerDecoderLayer(8, 2, 16), num_layers=2)
    >>> decoder(twinflow.ones(5, 3, 8), twinflow.ones(7, 3, 8)).shape
    twinflow.Size([5, 3, 8])
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = copies(decoder_layer, num_layers, "TransformerDecoder")
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Decode; the masks are those of `MultiheadAttention`, and go to every layer."""
        x = tgt
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=tgt_is_causal,
                memory_is_causal=memory_is_causal,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """Encoder and decoder together, from source sequences to target sequences.

    Embeddings, positions and the last linear map are the caller's.

    Args:
        d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias: as in
            `TransformerEncoderLayer`.
        num_encoder_layers, num_decoder_layers: how many of each.
        custom_encoder, custom_decoder: modules to take instead.
    Source: Vaswani et al. 2017, arXiv:1706.03762. As in PyTorch, encoder and decoder end with a normalisation.

    >>> import twinflow
    >>> model = Transformer(8, 2, 1, 1, 16)
    >>> model(twinflow.ones(7, 3, 8), twinflow.ones(5, 3, 8)).shape
    twinflow.Size([5, 3, 8])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = (dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)

        self.encoder = custom_encoder if custom_encoder is not None else TransformerEncoder(
            TransformerEncoderLayer(d_model, nhead, *options), num_encoder_layers, norm()
        )  # fmt: skip
        self.decoder = custom_decoder if custom_decoder is not None else TransformerDecoder(
            TransformerDecoderLayer(d_model, nhead, *options), num_decoder_layers, norm()
        )  # fmt: skip
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every matrix anew (Xavier's uniform distribution); the layers no longer begin with equal weights."""
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool = False,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """From source [S, N, d_model] and target [L, N, d_model] to [L, N, d_model]; N comes first with batch_first.

        The masks are those of `MultiheadAttention`. Give `tgt_is_causal=True` (or the mask of
        `generate_square_subsequent_mask`) so that no position sees the targets that come after it.
        """
        batch = 0 if self.batch_first else 1
        if src.ndim != tgt.ndim or (src.ndim == 3 and src.shape[batch] != tgt.shape[batch]):
            raise ShapeError(
                f"Transformer: source and target must have one batch size, but their shapes are {tuple(src.shape)} and "
                f"{tuple(tgt.shape)} with batch_first={self.batch_first}"
            )
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ShapeError(
                f"Transformer: source and target must have d_model = {self.d_model} features, but their shapes are "
                f"{tuple(src.shape)} and {tuple(tgt.shape)}"
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """[sz, sz]: 0 where position j ≤ i, -inf above: added to the scores, it hides what comes later.

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        return triu(full((sz, sz), NEVER, dtype=dtype, device=device), diagonal=1)
