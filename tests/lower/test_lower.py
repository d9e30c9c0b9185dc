"""Native programs against the interpreter: the fusions people rely on, and that they are fused."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import IndexOutOfRange
from twinflow.graph import interpret
from twinflow.graph.passes import optimize
from twinflow.jit import interpreted
from twinflow.lower import compile_graph


def trace(fn, *arrays):
    compiled = tf.compile(fn, backend=interpreted)
    compiled(*[tf.tensor(a) for a in arrays])
    return optimize(compiled.graph, verify=True)


def check(fn, *arrays, kernels=None, rtol=1e-5):
    graph = trace(fn, *arrays)
    native = compile_graph(graph)
    for _ in range(2):  # a second run uses the arrays of the first again
        got = native(list(arrays))
    for a, b in zip(interpret(graph, arrays), got):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)
    if kernels is not None:
        assert len(native.steps) == kernels, native.describe()
    assert not any(s.interpreted for s in native.steps), native.describe()
    return native


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_chain_of_elementwise_operations_is_one_kernel():
    check(lambda x, y: tf.tanh(x * 2.0 + y).exp() - y, normal(7, 33), normal(33), kernels=1)


def test_softmax_is_one_kernel():
    check(lambda x: tf.softmax(x, -1), normal(5, 37), kernels=1)


def test_layer_normalisation_is_one_kernel():
    def f(x, w, b):
        mean = x.mean(-1, keepdim=True)
        var = ((x - mean) ** 2).mean(-1, keepdim=True)
        return (x - mean) * tf.rsqrt(var + 1e-5) * w + b

    check(f, normal(6, 50), normal(50, seed=1), normal(50, seed=2), kernels=1)


def test_results_over_one_space_share_a_kernel():
    check(lambda x: (x * 2.0, x + 1.0, tf.exp(x)), normal(40, 9), kernels=1)


def test_structural_operations_cost_no_kernel():
    check(lambda x: tf.cat([x.T[1:3], tf.flip(x.T, (1,))], 0) * 2.0, normal(5, 4), kernels=1)


@pytest.mark.parametrize("shape", [(3, 4), (1, 7), (5, 1)])
def test_a_sum_over_everything(shape):
    check(lambda x: (x * x).sum(), normal(*shape))


def test_a_large_sum_over_everything():
    check(lambda x: (x * x).sum(), normal(300, 400), rtol=1e-4)


def test_transposed_and_broadcast_products_need_no_copies():
    native = check(lambda a, b: (a.mT @ b, a.mT @ a, b.mT @ a), normal(2, 9, 5), normal(2, 9, 4, seed=1))
    assert len(native.steps) == 3, native.describe()


def test_state_is_written_in_place():
    w = normal(4, 3)

    def step(x):
        loss = ((x @ weight) ** 2).sum()
        loss.backward()
        with tf.no_grad():
            weight.sub_(weight.grad * 0.1)
        return loss

    weight = tf.tensor(w, requires_grad=True)
    graph = trace(step, normal(5, 4))
    native = compile_graph(graph)
    assert not native.copies
    state = w.copy()
    arrays = [normal(5, 4), state]
    want = interpret(graph, [a.copy() for a in arrays])
    native(arrays)
    np.testing.assert_allclose(state, want[-1], rtol=1e-5)


def test_state_read_elsewhere_is_not_overwritten_early():
    def step():
        with tf.no_grad():
            state.copy_(tf.flip(state, (0,)) + 1.0)
        return state * 2.0

    state = tf.arange(5, dtype=tf.float32)
    compiled = tf.compile(step)
    assert compiled().tolist() == [10.0, 8.0, 6.0, 4.0, 2.0]
    assert state.tolist() == [5.0, 4.0, 3.0, 2.0, 1.0]


def test_an_index_out_of_range_is_an_error_and_never_a_read_outside():
    compiled = tf.compile(lambda x, i: x[i] * 2.0)
    x = tf.arange(4, dtype=tf.float32)
    assert compiled(x, tf.tensor([3, 0])).tolist() == [6.0, 0.0]
    with pytest.raises(IndexOutOfRange, match=r"outside \[0, 3\]"):
        compiled(x, tf.tensor([3, 10**9]))


def test_random_numbers_equal_the_eager_ones():
    def draw():
        return tf.rand(3, 5), tf.randn(7)

    tf.manual_seed(5)
    eager = [draw() for _ in range(2)]
    tf.manual_seed(5)
    compiled = tf.compile(draw)
    for want in eager:
        for a, b in zip(want, compiled()):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def test_a_known_program_is_loaded_without_being_emitted(monkeypatch):
    def f(x):
        return (x * 3.0 + 0.125).sum(-1) @ x

    first = compile_graph(trace(f, normal(6, 6)))
    monkeypatch.setattr("twinflow.lower._launch.emit", None)
    monkeypatch.setattr("twinflow.lower._launch.emit_matmul", None)
    second = compile_graph(trace(f, normal(6, 6)))
    for a, b in zip(first([normal(6, 6)]), second([normal(6, 6)])):
        np.testing.assert_array_equal(a, b)


def test_states_may_be_exchanged():
    a, b = tf.zeros(3), tf.ones(3)

    def swap():
        old = a * 1.0
        with tf.no_grad():
            a.copy_(b)
            b.copy_(old)

    compiled = tf.compile(swap)
    compiled()
    assert (a.tolist(), b.tolist()) == ([1.0] * 3, [0.0] * 3)


def test_a_scan_is_one_nested_program_whatever_its_length():
    def f(h, xs):
        return tf.scan(lambda c, x: (tf.tanh(c @ weight + x), c), h, xs)

    weight = tf.tensor(normal(4, 4) * 0.3)
    sizes = []
    for n in (2, 40):
        graph = trace(f, normal(3, 4), normal(n, 3, 4))
        native = compile_graph(graph)
        arrays = [normal(3, 4), normal(n, 3, 4, seed=1), weight.numpy()]
        for a, b in zip(interpret(graph, arrays), native(arrays)):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        assert not any(s.interpreted for s in native.steps)
        sizes.append(len(native.describe()))
    assert sizes[0] == sizes[1]


def epilogues(native):
    return [s for s in native.steps if s.epilogue is not None]


@pytest.mark.parametrize("shape", [(2, 3, 4), (37, 50, 29), (130, 300, 70), (1, 20, 33), (64, 5, 1)])
def test_bias_and_activation_run_in_the_epilogue_of_a_product(shape):
    m, k, n = shape
    native = check(
        lambda x, w, b: tf.relu(x @ w.T + b),
        normal(m, k),
        normal(n, k, seed=1),
        normal(n, seed=2),
        kernels=1,
        rtol=1e-4,
    )
    assert len(epilogues(native)) == 1


def test_a_bias_that_is_put_together_is_made_before_the_product_that_adds_it():
    native = check(
        lambda x, w, b, c: x @ w + (b + tf.cat([c, tf.zeros(20)])),
        normal(28, 40), normal(40, 60, seed=1), normal(60, seed=2), normal(40, seed=3),
        kernels=2, rtol=1e-4,
    )  # fmt: skip
    assert len(epilogues(native)) == 1


def test_an_epilogue_takes_residuals_and_masks():
    mask = np.random.default_rng(3).random((40, 33)) > 0.5
    x, w, r = normal(40, 20), normal(20, 33, seed=1), normal(40, 33, seed=2)
    native = check(lambda x, w, r, mask: tf.where(mask, tf.relu(x @ w), 0.0) + r, x, w, r, mask, kernels=1, rtol=1e-4)
    assert len(epilogues(native)) == 1


def test_an_epilogue_has_several_results():
    def f(x, w):
        y = x @ w
        return tf.relu(y), y, y > 0.5

    native = check(f, normal(40, 20), normal(20, 33, seed=1), kernels=1, rtol=1e-4)
    assert len(epilogues(native)) == 1


def test_many_arrays_are_left_to_a_loop_along_whole_rows():
    def f(x, w, m, v):
        g = x @ w
        m, v = m * 0.9 + g * 0.1, v * 0.9 + g * g * 0.1
        return g, m, v, m / (v.sqrt() + 1e-8)

    moments = normal(40, 33, seed=2), abs(normal(40, 33, seed=3))
    native = check(f, normal(40, 20), normal(20, 33, seed=1), *moments, kernels=2, rtol=1e-4)
    assert not epilogues(native)


def test_epilogues_of_batched_and_flattened_products():
    def f(x, w, b, q):
        return tf.relu(x @ w + b), tf.abs(x @ q) * q.sum()

    native = check(f, normal(3, 7, 20), normal(20, 33, seed=1), normal(33, seed=2), normal(3, 20, 9, seed=3), rtol=1e-4)
    assert len(epilogues(native)) == 2


def test_costly_functions_stay_out_of_epilogues():
    native = check(lambda x, w: tf.erf(x @ w), normal(9, 4), normal(4, 7, seed=1), kernels=2)
    assert not epilogues(native)


def test_an_epilogue_that_reads_the_product_elsewhere_is_a_kernel_of_its_own():
    native = check(lambda x: tf.exp((x @ x.T) * 0.1) + (x @ x.T).T, normal(9, 4), rtol=1e-4)
    assert len(native.steps) == 2


def test_a_weight_is_updated_in_place_behind_its_gradient_and_never_read_half_written():
    weight = tf.tensor(normal(600, 5), requires_grad=True)

    def step(x):
        loss = ((x @ weight) ** 2).sum()
        loss.backward()
        with tf.no_grad():
            weight.sub_(weight.grad * 0.1 + weight * 0.01)
        weight.grad = None
        return loss

    graph = trace(step, normal(1500, 600))  # long enough for several passes over the inner axis
    native = compile_graph(graph)
    assert not native.copies
    state, x = weight.detach().numpy().copy(), normal(1500, 600)
    want = interpret(graph, [x, state.copy()])
    native([x, state])
    # rounding is as large as the largest terms of the sums make it
    np.testing.assert_allclose(state, want[-1], rtol=1e-3, atol=1e-6 * abs(want[-1]).max())


def test_a_result_takes_the_memory_of_an_operand_that_dies():
    native = check(lambda x: tf.exp(tf.flip(x.cumsum(0), (0,)) * 2.0).T.contiguous().cumsum(0) + 1.0, normal(30, 40))
    assert native.arena_nbytes <= 2 * 30 * 40 * 4 + 1024, native.describe()


@pytest.mark.parametrize(("shape", "axis"), [((5, 3), 0), ((5, 3), 1), ((2, 1, 4), 1), ((1, 7), 0)])
def test_values_computed_together_are_stored_into_their_concatenation(shape, axis):
    x = tf.tensor(np.random.default_rng(0).normal(size=shape))

    def program(x):
        a, b, c = tf.exp(x), tf.sin(x) * x, x + 1
        return tf.cat([a, b, c], axis), (b - a).sum(), b

    step = tf.compile(program)
    joined, total, b = step(x)
    v = x.numpy()
    np.testing.assert_allclose(joined.numpy(), np.concatenate([np.exp(v), np.sin(v) * v, v + 1], axis), rtol=1e-12)
    np.testing.assert_allclose(total.numpy(), (np.sin(v) * v - np.exp(v)).sum(), rtol=1e-12)
    np.testing.assert_allclose(b.numpy(), np.sin(v) * v, rtol=1e-12)


def test_a_product_that_meets_values_in_another_order_is_turned_around_once():
    """Read where it lies, each of its elements would be gathered by itself."""

    def f(x, w, mask):
        y = (x @ w).reshape(6, 40, 30).permute(0, 2, 1)
        return tf.where(mask, y, 0.0), (y * mask).sum((0, 1))

    mask = normal(6, 30, 40, seed=2) > 0
    native = check(f, normal(6, 20), normal(20, 1200, seed=1), mask, rtol=1e-4)
    assert [s.name for s in native.steps].count("transpose") == 1


def test_a_permute_that_is_only_read_stays_free():
    native = check(lambda x, w: tf.relu((x @ w).T), normal(40, 20), normal(20, 60, seed=1), rtol=1e-4)
    assert "transpose" not in [s.name for s in native.steps]


@pytest.mark.parametrize("axes", [(0, 2, 1), (1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_permutes_of_stored_values(axes):
    check(lambda x: tf.exp(x).cumsum(0).permute(*axes).contiguous().cumsum(2), normal(14, 15, 16), rtol=1e-4)


@pytest.mark.parametrize(("rows", "fused"), [(32, True), (512, True), (700, False)])
def test_an_update_of_the_state_runs_in_the_epilogue_of_a_product_that_stores_once(rows, fused):
    x, y = normal(rows, 70), normal(rows, 130, seed=1)
    weight = tf.from_numpy(normal(70, 130, seed=2))
    want = weight.numpy().copy()

    @tf.compile
    def step(x, y):
        with tf.no_grad():
            weight.sub_(0.1 * (x.T @ y) + 0.01 * weight)

    for _ in range(3):
        step(tf.from_numpy(x), tf.from_numpy(y))
        want -= 0.1 * (x.astype(np.float64).T @ y) + 0.01 * want
    np.testing.assert_allclose(weight.numpy(), want, rtol=1e-4, atol=1e-4)
    assert len(step.kernels.split("\n")) == (1 if fused else 2), step.kernels


def test_a_state_that_the_product_itself_reads_is_not_overwritten_while_it_does():
    weight = tf.from_numpy(normal(96, 96))
    want = weight.numpy().astype(np.float64)

    @tf.compile
    def step():
        with tf.no_grad():
            weight.sub_(0.01 * (weight @ weight))

    for _ in range(2):
        step()
        want = want - 0.01 * (want @ want)
    np.testing.assert_allclose(weight.numpy(), want, rtol=1e-4, atol=1e-4)
