"""Attention as two primitives, whose kernels never store the matrix of scores: the operation and its derivative.

Scores are computed block by block and forgotten. Forward keeps one number a row, the logarithm of the sum of its exponentials; the
derivative computes each block of scores again from it. Their own derivatives are composed of matrix products.

Source: Dao, Fu, Ermon, Rudra and Ré, "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness", NeurIPS 2022.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import DTypeError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Named, dropout_rule
from twinflow.ops._declare import call, want
from twinflow.ops._native import Native
from twinflow.ops._random import philox_bits
from twinflow.ops._shape import batched
from twinflow.tensor import Tensor, apply, sum_to, zeros_for

_NEVER = float("-inf")
_INT64 = as_dtype("int64")


def _check(op: str, q: Aval, k: Aval, v: Aval, rest: tuple[Aval, ...], masked: bool, dropout_p: float) -> None:
    want(
        q.ndim >= 3 and q.ndim == k.ndim == v.ndim,
        "the operands are [..., positions, heads, features]",
        op,
        q=q,
        k=k,
        v=v,
    )
    want(q.shape[:-3] == k.shape[:-3] == v.shape[:-3], "the batch axes are equal", op, q=q, k=k, v=v)
    want(q.shape[-1] == k.shape[-1], "q and k have equally many features", op, q=q, k=k)
    want(k.shape[-3:-1] == v.shape[-3:-1], "there is one value for each key", op, k=k, v=v)
    heads, shared = q.shape[-2], k.shape[-2]
    want(shared > 0 and heads % shared == 0, "the heads of q are a multiple of those of k and v", op, q=q, k=k)
    if not (q.dtype is k.dtype is v.dtype) or q.dtype.name not in ("float32", "float64"):
        raise DTypeError(f"{op}: operands {q!r}, {k!r}, {v!r} must be of one type, float32 or float64")
    want(len(rest) == masked + (dropout_p > 0), "a mask and a random state follow where they are used", op, q=q)
    if masked:
        mask, scores = rest[0], _scores_shape(q, k)
        fits = mask.ndim == len(scores) and all(m in (1, n) for m, n in zip(mask.shape, scores))
        want(fits, f"the mask has shape {scores}, or 1 in the place of an extent", op, mask=mask)
        if mask.dtype.name != "bool" and mask.dtype is not q.dtype:
            raise DTypeError(f"{op}: the mask is bool or {q.dtype.name}, not {mask.dtype.name}")
    if dropout_p > 0:
        state = rest[-1]
        want(
            state.shape == (2,) and state.dtype.name == "int64",
            "the state is int64[2]: (seed, offset)",
            op,
            state=state,
        )


def _scores_shape(q: Any, k: Any) -> tuple[int, ...]:
    """[..., heads, queries, keys]."""
    return (*q.shape[:-3], q.shape[-2], q.shape[-3], k.shape[-3])


def _attention_out(
    q: Aval, k: Aval, v: Aval, *rest: Aval, scale: float, causal: bool, masked: bool, dropout_p: float
) -> tuple[Aval, Aval]:
    _check("attention", q, k, v, rest, masked, dropout_p)
    return Aval((*q.shape[:-1], v.shape[-1]), q.dtype), Aval(_scores_shape(q, k)[:-1], q.dtype)


def _grad_out(
    g: Aval, q: Aval, k: Aval, v: Aval, lse: Aval, delta: Aval, *rest: Aval,
    scale: float, causal: bool, masked: bool, dropout_p: float,
) -> tuple[Aval, Aval, Aval]:  # fmt: skip
    _check("attention_grad", q, k, v, rest, masked, dropout_p)
    want(
        g == Aval((*q.shape[:-1], v.shape[-1]), q.dtype),
        "the cotangent is like the result",
        "attention_grad",
        g=g,
        q=q,
        v=v,
    )
    rows = Aval(_scores_shape(q, k)[:-1], q.dtype)
    want(lse == rows == delta, "lse and delta have a number a query", "attention_grad", lse=lse, delta=delta, q=q)
    return q, k, v


# -- the meaning, in NumPy --------------------------------------------------------------------------------------


def _np_heads(x: Any, shared: int) -> Any:
    """[..., positions, heads, features] as [..., shared heads, queries' heads of each, positions, features]."""
    x = x.swapaxes(-3, -2)
    return x.reshape(*x.shape[:-3], shared, x.shape[-3] // shared, *x.shape[-2:])


def _np_back(x: Any, heads: int) -> Any:
    """The inverse of `_np_heads`."""
    return x.reshape(*x.shape[:-4], heads, *x.shape[-2:]).swapaxes(-2, -3)


def _np_scores(q: Any, k: Any, rest: Any, scale: float, causal: bool, masked: bool) -> Any:
    shared = k.shape[-2]
    s = np.matmul(_np_heads(q, shared) * q.dtype.type(scale), _np_heads(k, shared).swapaxes(-1, -2))
    s = s.reshape(_scores_shape(q, k))
    if masked:
        s = np.where(rest[0], s, s.dtype.type(_NEVER)) if rest[0].dtype == bool else s + rest[0]
    if causal:
        s = np.where(np.arange(s.shape[-1]) <= np.arange(s.shape[-2])[:, None], s, s.dtype.type(_NEVER))
    return s


def _np_kept(q: Any, k: Any, rest: Any, dropout_p: float) -> Any:
    """What dropout multiplies the weights with."""
    if not dropout_p:
        return q.dtype.type(1)
    shape = _scores_shape(q, k)
    state = rest[-1]
    bits = philox_bits(int(state[0]) % 2**64, int(state[1]) % 2**64, math.prod(shape)).reshape(shape)
    least, factor = dropout_rule(dropout_p)
    return ((bits >> np.uint32(8)) >= least).astype(q.dtype) * q.dtype.type(factor)


def _attention_ref(
    q: Any, k: Any, v: Any, *rest: Any, scale: float, causal: bool, masked: bool, dropout_p: float
) -> tuple[Any, Any]:
    s = _np_scores(q, k, rest, scale, causal, masked)
    top = s.max(-1, keepdims=True, initial=_NEVER)
    top = np.where(top == _NEVER, s.dtype.type(0), top)
    p = np.exp(s - top)
    total = p.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        lse = (np.log(total) + top)[..., 0]
    p = p / np.where(total == 0, s.dtype.type(1), total) * _np_kept(q, k, rest, dropout_p)
    shared = k.shape[-2]
    p = p.reshape(*p.shape[:-3], shared, p.shape[-3] // shared, *p.shape[-2:])
    return np.ascontiguousarray(_np_back(np.matmul(p, _np_heads(v, shared)), q.shape[-2])), lse


def _grad_ref(
    g: Any, q: Any, k: Any, v: Any, lse: Any, delta: Any, *rest: Any,
    scale: float, causal: bool, masked: bool, dropout_p: float,
) -> tuple[Any, Any, Any]:  # fmt: skip
    shared, heads = k.shape[-2], q.shape[-2]
    s = _np_scores(q, k, rest, scale, causal, masked)
    p = np.exp(s - np.where(lse == _NEVER, s.dtype.type(0), lse)[..., None])
    z = _np_kept(q, k, rest, dropout_p)
    gh, qh, kh, vh = (_np_heads(x, shared) for x in (g, q, k, v))
    grouped = (*p.shape[:-3], shared, heads // shared, *p.shape[-2:])
    dp = np.matmul(gh, vh.swapaxes(-1, -2)).reshape(p.shape)
    ds = (p * (dp * z - delta[..., None]) * s.dtype.type(scale)).reshape(grouped)
    pz = (p * z).reshape(grouped).swapaxes(-1, -2)
    dq = _np_back(np.matmul(ds, kh), heads)
    dk = np.matmul(ds.swapaxes(-1, -2), qh).sum(-3, keepdims=True)
    dv = np.matmul(pz, gh).sum(-3, keepdims=True)
    return tuple(np.ascontiguousarray(x) for x in (dq, _np_back(dk, shared), _np_back(dv, shared)))  # type: ignore[return-value]


# -- the same composed of operations: for derivatives of derivatives, and for maps ------------------------------


class _Composed:
    """Scores and weights as whole matrices, with heads in front: [..., shared heads, heads of each, queries, keys]."""

    def __init__(
        self,
        q: Tensor,
        k: Tensor,
        rest: Any,
        scale: float,
        causal: bool,
        masked: bool,
        dropout_p: float,
        mapped: int = 0,
    ) -> None:
        """`mapped`: so many axes in front are examples of a map, all of which drop the same weights."""
        self.heads, self.shared = q._data.shape[-2], k._data.shape[-2]
        self.scale = scale
        self.qh, self.kh = self.split(q), self.split(k)
        self.shape = _scores_shape(q._data, k._data)
        s = call("matmul", self.qh * scale, _turned(self.kh))
        if masked:
            mask = self.grouped(rest[0])
            s = call("where", mask, s, _NEVER) if mask.dtype.name == "bool" else s + mask
        if causal:
            n_query, n_key = self.shape[-2:]
            below = call("iota", n=n_query, dtype=_INT64)
            seen = call("iota", n=n_key, dtype=_INT64) <= call("reshape", below, shape=(n_query, 1))
            s = call("where", seen, s, _NEVER)
        self.scores = s
        self.z = self._kept(q, rest[-1], dropout_p, self.shape[mapped:]) if dropout_p else None

    def _kept(self, q: Tensor, state: Tensor, dropout_p: float, shape: tuple[int, ...]) -> Tensor:
        bits = call("random_bits", state, shape=shape)
        top = call("cast", call("shift_right", bits, 8), dtype=_INT64)
        least, factor = dropout_rule(dropout_p)
        z: Tensor = self.grouped(call("cast", top >= least, dtype=q.dtype) * factor)
        return z

    def split(self, x: Tensor) -> Tensor:
        """[..., positions, heads, features] with heads in front, by groups that share keys and values."""
        x = _moved(x)
        s = x._data.shape
        out: Tensor = call("reshape", x, shape=(*s[:-3], self.shared, s[-3] // self.shared, *s[-2:]))
        return out

    def joined(self, x: Tensor, heads: int) -> Tensor:
        """The inverse of `split`, summed over the queries' heads that share one of the keys'."""
        s = x._data.shape
        if s[-3] * self.shared != heads:
            x = call("sum", x, axes=(len(s) - 3,), keepdim=False)
        out: Tensor = _moved(call("reshape", x, shape=(*s[:-4], heads, *s[-2:])))
        return out

    def grouped(self, x: Tensor) -> Tensor:
        """[..., heads, a, b] with its heads by groups."""
        s = x._data.shape
        n = self.shared if s[-3] != 1 else 1
        out: Tensor = call("reshape", x, shape=(*s[:-3], n, s[-3] // n, *s[-2:]))
        return out

    def rows(self, x: Tensor) -> Tensor:
        """[..., heads, queries] as a column for each head."""
        return self.grouped(call("reshape", x, shape=(*x._data.shape, 1)))

    def flat(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Scores, or a number a row, in this shape with ungrouped heads."""
        out: Tensor = call("reshape", x, shape=shape)
        return out

    def dropped(self, x: Tensor) -> Tensor:
        """What dropout leaves."""
        return x if self.z is None else x * self.z

    def weights(self, lse: Tensor) -> Tensor:
        """exp(scores - lse)."""
        p: Tensor = call("exp", self.scores - self.rows(call("where", lse == _NEVER, 0.0, lse)))
        return p


def _moved(x: Tensor) -> Tensor:
    """The third and second last axes exchanged."""
    n = len(x._data.shape)
    out: Tensor = call("permute", x, axes=(*range(n - 3), n - 2, n - 3, n - 1))
    return out


def _turned(x: Tensor) -> Tensor:
    n = len(x._data.shape)
    out: Tensor = call("permute", x, axes=(*range(n - 2), n - 1, n - 2))
    return out


def _row_sum(x: Tensor) -> Tensor:
    out: Tensor = call("sum", x, axes=(len(x._data.shape) - 1,), keepdim=True)
    return out


def _product(a: Tensor, b: Tensor) -> Tensor:
    out: Tensor = call("matmul", a, b)
    return out


def _tangent_of_scores(c: _Composed, q: Tensor, tq: Any, tk: Any, tm: Any) -> Tensor:
    """How the scores change as q, k and a floating mask do."""
    total: Any = 0.0
    if tq is not None:
        total = _product(c.split(tq) * c.scale, _turned(c.kh))
    if tk is not None:
        total = _product(c.qh * c.scale, _turned(c.split(tk))) + total
    if tm is not None:
        total = c.grouped(tm) + total
    return total if isinstance(total, Tensor) else zeros_for(c.scores)


# -- rules ------------------------------------------------------------------------------------------------------


def _mask_of(rest: Any, masked: bool) -> Any:
    return rest[0] if masked and rest[0].dtype.name != "bool" else None


def _attention_vjp(g: Any, y: Any, q: Tensor, k: Tensor, v: Tensor, *rest: Any, **params: Any) -> Any:
    out, lse = y
    go, g_lse = g
    if go is None:
        go = zeros_for(out)
    inner = call("sum", go * out, axes=(len(out._data.shape) - 1,), keepdim=False)  # [..., queries, heads]
    delta = _turned(inner)
    if g_lse is not None:
        delta = delta - g_lse
    dq, dk, dv = call("attention_grad", go, q, k, v, lse, delta, *rest, **params)
    mask, g_mask = _mask_of(rest, params["masked"]), None
    if mask is not None and mask.requires_grad:
        c = _Composed(q, k, rest, **params)
        dp = c.dropped(_product(c.split(go), _turned(c.split(v))))
        g_mask = sum_to(c.flat(c.weights(lse) * (dp - c.rows(delta)), c.shape), tuple(mask._data.shape))
    return (dq, dk, dv, *((g_mask,) if params["masked"] else ()), *((None,) if params["dropout_p"] else ()))


def _attention_jvp(t: Any, y: Any, q: Tensor, k: Tensor, v: Tensor, *rest: Any, **params: Any) -> Any:
    _, lse = y
    c = _Composed(q, k, rest, **params)
    moved = _tangent_of_scores(c, q, t[0], t[1], t[3] if _mask_of(rest, params["masked"]) is not None else None)
    p = c.weights(lse)
    t_lse = _row_sum(p * moved)
    t_out = _product(c.dropped(p * (moved - t_lse)), c.split(v))
    if t[2] is not None:
        t_out = t_out + _product(c.dropped(p), c.split(t[2]))
    return c.joined(t_out, c.heads), c.flat(t_lse, tuple(lse._data.shape))


def _grad_vjp(
    g: Any, _y: Any, go: Tensor, q: Tensor, k: Tensor, v: Tensor, lse: Tensor, delta: Tensor, *rest: Any, **params: Any
) -> Any:
    gq, gk, gv = (x if x is not None else zeros_for(like) for x, like in zip(g, (q, k, v)))
    c = _Composed(q, k, rest, **params)
    p = c.weights(lse)
    gh, vh = c.split(go), c.split(v)
    a = _tangent_of_scores(c, q, gq, gk, None)
    apart = c.dropped(_product(gh, _turned(vh))) - c.rows(delta)
    ds = p * apart
    u = a * p
    gp = c.dropped(_product(gh, _turned(c.split(gv)))) + a * apart
    gs = gp * p
    pz, uz = c.dropped(p), c.dropped(u)
    rows = tuple(lse._data.shape)
    mask = _mask_of(rest, params["masked"])
    of_mask = None if mask is None else sum_to(c.flat(gs, c.shape), tuple(mask._data.shape))
    return (
        c.joined(_product(pz, c.split(gv)) + _product(uz, vh), c.heads),
        c.joined((_product(gs, c.kh) + _product(ds, c.split(gk))) * c.scale, c.heads),
        c.joined((_product(_turned(gs), c.qh) + _product(_turned(ds), c.split(gq))) * c.scale, c.shared),
        c.joined(_product(_turned(uz), gh), c.shared),
        c.flat(-_row_sum(gs), rows),
        c.flat(-_row_sum(u), rows),
        *((of_mask,) if params["masked"] else ()),
        *((None,) if params["dropout_p"] else ()),
    )


def _grad_jvp(
    t: Any, y: Any, go: Tensor, q: Tensor, k: Tensor, v: Tensor, lse: Tensor, delta: Tensor, *rest: Any, **params: Any
) -> Any:
    operands = (go, q, k, v, lse, delta)
    tg, tq, tk, tv, t_lse, t_delta = (x if x is not None else zeros_for(like) for x, like in zip(t, operands))
    c = _Composed(q, k, rest, **params)
    p = c.weights(lse)
    gh, vh, tgh = c.split(go), c.split(v), c.split(tg)
    moved = _tangent_of_scores(c, q, tq, tk, t[6] if _mask_of(rest, params["masked"]) is not None else None)
    tp = p * (moved - c.rows(t_lse))
    apart = c.dropped(_product(gh, _turned(vh))) - c.rows(delta)
    t_apart = c.dropped(_product(tgh, _turned(vh)) + _product(gh, _turned(c.split(tv)))) - c.rows(t_delta)
    ds, tds = p * apart, tp * apart + p * t_apart
    return (
        c.joined((_product(tds, c.kh) + _product(ds, c.split(tk))) * c.scale, c.heads),
        c.joined((_product(_turned(tds), c.qh) + _product(_turned(ds), c.split(tq))) * c.scale, c.shared),
        c.joined(_product(_turned(c.dropped(tp)), gh) + _product(_turned(c.dropped(p)), tgh), c.shared),
    )


def _compose_forward(q: Tensor, k: Tensor, v: Tensor, *rest: Any, **params: Any) -> tuple[Tensor, Tensor]:
    c = _Composed(q, k, rest, **params)
    top = call("amax", c.scores, axes=(len(c.scores._data.shape) - 1,), keepdim=True)
    top = call("where", top == _NEVER, 0.0, top)
    p = call("exp", c.scores - top)
    total = _row_sum(p)
    lse = c.flat(call("log", total) + top, c.shape[:-1])
    weights = c.dropped(p / call("where", total == 0.0, 1.0, total))
    return c.joined(_product(weights, c.split(v)), c.heads), lse


def _compose_grad(
    go: Tensor, q: Tensor, k: Tensor, v: Tensor, lse: Tensor, delta: Tensor, *rest: Any, **params: Any
) -> tuple[Tensor, Tensor, Tensor]:
    c = _Composed(q, k, rest, **params)
    p, gh = c.weights(lse), c.split(go)
    ds = p * (c.dropped(_product(gh, _turned(c.split(v)))) - c.rows(delta)) * c.scale
    return (
        c.joined(_product(ds, c.kh), c.heads),
        c.joined(_product(_turned(ds), c.qh), c.shared),
        c.joined(_product(_turned(c.dropped(p)), gh), c.shared),
    )


def _batch(row: str, composed: Any, n_out: int) -> Any:
    """One more batch axis in front. With dropout all examples drop the same weights, which the kernels cannot: composed."""

    def rule(args: Any, axes: Any, **params: Any) -> Any:
        n = next(x._data.shape[a] for x, a in zip(args, axes) if a is not None)
        last = len(args) - 1 if params["dropout_p"] else len(args)
        if last < len(args) and axes[last] is not None:
            call("random_bits", args[last], shape=())  # which says why a state cannot be mapped over
        moved = [batched(x, a, n) for x, a in zip(args[:last], axes[:last])]
        if params["dropout_p"]:
            return composed(*moved, args[last], mapped=1, **params), (0,) * n_out
        return call(row, *moved, **params), (0,) * n_out

    return rule


# -- rows -------------------------------------------------------------------------------------------------------


def _cases(rng: np.random.Generator, n: int) -> Any:
    """(q, k, v, mask or none), parameters: with and without batch axes, shared heads, masks, one key, one query."""

    def draw(*shape: int) -> Any:
        return rng.uniform(-1, 1, shape)

    plain = {"scale": 0.5, "causal": False, "masked": False, "dropout_p": 0.0}
    for kind in (np.float64, np.float32):
        for operands, params in (
            ((draw(5, 2, 3), draw(7, 2, 3), draw(7, 2, 4)), plain),
            ((draw(2, 5, 4, 3), draw(2, 5, 2, 3), draw(2, 5, 2, 3)), plain | {"causal": True}),
            ((draw(2, 1, 1, 3), draw(2, 1, 1, 3), draw(2, 1, 1, 2)), plain),
            ((draw(2, 3, 2, 2), draw(2, 4, 1, 2), draw(2, 4, 1, 2), draw(1, 2, 3, 4)), plain | {"masked": True}),
            ((draw(2, 3, 2, 2), draw(2, 4, 2, 2), draw(2, 4, 2, 2), draw(2, 1, 1, 4) > -0.7), plain | {"masked": True}),
        )[: n if kind is np.float32 else None]:
            yield tuple(x if x.dtype == bool else x.astype(kind) for x in operands), params


def _attention_samples(rng: np.random.Generator) -> list[Sample]:
    return [Sample(operands, params) for operands, params in _cases(rng, 2)]


def _grad_samples(rng: np.random.Generator) -> list[Sample]:
    made = []
    for operands, params in _cases(rng, 2):
        q, k, v = operands[:3]
        rows = _scores_shape(q, k)[:-1]
        more = [rng.uniform(-1, 1, s).astype(q.dtype) for s in ((*q.shape[:-1], v.shape[-1]), rows, rows)]
        made.append(Sample((more[0], q, k, v, more[1] + q.dtype.type(2), more[2], *operands[3:]), params))
    return made


def _bad(rng: np.random.Generator) -> list[Sample]:
    params = {"scale": 1.0, "causal": False, "masked": False, "dropout_p": 0.0}
    q, k = np.ones((5, 4, 3), np.float32), np.ones((7, 3, 3), np.float32)
    mask = np.ones((1, 5, 6), bool)
    return [
        Sample((q, k, k), params),
        Sample((q, k[:, :2], k[:6, :2]), params),
        Sample((q, k[:, :2, :2], k[:, :2]), params),
        Sample((q[0], k[0], k[0]), params),
        Sample((q, k[:, :2], k[:, :2], mask), params | {"masked": True}),
        Sample((q, k[:, :2], k[:, :2]), params | {"dropout_p": 0.5}),
        Sample((q.astype(np.int64), k[:, :2].astype(np.int64), k[:, :2].astype(np.int64)), params),
    ]


attention: Primitive = Primitive(
    "attention",
    out=_attention_out,
    ref=_attention_ref,
    vjp=_attention_vjp,
    jvp=_attention_jvp,
    batch=_batch("attention", _compose_forward, 2),
    lower=Named("attention"),
    samples=_attention_samples,
    bad=_bad,
    n_out=2,
    ulp=64,
    doc="softmax(scale · q kᵀ + mask) v over keys, and the logarithm of the sum of exponentials of each row of scores. q [..., L, H, E], "
    "k [..., S, Hk, E] and v [..., S, Hk, Ev], where each of the Hk heads serves H / Hk queries' heads; a mask [..., H, L, S] (bool: True "
    "where a key is seen; else added), `causal`: query i sees keys 0 to i. Rows that see nothing give zeros.",
)  # fmt: skip

attention_grad: Primitive = Primitive(
    "attention_grad",
    out=_grad_out,
    ref=_grad_ref,
    vjp=_grad_vjp,
    jvp=_grad_jvp,
    batch=_batch("attention_grad", _compose_grad, 3),
    lower=Named("attention_grad"),
    samples=_grad_samples,
    n_out=3,
    ulp=256,
    doc="The gradients by q, k and v of attention, given the cotangent g, each row's log-sum-exp and delta = Σ g·y (less the cotangent "
    "of the log-sum-exp): p = exp(scores - lse), ds = p (g vᵀ - delta), dq = scale · ds k, dk = scale · dsᵀ q, dv = pᵀ g.",
)  # fmt: skip


def _pays_forward(q: Any, k: Any, *_: Any, **_params: Any) -> bool:
    """From some thousand scores on, a compiled pass beats NumPy's several."""
    return bool(math.prod(_scores_shape(q, k)) >= 1 << 13)


def _pays_grad(_g: Any, q: Any, k: Any, *_: Any, **_params: Any) -> bool:
    return _pays_forward(q, k)


def _run(prim: Primitive, pays: Any, sizes: tuple[dict[int, str], ...]) -> Any:
    """The compiled form. Sequences are as long as they are: a new length, or batch, finds the kernels compiled."""

    def compose(*xs: Any, **params: Any) -> Any:
        return apply(prim, *xs, **params)

    def reference(*arrays: Any, **params: Any) -> Any:
        return prim.ref(*arrays, **params)

    scores = {0: "n0", -2: "n1", -1: "n2"}
    plain = Native(prim.name, reference, compose, pays, sizes=sizes)
    masked = Native(prim.name, reference, compose, pays, sizes=(*sizes, scores))
    return lambda *xs, **params: (masked if params["masked"] else plain)(*xs, **params)


_QUERIES, _KEYS, _ROWS = {0: "n0", -3: "n1"}, {0: "n0", -3: "n2"}, {0: "n0", -1: "n1"}
attention.run = _run(attention, _pays_forward, (_QUERIES, _KEYS, _KEYS))
attention_grad.run = _run(attention_grad, _pays_grad, (_QUERIES, _QUERIES, _KEYS, _KEYS, _ROWS, _ROWS))
