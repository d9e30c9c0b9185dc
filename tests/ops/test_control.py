"""Control flow: plain evaluation, traced graphs, and every derivative agree."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError, DTypeError, GradientError, ShapeError, TraceError
from twinflow.graph import live_nodes
from twinflow.tensor import jvp_call, vmap_call

RNG = np.random.default_rng(0)


def normal(*shape):
    return tf.tensor(RNG.normal(size=shape))


def both(fn, *args):
    """The results of plain evaluation and of the traced function, as arrays."""
    results = []
    for run in (fn, tf.compile(fn)):
        out = run(*args)
        results.append([np.asarray(o.detach()) for o in (out if isinstance(out, (tuple, list)) else (out,))])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    return results[0]


def recurrent(w, h, xs, reverse=False):
    def step(h, x):
        h = tf.tanh(h @ w + x)
        return h, (h * 2, x.sum())

    return tf.scan(step, h, xs, reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_equals_a_python_loop(reverse):
    w, h, xs = normal(3, 3), normal(3), normal(5, 3)

    def program(w, h, xs):
        last, (ys, sums) = recurrent(w, h, xs, reverse)
        return last, ys, sums

    last, ys, sums = both(program, w, h, xs)
    state = h.numpy()
    order = range(4, -1, -1) if reverse else range(5)
    for t in order:
        state = np.tanh(state @ w.numpy() + xs.numpy()[t])
        np.testing.assert_allclose(ys[t], 2 * state)
    np.testing.assert_allclose(last, state)
    np.testing.assert_allclose(sums, xs.numpy().sum(1))


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_differentiates_twice(reverse):
    def program(w, h, xs):
        w, h, xs = (t.detach().requires_grad_() for t in (w, h, xs))
        last, (ys, _) = recurrent(w, h, xs, reverse)
        loss = (ys**2).sum() + last.sum()
        first = tf.autodiff.grad(loss, (w, h, xs), create_graph=True)
        second = tf.autodiff.grad(sum((g**2).sum() for g in first), (w, h, xs))
        return (*(g.detach() for g in first), *second)

    both(program, normal(3, 3), normal(3), normal(5, 3))


def test_the_forward_scan_runs_once_and_its_graph_does_not_grow_with_the_length():
    def program(w, h, xs):
        last, _ = recurrent(w, h, xs)
        return tf.autodiff.grad(last.sum(), w)

    w = normal(3, 3).requires_grad_()
    sizes = []
    for n in (2, 50):
        compiled = tf.compile(program)
        compiled(w, normal(3), normal(n, 3))
        assert [node.op for node in compiled.graph].count("scan") == 2
        sizes.append(len(str(compiled.graph).splitlines()))
    assert sizes[0] == sizes[1]


def test_closures_are_operands_and_detach_in_a_body_stops_gradients():
    w = normal(3).requires_grad_()

    def program(xs):
        def step(c, x):
            with tf.no_grad():
                frozen = w * 3
            return c * w.detach() + w * x + frozen, None

        last, _ = tf.scan(step, tf.zeros(3, dtype=tf.float64), xs)
        return tf.autodiff.grad(last.sum(), w)

    both(program, normal(4, 3))


def test_in_place_updates_in_a_body_are_kept():
    def make():
        total, count = tf.zeros(3, dtype=tf.float64), tf.tensor(0)

        def program(xs):
            def step(c, x):
                total.add_(x)
                count.add_(1)
                return c, total.clone()

            _, seen = tf.scan(step, (), xs)
            return seen

        return program, total, count

    xs = normal(4, 3)
    for wrap in (lambda f: f, tf.compile):
        program, total, count = make()
        seen = wrap(program)(xs)
        np.testing.assert_allclose(seen.numpy(), np.cumsum(xs.numpy(), 0))
        np.testing.assert_allclose(total.numpy(), xs.numpy().sum(0))
        assert count.item() == 4


def test_random_numbers_in_a_body_are_the_same_and_differ_from_step_to_step():
    def program(xs):
        return tf.scan(lambda c, x: (c, x + tf.rand(3)), (), xs)[1]

    values = []
    for wrap in (lambda f: f, tf.compile):
        tf.manual_seed(5)
        values.append(wrap(program)(tf.zeros(4, 3)).numpy())
        values.append(tf.rand(2).numpy())
    np.testing.assert_array_equal(values[0], values[2])
    np.testing.assert_array_equal(values[1], values[3])
    assert len(np.unique(values[0])) == 12


def test_scan_without_steps_and_without_operands():
    last, ys = both(lambda h, xs: tf.scan(lambda h, x: (h + x, h), h, xs), normal(3), tf.zeros(0, 3, dtype=tf.float64))
    assert ys.shape == (0, 3) and last.shape == (3,)
    (n,) = both(lambda x: tf.scan(lambda c, _: (c * 2, None), x, length=3)[0], tf.tensor(1.5))
    assert n == 12


@pytest.mark.parametrize("traced", [False, True])
def test_scan_errors(traced):
    run = tf.compile if traced else lambda f: f
    x = tf.zeros(3)
    with pytest.raises(
        ShapeError, match=r"leaf 0 of the carry enters the body as float32\[3\] and leaves it as float64\[3\]"
    ):
        run(lambda x: tf.scan(lambda c, _: (c.double(), None), x, length=2))(x)
    with pytest.raises(ArgumentError, match="same structure"):
        run(lambda x: tf.scan(lambda c, _: ((c, c), None), x, length=2))(x)
    with pytest.raises(ArgumentError, match="two values"):
        run(lambda x: tf.scan(lambda c, _: c, x, length=2))(x)
    with pytest.raises(ShapeError, match="leading extents"):
        run(lambda x: tf.scan(lambda c, s: (c, None), x, (tf.zeros(2), tf.zeros(3))))(x)
    with pytest.raises(ShapeError, match="give the length"):
        run(lambda x: tf.scan(lambda c, s: (c, None), x))(x)


def test_a_python_effect_in_a_body_is_refused():
    from twinflow.tensor import after_call

    def program(x):
        def step(c, _):
            after_call(list)
            return c, None

        return tf.scan(step, x, length=2)[0]

    with pytest.raises(TraceError, match="Python effect"):
        tf.compile(program)(tf.zeros(2))


def test_map_stacks_results():
    (out,) = both(lambda xs: tf.map(lambda x: x * x, xs), tf.tensor([1.0, 2.0, 3.0]))
    assert out.tolist() == [1, 4, 9]


# -- cond -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positive", [True, False])
def test_cond_takes_one_branch_and_differentiates_twice(positive):
    w = normal(3).requires_grad_()

    def program(p, x):
        x = x.detach().requires_grad_()
        y = tf.cond(p, lambda x: (x * w).sin(), lambda x: x**3 + w.detach(), (x,))
        first = tf.autodiff.grad(y.sum(), (x, w), create_graph=True, allow_unused=True, materialize_grads=True)
        second = tf.autodiff.grad((first[0] ** 2).sum(), x)
        return (y.detach(), *(g.detach() for g in first), *second)

    both(program, tf.tensor(positive), normal(3))


def test_cond_writes_only_in_the_branch_taken():
    for wrap in (lambda f: f, tf.compile):
        count, other = tf.tensor(0), tf.tensor(10)

        def program(p, count=count, other=other):
            return tf.cond(p, lambda: count.add_(1) * 1, lambda: other.add_(1) * 1)

        run = wrap(program)
        assert [int(run(tf.tensor(p))) for p in (True, False, True)] == [1, 11, 2]
        assert (int(count), int(other)) == (2, 11)


def test_cond_errors():
    x = tf.zeros(3)
    with pytest.raises(ShapeError, match="one value"):
        tf.cond(x > 0, lambda: 1, lambda: 2)
    with pytest.raises(DTypeError, match="must be bool"):
        tf.cond(x.sum(), lambda: 1, lambda: 2)
    with pytest.raises(ArgumentError, match="tuple or list"):
        tf.cond(True, lambda x: x, lambda x: x, x)
    with pytest.raises(ShapeError, match="different structures"):
        tf.compile(lambda x: tf.cond(x.sum() > 0, lambda: x, lambda: (x, x)))(x)
    with pytest.raises(ShapeError, match=r"float32\[3\] in the true branch and float32\[\]"):
        tf.compile(lambda x: tf.cond(x.sum() > 0, lambda: x, lambda: x.sum()))(x)


# -- while_loop, fori_loop --------------------------------------------------------------------------------------


def newton(a):
    return tf.while_loop(lambda s: (s[0] * s[0] - a).abs() > 1e-9, lambda s: ((s[0] + a / s[0]) / 2, s[1] + 1), (a, 0))


def test_while_loop_finds_a_square_root():
    root, steps = both(newton, tf.tensor(7.0, dtype=tf.float64))
    np.testing.assert_allclose(root, np.sqrt(7))
    assert steps > 2


def test_while_loop_forward_mode_and_vmap():
    a = tf.tensor([2.0, 30.0, 5.0], dtype=tf.float64)

    def forward(a):
        (root, _), (tangent, _) = jvp_call(newton, [a], [tf.ones((), dtype=tf.float64)])
        return root, tangent

    _root, tangent = both(forward, a[1])
    np.testing.assert_allclose(tangent, 0.5 / np.sqrt(30), rtol=1e-6)
    roots, steps = both(lambda a: vmap_call(newton, [a], [0], 3)[0], a)
    np.testing.assert_allclose(roots, np.sqrt(a.numpy()))
    assert len(set(steps.tolist())) > 1


def test_while_loop_has_no_reverse_mode_when_traced():
    x = tf.tensor(2.0, requires_grad=True)

    def program(x):
        y = tf.while_loop(lambda v: v < 100, lambda v: v * v, x)
        return tf.autodiff.grad(y, x)

    np.testing.assert_allclose(program(x)[0].item(), 8 * 2.0**7)
    with pytest.raises(GradientError, match="use scan, or fori_loop"):
        tf.compile(program)(x)


def test_fori_loop_with_numbers_and_with_tensors():
    def static(x):
        return tf.fori_loop(2, 6, lambda i, v: v * 2 + i, x)

    def dynamic(x, n):
        return tf.fori_loop(2, n, lambda i, v: v * 2 + i, x)

    (a,) = both(static, tf.tensor(1))
    (b,) = both(dynamic, tf.tensor(1), tf.tensor(6))
    assert a == b == 16 * 1 + 8 * 2 + 4 * 3 + 2 * 4 + 5
    assert tf.fori_loop(3, 3, lambda i, v: v + 1, 7) == 7


def test_fori_loop_with_static_bounds_differentiates():
    x = tf.tensor(1.1, dtype=tf.float64, requires_grad=True)
    both(lambda x: tf.autodiff.grad(tf.fori_loop(0, 5, lambda i, v: (v * x).sin() + i, x), x), x)


# -- under transformations --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapped", [(0, None, None), (None, 0, None), (None, None, 1), (0, 1, 1)])
def test_vmap_of_scan_equals_a_loop(mapped):
    shapes = [(3, 3), (3,), (5, 3)]
    args = [normal(*s) if a is None else normal(*s[:a], 4, *s[a:]) for s, a in zip(shapes, mapped)]

    def one(w, h, xs):
        last, (ys, sums) = recurrent(w, h, xs)
        return [last, ys, sums]

    def program(*args):
        outs, axes = vmap_call(one, list(args), list(mapped), 4)
        return [
            o if a is None else o.movedim(a, 0) if hasattr(o, "movedim") else o.transpose(0, a)
            for o, a in zip(outs, axes)
        ]

    outs = both(program, *args)
    for k in range(4):
        single = one(
            *(
                a if m is None else a.select(m, k) if hasattr(a, "select") else tf.tensor(np.take(a.numpy(), k, m))
                for a, m in zip(args, mapped)
            )
        )
        for whole, part in zip(outs, single):
            got = whole[k] if whole.ndim > part.ndim else whole
            np.testing.assert_allclose(got, part.numpy(), rtol=1e-9)


def test_forward_mode_of_scan_equals_finite_differences():
    w, h, xs = normal(3, 3), normal(3), normal(5, 3)
    d = [normal(3, 3), normal(3), normal(5, 3)]

    def program(w, h, xs):
        _outs, tangents = jvp_call(lambda *a: [recurrent(*a)[0], recurrent(*a)[1][0]], [w, h, xs], d)
        return tangents

    got = both(program, w, h, xs)
    eps = 1e-6
    plus = recurrent(w + d[0] * eps, h + d[1] * eps, xs + d[2] * eps)
    minus = recurrent(w - d[0] * eps, h - d[1] * eps, xs - d[2] * eps)
    for t, a, b in zip(got, (plus[0], plus[1][0]), (minus[0], minus[1][0])):
        np.testing.assert_allclose(t, (a - b).numpy() / (2 * eps), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("mapped_predicate", [True, False])
def test_vmap_and_forward_mode_of_cond(mapped_predicate):
    xs = normal(4, 3)

    def one(p, x):
        return [tf.cond(p, lambda x: x.sin(), lambda x: x * x, (x,))]

    def program(p, xs):
        outs, _ = vmap_call(one, [p, xs], [0 if mapped_predicate else None, 0], 4)
        return outs

    p = tf.tensor([True, False, True, True]) if mapped_predicate else tf.tensor(False)
    (got,) = both(program, p, xs)
    hold = np.broadcast_to(p.numpy().reshape(-1, 1), (4, 3))
    np.testing.assert_allclose(got, np.where(hold, np.sin(xs.numpy()), xs.numpy() ** 2))

    def forward(p, x):
        return jvp_call(lambda x: one(p, x), [x], [tf.ones_like(x)])[1]

    (slope,) = both(forward, tf.tensor(False), xs)
    np.testing.assert_allclose(slope, 2 * xs.numpy())


def test_bodies_at_several_batch_sizes():
    w = normal(3, 3).requires_grad_()

    def program(xs):
        def step(h, x):
            h = tf.tanh(h @ w + x - x.mean(0) * x.shape[0])
            return h, h.mean()

        h, means = tf.scan(step, tf.zeros(xs.shape[1], 3, dtype=tf.float64), xs)
        h = tf.cond(means.sum() > 0, lambda h: h * h.mean(), lambda h: h / h.shape[0], (h,))
        return (*tf.autodiff.grad((h * h).mean() + means.mean(), w), means)

    compiled = tf.compile(program)
    for n in (2, 5, 7, 4):
        xs = normal(4, n, 3)
        for a, b in zip(program(xs), compiled(xs)):
            np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-9, atol=1e-12)


def _products_in_backward_loops(fn, *args):
    """The shapes of the matrix products inside the scans of the compiled function."""
    step = tf.compile(fn)
    step(*args)
    scans = [n for n in step.graph.nodes if n.op == "scan"]
    return [n.aval.shape for s in scans for n in live_nodes(s.params["body"]) if n.op == "matmul"]


def test_weight_gradients_are_summed_after_the_loop():
    xs, h, w, b, u = normal(5, 2, 4), normal(2, 3), normal(7, 3), normal(3), normal(2, 3)

    def run(w, b, u, loop):
        w, b, u = (t.detach().requires_grad_() for t in (w, b, u))

        def step(h, x):
            h = tf.tanh(h @ w[:3] + x @ w[3:] + b) * u  # two products with one weight, a bias and a gain
            return h, h

        if loop:
            ys = tf.scan(step, h, xs)[1]
        else:
            state, rows = h, []
            for x in xs:
                state, y = step(state, x)
                rows.append(y)
            ys = tf.stack(rows)
        return tf.autodiff.grad((ys**2).sum(), (w, b, u))

    for a, want in zip(run(w, b, u, True), run(w, b, u, False)):
        np.testing.assert_allclose(a.numpy(), want.numpy(), rtol=1e-10)
    both(lambda w, b, u: run(w, b, u, True), w, b, u)
    assert set(_products_in_backward_loops(lambda w: run(w, b, u, True)[0], w)) == {(2, 3)}


def test_gradients_that_cannot_wait_are_summed_step_by_step():
    w, h, xs = normal(3, 3), normal(2, 3), normal(4, 2, 3)

    def program(w):
        w = w.detach().requires_grad_()
        last, _ = tf.scan(lambda h, x: (tf.tanh(h @ tf.exp(w)) + x, None), h, xs)
        return tf.autodiff.grad(last.sum(), w)

    def loop(w):
        w = w.detach().requires_grad_()
        state = h
        for x in xs:
            state = tf.tanh(state @ tf.exp(w)) + x
        return tf.autodiff.grad(state.sum(), w)

    np.testing.assert_allclose(both(program, w)[0], loop(w)[0].numpy(), rtol=1e-10)


@pytest.mark.parametrize("compiled", [False, True])
def test_results_share_no_memory_with_what_went_in(compiled):
    def fn(x):
        outs = [
            tf.cond(x.sum() > 0, lambda: x, lambda: -x),
            tf.while_loop(lambda v: v.sum() > 1e6, lambda v: v * 2, x),
            tf.fori_loop(0, 0, lambda i, v: v, x),
            tf.scan(lambda c, _: (c, None), x, length=2)[0],
        ]
        for out in outs:
            out.add_(1)
        return [x, *outs]

    x = tf.ones(2)
    results = (tf.compile(fn) if compiled else fn)(x)
    assert x.tolist() == [1, 1]
    assert [r.tolist() for r in results] == [[1, 1]] + [[2, 2]] * 4


@pytest.mark.parametrize("compiled", [False, True])
def test_writing_the_carry_in_place_leaves_the_first_one_alone(compiled):
    def fn(x):
        return tf.scan(lambda c, _: (c.mul_(2), None), x, length=3)[0], tf.while_loop(
            lambda v: v.sum() < 10, lambda v: v.add_(1), x
        )

    x = tf.ones(2)
    doubled, grown = (tf.compile(fn) if compiled else fn)(x)
    assert (x.tolist(), doubled.tolist(), grown.tolist()) == ([1, 1], [8, 8], [5, 5])


def test_a_view_of_a_tensor_written_before_is_read_in_both_branches():
    def fn(x):
        row = x[0]
        x.add_(1)
        y = tf.cond(x.sum() > 0, lambda: row * 2, lambda: row * 3)
        return y + row

    for sign in (1.0, -5.0):
        x = tf.full((2, 3), sign)
        want = fn(x.clone())
        assert tf.compile(fn)(x.clone()).tolist() == want.tolist()


def test_a_loop_that_counters_decide_has_gradients():
    @tf.compile
    def power(x):
        def f(v):
            return tf.while_loop(lambda s: s[0] + s[1] < 8, lambda s: (s[0] + 1, s[1] + 1, s[2] * x), (0, 0, v))[2]

        y = f(x)
        return y, tf.autograd.grad(y, x)[0]

    x = tf.tensor(2.0, requires_grad=True)
    y, g = power(x)
    assert float(y) == 32 and float(g) == 5 * 16


def test_a_loop_that_counters_end_before_it_begins():
    @tf.compile
    def f(x):
        return tf.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * 2), (5, x))[1]

    assert float(f(tf.tensor(3.0))) == 3


def test_a_loop_that_values_decide_says_what_has_gradients():
    @tf.compile
    def f(x):
        y = tf.while_loop(lambda s: s < 100, lambda s: s * x, x)
        return tf.autograd.grad(y, x)[0]

    with pytest.raises(GradientError, match="the number of steps"):
        f(tf.tensor(2.0, requires_grad=True))
