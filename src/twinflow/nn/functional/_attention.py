"""Attention as functions: by scaled dot products, and by any measure of how much alike a query and a key are."""

from __future__ import annotations

import math
from collections.abc import Callable

from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.nn.functional._dropout import dropout
from twinflow.ops import arange, logical_or, matmul, softmax, sqrt, where
from twinflow.tensor import Tensor

NEVER = float("-inf")  # the score of a key that a query must not see


def _check_operands(op: str, query: Tensor, key: Tensor, value: Tensor) -> None:
    for name, x in (("query", query), ("key", key), ("value", value)):
        if not isinstance(x, Tensor):
            raise DTypeError(f"{op}: {name} must be a tensor, not {type(x).__name__}")
        if x.ndim < 2:
            raise ShapeError(f"{op}: {name} has axes [..., positions, features], but its shape is {tuple(x.shape)}")
        if not x.dtype.is_floating_point:
            raise DTypeError(f"{op}: {name} must be floating, not {x.dtype.name}; convert it with .float()")
    if query.shape[-1] != key.shape[-1]:
        raise ShapeError(
            f"{op}: query and key must have equally many features, but their shapes are {tuple(query.shape)} and "
            f"{tuple(key.shape)}"
        )
    if key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"{op}: there is one value for each key, but the shapes of key and value are {tuple(key.shape)} and "
            f"{tuple(value.shape)}"
        )


def _check_mask(op: str, mask: Tensor, scores: Tensor) -> None:
    if not isinstance(mask, Tensor):
        raise DTypeError(f"{op}: the mask must be a tensor, not {type(mask).__name__}")
    if mask.dtype.name != "bool" and mask.dtype is not scores.dtype:
        raise DTypeError(
            f"{op}: the mask must be bool (True where attention is allowed) or {scores.dtype.name} (added to the scores), not "
            f"{mask.dtype.name}"
        )
    have, want = tuple(mask.shape), tuple(scores.shape)
    fits = len(have) <= len(want) and all(m in (1, n) for m, n in zip(have[::-1], want[::-1]))
    if not fits:
        raise ShapeError(f"{op}: a mask of shape {have} does not broadcast to the scores' shape {want}")


def causal_mask(n_query: int, n_key: int) -> Tensor:
    """True where position i of the queries may see position j of the keys: j ≤ i."""
    return arange(n_key).unsqueeze(0) <= arange(n_query).unsqueeze(1)


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """The softmax over the last axis of scores with a mask. A row in which nothing is allowed gives zeros, not NaN."""
    if mask is None:
        return softmax(scores, -1)
    if mask.dtype.name == "bool":
        some = mask.any(-1, keepdim=True)
        scores = where(logical_or(mask, ~some), scores, NEVER)
    else:
        some = mask.detach().amax(-1, keepdim=True) != NEVER
        scores = scores + where(some, mask, 0.0)
    return where(some, softmax(scores, -1), 0.0)


def repeat_heads(query: Tensor, x: Tensor, op: str, name: str) -> Tensor:
    """Each head of [..., h, positions, features] repeated until there are as many as the query has: grouped queries share
    keys and values."""
    if x.ndim < 3 or query.ndim < 3:
        raise ShapeError(
            f"{op}: enable_gqa needs a heads axis, [..., heads, positions, features], but the shapes of query and {name} are "
            f"{tuple(query.shape)} and {tuple(x.shape)}"
        )
    n_heads, have = query.shape[-3], x.shape[-3]
    if have == n_heads:
        return x
    if have == 0 or n_heads % have:
        raise ShapeError(f"{op}: {n_heads} query heads are not a multiple of the {have} heads of {name}")
    lead, tail = tuple(x.shape[:-3]), tuple(x.shape[-2:])
    wide = x.unsqueeze(-3).expand(*lead, have, n_heads // have, *tail)
    return wide.reshape(*lead, n_heads, *tail)


def attention_weights(
    query: Tensor, key: Tensor, mask: Tensor | None, is_causal: bool, scale: float | None, op: str
) -> Tensor:
    """softmax(scale · q kᵀ + mask), [..., L, S]."""
    factor = 1.0 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    scores = matmul(query * factor, key.mT)  # the smaller operand is scaled
    if is_causal:
        if mask is not None:
            raise ArgumentError(f"{op}: give either attn_mask or is_causal=True, not both; combine the masks with &")
        mask = causal_mask(query.shape[-2], key.shape[-2])
    elif mask is not None:
        _check_mask(op, mask, scores)
    return masked_softmax(scores, mask)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Mix values by how well their keys fit the query.

    y = dropout(softmax(scale · q kᵀ + mask)) v

    Args:
        query: floating [..., H, L, E].
        key: the same type, [..., Hk, S, E].
        value: the same type, [..., Hk, S, Ev].
        attn_mask: broadcastable to [..., L, S]: bool, True where a query may see a key; or floating, added to the scores.
        dropout_p: the probability with which each weight is dropped. It applies always: pass 0.0 in evaluation.
        is_causal: query i sees keys 0 to i only.
        scale: the factor of the scores, 1 / √E if None.
        enable_gqa: let Hk divide H: each key and value head serves H / Hk query heads.
    Returns: [..., H, L, Ev]. A query that may see nothing gets zeros.
    Raises: ShapeError if features, positions, heads or the mask do not fit; DTypeError for a mask of another type;
        ArgumentError for a mask together with is_causal.
    Cost: 2·L·S·(E + Ev) flops for each head.
    Source: Vaswani et al. 2017, arXiv:1706.03762, sec. 3.2.1; grouped queries: Ainslie et al. 2023, arXiv:2305.13245.

    >>> import twinflow
    >>> q, k, v = (twinflow.ones(2, 4, n, 8) for n in (3, 5, 5))
    >>> scaled_dot_product_attention(q, k, v).shape
    twinflow.Size([2, 4, 3, 8])
    """
    op = "scaled_dot_product_attention"
    _check_operands(op, query, key, value)
    if enable_gqa:
        key, value = repeat_heads(query, key, op, "key"), repeat_heads(query, value, op, "value")
    weights = attention_weights(query, key, attn_mask, is_causal, scale, op)
    return matmul(dropout(weights, dropout_p), value)


# -- similarities -----------------------------------------------------------------------------------------------


def dot_similarity(query: Tensor, key: Tensor) -> Tensor:
    """s[i, j] = q_i · k_j: [..., L, E] and [..., S, E] → [..., L, S]. Large for long vectors of one direction."""
    return matmul(query, key.mT)


def cosine_similarity(query: Tensor, key: Tensor, eps: float = 1e-8) -> Tensor:
    """s[i, j] = q_i · k_j / (|q_i| |k_j|), in [-1, 1]: the direction counts, the length does not.

    The product of the lengths is at least `eps`², so that a zero vector is like nothing.
    """

    def unit(x: Tensor) -> Tensor:
        square = (x * x).sum(-1, keepdim=True)
        return x / sqrt(square.clamp(min=eps * eps))

    return matmul(unit(query), unit(key).mT)


def negative_euclidean_similarity(query: Tensor, key: Tensor) -> Tensor:
    """s[i, j] = -|q_i - k_j|: 0 for equal vectors, smaller the further they lie apart.

    The derivative at q_i = k_j, where the distance has a kink, is taken as zero.
    """
    # differences rather than |q|² - 2 q·k + |k|², which loses the small distances that matter most to cancellation
    apart = query.unsqueeze(-2) - key.unsqueeze(-3)
    square = (apart * apart).sum(-1)
    far = square > 0
    return -where(far, sqrt(where(far, square, 1.0)), 0.0)


SIMILARITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "dot": dot_similarity,
    "cosine": cosine_similarity,
    "euclidean": negative_euclidean_similarity,
}


def similarity_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    similarity: str | Callable[[Tensor, Tensor], Tensor] = "dot",
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention in its general form: any measure of likeness gives the scores.

    w = softmax_j(s(q_i, k_j)),  y_i = Σ_j w_ij v_j

    Args:
        query: floating [..., L, E].
        key: the same type, [..., S, E].
        value: the same type, [..., S, Ev].
        similarity: "dot" (q · k), "cosine" (q · k / |q||k|), "euclidean" (-|q - k|), or a function of query and key that
            returns [..., L, S].
        mask: as `attn_mask` of `scaled_dot_product_attention`.
    Returns: (y [..., L, Ev], w [..., L, S]).
    Raises: ArgumentError for an unknown similarity; ShapeError and DTypeError for operands that do not fit.
    Source: Luong et al. 2015, arXiv:1508.04025, sec. 3.1 ("dot"); Graves et al. 2014, arXiv:1410.5401, sec. 3.3.1 ("cosine").

    >>> import twinflow
    >>> x = twinflow.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> y, w = similarity_attention(x, x, x, "cosine")
    >>> w.sum(-1)
    tensor([1., 1.])
    """
    op = "similarity_attention"
    _check_operands(op, query, key, value)
    measure = SIMILARITIES.get(similarity) if isinstance(similarity, str) else similarity
    if measure is None or not callable(measure):
        raise ArgumentError(
            f"{op}: similarity is one of {', '.join(map(repr, SIMILARITIES))} or a function, not {similarity!r}"
        )
    scores = measure(query, key)
    if mask is not None:
        _check_mask(op, mask, scores)
    weights = masked_softmax(scores, mask)
    return matmul(weights, value), weights
