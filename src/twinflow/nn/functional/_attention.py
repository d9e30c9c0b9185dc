"""Attention as functions: by scaled dot products, and by any measure of how much alike a query and a key are."""

from __future__ import annotations

import math
from collections.abc import Callable

from twinflow.core import DType, broadcast_shapes
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.nn.functional._arguments import probability
from twinflow.nn.functional._dropout import dropout
from twinflow.ops import arange, call, default_generator, logical_and, logical_or, matmul, softmax, sqrt, where
from twinflow.ops._autocast import lowered
from twinflow.tensor import Tensor, mapped_randomness

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


def _check_mask(op: str, mask: Tensor, scores: tuple[int, ...], dtype: DType) -> None:
    if not isinstance(mask, Tensor):
        raise DTypeError(f"{op}: the mask must be a tensor, not {type(mask).__name__}")
    if mask.dtype.name != "bool" and mask.dtype is not dtype:
        raise DTypeError(
            f"{op}: the mask must be bool (True where attention is allowed) or {dtype.name} (added to the scores), not "
            f"{mask.dtype.name}"
        )
    have, want = tuple(mask.shape), tuple(scores)
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


def _check_groups(query: Tensor, x: Tensor, op: str, name: str) -> None:
    """Raise unless the query's heads are a multiple of those of keys or values."""
    if x.ndim < 3 or query.ndim < 3:
        raise ShapeError(
            f"{op}: enable_gqa needs a heads axis, [..., heads, positions, features], but the shapes of query and {name} are "
            f"{tuple(query.shape)} and {tuple(x.shape)}"
        )
    n_heads, have = query.shape[-3], x.shape[-3]
    if have == 0 or n_heads % have:
        raise ShapeError(f"{op}: {n_heads} query heads are not a multiple of the {have} heads of {name}")


def _with_heads(
    op: str, operands: tuple[Tensor, Tensor, Tensor], grouped: bool, heads_in_batch: bool
) -> tuple[tuple[int, ...], list[Tensor]]:
    """The axes in front of positions, and the operands as [..., positions, heads, features] with equal batch axes.

    Keys and values of one head serve all heads of the query; otherwise axes broadcast.
    """
    query, key, value = operands
    lead = query.shape[:-2] if grouped else broadcast_shapes(*(x.shape[:-2] for x in operands), op=op)
    wanted = [lead, lead, lead]
    if grouped and key.shape[-3] == value.shape[-3]:
        shared = broadcast_shapes(*(x.shape[:-3] for x in operands), op=op)
        lead = (*shared, query.shape[-3])
        wanted = [(*shared, x.shape[-3]) for x in operands]
    elif len(lead) > 1 and (key.shape[:-2] or (1,))[-1] == (value.shape[:-2] or (1,))[-1] == 1:
        wanted = [lead, (*lead[:-1], 1), (*lead[:-1], 1)]
    out = []
    for x, shape in zip(operands, wanted):
        if grouped and x.shape[-3] != shape[-1]:  # keys and values are shared differently
            x = x.repeat_interleave(shape[-1] // x.shape[-3], -3)
        if tuple(x.shape[:-2]) != tuple(shape):
            x = x.expand(*shape, *x.shape[-2:])
        if not shape or heads_in_batch:
            x = x.unsqueeze(-3)
        out.append(x.transpose(-2, -3))
    return tuple(lead), out


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """dropout(softmax(scale · q kᵀ + mask)) v over heads, [..., L, H, Ev], without storing the scores.

    Args:
        q, k, v: [..., L, H, E], [..., S, Hk, E] and [..., S, Hk, Ev] with equal batch axes; Hk divides H.
        mask: of the rank of the scores, [..., H, L, S] or 1 in the place of an extent: bool, True where a key is seen, or added.
        dropout_p, is_causal, scale: as for `scaled_dot_product_attention`.
    """
    factor = 1.0 / math.sqrt(max(q.shape[-1], 1)) if scale is None else float(scale)
    if dropout_p > 0 and mapped_randomness("dropout"):
        return _attend_by_weights(q, k, v, mask, dropout_p, is_causal, factor)
    value_dtype = v.dtype
    wide = value_dtype.itemsize < 4
    rest = [] if mask is None else [mask]
    if wide:  # sums of 16-bit numbers are kept in float32
        q, k, v = (x.float() for x in (q, k, v))
        rest = [m if m.dtype.name == "bool" else m.float() for m in rest]
    masked = bool(rest)
    if dropout_p > 0:
        rest.append(default_generator.reserve(math.prod((*q.shape[:-1], k.shape[-3]))))
    y: Tensor = call(
        "attention", q, k, v, *rest, scale=factor, causal=bool(is_causal), masked=masked, dropout_p=float(dropout_p)
    )[0]
    return y.to(dtype=value_dtype) if wide else y


def _attend_by_weights(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float, is_causal: bool, scale: float
) -> Tensor:
    """The same with the weights as a matrix: each example of a vmap drops other weights."""
    served = q.shape[-2] // k.shape[-2]
    q, k, v = (x.transpose(-2, -3) for x in (q, k.repeat_interleave(served, -2), v.repeat_interleave(served, -2)))
    if is_causal:
        seen = causal_mask(q.shape[-2], k.shape[-2])
        if mask is None or mask.dtype.name == "bool":
            mask = seen if mask is None else logical_and(mask, seen)
        else:
            mask = where(seen, mask, NEVER)
    weights = masked_softmax(matmul(q * scale, k.mT), mask)  # the smaller operand is scaled
    return matmul(dropout(weights, dropout_p), v).transpose(-2, -3)


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
    query, key, value, attn_mask = lowered(query, key, value, attn_mask)
    _check_operands(op, query, key, value)
    probability(op, dropout_p)
    if is_causal and attn_mask is not None:
        raise ArgumentError(f"{op}: give either attn_mask or is_causal=True, not both; combine the masks with &")
    if enable_gqa:
        _check_groups(query, key, op, "key")
        _check_groups(query, value, op, "value")
    heads_in_batch = query.ndim == 3 and not enable_gqa
    lead, (q, k, v) = _with_heads(op, (query, key, value), enable_gqa, heads_in_batch)
    if attn_mask is not None:
        n_scores = (*lead, query.shape[-2], key.shape[-2])
        _check_mask(op, attn_mask, n_scores, query.dtype)
        if heads_in_batch and attn_mask.ndim == 3:
            attn_mask = attn_mask.unsqueeze(1)
        attn_mask = attn_mask.reshape(*(1,) * (q.ndim - attn_mask.ndim), *attn_mask.shape)
    y = attend(q, k, v, attn_mask, dropout_p, is_causal, scale).transpose(-2, -3)
    return y.reshape(*lead, *y.shape[-2:])


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
        _check_mask(op, mask, tuple(scores.shape), scores.dtype)
    weights = masked_softmax(scores, mask)
    return matmul(weights, value), weights
