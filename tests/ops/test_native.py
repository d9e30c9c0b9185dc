"""Eager operations on compiled kernels: equal to the references, and only where operands are large enough."""

import numpy as np
import pytest

import twinflow
from twinflow.core.errors import DTypeError, ShapeError
from twinflow.graph import find_primitive
from twinflow.ops import _eager, _native

RNG = np.random.default_rng(0)
WINDOW = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}


def uniform(*shape, dtype=np.float32):
    return RNG.uniform(0.05, 0.95, shape).astype(dtype)


CALLS = [
    ("conv", (uniform(4, 8, 30, 30), uniform(9, 8, 3, 3)), WINDOW | {"groups": 1}),
    ("conv_input", (uniform(4, 8, 30, 30), uniform(8, 9, 3, 3)), WINDOW | {"groups": 1, "shape": (30, 30)}),
    ("conv_weight", (uniform(4, 8, 30, 30), uniform(4, 9, 30, 30)), WINDOW | {"groups": 1, "shape": (3, 3)}),
    ("window_sum", (uniform(4, 8, 32, 32),), WINDOW | {"kernel": (3, 3)}),
    *[(name, (uniform(70, 71),), {}) for name in ("erf", "erfc", "erfinv", "lgamma", "digamma", "sigmoid")],
]


@pytest.mark.parametrize(("name", "arrays", "params"), CALLS, ids=[c[0] for c in CALLS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_equals_reference(name, arrays, params, dtype, monkeypatch):
    prim = find_primitive(name)
    arrays = [a.astype(dtype) for a in arrays]
    want = prim.ref(*arrays, **params)
    monkeypatch.setattr(prim.run, "reference", None)  # the compiled program must not need it
    for n in (4, 3):  # the second size of the batch
        batched = [a[:n] if a.shape[0] == 4 else a for a in arrays]
        got = prim.run(*batched, **params)
        assert got.dtype == dtype
        if n == 4:
            np.testing.assert_allclose(got, want, rtol=2e-5 if dtype == np.float32 else 1e-12)
            np.testing.assert_array_equal(prim.run(*batched, **params), got)


def test_small_operands_stay_with_the_reference(monkeypatch):
    prim = find_primitive("erf")
    monkeypatch.setattr(prim.run, "reference", lambda x: x + 1)
    assert prim.run(np.zeros(3, np.float32)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv", "lgamma", "digamma", "sigmoid"])
def test_16_bit_types_are_served_through_float32(name, monkeypatch):
    prim = find_primitive(name)
    x = uniform(5000).astype(np.float16)
    want = prim.ref(x)
    monkeypatch.setattr(prim.run, "reference", None)
    got = prim.run(x)
    assert got.dtype == np.float16
    np.testing.assert_allclose(got.astype("f4"), want.astype("f4"), rtol=2e-3, atol=1e-3)


def test_operands_are_neither_kept_nor_their_results_shared():
    x = twinflow.tensor(uniform(80, 80))
    a = twinflow.erf(x)
    before = a.numpy().copy()
    b = twinflow.erf(x * 0)
    assert float(b.abs().max()) == 0
    np.testing.assert_array_equal(a.numpy(), before)
    strided = twinflow.erf(x.T)
    np.testing.assert_array_equal(strided.numpy(), before.T)


def test_programs_are_dropped_when_they_take_too_much_memory(monkeypatch):
    monkeypatch.setattr("twinflow.ops._native._KEPT_NBYTES", 100_000)
    for n in (5000, 6000, 7000, 8000):
        find_primitive("erf").run(uniform(n))
    programs = list(_native._programs.values())
    assert sum(p.nbytes for p in programs) <= 100_000
    assert programs[-1].nbytes >= 8000 * 4


def test_wrong_operands_of_large_size_get_the_errors_of_small_ones():
    conv = twinflow.nn.functional.conv2d
    with pytest.raises(ShapeError, match="channels stand last"):
        conv(twinflow.zeros(16, 64, 64, 8), twinflow.zeros(16, 8, 3, 3))
    with pytest.raises(DTypeError, match="the input is float32, but the weight float64"):
        conv(twinflow.zeros(16, 8, 64, 64), twinflow.zeros(16, 8, 3, 3, dtype=twinflow.float64))


def test_gradients_of_a_large_convolution():
    x = twinflow.tensor(uniform(4, 8, 30, 30, dtype=np.float64), requires_grad=True)
    w = twinflow.tensor(uniform(9, 8, 3, 3, dtype=np.float64), requires_grad=True)
    y = twinflow.nn.functional.conv2d(x, w, padding=1)
    y.sum().backward()
    ones = np.ones(y.shape)
    want = find_primitive("conv_weight").ref(x.detach().numpy(), ones, **CALLS[2][2])
    np.testing.assert_allclose(w.grad.numpy(), want)


@pytest.mark.parametrize("shape", [(5, 7), (90, 110)])
@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_in_one_operation_equals_its_composition(shape, axis):
    for name in ("softmax", "log_softmax"):
        function = getattr(twinflow, name)
        x = twinflow.tensor(RNG.normal(size=shape), requires_grad=True)
        g = twinflow.tensor(RNG.normal(size=shape))
        y = function(x, axis)
        p = np.exp(x.detach().numpy())
        p /= p.sum(axis, keepdims=True)
        np.testing.assert_allclose(y.detach().numpy(), p if name == "softmax" else np.log(p), rtol=1e-11)
        (first,) = twinflow.autograd.grad(y, x, g, create_graph=True)
        (cheap,) = twinflow.autograd.grad(function(x, axis), x, g)
        (second,) = twinflow.autograd.grad((first * g).sum(), x)
        np.testing.assert_allclose(cheap.numpy(), first.detach().numpy(), atol=1e-14)
        step = 1e-5 * g.numpy()
        a, b = (
            twinflow.func.grad(lambda z, f=function, g=g: (f(z, axis) * g).sum())(
                twinflow.tensor(x.detach().numpy() + s)
            )
            for s in (step, -step)
        )
        np.testing.assert_allclose(second.numpy(), (a - b).numpy() / 2e-5, atol=1e-6)  # H g by differences


def differences(f, x, step=1e-6):
    """The gradient of a number f(x), by central differences."""
    found = np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        e = np.zeros(x.shape)
        e[at] = step
        found[at] = (float(f(x + e)) - float(f(x - e))) / (2 * step)
    return found


@pytest.mark.parametrize("shape", [(3, 4), (100, 90)])
def test_cross_entropy_in_one_operation(shape):
    entropy = twinflow.nn.functional.cross_entropy
    x, labels = RNG.normal(size=shape), RNG.integers(0, shape[1], shape[0])
    t = twinflow.tensor(labels)
    leaf = twinflow.tensor(x, requires_grad=True)
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    picked = -log_p[np.arange(len(x)), labels]
    np.testing.assert_allclose(entropy(leaf, t, reduction="none").detach().numpy(), picked)
    loss = entropy(leaf, t)
    np.testing.assert_allclose(float(loss), picked.mean())
    loss.backward()
    want = (np.exp(log_p) - np.eye(shape[1])[labels]) / len(x)
    np.testing.assert_allclose(leaf.grad.numpy(), want, atol=1e-15)
    (g,) = twinflow.autograd.grad(entropy(leaf, t), leaf, create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), want, atol=1e-15)
    if x.size < 20:
        (second,) = twinflow.autograd.grad((g * g).sum(), leaf)

        def squared(z):
            p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
            return (((p - np.eye(shape[1])[labels]) / len(x)) ** 2).sum()

        np.testing.assert_allclose(second.numpy(), differences(squared, x), atol=1e-8)


@pytest.mark.parametrize("lead", [(), (5,), (2, 3)])
def test_affine_in_one_operation(lead):
    linear = twinflow.nn.functional.linear
    x, w, b = RNG.normal(size=(*lead, 4)), RNG.normal(size=(3, 4)), RNG.normal(size=3)
    leaves = [twinflow.tensor(a, requires_grad=True) for a in (x, w, b)]
    y = linear(*leaves)
    np.testing.assert_allclose(y.detach().numpy(), x @ w.T + b)
    found = twinflow.autograd.grad((y * y).sum(), leaves, create_graph=True)
    arrays = [x, w, b]
    for k, g in enumerate(found):

        def f(a, k=k):
            given = [*arrays[:k], a, *arrays[k + 1 :]]
            return ((given[0] @ given[1].T + given[2]) ** 2).sum()

        np.testing.assert_allclose(g.detach().numpy(), differences(f, arrays[k]), atol=1e-6)
    (second,) = twinflow.autograd.grad(found[1].sum(), leaves[2])  # d/db Σ 2 yᵢ xⱼ
    np.testing.assert_allclose(second.numpy(), np.full(3, 2 * x.sum()))


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
def test_large_products_read_operands_as_they_lie(ta, tb, monkeypatch):
    matmul = find_primitive("matmul")
    a, b = RNG.normal(size=(150, 130)), RNG.normal(size=(130, 140))
    want = a @ b
    monkeypatch.setattr(matmul, "ref", None)
    left = np.ascontiguousarray(a.T).T if ta else a
    right = np.ascontiguousarray(b.T).T if tb else b
    np.testing.assert_allclose(matmul.run(left, right), want, atol=1e-12)
    for n in (149, 148):  # other sizes of the batch
        np.testing.assert_allclose(matmul.run(left[:n], right), want[:n], atol=1e-12)
    every = np.repeat(a, 2, 1)[:, ::2]  # neither way contiguous
    np.testing.assert_allclose(matmul.run(every, right), want, atol=1e-12)


@pytest.mark.parametrize("run", [lambda f: f, twinflow.compile])
def test_softmax_over_no_elements_is_empty_and_logsumexp_minus_infinity(run):
    x = twinflow.zeros(2, 0)
    assert run(lambda x: twinflow.softmax(x, -1))(x).shape == (2, 0)
    assert run(lambda x: twinflow.log_softmax(x, -1))(x).shape == (2, 0)
    assert run(lambda x: twinflow.logsumexp(x, -1))(x).tolist() == [-np.inf] * 2


@pytest.mark.parametrize("transpose", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("lead", [(4, 16), (64,), ()])
def test_stacked_products_equal_numpys(lead, transpose):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(*lead, 64, 48)).astype(np.float32), rng.normal(size=(*lead, 48, 72)).astype(np.float32)
    if not lead:
        a = rng.normal(size=(8, 64, 48)).astype(np.float32)  # stacked rows by one matrix
    if transpose[0]:
        a = a.swapaxes(-1, -2).copy().swapaxes(-1, -2)
    if transpose[1]:
        b = b.swapaxes(-1, -2).copy().swapaxes(-1, -2)
    got = (twinflow.from_numpy(a) @ twinflow.from_numpy(b)).numpy()
    np.testing.assert_allclose(got, a @ b, rtol=1e-4, atol=1e-4)


def test_products_with_no_elements_or_that_do_not_fit_stay_what_they_were():
    assert (twinflow.zeros(0, 3, 4) @ twinflow.zeros(4, 5)).shape == (0, 3, 5)
    assert (twinflow.zeros(2, 3, 0) @ twinflow.zeros(0, 5)).tolist() == [[[0.0] * 5] * 3] * 2
    with pytest.raises(ShapeError, match="matmul"):
        twinflow.zeros(2, 3, 4) @ twinflow.zeros(5, 4)


def test_large_sums_scatters_and_attention_do_not_need_their_references(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the reference ran")

    x = uniform(300, 40, 30, dtype=np.float64)
    index = RNG.integers(0, 50, 200)
    q = uniform(2, 64, 4, 8, dtype=np.float64)
    calls = [
        ("sum", (x,), {"axes": (0, 2), "keepdim": False}),
        ("sum", (x,), {"axes": (0, 1, 2), "keepdim": True}),
        ("put_add", (uniform(50, 30), index, uniform(200, 30)), {"axis": 0}),
        ("attention", (q, q, q), {"scale": 0.5, "causal": True, "masked": False, "dropout_p": 0.0}),
    ]
    for name, arrays, params in calls:
        prim = find_primitive(name)
        want = prim.ref(*arrays, **params)
        with monkeypatch.context() as m:
            m.setattr(prim.run if isinstance(prim.run, _native.Native) else _eager._native_put_add, "reference", refuse)
            got = prim.run(*arrays, **params)
        for a, b in zip(got, want) if isinstance(want, tuple) else [(got, want)]:
            np.testing.assert_allclose(a, b, rtol=2e-5)


def test_a_large_scatter_names_the_index_that_is_outside():
    x, v = twinflow.zeros(10, 30), twinflow.ones(200, 30)
    with pytest.raises(twinflow.core.errors.IndexOutOfRange, match=r"index 12 is outside \[0, 9\]"):
        x.index_add(0, twinflow.full((200,), 12), v)


def test_convolutions_have_kernels_of_their_own_for_batches_of_a_power_of_two():
    conv = find_primitive("conv").run
    assert [n for n in range(1, 20) if conv.has_own_kernels(n)] == [1, 2, 4, 8, 16]
    assert not find_primitive("sum").run.has_own_kernels(16)


def kernels():
    """Names of all kernels of eager programs; equal kernels have equal names."""
    return {name for p in _native._programs.values() for step in p.run.steps for name in step.symbols}


def attend(batch, length):
    q, k, v = (twinflow.tensor(uniform(batch, 2, length, 8), requires_grad=True) for _ in range(3))
    twinflow.nn.functional.scaled_dot_product_attention(q, k, v).sum().backward()


def normalise(batch, length):
    twinflow.tensor(uniform(batch, 3, length), requires_grad=True).softmax(-1).square().sum().backward()


@pytest.mark.parametrize(("call", "sizes"), [(attend, [(3, 90), (5, 77)]), (normalise, [(300, 50), (170, 93)])])
def test_new_batches_and_lengths_find_their_kernels_compiled(call, sizes, monkeypatch):
    monkeypatch.setattr(_native, "_programs", {})
    call(*sizes[0])
    before = kernels()
    n_programs = len(_native._programs)
    call(*sizes[1])
    assert before
    assert len(_native._programs) > n_programs
    assert kernels() == before
