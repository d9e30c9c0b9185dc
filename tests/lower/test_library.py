"""Rows that NumPy's loops compute, inside programs: no step on a reference, the same results, and errors that stop a step."""

import threading

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import CheckError, LinAlgError
from twinflow.graph import PRIMITIVES, Graph, aval_of, find_primitive
from twinflow.lower import _prepare, compile_graph
from twinflow.runtime._library import find_loop

PYTHON = {"print"}  # its effect is one of Python's


def native(name, args, params):
    prim = find_primitive(name)
    graph = Graph(name)
    node = graph.add(prim, tuple(graph.add_input(aval_of(a)) if isinstance(a, np.ndarray) else a for a in args), params)
    n = 1 if prim.n_out == 1 else len(node.aval)
    graph.outputs = (
        [node] if prim.n_out == 1 else [graph.add(find_primitive("pick"), (node,), {"index": i}) for i in range(n)]
    )
    return compile_graph(graph)


def agree(name, *args, tolerance=1e-9, **params):
    program = native(name, args, params)
    assert not any(s.interpreted for s in program.steps), program.describe()
    before = [a.copy() for a in args]
    want = find_primitive(name).ref(*args, **params)
    got = program(list(args))
    for g, w in zip(got, want if isinstance(want, tuple) else (want,), strict=True):
        assert g.shape == np.shape(w)
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance)
    for a, b in zip(args, before):
        np.testing.assert_array_equal(a, b)  # loops work on operands that they were given to read
    return got


def matrices(*shape, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=shape) + (1j * rng.normal(size=shape) if dtype.startswith("complex") else 0)
    return a.astype(dtype)


@pytest.mark.parametrize("name", sorted(n for n, p in PRIMITIVES.items() if p.samples is not None and n not in PYTHON))
def test_no_row_runs_on_its_reference(name):
    for sample in PRIMITIVES[name].samples(np.random.default_rng(0)):
        program = native(name, sample.args, sample.params)
        assert not any(s.interpreted for s in program.steps), program.describe()
        assert not program.image.callbacks


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (0, 3, 3), (5, 4, 4), (2, 3, 7, 7), (70, 70)])
def test_square_matrices(shape, dtype):
    tolerance = 1e-9 if dtype in ("float64", "complex128") else 2e-4
    a = matrices(*shape, dtype=dtype) + 9 * np.eye(shape[-1]).astype(dtype)
    b = matrices(*shape[:-1], 2, dtype=dtype, seed=1)
    agree("solve", a, b, tolerance=tolerance)
    for upper in (False, True):
        agree("triangular_solve", a, b, upper=upper, unit=upper, tolerance=tolerance)
    agree("det", a / 9, tolerance=tolerance)
    agree("slogdet", a, tolerance=tolerance)
    agree("cholesky", a @ np.conj(np.swapaxes(a, -1, -2)), tolerance=tolerance)
    values, vectors = native("eigh", [a], {})([a])
    even = (a + np.conj(np.swapaxes(a, -1, -2))) / 2
    np.testing.assert_allclose(even @ vectors, vectors * values[..., None, :], atol=40 * tolerance)
    values, vectors = native("eig", [a], {})([a])
    np.testing.assert_allclose(a @ vectors, vectors * values[..., None, :], atol=40 * tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (0, 4, 3), (4, 3), (3, 4), (2, 3, 6, 5), (2, 30, 40)])
def test_matrices_of_any_shape(shape, dtype):
    tolerance = 1e-9 if dtype in ("float64", "complex128") else 2e-4
    a = matrices(*shape, dtype=dtype)
    for whole in (False, True):
        agree("qr", a, complete=whole, tolerance=tolerance)
        agree("svd", a, full=whole, tolerance=tolerance)
    agree("pinv", a, rtol=1e-6, atol=0.0, tolerance=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 0), (0, 3), (5, 8), (8, 5), (3, 17, 17), (64, 40), (40, 64), (75, 75)])
def test_lu_is_elimination_with_pivots(shape, dtype):
    a = matrices(*shape, dtype=dtype)
    agree("lu", a, tolerance=1e-9 if dtype in ("float64", "complex128") else 1e-3)


def test_lu_of_matrices_without_pivots():
    a = np.zeros((3, 4, 4))
    a[1] = 1
    a[2] = np.diag([0.0, 2, 0, 3])
    agree("lu", a)
    a[0, 2, 1] = np.nan
    _, pivots, order = native("lu", [a], {})([a])
    assert pivots[0].tolist() == find_primitive("lu").ref(a)[1][0].tolist()
    assert sorted(order[0]) == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize(("n", "columns"), [(1, 1), (3, 0), (9, 1), (20, 64), (33, 65), (17, 150)])
def test_substitution_reads_one_triangle(n, columns, dtype):
    tolerance = 1e-9 if dtype in ("float64", "complex128") else 1e-4
    b = matrices(2, n, columns, dtype=dtype, seed=1)
    for upper in (False, True):
        for unit in (False, True):
            a = matrices(2, n, n, dtype=dtype) / n + (0 if unit else 2) * np.eye(n).astype(dtype)
            a[:, *(np.tril_indices(n, -1) if upper else np.triu_indices(n, 1))] = np.nan
            agree("triangular_solve", a.astype(dtype), b, upper=upper, unit=unit, tolerance=tolerance)


@pytest.mark.parametrize("n", [256, 257])
def test_large_systems(n):
    a = matrices(n, n) + 9 * np.eye(n)
    agree("solve", a, matrices(n, 3, seed=1))


def test_a_triangle_with_a_zero_on_its_diagonal():
    a = tf.tensor(np.stack([np.eye(3), np.diag([1.0, 0, 1])]))
    b = tf.ones(2, 3, 1, dtype=a.dtype)
    for fn in (tf.linalg.solve_triangular, tf.compile(tf.linalg.solve_triangular)):
        with pytest.raises(LinAlgError, match="triangular_solve: the matrix is singular"):
            fn(a, b, upper=False)
        assert fn(a, b, upper=False, unitriangular=True).sum().item() == 6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 5, 16, 17])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_transforms_along_each_axis(n, axis, dtype):
    shape = [3, 300, 2]
    shape[axis] = n
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    x = matrices(*shape, dtype=dtype)
    z = (x + 1j * matrices(*shape, dtype=dtype, seed=1)).astype("complex64" if dtype == "float32" else "complex128")
    for inverse in (False, True):
        agree("fft", z, axis=axis, inverse=inverse, tolerance=tolerance)
    agree("rfft", x, axis=axis, tolerance=tolerance)
    agree("irfft", z, axis=axis, n=2 * n - 2 or 1, tolerance=tolerance)
    agree("irfft", z, axis=axis, n=2 * n - 1, tolerance=tolerance)


def test_the_number_of_threads_changes_nothing():
    def f(a, x):
        return tf.linalg.svd(a)[1], tf.linalg.solve(a, a + 1), tf.fft.fft(x, dim=0).abs(), tf.linalg.lu_factor(a)[0]

    a, x = tf.tensor(matrices(40, 30, 30)), tf.tensor(matrices(128, 300))
    threads = tf.get_num_threads()
    try:
        found = []
        for n in (1, 4):
            tf.set_num_threads(n)
            found.append([t.numpy().copy() for t in tf.compile(f)(a, x)])
    finally:
        tf.set_num_threads(threads)
    for one, many in zip(*found):
        np.testing.assert_array_equal(one, many)


def test_many_threads_call_one_program():
    program = tf.compile(lambda a: tf.linalg.inv(a) @ a)
    a = tf.tensor(matrices(3, 20, 20) + 9 * np.eye(20))
    wrong = []

    def work():
        for _ in range(20):
            if not np.allclose(program(a).numpy(), np.eye(20)):
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong


def test_a_size_that_changes_compiles_nothing_new():
    f = tf.compile(lambda a: tf.linalg.cholesky(a) + tf.fft.rfft(a, dim=0).abs().sum())
    for n in (3, 5, 6, 9):
        a = matrices(n, n)
        a = a @ a.T + np.eye(n)
        want = np.linalg.cholesky(a) + np.abs(np.fft.rfft(a, axis=0)).sum()
        np.testing.assert_allclose(f(tf.tensor(a)).numpy(), want, rtol=1e-9)


# -- failures ---------------------------------------------------------------------------------------------------


def test_a_failure_stops_the_step_before_it_updates_anything():
    weight = tf.nn.Parameter(tf.ones(3, 3))
    count = tf.zeros(1)
    optimizer = tf.optim.SGD([weight], lr=0.1)

    @tf.compile
    def step(a):
        optimizer.zero_grad()
        count.add_(1)
        loss = tf.linalg.solve(a, weight).sum()
        loss.backward()
        optimizer.step()
        return loss

    step(tf.eye(3))
    before = weight.tolist()
    for _ in range(3):  # the general call, and the quick one that follows it
        with pytest.raises(LinAlgError, match=r"solve: the matrix is singular.*\n.*in step"):
            step(tf.zeros(3, 3))
        assert weight.tolist() == before and count.item() == 1
    step(tf.eye(3))
    assert weight.tolist() != before and count.item() == 2


@pytest.mark.parametrize(
    ("fn", "bad", "why"),
    [
        (tf.linalg.cholesky, -np.eye(3), "cholesky: the matrix is not positive-definite"),
        (tf.linalg.svd, np.full((3, 3), np.nan), "svd: it did not converge"),
        (tf.linalg.eigh, np.full((3, 3), np.nan), "eigh: it did not converge"),
        (tf.linalg.eig, np.full((3, 3), np.inf), "eig: it did not converge"),
        (tf.linalg.inv, np.zeros((3, 3)), "the matrix is singular"),
    ],
)
def test_failures_say_the_same_as_plain_evaluation(fn, bad, why):
    mixed = tf.tensor(np.stack([np.eye(3), bad, np.eye(3)]))
    for call in (fn, tf.compile(fn)):
        with pytest.raises(LinAlgError, match=why):
            call(mixed)


def test_a_failure_ends_loops_and_branches():
    @tf.compile
    def summed(xs):
        return tf.scan(lambda c, x: (c + tf.linalg.inv(x).sum(), c), tf.zeros((), dtype=xs.dtype), xs)[0]

    @tf.compile
    def grown(x):
        return tf.while_loop(lambda v: v.sum() < 100, lambda v: tf.linalg.solve(v * 0 + x, v * 2), tf.eye(2))

    @tf.compile
    def chosen(x):
        return tf.cond(x.sum() > 0, lambda x: x * 2, lambda x: tf.linalg.inv(x), (x,))

    xs = np.stack([np.eye(2)] * 4)
    assert summed(tf.tensor(xs)).item() == 8
    xs[2] = 0
    with pytest.raises(LinAlgError, match=r"singular.*\n.*in <lambda>"):
        summed(tf.tensor(xs))
    assert grown(tf.eye(2)).tolist() == [[64, 0], [0, 64]]
    with pytest.raises(LinAlgError, match="singular"):
        grown(tf.zeros(2, 2))
    assert chosen(tf.eye(2)).tolist() == [[2, 0], [0, 2]]
    with pytest.raises(LinAlgError, match="singular"):
        chosen(tf.zeros(2, 2))


def test_a_condition_in_a_loop_leaves_state_as_it_was():
    count = tf.zeros(1)

    @tf.compile
    def doubled(limit):
        count.add_(1)

        def body(v):
            tf.ensure(v.sum() < 50, "too large")
            return v * 2

        return tf.while_loop(lambda v: v.sum() < limit, body, tf.ones(2))

    assert doubled(tf.tensor(20.0)).tolist() == [16, 16]
    with pytest.raises(CheckError, match=r"too large\n.*in body"):
        doubled(tf.tensor(200.0))
    assert count.item() == 1
    assert doubled(tf.tensor(20.0)).tolist() == [16, 16]


def test_derivatives_inside_a_compiled_step():
    def loss(a):
        low = tf.linalg.cholesky(a @ a.T + 3 * tf.eye(4, dtype=a.dtype))
        _, s, _ = tf.linalg.svd(low + a)
        return (
            s.sum()
            + tf.linalg.slogdet(low)[1]
            + (tf.fft.fft(a).abs() ** 2).sum()
            + tf.linalg.qr(a)[1].diagonal().prod()
        )

    a = tf.tensor(matrices(4, 4))
    np.testing.assert_allclose(tf.compile(tf.func.grad(loss))(a).numpy(), tf.func.grad(loss)(a).numpy(), rtol=1e-9)


# -- where a loop is missing ------------------------------------------------------------------------------------


def test_rows_without_a_loop_run_on_their_references(monkeypatch):
    monkeypatch.setattr(_prepare, "find_loop", lambda name: None)
    program = native("cholesky", [np.eye(3)], {})
    assert [s.interpreted for s in program.steps] == [True]
    np.testing.assert_array_equal(program([4 * np.eye(3)])[0], 2 * np.eye(3))


def test_loops_that_numpy_does_not_have():
    assert find_loop("linalg.cholesky_lo:d->d") is not None
    assert find_loop("linalg.cholesky_lo:e->e") is None
    assert find_loop("linalg.no_such_loop:d->d") is None
