"""Attention layers, over `nn.functional`'s attention."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import initializers, regularizers
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras.layers._core import check_rate, positive
from twinflow.nn import functional as F
from twinflow.nn.functional._attention import attend, causal_mask, masked_softmax
from twinflow.ops import logical_and, matmul, tanh
from twinflow.tensor import Tensor


class _Attention(Layer):
    def __init__(self, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dropout = check_rate(type(self).__name__, dropout)

    def _check(self, shape: Any) -> None:
        kind = type(self).__name__
        if not isinstance(shape, list) or len(shape) not in (2, 3):
            raise ShapeError(
                f"{kind} {self.name!r} takes a list, [query, value] or [query, value, key], but one tensor was given. In a Sequential "
                f"model there is only one: write a functional model, x = {kind}()([x, x]), and let the layer before it return sequences"
            )
        if any(len(s) != 3 for s in shape):
            raise ShapeError(
                f"{kind} {self.name!r}: query, value and key have 3 axes (batch, steps, features), but their shapes are {shape}; a "
                "recurrent layer before it needs return_sequences=True"
            )

    def build(self, input_shape: Any) -> None:
        """Check the inputs."""
        self._check(input_shape)

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        raise NotImplementedError

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """softmax(scores) · value; `mask` is [query_mask, value_mask], True where a step counts."""
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) == 3 else value
        allowed = None
        if mask is not None and len(mask) > 1 and mask[1] is not None:
            allowed = mask[1].bool().unsqueeze(1)
        if use_causal_mask:
            causal = causal_mask(query.shape[1], key.shape[1])
            allowed = causal if allowed is None else logical_and(allowed, causal)
        weights = masked_softmax(self._scores(query, key), allowed)
        result = matmul(F.dropout(weights, self.dropout, training), value)
        if mask is not None and mask[0] is not None:
            result = result * mask[0].to(dtype=result.dtype).unsqueeze(-1)
        return (result, weights) if return_attention_scores else result


@LAYERS.add()
class Attention(_Attention):
    """softmax(score(query, key)) · value, for inputs [query, value] or [query, value, key].

    Args:
        use_scale: multiply the scores by a trained number.
        score_mode: 'dot' for q·k, or 'concat' for Σ tanh(q + k).
        dropout: the fraction of weights that are dropped while training.
    Source: Luong, Pham and Manning, arXiv:1508.04025.
    """

    def __init__(self, use_scale: bool = False, score_mode: str = "dot", dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(dropout, **kwargs)
        if score_mode not in ("dot", "concat"):
            raise ArgumentError(f"Attention: score_mode is 'dot' or 'concat', not {score_mode!r}")
        self.use_scale, self.score_mode = use_scale, score_mode

    def build(self, input_shape: Any) -> None:
        """Make the scale."""
        self._check(input_shape)
        self.scale = self.add_weight((), "ones", name="scale") if self.use_scale else None
        self.concat_score_weight = (
            self.add_weight((), "ones", name="concat_score_weight") if self.score_mode == "concat" else None
        )

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        if self.concat_score_weight is None:
            scores = matmul(query, key.mT)
            return scores if self.scale is None else scores * self.scale
        total = query.unsqueeze(2) + key.unsqueeze(1)
        if self.scale is not None:
            total = total * self.scale
        return self.concat_score_weight * tanh(total).sum(-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("use_scale", "score_mode", "dropout")


@LAYERS.add()
class AdditiveAttention(_Attention):
    """softmax(Σ scale · tanh(q + k)) · value. Source: Bahdanau, Cho and Bengio, arXiv:1409.0473."""

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(dropout, **kwargs)
        self.use_scale = use_scale

    def build(self, input_shape: Any) -> None:
        """Make the scale."""
        self._check(input_shape)
        self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale") if self.use_scale else None

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        total = tanh(query.unsqueeze(2) + key.unsqueeze(1))
        return (total if self.scale is None else total * self.scale).sum(-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("use_scale", "dropout")


@LAYERS.add()
class MultiHeadAttention(Layer):
    """Attention by several heads: layer(query, value, key=value).

    Args:
        num_heads, key_dim: how many heads, and the size of each one's query and key.
        value_dim: the size of each head's value; key_dim if not given.
        dropout: the fraction of weights that are dropped while training.
        use_bias: whether the projections have biases.
        output_shape: the features of the result; those of the query if not given.
    Source: Vaswani et al., arXiv:1706.03762.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        positive("MultiHeadAttention", num_heads=num_heads, key_dim=key_dim)
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim or key_dim
        self.dropout, self.use_bias = check_rate("MultiHeadAttention", dropout), use_bias
        self.features = output_shape
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)

    def _project(self, x: Tensor, name: str, size: int) -> Tensor:
        """[N, T, C] -> [N, T, heads, size]."""
        y = matmul(x, getattr(self, f"{name}_kernel").reshape(x.shape[-1], self.num_heads * size))
        y = y.reshape(*x.shape[:2], self.num_heads, size)
        bias = getattr(self, f"{name}_bias")
        return y if bias is None else y + bias

    def _ensure_built(self, args: tuple[Any, ...]) -> None:
        if not self.built and len(args) < 2:
            raise ArgumentError(
                f"MultiHeadAttention {self.name!r}: call it with query and value, such as layer(x, x), but {len(args)} argument was given"
            )
        super()._ensure_built(
            ([args[0], args[1], args[2] if len(args) > 2 and args[2] is not None else args[1]],)
            if not self.built
            else args
        )

    def build(self, input_shape: Any) -> None:
        """Make the projections [C, heads, size]."""
        query, value, key = input_shape
        for shape in input_shape:
            if len(shape) != 3:
                raise ShapeError(
                    f"MultiHeadAttention {self.name!r}: query, value and key have 3 axes (batch, steps, features), but their shapes are {input_shape}"
                )
        for name, shape, size in (
            ("query", query, self.key_dim),
            ("key", key, self.key_dim),
            ("value", value, self.value_dim),
        ):
            self._make(name, (shape[-1], self.num_heads, size), (self.num_heads, size))
        out = self.features or query[-1]
        self._make("output", (self.num_heads, self.value_dim, out), (out,))

    def _make(self, name: str, kernel: tuple[int, ...], bias: tuple[int, ...]) -> None:
        w = self.add_weight(kernel, self.kernel_initializer, regularizer=self.kernel_regularizer, name=f"{name}_kernel")
        setattr(self, f"{name}_kernel", w)
        b = self.add_weight(bias, self.bias_initializer, name=f"{name}_bias") if self.use_bias else None
        setattr(self, f"{name}_bias", b)

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Project, attend with each head, join and project. `attention_mask` [N, T, S] is True where a query may look."""
        q = self._project(query, "query", self.key_dim)
        k = self._project(value if key is None else key, "key", self.key_dim)
        v = self._project(value, "value", self.value_dim)
        mask = None
        if attention_mask is not None:
            mask = attention_mask.bool()
            mask = mask.unsqueeze(1) if mask.ndim == 3 else mask
        dropout_p = self.dropout if training else 0.0
        weights = None
        if return_attention_scores:
            q, k, v = (x.transpose(1, 2) for x in (q, k, v))
            if use_causal_mask:
                causal = causal_mask(q.shape[-2], k.shape[-2])
                mask = causal if mask is None else logical_and(mask, causal)
            weights = masked_softmax(matmul(q * (1 / math.sqrt(self.key_dim)), k.mT), mask)
            y = matmul(F.dropout(weights, dropout_p), v).transpose(1, 2)
        else:
            if mask is not None:
                mask = mask.reshape(*(1,) * (4 - mask.ndim), *mask.shape)
            y = attend(q, k, v, mask, dropout_p, use_causal_mask)
        y = y.reshape(*query.shape[:2], self.num_heads * self.value_dim)
        y = matmul(y, self.output_kernel.reshape(self.num_heads * self.value_dim, -1))
        if self.output_bias is not None:
            y = y + self.output_bias
        return (y, weights) if return_attention_scores else y

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        names = (
            "num_heads",
            "key_dim",
            "value_dim",
            "dropout",
            "use_bias",
            "kernel_initializer",
            "bias_initializer",
            "kernel_regularizer",
        )
        return {**self._config(*names), "output_shape": self.features}
