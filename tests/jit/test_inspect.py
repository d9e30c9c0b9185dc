"""profile and debug: what they find in compiled steps."""

import json

import numpy as np

import twinflow as tf


def test_a_profile_lists_the_kernels_with_their_lines(tmp_path):
    f = tf.compile(lambda x: tf.softmax(x @ x, 1))
    x = tf.ones(32, 32)
    f(x)
    with tf.profile() as p:
        for _ in range(3):
            f(x)
    assert [k.calls for k in p.kernels] == [3, 3]
    product = next(k for k in p.kernels if "matmul" in k.ops)
    assert product.flops == 2 * 32**3
    assert product.nbytes == 2 * 32 * 32 * 4
    assert "test_inspect.py" in product.line
    assert "GFLOP/s" in p.table()
    p.export_chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert len(events) == 6
    assert all(e["dur"] >= 0 for e in events)


def test_a_profile_sees_into_loops():
    rnn = tf.nn.LSTM(8, 16)

    @tf.compile
    def step(x):
        rnn.zero_grad()
        loss = rnn(x)[0].square().sum()
        loss.backward()
        return loss

    x = tf.randn(12, 4, 8)
    step(x)
    with tf.profile() as p:
        step(x)
        step(x)
    assert {2, 24} <= {k.calls for k in p.kernels}  # once a step, and once a step of the loop
    loop = next(k for k in p.kernels if k.name.startswith("scan"))
    assert loop.calls == 2 and 0 <= loop.total_ns < sum(k.total_ns for k in p.kernels if k.calls == 24)


def test_a_profile_of_branches_counts_what_ran():
    f = tf.compile(lambda x: tf.cond(x.sum() > 0, lambda: (x @ x).exp(), lambda: x * 3.0))
    yes, no = tf.ones(16, 16), -tf.ones(16, 16)
    f(yes)
    with tf.profile() as p:
        f(yes)
        f(yes)
        f(no)
    assert {k.ops: k.calls for k in p.kernels if "exp" in k.ops or k.ops == "mul"} == {"matmul, exp": 2, "mul": 1} or {
        k.ops: k.calls for k in p.kernels if "exp" in k.ops or k.ops == "mul"
    } == {"exp": 2, "mul": 1}


def test_a_profile_counts_the_rows_of_a_table_that_are_touched():
    table, index = tf.zeros(10_000, 16), tf.tensor([3, 5, 7])
    f = tf.compile(lambda t, i: t[i] * 2.0)
    f(table, index)
    with tf.profile() as p:
        f(table, index)
    assert sum(k.nbytes for k in p.kernels) < 2000
    assert sum(k.flops for k in p.kernels) < 500


def test_a_profile_counts_from_its_beginning_and_may_be_repeated():
    f = tf.compile(lambda x: x * 2.0 + 1.0)
    x = tf.ones(1000)
    for runs in (3, 1):
        with tf.profile() as p:
            for _ in range(runs):
                f(x)
        assert [k.calls for k in p.kernels] == [runs]


def test_nothing_is_observed_outside_the_block():
    f = tf.compile(lambda x: x + 1.0)
    with tf.profile() as p:
        pass
    f(tf.ones(2))
    assert p.kernels == []


def test_debug_names_the_first_operation_that_is_not_finite():
    weight = tf.tensor([2.0, 3.0], requires_grad=True)

    def step(x):
        h = tf.sqrt(x) * weight
        loss = h.sum()
        loss.backward()
        return loss

    replay = tf.debug(step)(tf.tensor([4.0, -1.0]))
    assert replay.first.kind == "not finite"
    assert replay.first.op == "sqrt"
    assert "h = tf.sqrt(x) * weight" in replay.first.line
    assert "from -1 to 4" in replay.first.detail


def test_debug_finds_nothing_in_a_sound_step():
    replay = tf.debug(lambda x: tf.softmax(x @ x, 1))(tf.ones(8, 8))
    assert replay.first is None
    assert "every kernel equal to its reference" in str(replay)
    np.testing.assert_allclose(replay.result.numpy(), np.full((8, 8), 1 / 8), rtol=1e-6)


def test_debug_finds_a_kernel_that_is_wrong(monkeypatch):
    from twinflow.lower import _code

    real = _code.Code.add

    def wrong(self, source):
        if hasattr(source, "kernel"):
            from dataclasses import replace

            from twinflow.compiler.loops import Apply, Const

            k = source.kernel
            stores = tuple(replace(s, value=Apply("add", s.value, Const(1.0, "float32"))) for s in k.stores)
            source = type(source)(type(k)(k.name, k.axes, stores, k.serial))
        return real(self, source)

    monkeypatch.setattr(_code.Code, "add", wrong)
    replay = tf.debug(lambda x: tf.exp(x) * 2.0)(tf.ones(5))
    assert replay.first.kind == "differs"
    assert "up to 1 apart" in replay.first.detail
