"""Attention's kernels: against the reference at odd sizes, with masks and dropout; memory, threads, repeated bits, open sizes."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.graph import PRIMITIVES
from twinflow.nn import functional as F
from twinflow.tensor import apply

FORWARD, GRAD = PRIMITIVES["attention"], PRIMITIVES["attention_grad"]
SIZES = [  # batch axes, queries, keys, heads, heads of keys, features, features of values
    ((2,), 64, 64, 2, 2, 32, 32),
    ((), 5, 7, 2, 1, 3, 4),
    ((2, 2), 33, 65, 2, 2, 16, 8),
    ((1,), 70, 130, 2, 1, 40, 72),
    ((2,), 1, 77, 3, 3, 64, 64),
    ((3,), 17, 3, 2, 2, 5, 20),
]
MASKS = ["none", "bool", "padding", "added", "nothing seen"]


def operands_of(size, mask, dropout_p, dtype):
    batch, n_query, n_key, heads, shared, features, value_features = size
    rng = np.random.default_rng(n_query)
    q = rng.normal(size=(*batch, n_query, heads, features)).astype(dtype)
    k = rng.normal(size=(*batch, n_key, shared, features)).astype(dtype)
    v = rng.normal(size=(*batch, n_key, shared, value_features)).astype(dtype)
    rest = []
    if mask == "bool":
        rest = [rng.random((*batch, heads, n_query, n_key)) > 0.5]
    elif mask == "padding":
        rest = [rng.random((*batch, 1, 1, n_key)) > 0.3]
    elif mask == "added":
        added = rng.normal(size=(*(1 for _ in batch), 1, n_query, n_key)).astype(dtype)
        added[..., 0, :] = -np.inf
        rest = [added]
    elif mask == "nothing seen":
        rest = [np.zeros((*batch, 1, n_query, n_key), bool)]
    params = {"scale": features**-0.5, "masked": bool(rest), "dropout_p": dropout_p}
    return [q, k, v], rest + ([np.array([3, 11])] if dropout_p else []), params


def compiled(prim, params, arrays):
    run = tf.compile(lambda *xs: apply(prim, *xs, **params))
    results = [y.numpy() for y in run(*map(tf.tensor, arrays))]
    assert "reference" not in str(run.kernels)
    return results


def assert_close(got, want, dtype):
    tolerance = 2e-5 if dtype == np.float32 else 1e-12
    for g, w in zip(got, want, strict=True):
        finite = np.isfinite(w)
        np.testing.assert_array_equal(g[~finite], w[~finite])
        np.testing.assert_allclose(
            g[finite], w[finite], rtol=tolerance, atol=tolerance * max(1, np.abs(w[finite]).max(initial=0))
        )


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("size", SIZES)
def test_compiled_kernels_equal_the_reference(size, mask):
    for causal, dropout_p, dtype in ((False, 0.0, np.float32), (True, 0.0, np.float64), (True, 0.3, np.float32)):
        (q, k, v), rest, params = operands_of(size, mask, dropout_p, dtype)
        params["causal"] = causal
        out, lse = FORWARD.ref(q, k, v, *rest, **params)
        assert_close(compiled(FORWARD, params, [q, k, v, *rest]), [out, lse], dtype)
        g = np.random.default_rng(1).normal(size=out.shape).astype(dtype)
        delta = np.ascontiguousarray(np.moveaxis((g * out).sum(-1), -1, -2))
        operands = [g, q, k, v, lse, delta, *rest]
        assert_close(compiled(GRAD, params, operands), GRAD.ref(*operands, **params), dtype)


@pytest.mark.parametrize("mask", ["none", "bool", "added"])
def test_eager_mode_runs_the_kernels_from_some_size_on(mask, monkeypatch):
    (q, k, v), rest, params = operands_of(((2,), 64, 64, 2, 2, 16, 16), mask, 0.0, np.float32)
    params["causal"] = False
    want = FORWARD.ref(q, k, v, *rest, **params)
    monkeypatch.setattr(FORWARD, "ref", None)
    monkeypatch.setattr(GRAD, "ref", None)
    assert_close(FORWARD.run(q, k, v, *rest, **params), want, np.float32)
    leaves = [tf.tensor(x, requires_grad=True) for x in (q, k, v)]
    out, _ = apply(FORWARD, *leaves, *map(tf.tensor, rest), **params)
    out.sum().backward()
    assert all(x.grad.numpy().any() for x in leaves[::2])


def test_operands_may_be_views():
    rng = np.random.default_rng(0)
    qkv = rng.normal(size=(2, 40, 3, 4, 8))
    params = {"scale": 0.3, "causal": True, "masked": False, "dropout_p": 0.0}

    def run(x):
        return apply(FORWARD, x[:, :, 0], x[:, :, 1].flip(1), x[:, :, 2], **params)

    got = [y.numpy() for y in tf.compile(run)(tf.tensor(qkv))]
    want = FORWARD.ref(qkv[:, :, 0], qkv[:, ::-1, 1], qkv[:, :, 2], **params)
    assert_close(got, want, np.float64)
    turned = [y.numpy() for y in tf.compile(lambda x: run(x.transpose(-1, -2).transpose(-1, -2)))(tf.tensor(qkv))]
    assert_close(turned, want, np.float64)


def train(q, k, v):
    leaves = [x.detach().requires_grad_(True) for x in (q, k, v)]
    y = F.scaled_dot_product_attention(*leaves, is_causal=True)
    (y * y).sum().backward()
    return [y, *[x.grad for x in leaves]]


def draws(n, length):
    rng = np.random.default_rng(n)
    return [tf.tensor(rng.normal(size=(n, 2, length, 16)).astype(np.float32)) for _ in range(3)]


def test_the_scores_are_never_stored():
    step = tf.compile(train)
    length = 512
    step(*draws(1, length))
    scores = 2 * length * length * 4
    assert step._native("test").arena_nbytes < scores / 2
    assert f"{length}, {length}" not in step.memory_plan


def test_threads_do_not_change_bits_and_neither_does_repetition():
    before = tf.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 2):
            tf.set_num_threads(threads)
            found.append([x.numpy().tobytes() for x in tf.compile(train)(*draws(5, 150))])
    finally:
        tf.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_batches_and_lengths_of_many_sizes_share_code():
    step = tf.compile(train)
    for n, length in ((2, 40), (3, 40), (5, 40), (3, 70), (4, 33)):
        operands = draws(n, length)
        for got, want in zip(step(*operands), train(*operands), strict=True):
            np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(6, 4), (3, 6, 4), (2, 3, 6, 4), (2, 1, 3, 6, 4)])
def test_dropout_drops_the_same_weights_in_both_modes(shape):
    q = tf.tensor(np.random.default_rng(2).normal(size=shape))

    def run(x):
        return F.scaled_dot_product_attention(x, x, x, dropout_p=0.4)

    tf.manual_seed(5)
    eager = run(q).numpy()
    tf.manual_seed(5)
    np.testing.assert_allclose(tf.compile(run)(q).numpy(), eager, rtol=1e-12)
    assert not np.allclose(run(q).numpy(), eager)


def test_dropout_keeps_the_mean_and_drops_all_at_one():
    value = tf.ones(4, 64, 8)
    q = tf.zeros(4, 64, 8)
    tf.manual_seed(0)
    y = F.scaled_dot_product_attention(q, q, value, dropout_p=0.5)
    assert 0.95 < y.mean().item() < 1.05
    assert set(np.round(np.unique(y.numpy()) * 32).tolist()) <= set(range(65))
    assert not F.scaled_dot_product_attention(q, q, value, dropout_p=1.0).numpy().any()


def test_gradients_with_dropout_belong_to_the_weights_that_were_kept():
    q = tf.tensor(np.random.default_rng(3).normal(size=(5, 4)))

    def run(x):
        tf.manual_seed(9)
        return F.scaled_dot_product_attention(x, x * 2, x.sin(), dropout_p=0.4)

    assert tf.autograd.gradcheck(run, (q.requires_grad_(True),))
    assert tf.autograd.gradgradcheck(run, (q,))


def test_vmap_over_dropout_drops_other_or_the_same_weights():
    q = tf.tensor(np.ones((3, 20, 4)))

    def run(x):
        return F.scaled_dot_product_attention(x, x, x, dropout_p=0.5)

    different = tf.func.vmap(run, randomness="different")(q).numpy()
    same = tf.func.vmap(run, randomness="same")(q).numpy()
    assert not np.array_equal(different[0], different[1])
    np.testing.assert_array_equal(same[0], same[1])


def test_gradients_by_a_floating_mask():
    rng = np.random.default_rng(4)
    q, bias = tf.tensor(rng.normal(size=(2, 3, 5, 4))), tf.tensor(rng.normal(size=(3, 1, 5)), requires_grad=True)
    assert tf.autograd.gradcheck(lambda b: F.scaled_dot_product_attention(q, q, q, b), (bias,))


def test_heads_that_share_keys_get_the_sum_of_gradients():
    rng = np.random.default_rng(5)
    q = tf.tensor(rng.normal(size=(2, 4, 6, 3)))
    k, v = (tf.tensor(rng.normal(size=(2, 2, 7, 3)), requires_grad=True) for _ in range(2))
    y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    wide = [x.detach().repeat_interleave(2, 1).requires_grad_(True) for x in (k, v)]
    want = F.scaled_dot_product_attention(q, *wide)
    np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy(), rtol=1e-12)
    y.sin().sum().backward()
    want.sin().sum().backward()
    for x, w in zip((k, v), wide):
        np.testing.assert_allclose(x.grad.numpy(), w.grad.numpy().reshape(2, 2, 2, 7, 3).sum(2), rtol=1e-10)


def test_sixteen_bit_operands_are_computed_in_float32():
    x = tf.tensor(np.random.default_rng(6).normal(size=(2, 9, 8))).to(tf.bfloat16)
    y = F.scaled_dot_product_attention(x, x, x)
    assert y.dtype is tf.bfloat16
    want = F.scaled_dot_product_attention(*[x.float()] * 3).to(tf.bfloat16)
    np.testing.assert_array_equal(y.float().numpy(), want.float().numpy())
