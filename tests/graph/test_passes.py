"""Each pass alone, as text before and after; all of them keep the meaning."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.graph import from_text, interpret, to_text, verify
from twinflow.graph.passes import (
    PASSES,
    drop_dead,
    fold_constants,
    hoist_from_scans,
    look_up_rows,
    merge_common,
    optimize,
    simplify,
    sum_centred,
    transpose_products,
)
from twinflow.jit import interpreted


def after(run, text):
    graph = run(from_text(text))
    verify(graph)
    return to_text(graph).split("\n", 1)[1]


@pytest.mark.parametrize(
    ("run", "body", "expected"),
    [
        (merge_common, "  %1: f = exp(%0)\n  %2: f = exp(%0)\n  %3: f = add(%1, %2)\n  return %3", "  %1: float32[2, 3] = exp(%0)\n  %2: float32[2, 3] = add(%1, %1)\n  return %2"),
        (simplify, "  %1: f = mul(%0, 1.0)\n  return %1", "  return %0"),
        (simplify, "  %1: f = stop_gradient(%0)\n  return %1", "  return %0"),
        (simplify, "  %1: f = neg(%0)\n  %2: f = sub(%0, %1)\n  return %2", "  %2: float32[2, 3] = add(%0, %0)\n  return %2"),
        (simplify, "  %1: f = reshape(%0, shape=(6,))\n  %2: f = reshape(%1, shape=(2, 3))\n  return %2", "  return %0"),
        (simplify, "  %1: f = permute(%0, axes=(1, 0))\n  %2: f = permute(%1, axes=(1, 0))\n  return %2", "  return %0"),
        (simplify, "  %1: f = pad(%0, low=(0, 3), high=(0, 0), interior=(0, 0), value=0)\n  %2: f = exp(%0)\n  %3: f = pad(%2, low=(0, 0), high=(0, 3), interior=(0, 0), value=0)\n  %4: f = add(%1, %3)\n  return %4", "  %2: float32[2, 3] = exp(%0)\n  %4: float32[2, 6] = concat(%2, %0, axis=1)\n  return %4"),
        (simplify, "  %1: f = exp(%0)\n  %2: f = concat(%0, %1, axis=0)\n  %3: f = reshape(%2, shape=(12,))\n  return %3", "  %3: float32[6] = reshape(%0, shape=(6,))\n  %4: float32[6] = reshape(%1, shape=(6,))\n  %5: float32[12] = concat(%3, %4, axis=0)\n  return %5"),
        (simplify, "  %1: f = pad(%0, low=(1, 0), high=(2, 0), interior=(0, 0), value=0)\n  %2: f = reshape(%1, shape=(15,))\n  return %2", "  %2: float32[6] = reshape(%0, shape=(6,))\n  %3: float32[15] = pad(%2, low=(3,), high=(6,), interior=(0,), value=0)\n  return %3"),
        (fold_constants, "  %1: f = full(shape=(2, 3), value=2.0, dtype=float32)\n  %2: f = mul(%0, %1)\n  return %2", "  %2: float32[2, 3] = mul(%0, 2.0)\n  return %2"),
        (fold_constants, "  %1: f = full(shape=(), value=4.0, dtype=float32)\n  %2: f = sqrt(%1)\n  return %2", "  %2: float32[] = full(shape=(), value=2.0, dtype=float32)\n  return %2"),
        (transpose_products, "  %1: f = permute(%0, axes=(1, 0))\n  %2: f = matmul(%1, %0)\n  %3: f = permute(%2, axes=(1, 0))\n  return %3", "  %3: float32[3, 2] = permute(%0, axes=(1, 0))\n  %4: float32[3, 3] = matmul(%3, %0)\n  return %4"),
    ],
)  # fmt: skip
def test_a_pass_alone(run, body, expected):
    text = after(run, 'graph f(%0: float32[2, 3] "x")\n' + body)
    rows = text.split("\n")
    assert rows[-1] == expected.split("\n")[-1]
    for row in expected.split("\n")[:-1]:
        assert row.split(" = ")[1] in text


def test_a_positive_zero_is_not_dropped_from_a_floating_sum():
    # -0.0 + 0.0 is 0.0, so x + 0.0 is not x
    assert "add" in after(simplify, 'graph f(%0: float32[2] "x")\n  %1: f = add(%0, 0.0)\n  return %1')


def test_the_logarithm_of_a_softmax_does_not_underflow():
    def f(x):
        return tf.log(tf.softmax(x, 1))

    compiled = tf.compile(f, backend=interpreted)
    x = tf.tensor([[0.0, 200.0]])
    assert compiled(x).tolist()[0][0] == -np.inf
    graph = optimize(compiled.graph, verify=True)
    assert interpret(graph, [x.numpy()])[0].tolist() == [[-200.0, 0.0]]


def test_all_passes_keep_the_meaning_of_a_training_step():
    weight = tf.tensor(np.linspace(-1, 1, 12).reshape(4, 3), dtype="float32", requires_grad=True)

    def step(x, y):
        weight.grad = None
        loss = tf.log_softmax(tf.tanh(x @ weight) * 3.0, 1).mul(y).sum(1).mean() + (weight**2).sum() * 0.1
        loss.backward()
        with tf.no_grad():
            weight.sub_(weight.grad * 0.1)
        return loss

    compiled = tf.compile(step, backend=interpreted)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4)).astype(np.float32), rng.uniform(size=(5, 3)).astype(np.float32)
    compiled(tf.tensor(x), tf.tensor(y))
    arrays = [x, y, weight.detach().numpy()]
    before = interpret(compiled.graph, arrays)
    optimized = optimize(compiled.graph, verify=True)
    assert len(optimized.nodes) < len(compiled.graph.nodes)
    for a, b in zip(before, interpret(optimized, arrays)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


CENTRED = """graph f(%0: float32[6, 3, 5] "x", %1: float32[6, 3, 5] "g", %2: float32[1, 3, 1] "a")
  %3: f = sum(%0, axes=(0, 2), keepdim=True)
  %4: f = div(%3, COUNT)
  %5: f = sub(%0, %4)
  %6: f = expand(%2, shape=(6, 3, 5))
  %7: f = mul(%6, %5)
  %8: f = mul(%1, %2)
  %9: f = sub(%8, %7)
  %10: f = neg(%9)
  %11: f = sum(%10, axes=(0, 2), keepdim=KEEP)
  return %11"""


@pytest.mark.parametrize("keep", [True, False])
def test_a_sum_of_centred_values_is_not_computed(keep):
    text = CENTRED.replace("COUNT", "30.0").replace("KEEP", str(keep))
    graph = from_text(text)
    made = drop_dead(sum_centred(graph))
    verify(made)
    assert [n.op for n in made.nodes if n.op not in ("mul", "neg", "reshape")] == ["sum"]
    assert next(n for n in made.nodes if n.op == "sum").inputs[0] is made.inputs[1]
    arrays = [np.random.default_rng(0).normal(size=i.aval.shape).astype(np.float32) for i in graph.inputs]
    (want,), (got,) = interpret(graph, arrays), interpret(made, arrays)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        ("COUNT", "29.0"),  # not the mean
        ("axes=(0, 2), keepdim=KEEP", "axes=(0, 1), keepdim=KEEP"),  # other axes
        ("axes=(0, 2)", "axes=(1, 2)"),  # rows stay in their kernel
        ("%9: f = sub(%8, %7)", "%9: f = mul(%8, %7)"),
    ],
)
def test_other_sums_stay(change):
    text = CENTRED.replace(*change).replace("COUNT", "30.0").replace("KEEP", "True")
    if "axes=(1, 2)" in text:
        text = text.replace("[1, 3, 1]", "[6, 1, 1]")
    graph = from_text(text)
    assert to_text(sum_centred(graph)) == to_text(graph)


def test_the_derivative_of_a_batch_norm_by_the_mean_takes_no_pass_of_its_own():
    rng = np.random.default_rng(0)
    shapes = [(8, 4, 6, 6), (4,), (4,), (8, 4, 6, 6)]
    x, w, b, g = (tf.tensor(rng.normal(size=s).astype(np.float32)) for s in shapes)

    def loss(x, w, b):
        return (tf.nn.functional.batch_norm(x, None, None, w, b, True) * g).sum()

    step = tf.func.grad(loss, argnums=(0, 1, 2))
    compiled = tf.compile(step)
    for want, got in zip(step(x, w, b), compiled(x, w, b), strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-3, atol=1e-4)
    made = optimize(compiled.graph)
    folded = [n for n in made.nodes if n.op == "sum" and n.inputs[0].aval.size == x.numel()]
    assert len(folded) == 4, to_text(made)  # mean and variance; derivatives by weight and bias


def test_every_pass_is_named():
    assert all(p.__name__.isidentifier() and p.__doc__ for p in PASSES)


def test_a_class_label_is_found_by_comparison():
    logits = tf.tensor(np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32), requires_grad=True)

    def f(labels):
        logits.grad = None
        loss = -tf.gather(tf.log_softmax(logits, 1), 1, labels).mean()
        loss.backward()
        return loss

    compiled = tf.compile(f, backend=interpreted)
    labels = tf.tensor([[1], [0], [4], [2]])
    compiled(labels)
    graph = optimize(compiled.graph, verify=True)
    assert not {"gather", "scatter_add"} & {n.op for n in graph.nodes}
    arrays = [labels.numpy(), logits.detach().numpy()]
    for a, b in zip(interpret(compiled.graph, arrays), interpret(graph, arrays)):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_an_update_that_touches_few_rows_is_written_row_by_row():
    text = after(
        simplify,
        'graph f(%0: float32[9, 4] "w", %1: int64[2] "i", %2: float32[2, 4] "g")\n'
        "  %3: f = full(shape=(9, 4), value=0, dtype=float32)\n"
        "  %4: f = put_add(%3, %1, %2, axis=0)\n"
        "  %5: f = mul(%4, 0.1)\n"
        "  %6: f = sub(%0, %5)\n"
        "  return %6",
    )
    assert text.split("\n")[-1] == "  return " + text.split("\n")[-2].strip().split(":")[0]
    assert "neg(" in text
    assert "put_add(%0, %1, " in text.split("\n")[-2]


def test_a_moment_that_decays_everywhere_is_updated_in_one_pass_over_all_rows():
    text = after(
        simplify,
        'graph f(%0: float32[9, 4] "m", %1: int64[2] "i", %2: float32[2, 4] "g")\n'
        "  %3: f = full(shape=(9, 4), value=0, dtype=float32)\n"
        "  %4: f = put_add(%3, %1, %2, axis=0)\n"
        "  %5: f = mul(%4, 0.1)\n"
        "  %6: f = mul(%0, 0.9)\n"
        "  %7: f = add(%6, %5)\n"
        "  return %7",
    )
    assert text.count("put_add(") == 1 and "put_add(%3, %1, %2" in text


ROWS = (
    'graph f(%0: float32[4096, 8] "m", %1: int64[2, 3] "i", %2: float32[2, 3, 8] "g")\n'
    "  %3: f = full(shape=(4096, 8), value=0, dtype=float32)\n"
    "  %4: f = put_add(%3, %1, %2, axis=0)\n"
    "  %5: f = mul(%4, 0.1)\n"
    "  %6: f = mul(%0, 0.9)\n"
    "  %7: f = add(%6, %5)\n"
)


def test_elementwise_readers_of_a_gradient_with_few_rows_look_them_up():
    graph = drop_dead(look_up_rows(from_text(ROWS + "  return %7")))
    verify(graph)
    text = to_text(graph)
    assert "put_add(" in text and "full(shape=(4096, 8)" not in text
    rng = np.random.default_rng(0)
    m, g = rng.normal(size=(4096, 8)).astype("f"), rng.normal(size=(2, 3, 8)).astype("f")
    index = np.array([[5, 0, 5], [0, 4095, 17]])  # some are met twice
    for got, want in zip(interpret(graph, [m, index, g]), interpret(from_text(ROWS + "  return %7"), [m, index, g])):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "more",
    [
        "  return %7, %4",  # somebody sees all of it
        "  %8: f = sum(%4, axes=(0,), keepdim=False)\n  return %7, %8",  # a reduction reads it too
    ],
)
def test_a_gradient_that_something_else_reads_stays_whole(more):
    assert "full(shape=(4096, 8)" in to_text(look_up_rows(from_text(ROWS + more)))


def test_what_a_loop_computes_again_and_again_is_hoisted_and_what_nobody_reads_is_dropped():
    def program(w, unused, h, xs):
        def step(h, x):
            h = tf.tanh(h @ tf.exp(w).mT.reshape(3, 3) + x + unused * 0)
            return h, (h, h * 2)

        last, (_, doubled) = tf.scan(step, h, xs)
        return last, doubled

    rng = np.random.default_rng(0)
    w, unused, h, xs = (rng.normal(size=s) for s in ((3, 3), (3,), (2, 3), (5, 2, 3)))
    compiled = tf.compile(program, backend=interpreted)
    compiled(*map(tf.tensor, (w, unused, h, xs)))
    graph = hoist_from_scans(compiled.graph)
    verify(graph)
    for got, want in zip(interpret(graph, [w, unused, h, xs]), interpret(compiled.graph, [w, unused, h, xs])):
        np.testing.assert_array_equal(got, want)
    (scan,) = (n for n in graph.nodes if n.op == "scan")
    inside = [n.op for n in scan.params["body"].nodes]
    assert "exp" not in inside and "permute" not in inside and "tanh" in inside
    assert "exp" in [n.op for n in graph.nodes]
    assert len(scan.aval) == 2  # the last state and what is read of the stacked results
    assert len(scan.inputs) == scan.params["n_const"] + 2


def test_what_a_loop_reads_or_gives_twice_is_read_and_given_once():
    def program(h, xs):
        def step(h, x):
            a, b = x
            new = tf.tanh(h * a + b)
            return new, (new * a, new * b, h)

        last, (first, second, before) = tf.scan(step, h, (xs, xs))
        return last, second, first, before

    rng = np.random.default_rng(0)
    h, xs = rng.normal(size=3), rng.normal(size=(5, 3))
    compiled = tf.compile(program, backend=interpreted)
    compiled(tf.tensor(h), tf.tensor(xs))
    graph = hoist_from_scans(compiled.graph)
    verify(graph)
    for got, want in zip(interpret(graph, [h, xs]), interpret(compiled.graph, [h, xs])):
        np.testing.assert_array_equal(got, want)
    (scan,) = (n for n in graph.nodes if n.op == "scan")
    assert len(scan.inputs) == 2 and len(scan.aval) == 3  # the last state, the products, the states before


def test_a_hoisted_value_may_be_a_result_of_the_step():
    def program(w, xs):
        return tf.scan(lambda c, x: (c + x, (tf.exp(w), w)), tf.zeros(3, dtype=tf.float64), xs)[1]

    rng = np.random.default_rng(0)
    w, xs = rng.normal(size=3), rng.normal(size=(4, 3))
    for run in (program, tf.compile(program)):
        e, same = run(tf.tensor(w), tf.tensor(xs))
        np.testing.assert_allclose(e.numpy(), np.tile(np.exp(w), (4, 1)))
        np.testing.assert_array_equal(same.numpy(), np.tile(w, (4, 1)))
