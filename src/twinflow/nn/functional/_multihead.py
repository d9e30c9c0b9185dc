"""Attention by several heads at once, with PyTorch's conventions for shapes and masks."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.nn.functional._attention import NEVER, attend, causal_mask, masked_softmax
from twinflow.nn.functional._dropout import dropout
from twinflow.nn.functional._linear import linear
from twinflow.ops import cat, logical_and, matmul, where, zeros
from twinflow.tensor import Tensor

OP = "multi_head_attention_forward"


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Project query, key and value, attend with each head, join the heads and project again.

    The arguments are those of `nn.MultiheadAttention` and its parameters; that class explains them.

    Args:
        query: [L, N, E], or [L, E] for one sequence.
        key, value: [S, N, Ek] and [S, N, Ev], or without N.
    Returns: (output in the form of the query, weights [N, L, S] averaged over the heads, or [N, H, L, S]; None unless
        need_weights).
    Raises: ShapeError for operands or masks that do not fit, DTypeError for masks that are neither bool nor floating.
    """
    _check_operands(query, key, value, embed_dim_to_check, num_heads)
    batched = query.ndim == 3
    # batch in front from here on: [N, L, E]
    q, k, v = _project(query, key, value, batched, in_proj_weight, in_proj_bias, use_separate_proj_weight,
                       (q_proj_weight, k_proj_weight, v_proj_weight))  # fmt: skip
    n, n_query = q.shape[:2]
    dropout_p = dropout_p if training else 0.0
    # keys that are added at the end are seen by all
    alone = is_causal and not need_weights and bias_k is None and not add_zero_attn
    sizes = (n, num_heads, n_query, k.shape[1])
    mask = _merge_masks(key_padding_mask, attn_mask, is_causal and not alone, sizes, batched, q)
    if (bias_k is None) != (bias_v is None):
        raise ArgumentError(f"{OP}: bias_k and bias_v come together")
    if bias_k is not None and bias_v is not None:
        k, v, mask = _append(k, bias_k), _append(v, bias_v), _allow_one_more(mask)
    if add_zero_attn:
        none = zeros(1, 1, embed_dim_to_check, dtype=k.dtype)
        k, v, mask = _append(k, none), _append(v, none), _allow_one_more(mask)
    q, k, v = (_split_heads(x, num_heads) for x in (q, k, v))
    weights: Tensor | None = None
    if need_weights:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        weights = dropout(masked_softmax(matmul(q * float(q.shape[-1]) ** -0.5, k.mT), mask), dropout_p)
        joined = matmul(weights, v).transpose(1, 2)
    else:
        if mask is not None:
            mask = mask.reshape(*(1,) * (4 - mask.ndim), *mask.shape)
        joined = attend(q, k, v, mask, dropout_p, alone)
    y = linear(joined.reshape(n, n_query, embed_dim_to_check), out_proj_weight, out_proj_bias)
    y = y.transpose(0, 1) if batched else y.squeeze(0)
    if weights is None:
        return y, None
    weights = weights.mean(1) if average_attn_weights else weights
    return y, weights if batched else weights.squeeze(0)


def _check_operands(query: Any, key: Any, value: Any, embed_dim: int, num_heads: int) -> None:
    for name, x in (("query", query), ("key", key), ("value", value)):
        if not isinstance(x, Tensor):
            raise DTypeError(f"{OP}: {name} must be a tensor, not {type(x).__name__}")
        if x.ndim not in (2, 3) or x.ndim != query.ndim:
            raise ShapeError(
                f"{OP}: query, key and value are batches of sequences (3 axes) or single sequences (2 axes), all alike; "
                f"the shape of {name} is {tuple(x.shape)}, that of query {tuple(query.shape)}"
            )
    if query.shape[-1] != embed_dim:
        raise ShapeError(
            f"{OP}: query must have embed_dim = {embed_dim} features, but its shape is {tuple(query.shape)}"
        )
    if embed_dim % num_heads:
        raise ArgumentError(f"{OP}: embed_dim {embed_dim} does not divide among {num_heads} heads")
    if key.shape[:-1] != value.shape[:-1]:
        raise ShapeError(
            f"{OP}: there is one value for each key, but the shapes of key and value are {tuple(key.shape)} and "
            f"{tuple(value.shape)}"
        )
    if query.ndim == 3 and query.shape[1] != key.shape[1]:
        raise ShapeError(
            f"{OP}: query and key must have one batch size, but it is {query.shape[1]} and {key.shape[1]} (shapes "
            f"{tuple(query.shape)} and {tuple(key.shape)}, as [positions, batch, features]); with inputs "
            "[batch, positions, features] make the layer with batch_first=True"
        )


def _project(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    batched: bool,
    weight: Tensor | None,
    bias: Tensor | None,
    separate: bool,
    weights: tuple[Tensor | None, Tensor | None, Tensor | None],
) -> tuple[Tensor, Tensor, Tensor]:
    """Projected query, key and value, [N, positions, E]; operands that are one tensor share one matrix product."""

    def lead(x: Tensor) -> Tensor:
        return x.transpose(0, 1) if batched else x.unsqueeze(0)

    e = query.shape[-1]
    biases = (None,) * 3 if bias is None else (bias[:e], bias[e : 2 * e], bias[2 * e :])
    if separate:
        q, k, v = (linear(lead(x), w, b) for x, w, b in zip((query, key, value), weights, biases) if w is not None)
        return q, k, v
    if weight is None:
        raise ArgumentError(f"{OP}: give in_proj_weight, or use_separate_proj_weight=True with the three weights")
    for name, x in (("key", key), ("value", value)):
        if x.shape[-1] != e:
            raise ShapeError(
                f"{OP}: {name} has {x.shape[-1]} features and query {e}; make the layer with kdim= and vdim= if they differ"
            )
    if query is key and key is value:
        q, k, v = linear(lead(query), weight, bias).chunk(3, -1)
        return q, k, v
    q = linear(lead(query), weight[:e], biases[0])
    if key is value:
        k, v = linear(lead(key), weight[e:], None if bias is None else bias[e:]).chunk(2, -1)
        return q, k, v
    return q, linear(lead(key), weight[e : 2 * e], biases[1]), linear(lead(value), weight[2 * e :], biases[2])


def _append(x: Tensor, row: Tensor) -> Tensor:
    """One more position, the same for every example, behind those of [N, positions, E]."""
    return cat([x, row.expand(x.shape[0], 1, x.shape[-1])], 1)


def _split_heads(x: Tensor, num_heads: int) -> Tensor:
    """[N, positions, E] as [N, positions, heads, E / heads]."""
    n, length, e = x.shape
    return x.reshape(n, length, num_heads, e // num_heads)


def _allow_one_more(mask: Tensor | None) -> Tensor | None:
    """The mask with one more key, which every query may see."""
    if mask is None:
        return None
    lead = tuple(mask.shape[:-1])
    extra = zeros(*lead, 1, dtype=mask.dtype)
    return cat([mask, ~extra if mask.dtype.name == "bool" else extra], -1)


def _check_mask(name: str, mask: Any, shapes: list[tuple[int, ...]]) -> None:
    if not isinstance(mask, Tensor):
        raise DTypeError(f"{OP}: {name} must be a tensor, not {type(mask).__name__}")
    if mask.dtype.name != "bool" and not mask.dtype.is_floating_point:
        raise DTypeError(
            f"{OP}: {name} must be bool (True where attention is forbidden) or floating (added to the scores), not "
            f"{mask.dtype.name}; convert it with .bool()"
        )
    if tuple(mask.shape) not in shapes:
        wanted = " or ".join(map(str, shapes))
        raise ShapeError(f"{OP}: {name} must have shape {wanted}, but its shape is {tuple(mask.shape)}")


def _merge_masks(
    padding: Tensor | None,
    mask: Tensor | None,
    is_causal: bool,
    sizes: tuple[int, int, int, int],
    batched: bool,
    like: Tensor,
) -> Tensor | None:
    """All masks as one that broadcasts to [N, H, L, S]: bool (True where attention is allowed) if all are, else floating."""
    n, heads, n_query, n_key = sizes
    parts: list[Tensor] = []
    if padding is not None:
        _check_mask("key_padding_mask", padding, [(n, n_key) if batched else (n_key,)])
        parts.append(padding.reshape(n, 1, 1, n_key))
    if mask is not None:
        _check_mask("attn_mask", mask, [(n_query, n_key), (n * heads, n_query, n_key)])
        parts.append(mask if mask.ndim == 2 else mask.reshape(n, heads, n_query, n_key))
    if is_causal:
        parts.append(~causal_mask(n_query, n_key))
    if not parts:
        return None
    if all(p.dtype.name == "bool" for p in parts):
        allowed = ~parts[0]
        for p in parts[1:]:
            allowed = logical_and(allowed, ~p)
        return allowed
    zero = zeros((), dtype=like.dtype)
    added = [where(p, NEVER, zero) if p.dtype.name == "bool" else p.to(dtype=like.dtype) for p in parts]
    total = added[0]
    for a in added[1:]:
        total = total + a
    return total
