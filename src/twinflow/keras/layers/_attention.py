"""Attention layers, over `nn.functional`'s attention."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras._masking import get_mask, set_mask
from twinflow.keras.layers._core import positive
from twinflow.keras.layers._regularization import check_rate
from twinflow.nn import functional as F
from twinflow.nn.functional._attention import attend, causal_mask, masked_softmax
from twinflow.ops import logical_and, matmul, tanh
from twinflow.tensor import Tensor


class _Attention(Layer):
    supports_masking = True

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
        raise NotImplementedError(f"{type(self).__name__} must define _scores(self, query, key)")

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

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the query; attention scores have none."""
        return previous_mask[0] if isinstance(previous_mask, list) and previous_mask else None


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


class _Heads(Layer):
    """What attention layers with heads share: projections [C, heads, size] and the masks of their arguments."""

    supports_masking = True
    _options: ClassVar[dict[str, Any]] = {"kernel": "glorot_uniform", "bias": "zeros"}
    use_bias: bool

    def _project(self, x: Tensor, name: str) -> Tensor:
        """[N, T, C] -> [N, T, heads, size]."""
        kernel, bias = getattr(self, f"{name}_kernel"), getattr(self, f"{name}_bias")
        heads, size = kernel.shape[1:]
        y = matmul(x, kernel.reshape(x.shape[-1], heads * size)).reshape(*x.shape[:2], heads, size)
        return y if bias is None else y + bias

    def _join(self, y: Tensor) -> Tensor:
        """[N, T, heads, size] -> [N, T, features]."""
        n, t, heads, size = y.shape
        y = matmul(y.reshape(n, t, heads * size), self.output_kernel.reshape(heads * size, -1))
        return y if self.output_bias is None else y + self.output_bias

    _places_in_file: ClassVar[dict[str, str]] = {
        f"{name}_{what}": f"{name}_dense/vars/{k}"
        for name in ("query", "key", "value", "output")
        for k, what in enumerate(("kernel", "bias"))
    }

    def _make(self, name: str, kernel: tuple[int, ...], bias: tuple[int, ...]) -> None:
        setattr(self, f"{name}_kernel", self._weight("kernel", kernel))
        setattr(self, f"{name}_bias", self._weight("bias", bias) if self.use_bias else None)

    def _ensure_built(self, args: tuple[Any, ...]) -> None:
        if not self.built and len(args) < 2:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: call it with query and value, such as layer(x, x), but {len(args)} argument was given"
            )
        super()._ensure_built(
            ([args[0], args[1], args[2] if len(args) > 2 and args[2] is not None else args[1]],)
            if not self.built
            else args
        )

    def _check(self, shapes: Any) -> None:
        if any(len(shape) != 3 for shape in shapes):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: query, value and key have 3 axes (batch, steps, features), but their shapes are {shapes}"
            )

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, dropout: float, scores: bool
    ) -> tuple[Tensor, Tensor | None]:
        """(result [N, T, heads, size], weights if they are asked for)."""
        if not scores:
            return attend(q, k, v, mask, dropout, causal), None
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        if causal:
            mask = _all([mask, causal_mask(q.shape[-2], k.shape[-2])])
        weights = masked_softmax(matmul(q * (1 / math.sqrt(q.shape[-1])), k.mT), mask)
        return matmul(F.dropout(weights, dropout), v).transpose(1, 2), weights


def _all(masks: list[Tensor | None]) -> Tensor | None:
    """True where all masks are; None if there are none."""
    found: Tensor | None = None
    for m in masks:
        if m is not None:
            found = m if found is None else logical_and(found, m)
    return found


def _allowed(attention_mask: Any, query_mask: Any, value_mask: Any, key_mask: Any) -> Tensor | None:
    """Which steps [N or 1, heads or 1, T or 1, S] of the key each step of the query may look at; None for all."""
    masks = [
        None if attention_mask is None else attention_mask.bool(),
        None if query_mask is None else query_mask.bool().unsqueeze(-1),
        None if value_mask is None else value_mask.bool().unsqueeze(-2),
        None if key_mask is None else key_mask.bool().unsqueeze(-2),
    ]
    found = _all([m.unsqueeze(1) if m is not None and m.ndim == 3 else m for m in masks])
    return None if found is None else found.reshape(*(1,) * (4 - found.ndim), *found.shape)


@LAYERS.add()
class MultiHeadAttention(_Heads):
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        positive("MultiHeadAttention", num_heads=num_heads, key_dim=key_dim)
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim or key_dim
        self.dropout, self.use_bias = check_rate("MultiHeadAttention", dropout), use_bias
        self.features = output_shape

    def build(self, input_shape: Any) -> None:
        """Make the projections [C, heads, size]."""
        self._check(input_shape)
        query, value, key = input_shape
        n = self.num_heads
        self._make("query", (query[-1], n, self.key_dim), (n, self.key_dim))
        self._make("key", (key[-1], n, self.key_dim), (n, self.key_dim))
        self._make("value", (value[-1], n, self.value_dim), (n, self.value_dim))
        out = self.features or query[-1]
        self._make("output", (n, self.value_dim, out), (out,))

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Project, attend with each head, join and project. `attention_mask` [N, T, S] is True where a query may look."""
        at = value if key is None else key
        mask = _allowed(attention_mask, query_mask, value_mask, key_mask)
        y, weights = self._attend(
            self._project(query, "query"), self._project(at, "key"), self._project(value, "value"), mask, use_causal_mask,
            self.dropout if training else 0.0, return_attention_scores,
        )  # fmt: skip
        y = self._join(y)
        if get_mask(query) is not None:
            set_mask(y, get_mask(query))
        return (y, weights) if return_attention_scores else y

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {
            **self._config("num_heads", "key_dim", "value_dim", "dropout", "use_bias"),
            "output_shape": self.features,
        }


@LAYERS.add("GroupedQueryAttention")
class GroupQueryAttention(_Heads):
    """Attention where several heads of the query share one head of key and value: layer(query, value, key=value).

    Args:
        head_dim: the size of each head.
        num_query_heads, num_key_value_heads: how many heads; the second divides the first.
        dropout: the fraction of weights that are dropped while training.
        use_bias: whether the projections have biases.
    Source: Ainslie et al., arXiv:2305.13245.
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        positive(
            "GroupQueryAttention", head_dim=head_dim, num_query_heads=num_query_heads, num_key_value_heads=num_key_value_heads
        )  # fmt: skip
        if num_query_heads % num_key_value_heads:
            raise ArgumentError(
                f"GroupQueryAttention: num_key_value_heads={num_key_value_heads} must divide num_query_heads={num_query_heads}"
            )
        self.head_dim, self.num_query_heads, self.num_key_value_heads = head_dim, num_query_heads, num_key_value_heads
        self.dropout, self.use_bias = check_rate("GroupQueryAttention", dropout), use_bias

    def build(self, input_shape: Any) -> None:
        """Make the projections [C, heads, size]."""
        self._check(input_shape)
        query, value, key = input_shape
        n, few, d = self.num_query_heads, self.num_key_value_heads, self.head_dim
        self._make("query", (query[-1], n, d), (n, d))
        self._make("key", (key[-1], few, d), (few, d))
        self._make("value", (value[-1], few, d), (few, d))
        self._make("output", (n, d, query[-1]), (query[-1],))

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """As `MultiHeadAttention`, each head of key and value repeated for its group of queries."""
        at = value if key is None else key
        mask = _allowed(attention_mask, query_mask, value_mask, key_mask)
        k, v = (
            x.repeat_interleave(self.num_query_heads // self.num_key_value_heads, 2)
            for x in (self._project(at, "key"), self._project(value, "value"))
        )
        y, weights = self._attend(
            self._project(query, "query"), k, v, mask, use_causal_mask, self.dropout if training else 0.0, return_attention_scores
        )  # fmt: skip
        y = self._join(y)
        return (y, weights) if return_attention_scores else y

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("head_dim", "num_query_heads", "num_key_value_heads", "dropout", "use_bias")
