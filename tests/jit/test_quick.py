"""The call written for one program: it does what the general way does, and steps aside when something changed."""

import gc
import threading
import weakref

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import IndexOutOfRange
from twinflow.jit import _compile, interpreted


@pytest.fixture
def written(monkeypatch):
    """How often a quick call was made, and how often it did the work."""
    counts = {"made": 0, "did": 0}
    make = _compile.quick_call

    def counting(*args):
        call = make(*args)
        if call is None:
            return None
        counts["made"] += 1

        def counted(args):
            result = call(args)
            counts["did"] += result is not _compile.MISS
            return result

        return counted

    monkeypatch.setattr(_compile, "quick_call", counting)
    return counts


def regression(optimizer=tf.optim.SGD, compile=tf.compile, **options):
    tf.manual_seed(0)
    model = tf.nn.Linear(3, 2)
    opt = optimizer(model.parameters(), **options)

    def step(x, y):
        opt.zero_grad()
        loss = tf.nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        return loss

    return model, opt, compile(step)


def batches(n):
    rng = np.random.default_rng(1)
    return [
        (tf.tensor(rng.normal(size=(4, 3)).astype(np.float32)), tf.tensor(rng.normal(size=(4, 2)).astype(np.float32)))
        for _ in range(n)
    ]


@pytest.mark.parametrize("optimizer", [tf.optim.SGD, tf.optim.Adam])
def test_a_training_step_does_what_the_general_way_does(optimizer, written, monkeypatch):
    runs = []
    for general in (False, True):
        if general:
            monkeypatch.setattr(_compile, "quick_call", lambda *args: None)
        model, opt, step = regression(optimizer, lr=0.1)
        losses = []
        for k, (x, y) in enumerate(batches(6)):
            opt.param_groups[0]["lr"] = 0.1 / (k + 1)
            losses.append(step(x, y))
            grad = model.weight.grad.numpy().copy()
        runs.append(([v.item() for v in losses], model.weight.detach().numpy(), grad, model.weight._version))
    assert written == {"made": 1, "did": 5}
    (losses, weight, grad, version), (losses2, weight2, grad2, version2) = runs
    assert losses == losses2 and len(set(losses)) == 6
    np.testing.assert_array_equal(weight, weight2)
    np.testing.assert_array_equal(grad, grad2)
    assert version == version2


def test_results_of_any_structure(written):
    f = tf.compile(lambda x, y: {"a": [x + y, 3], "b": (x * y, "text", None)})
    for k in range(4):
        x, y = tf.ones(2) * k, tf.ones(2)
        out = f(x, y)
        assert out["a"][0].tolist() == [k + 1, k + 1] and out["a"][1] == 3
        assert out["b"][0].tolist() == [k, k] and out["b"][1:] == ("text", None)
    assert written["did"] == 3


def test_no_arguments_and_no_results(written):
    count = tf.zeros(2)

    @tf.compile
    def advance():
        count.add_(1)

    for _ in range(5):
        assert advance() is None
    assert count.tolist() == [5, 5] and written["did"] == 4


def test_results_are_kept_as_long_as_somebody_looks_at_them(written):
    f = tf.compile(lambda x: x * 2)
    kept = [f(tf.ones(3) * k) for k in range(6)]
    views = [f(tf.ones(3) * k).numpy()[1:] for k in range(6)]
    assert [t.tolist() for t in kept] == [[2 * k] * 3 for k in range(6)]
    assert [v.tolist() for v in views] == [[2 * k] * 2 for k in range(6)]
    assert written["did"] > 8


def test_a_gradient_that_nobody_else_holds_is_written_in_place():
    model, _, step = regression(lr=0.1)
    data = batches(8)
    for x, y in data[:3]:
        step(x, y)
    first = id(model.weight.grad), model.weight.grad._data.ctypes.data
    step(*data[3])
    assert first == (id(model.weight.grad), model.weight.grad._data.ctypes.data)


@pytest.mark.parametrize(
    "hold", ["tensor", "array", "view", "detached", "weak reference", "written", "none", "replaced"]
)
def test_a_gradient_that_somebody_holds_is_left_alone(hold, written):
    model, _, step = regression(lr=0.1)
    twin, _, plain = regression(lr=0.1, compile=lambda fn: fn)
    holders = {
        "tensor": lambda g: g,
        "array": lambda g: g.numpy(),
        "view": lambda g: g.numpy()[:1],
        "detached": lambda g: g.detach(),
    }
    held, copies = [], []
    for x, y in batches(7):
        step(x, y)
        plain(x, y)
        grad = model.weight.grad
        np.testing.assert_allclose(grad.numpy(), twin.weight.grad.numpy(), rtol=1e-5)
        if hold in holders:
            held.append(holders[hold](grad))
            copies.append(np.array(held[-1]))
        elif hold == "weak reference":
            held.append(weakref.ref(grad))
        elif hold == "written":
            grad.mul_(0)
        elif hold == "none":
            model.weight.grad = None
        elif hold == "replaced":
            model.weight.grad = tf.zeros(2, 3)
        del grad
    if hold == "weak reference":  # whoever looks for an old gradient does not find a new one in its place
        gc.collect()
        assert held[-2]() is not held[-1]()
    for now, before in zip(held, copies):
        np.testing.assert_array_equal(np.array(now), before)
    assert written["did"] == 6


def test_gradients_that_accumulate():
    w = tf.ones(2, requires_grad=True)

    @tf.compile
    def f(x):
        (w * x).sum().backward()

    for _ in range(3):
        for k in range(5):
            f(tf.ones(2))
            assert w.grad.tolist() == [k + 1, k + 1]
        w.grad = None
    f(tf.ones(2))
    assert w.grad.tolist() == [1, 1]
    w.grad = tf.full((2,), 7.0)
    f(tf.ones(2))
    assert w.grad.tolist() == [8, 8]


def test_gradients_that_accumulate_in_arguments():
    f = tf.compile(lambda w, x: (w * x).sum().backward())
    for _ in range(2):
        w = tf.ones(2, requires_grad=True)
        for k in range(4):
            f(w, tf.ones(2))
            assert w.grad.tolist() == [k + 1, k + 1]


def test_gradients_that_are_scaled_in_place():
    w = tf.ones(2, requires_grad=True)

    @tf.compile
    def halve():
        w.grad.mul_(0.5)

    for k in range(4):
        w.grad = tf.full((2,), 8.0 * k)
        kept, version = w.grad, w.grad._version
        halve()
        assert w.grad is kept and w.grad.tolist() == [4.0 * k] * 2 and w.grad._version == version + 1


def test_what_changed_is_noticed(written):
    model = tf.nn.Sequential(tf.nn.Linear(3, 3), tf.nn.Dropout(0.5))
    f = tf.compile(lambda x: model(x))
    x = tf.ones(4, 3)
    with tf.no_grad():
        for _ in range(4):
            f(x)
        did = written["did"]
        model.eval()
        expected = model(x).numpy()
        np.testing.assert_allclose(f(x).numpy(), expected, rtol=1e-6)
        np.testing.assert_allclose(f(tf.ones(3, 4).t()).numpy(), expected, rtol=1e-6)  # not contiguous
        assert f(tf.ones(2, 3)).shape == (2, 3)
        assert f(x.double().float()).shape == (4, 3)
        model[0].weight.data = tf.zeros(3, 3)
        np.testing.assert_allclose(f(x).numpy(), np.broadcast_to(model[0].bias.detach().numpy(), (4, 3)), rtol=1e-6)
        assert written["did"] == did + 1  # of x in another array
    assert f(x).requires_grad
    x.requires_grad_()
    f(x).sum().backward()
    assert x.grad is not None


def test_calls_with_other_kinds_of_arguments_are_quick_too(written):
    f = tf.compile(lambda pair, scale=1, *, y: (pair[0] * scale + pair[1]["b"]) @ y)
    x, b, y = (tf.full((2, 2), v) for v in (1.0, 2.0, 3.0))
    for _ in range(4):
        assert f((x, {"b": b}), 2, y=y).tolist() == [[24, 24], [24, 24]]
        assert f((x, {"b": b}), 3, y=y.numpy()).tolist() == [[30, 30], [30, 30]]
        assert f((tf.ones(3, 2), {"b": tf.ones(3, 2)}), 2, y=y).shape == (3, 2)
    assert written == {"made": 3, "did": 9}


def test_types_are_noticed():
    f = tf.compile(lambda x: x + x)
    for _ in range(3):
        assert f(tf.ones(2)).dtype == tf.float32
    assert f(tf.ones(2, dtype=tf.float64)).dtype == tf.float64
    assert f(tf.ones(2, dtype=tf.int64)).dtype == tf.int64
    assert f(tf.ones(2)).dtype == tf.float32
    assert f(3) == 6


def test_arguments_written_in_place(written):
    @tf.compile
    def f(x, y):
        x.add_(y)

    x = tf.zeros(2)
    for _ in range(4):
        f(x, tf.ones(2))
    assert x.tolist() == [4, 4] and x._version == 4 and written["did"] == 3


def test_schedules_advance_and_indices_are_checked(written):
    table = tf.nn.Embedding(5, 2)
    opt = tf.optim.SGD(table.parameters(), lr=1.0)
    schedule = tf.optim.lr_scheduler.ExponentialLR(opt, 0.5)

    @tf.compile
    def step(i):
        opt.zero_grad()
        table(i).sum().backward()
        opt.step()
        schedule.step()

    before = table.weight.detach().numpy().copy()
    for _ in range(4):
        step(tf.tensor([1, 1]))
    np.testing.assert_allclose(before[1] - table.weight.detach().numpy()[1], 2 * 1.875, rtol=1e-5)
    with pytest.raises(IndexOutOfRange, match="outside"):
        step(tf.tensor([1, 9]))
    step(tf.tensor([1, 2]))  # the lock was given back
    assert opt.param_groups[0]["lr"] == 0.5**5
    assert written["did"] >= 3


def test_errors_of_references_are_raised_by_the_quick_call_too(written):
    f = tf.compile(lambda x: tf.linalg.cholesky(x))
    for _ in range(3):
        f(tf.eye(2))
    with pytest.raises(tf.errors.TwinflowError if hasattr(tf, "errors") else Exception, match="positive"):
        f(-tf.eye(2))
    np.testing.assert_array_equal(f(tf.eye(2)).numpy(), np.eye(2))


def test_profiles_see_every_record(written):
    f = tf.compile(lambda x: (x * 2).sum())
    for _ in range(3):
        f(tf.ones(3))
    did = written["did"]
    with tf.profile() as prof:
        f(tf.ones(3))
    assert written["did"] == did + 1 and "loop" in str(prof)  # programs note their times themselves


def test_within_a_trace_it_is_part_of_the_trace():
    inner = tf.compile(lambda x: x * 2)
    for _ in range(3):
        inner(tf.ones(2))
    outer = tf.compile(lambda x: inner(x) + 1)
    assert outer(tf.ones(2)).tolist() == [3, 3]
    assert tf.func.vmap(inner)(tf.ones(3, 2)).tolist() == [[2, 2]] * 3


def test_inference_mode_runs_the_program_and_marks_results(written):
    ran = []

    @tf.compile
    def f(x):
        ran.append(1)
        return {"y": x * 2}

    for _ in range(4):
        with tf.inference_mode():
            y = f(tf.ones(2))["y"]
        assert y.is_inference() and y.tolist() == [2, 2]
    with tf.no_grad():
        assert not f(tf.ones(2))["y"].is_inference()
    assert len(ran) == 1 and written["did"] == 4


def test_a_trace_in_another_thread_does_not_matter():
    f = tf.compile(lambda x: (x * 2).sum())
    f(tf.ones(3))
    said, tracing, done = [], threading.Event(), threading.Event()

    def traced(x):
        tracing.set()
        done.wait(10)
        return x + 1

    thread = threading.Thread(target=lambda: said.append(tf.compile(traced)(tf.ones(2)).tolist()))
    thread.start()
    tracing.wait(10)
    results = [f(tf.ones(3)).item() for _ in range(4)]
    done.set()
    thread.join()
    assert results == [6, 6, 6, 6] and said == [[2, 2]]


def test_many_threads_at_once():
    f = tf.compile(lambda x: (x * 2 + 1).sum())
    faults = []

    def work(seed):
        for k in range(300):
            x = tf.full((50,), float(seed * 1000 + k))
            if f(x).item() != 50 * (2 * (seed * 1000 + k) + 1):
                faults.append((seed, k))

    f(tf.ones(50))
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert faults == []


def test_the_number_of_threads_may_change_between_calls(written):
    rng = np.random.default_rng(0)
    a, b = (tf.from_numpy(rng.normal(size=shape).astype(np.float32)) for shape in ((300, 400), (400, 350)))
    f = tf.compile(lambda a, b: ((a * 1.5) @ (b + 1)).amax(1))
    before = tf.get_num_threads()
    try:
        tf.set_num_threads(1)
        expected = f(a, b).numpy()
        for n in (1, 2, 2, 8, 8, 8, 3, 1, 1):
            tf.set_num_threads(n)  # products have memory to work in for each thread
            np.testing.assert_array_equal(f(a, b).numpy(), expected)
            np.testing.assert_array_equal(f(a, b).numpy(), expected)
    finally:
        tf.set_num_threads(before)
    assert written["did"] > 8


def test_the_interpreter_has_no_quick_call(written):
    f = tf.compile(lambda x: x + 1, backend=interpreted)
    for _ in range(4):
        assert f(tf.ones(2)).tolist() == [2, 2]
    assert written["made"] == 0
