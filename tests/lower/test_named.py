"""Operations with kernels of their own, against their references: compiled, no step on a reference."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import DTypeError, IndexOutOfRange
from twinflow.graph import Graph, aval_of, find_primitive
from twinflow.lower import compile_graph


def run(name, *args, **params):
    """The results of a primitive compiled by itself, and of its reference."""
    prim = find_primitive(name)
    graph = Graph(name)
    node = graph.add(prim, tuple(graph.add_input(aval_of(a)) for a in args), params)
    graph.outputs = [node]
    if prim.n_out > 1:
        graph.outputs = [graph.add(find_primitive("pick"), (node,), {"index": i}) for i in range(prim.n_out)]
    native = compile_graph(graph)
    assert not any(s.interpreted for s in native.steps), native.describe()
    want = prim.ref(*args, **params)
    return native(list(args)), (want,) if prim.n_out == 1 else want


def agree(name, *args, rtol=1e-5, atol=1e-6, **params):
    for got, want in zip(*run(name, *args, **params)):
        np.testing.assert_allclose(got.astype("f8"), np.asarray(want).astype("f8"), rtol=rtol, atol=atol)


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("n", [1, 2, 47, 48, 49, 300])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8", "bool", "float16"])
def test_sorting_is_stable_and_puts_nan_last(n, descending, dtype):
    x = (normal(3, n) * 2).round().astype(dtype)  # many equal ones
    if dtype == "float32":
        x[1, ::7] = np.nan
        x[2, ::5] = -0.0
    for got, want in zip(*run("sort", x, axis=1, descending=descending)):
        np.testing.assert_array_equal(got, want)
    agree("sort", x.T.copy(), axis=0, descending=descending)


@pytest.mark.parametrize("right", [False, True])
def test_binary_search_with_nan(right):
    rows = np.sort(np.r_[normal(30).round(1), [np.nan, np.nan, np.inf]].astype(np.float32))
    agree("searchsorted", rows, np.r_[normal(40, seed=1).round(1), [np.nan, np.inf, -np.inf]].astype("f4"), right=right)
    agree("searchsorted", np.zeros((2, 0), np.float32), normal(2, 3), right=right)


WINDOWS = [
    {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)},
    {"kernel": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 0)), "dilation": (1, 1)},
    {"kernel": (2, 3), "stride": (1, 1), "padding": ((0, 1), (2, 2)), "dilation": (2, 1)},
    {"kernel": (6, 7), "stride": (3, 1), "padding": ((3, 2), (3, 3)), "dilation": (1, 1)},
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
def test_pooling(window, dtype):
    x = (normal(2, 3, 9, 11) * 4).round().astype(dtype)
    if dtype != "int32":
        x[0, 0, 2, 3] = np.nan
        x[0, 1] = -np.inf  # a place in the padding must not be chosen
    got, want = run("max_pool", x, **window)
    for a, b in zip(got, want):
        np.testing.assert_array_equal(a, b)
    agree("window_sum", np.nan_to_num(x.astype("f4"), neginf=0), **window)
    if dtype != "int32":
        index = want[1]
        bounds = {"rtol": 2e-3, "atol": 1e-3} if dtype == "float16" else {}  # halves are summed in another order
        agree("max_pool_input", normal(*index.shape, dtype=dtype), index, shape=(9, 11), **bounds, **window)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", ["cumsum", "cumprod", "cummax", "cummin"])
def test_running_folds(name, axis):
    x = normal(5, 33, 6)
    x[2, 3, 1] = np.nan
    agree(name, x, axis=axis)
    agree(name, normal(3, 4, 5, dtype=np.float16), axis=axis, rtol=2e-3)
    agree(name, np.random.default_rng(0).integers(-3, 3, (4, 1, 2)), axis=axis)


def test_a_long_running_sum_of_halves_does_not_stop():
    agree("cumsum", np.ones((4096, 2), np.float16), axis=0)


def test_products_of_integers():
    rng = np.random.default_rng(0)
    agree("matmul", rng.integers(-9, 9, (2, 3, 5)), rng.integers(-9, 9, (5, 4)))
    agree("matmul", rng.integers(-9, 9, (3, 0)), rng.integers(-9, 9, (0, 4)))


def test_writing_through_an_index_keeps_its_bounds():
    x, v = tf.zeros(4, 3), tf.ones(2, 3)
    compiled = tf.compile(lambda i: x.index_add(0, i, v))
    assert compiled(tf.tensor([1, 1])).sum(1).tolist() == [0.0, 6.0, 0.0, 0.0]
    with pytest.raises(IndexOutOfRange, match=r"outside \[0, 3\]"):
        compiled(tf.tensor([1, 4]))


def test_integer_powers_of_negative_exponents_are_an_error():
    compiled = tf.compile(lambda a, b: a**b)
    assert compiled(tf.tensor([2, -3]), tf.tensor([5, 3])).tolist() == [32, -27]
    with pytest.raises(DTypeError, match="negative integer powers"):
        compiled(tf.tensor([2, -3]), tf.tensor([5, -3]))


def test_gradient_descent_on_an_embedding_touches_the_rows_of_the_batch_only():
    table = tf.tensor(normal(50, 4), requires_grad=True)
    eager = tf.tensor(normal(50, 4), requires_grad=True)

    def step(table, i):
        table.grad = None
        (table[i] ** 2).sum().backward()
        with tf.no_grad():
            table.sub_(table.grad * 0.1)

    compiled = tf.compile(lambda i: step(table, i))
    for i in ([3, 3, 7], [1, 49, 3]):
        compiled(tf.tensor(i))
        step(eager, tf.tensor(i))
        np.testing.assert_allclose(table.detach().numpy(), eager.detach().numpy(), rtol=1e-5)
        np.testing.assert_allclose(table.grad.numpy(), eager.grad.numpy(), rtol=1e-5)
    graph = Graph("update")
    w, i, v = (graph.add_input(aval_of(a)) for a in (normal(9, 4), np.array([1, 1]), normal(2, 4)))
    zero = graph.add(find_primitive("full"), (), {"shape": (9, 4), "value": 0, "dtype": w.aval.dtype})
    rows = graph.add(find_primitive("put_add"), (zero, i, v), {"axis": 0})
    graph.writes[w] = graph.add(find_primitive("add"), (w, rows), {})
    native = compile_graph(graph)
    assert not native.copies
    # the check of the index, the guard that stops at it, and the rows: no copy of w
    assert len(native.program.records) == 3, native.describe()
    state = normal(9, 4)
    native([state, np.array([1, 1]), np.ones((2, 4), np.float32)])
    np.testing.assert_allclose(state - normal(9, 4), np.eye(9, dtype="f4")[1][:, None] * 2.0 * np.ones(4), atol=1e-6)
