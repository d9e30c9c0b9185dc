"""compile: signatures, state, results that stay what they were."""

import threading

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError, IndexOutOfRange, TraceError


def test_results_of_earlier_calls_are_not_overwritten():
    f = tf.compile(lambda x: x * 2.0)
    results = [f(tf.full((3,), float(i))) for i in range(5)]
    assert [r.tolist()[0] for r in results] == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_gradients_of_an_argument_go_to_the_argument_of_each_call():
    f = tf.compile(lambda x: (x * x).sum().backward())
    for value in (1.0, 3.0):
        x = tf.full((2,), value, requires_grad=True)
        f(x)
        assert x.grad.tolist() == [2 * value, 2 * value]


def test_a_captured_tensor_that_changes_shape_is_an_error_that_says_so():
    w = tf.ones(3)
    f = tf.compile(lambda x: x * w)
    f(tf.ones(3))
    w.data = tf.ones(4)
    with pytest.raises(TraceError, match=r"was float32\[3\] when it was traced, and is float32\[4\] now"):
        f(tf.ones(3))


def test_a_captured_tensor_whose_memory_is_exchanged_is_read_anew():
    w = tf.ones(3)
    f = tf.compile(lambda x: x * w)
    f(tf.ones(3))
    w.data = tf.full((3,), 5.0)
    assert f(tf.ones(3)).tolist() == [5.0, 5.0, 5.0]


def test_signatures_differ_by_shape_type_static_value_and_grad_mode():
    calls = []

    def f(x, k=1):
        calls.append(1)
        return x * k

    compiled = tf.compile(f)
    x = tf.ones(2)
    for args in ((x,), (x,), (x, 2), (x, 2), (tf.ones(3),), (x.double(),)):
        compiled(*args)
    with tf.no_grad():
        compiled(x)
    assert len(calls) == 5
    assert compiled(x, 2).tolist() == [2.0, 2.0]


def test_two_threads_may_call_one_compiled_function():
    f = tf.compile(lambda x: (x * 3.0).sum())
    f(tf.ones(1000))
    wrong = []

    def work(value):
        for _ in range(200):
            if f(tf.full((1000,), value)).item() != 3000.0 * value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(v,)) for v in (1.0, 2.0)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_branching_on_a_value_is_an_error_with_the_line_and_the_way_out():
    def f(x):
        if x.sum() > 0:
            return x
        return -x

    with pytest.raises(TraceError, match="where, cond or while_loop") as info:
        tf.compile(f)(tf.ones(2))
    assert "if x.sum() > 0:" in str(info.value)


def test_an_argument_that_cannot_be_part_of_a_signature_is_refused():
    with pytest.raises(ArgumentError, match="neither a tensor"):
        tf.compile(lambda x, s: x)(tf.ones(2), {1, 2})


def test_a_failing_trace_leaves_no_trace_behind():
    def f(x):
        x.sum()
        raise KeyError("mine")

    w = tf.ones(2, requires_grad=True)
    with pytest.raises(KeyError, match="mine"):
        tf.compile(f)(w)
    (w * 2.0).sum().backward()
    assert w.grad.tolist() == [2.0, 2.0]


def test_views_of_arguments_written_in_place_write_the_argument():
    def f(x):
        x[1:] += 1.0
        return x.sum()

    x = tf.zeros(3)
    assert tf.compile(f)(x).item() == 2.0
    assert x.tolist() == [0.0, 1.0, 1.0]


def test_arrays_are_arguments_too():
    assert tf.compile(lambda x: x + 1)(np.zeros(2, np.float32)).tolist() == [1.0, 1.0]


def mlp_step():
    rng = np.random.default_rng(0)
    weights = [tf.tensor(rng.normal(size=s) * 0.3, dtype=tf.float32, requires_grad=True) for s in ((6, 8), (8, 3))]

    def step(x, y):
        for w in weights:
            w.grad = None
        loss = -(tf.log_softmax(tf.relu(x @ weights[0]) @ weights[1], 1) * y).sum(1).mean() + x.var() * 0.1
        loss.backward()
        with tf.no_grad():
            for w in weights:
                w.sub_(w.grad * 0.1)
        return loss

    return step, weights


def test_many_batch_sizes_cost_at_most_two_compilations():
    from twinflow.runtime import engine

    rng = np.random.default_rng(1)
    batches = [
        (tf.tensor(rng.normal(size=(n, 6)), dtype=tf.float32), tf.tensor(rng.uniform(size=(n, 3)), dtype=tf.float32))
        for n in (32, 17, 64, 5, 100, 33, 2, 48)
    ]
    eager, eager_weights = mlp_step()
    step, weights = mlp_step()
    compiled = tf.compile(step)
    counts = []
    for x, y in batches:
        before = engine().stats.compiled + engine().stats.from_disk
        np.testing.assert_allclose(compiled(x, y).item(), eager(x, y).item(), rtol=1e-4)
        counts.append(engine().stats.compiled + engine().stats.from_disk - before)
    for a, b in zip(weights, eager_weights):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-3, atol=1e-5)
    assert not any(counts[2:]), counts


def test_sizes_that_change_apart_are_apart():
    f = tf.compile(lambda a, b: (a.sum() + b.sum(), a.mean() * b.mean()))
    for n, m in ((3, 5), (4, 5), (4, 6), (7, 7), (2, 9)):
        total, product = f(tf.full((n,), 2.0), tf.full((m,), 3.0))
        assert total.item() == 2 * n + 3 * m
        assert product.item() == 6.0


def test_an_argument_of_changing_size_may_be_written_in_place():
    def f(x):
        x[1:] += 1.0
        return x.sum()

    compiled = tf.compile(f)
    for n in (3, 5, 4):
        x = tf.zeros(n)
        assert compiled(x).item() == n - 1
        assert x.tolist() == [0.0] + [1.0] * (n - 1)


def test_a_signature_that_keeps_changing_is_warned_of_with_what_changed():
    f = tf.compile(lambda x, k: x * k)
    x = tf.ones(2)
    for k in range(8):
        f(x, k)
    with pytest.warns(UserWarning, match="argument 1 changed from 7 to 8"):
        f(x, 8)


def test_further_sizes_are_no_reason_to_warn(recwarn):
    f = tf.compile(lambda x: x * 2.0)
    for n in range(2, 20):
        f(tf.ones(n))
    assert not recwarn.list


def test_the_log_explains_every_trace(monkeypatch, capsys):
    monkeypatch.setenv("TWINFLOW_LOG", "compile")
    f = tf.compile(lambda x: x * 2.0)
    f(tf.ones(2))
    f(tf.ones(3))
    f(tf.ones(3).double())
    text = capsys.readouterr().err
    assert "trace 1: first call" in text
    assert "the shape of argument 0 changed from (2,) to (3,)" in text
    assert "argument 0 changed from a tensor of 1 axes, float32 to a tensor of 1 axes, float64" in text


def test_what_was_compiled_can_be_looked_at():
    f = tf.compile(lambda x: tf.softmax(x @ x, 1))
    with pytest.raises(TraceError, match="has not been called yet"):
        f.kernels  # noqa: B018 - the access is the test
    f(tf.ones(8, 8))
    assert "matmul" in f.kernels
    assert "define" in f.llvm_ir
    assert f.memory_plan.startswith("arena ")
    assert len(f.optimized_graph.nodes) <= len(f.graph.nodes)


def test_a_view_of_a_result_keeps_its_memory():
    double = tf.compile(lambda x: x * 2)
    x = tf.ones(1000)
    kept = double(x).numpy()[:5]  # the view holds the memory, but not the array that it was made from
    for k in range(3, 6):
        double(x * k)
    assert kept.tolist() == [2, 2, 2, 2, 2]


def test_state_of_a_plain_object_that_a_compiled_function_rebinds_is_reported():
    class Baseline:
        value = tf.zeros(2)

    @tf.compile
    def step(x):
        Baseline.value = 0.9 * Baseline.value + x
        return Baseline.value.sum()

    with pytest.warns(UserWarning, match=r"step left a tensor .*Later calls do not set it: return it"):
        step(tf.ones(2))


@pytest.mark.parametrize("read", [lambda t: t == 0, lambda t: t + 1, lambda t: (t != t).any(), lambda t: t.sum()])
def test_a_tensor_kept_from_a_trace_has_no_value_outside(read):
    kept = []

    @tf.compile
    def f(x):
        kept.append(x * 2)
        return x

    with pytest.warns(UserWarning, match=r"f left a tensor made at .*kept.append\(x \* 2\) in a variable"):
        f(tf.ones(2))
    with pytest.raises(TraceError, match="made while a function was traced"):
        read(kept[0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_wrong_label_stops_the_step_before_it_updates_anything(smoothing):
    nn = tf.nn
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = tf.optim.Adam(model.parameters(), lr=0.1)

    @tf.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y, label_smoothing=smoothing)
        loss.backward()
        optimizer.step()
        return loss

    step(tf.randn(4, 4), tf.tensor([0, 1, 2, 1]))
    before = {name: t.clone() for name, t in model.state_dict().items()}
    moments = [t.clone() for t in optimizer.state_dict()["state"][0].values() if isinstance(t, tf.Tensor)]
    for wrong in ([0, 1, 2, 3], [0, -1, 2, 1], [9, 9, 9, 9]):
        with pytest.raises(IndexOutOfRange, match=r"cross_entropy: a label is outside \[0, 2\].*nothing was updated"):
            step(tf.randn(4, 4), tf.tensor(wrong))
    for name, t in model.state_dict().items():
        assert (t == before[name]).all(), name
    after = [t for t in optimizer.state_dict()["state"][0].values() if isinstance(t, tf.Tensor)]
    assert all((a == b).all() for a, b in zip(moments, after))
    assert np.isfinite(step(tf.randn(4, 4), tf.tensor([0, 1, 2, 1])).item())


def test_a_wrong_index_stops_the_step_while_it_is_watched_too():
    table = tf.nn.Embedding(5, 3)
    optimizer = tf.optim.SGD(table.parameters(), lr=0.1)

    @tf.compile
    def step(i):
        optimizer.zero_grad()
        table(i).sum().backward()
        optimizer.step()

    step(tf.tensor([1, 2]))
    before = table.weight.detach().clone()
    with tf.profile(), pytest.raises(IndexOutOfRange, match=r"an index is outside \[0, 4\]"):
        step(tf.tensor([1, 7]))
    assert (table.weight == before).all()


def test_a_view_as_argument_is_read_anew_at_each_call():
    @tf.compile
    def f(x):
        return x.transpose(0, 1) + 1

    a, b = (
        tf.tensor([[0.0, 1.0], [2.0, 3.0], [9.0, 9.0]]),
        tf.tensor([[10.0, 20.0], [30.0, 40.0], [9.0, 9.0]]),
    )
    f(a[:2])
    np.testing.assert_array_equal(np.asarray(f(b[:2])), [[11, 31], [21, 41]])


def test_arguments_are_viewed_under_another_shape():
    flat = tf.compile(lambda x, y: (x.view(-1), y.view(2, -1).view(y.shape)))
    x, y = tf.arange(6).reshape(2, 3), tf.randn(4, 3)
    a, b = flat(x, y)
    assert a.tolist() == list(range(6))
    assert b.equal(y)


def test_a_compiled_module_has_what_the_module_has():
    model = tf.nn.Sequential(tf.nn.Linear(2, 3), tf.nn.Dropout(0.5))
    compiled = tf.compile(model)
    assert [p is q for p, q in zip(compiled.parameters(), model.parameters())] == [True, True]
    x = tf.ones(4, 2)
    assert not (compiled(x) != 0).all()  # dropout drops
    compiled.eval()
    assert not model.training
    np.testing.assert_allclose(compiled(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-6)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = compiled.absent


def test_a_named_size_divides_and_is_divided_by_tensors():
    @tf.compile
    def f(x):
        return x.shape[0] / x.sum(), x / x.shape[0]

    for n in (3, 5, 7):
        x = tf.ones(n, 2)
        a, b = f(x)
        assert a.item() == 0.5
        np.testing.assert_allclose(np.asarray(b), 1 / n, rtol=1e-6)
