"""twinflow.autograd: hooks, anomaly detection, checks, checkpointing, functional forms."""

import numpy as np
import pytest

import twinflow as tf
from twinflow import autograd
from twinflow.core.errors import ArgumentError, DTypeError, GradientError, ShapeError
from twinflow.utils.checkpoint import checkpoint, checkpoint_sequential

RNG = np.random.default_rng(0)


def normal(*shape, grad=True):
    return tf.tensor(RNG.normal(size=shape), requires_grad=grad)


# -- grad and backward ------------------------------------------------------------------------------------------


def test_backward_of_several_tensors():
    x = normal(3)
    autograd.backward([x.sum(), x * x], [None, tf.ones(3, dtype=tf.float64)])
    np.testing.assert_allclose(x.grad.numpy(), 1 + 2 * x.detach().numpy())
    w = normal(3)
    autograd.backward((x * w).sum(), inputs=[w])
    np.testing.assert_allclose(w.grad.numpy(), x.detach().numpy())


def test_grad_errors():
    x = normal(3)
    with pytest.raises(GradientError, match="must have one element"):
        autograd.grad(x * 2, x)
    with pytest.raises(GradientError, match=r"shape \(2,\)"):
        autograd.grad(x * 2, x, tf.ones(2))
    with pytest.raises(GradientError, match="1 outputs, but 2 vectors"):
        autograd.grad(x.sum(), x, [None, None])
    with pytest.raises(GradientError, match="allow_unused"):
        autograd.grad(x.sum(), normal(2))
    assert autograd.grad(x.sum(), [x, normal(2)], allow_unused=True)[1] is None
    assert autograd.grad(x.sum(), [normal(2)], allow_unused=True, materialize_grads=True)[0].tolist() == [0, 0]


# -- hooks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda f: f, tf.compile], ids=["plain", "compiled"])
def test_hooks_on_tensors_and_nodes(wrap):
    x = normal(3)

    @wrap
    def step(x):
        y = x * 2
        y.register_hook(lambda g: g * 10)
        z = y.sin()
        z.grad_fn.register_hook(lambda grads, outs: (grads[0] + 1,))
        z.grad_fn.register_prehook(lambda outs: (outs[0] * 3,))
        return autograd.grad(z.sum(), x)

    np.testing.assert_allclose(step(x)[0].numpy(), (np.cos(2 * x.detach().numpy()) * 3 + 1) * 20)


def test_hooks_can_be_removed_and_leaf_hooks_fill_grad():
    x = normal(3)
    handle = x.register_hook(lambda g: g * 5)
    x.sum().backward()
    assert x.grad.tolist() == [5.0, 5.0, 5.0]
    handle.remove()
    x.grad = None
    y = x * 1
    node_handle = y.grad_fn.register_hook(lambda grads, _: (grads[0] * 7,))
    node_handle.remove()
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_a_hook_on_several_gradients():
    x, w = normal(3), normal(3)
    seen = []
    handle = autograd.graph.register_multi_grad_hook([x, w], lambda gs: seen.append([g.tolist() for g in gs]))
    (x * w).sum().backward()
    assert seen == [[w.tolist(), x.tolist()]]
    handle.remove()
    (x * w).sum().backward()
    assert len(seen) == 1


def test_edges_and_node_names():
    x = normal(2)
    y = x * 3
    edge = autograd.graph.get_gradient_edge(y)
    assert edge.node is y.grad_fn and edge.output_nr == 0 and isinstance(edge.node, autograd.graph.Node)
    assert y.grad_fn.name() == "MulBackward" and y.grad_fn.next_functions[0][0] is x
    with pytest.raises(GradientError, match="does not require"):
        autograd.graph.get_gradient_edge(tf.ones(1))
    z = y * y
    autograd.graph.increment_version(y)
    with pytest.raises(GradientError, match="overwritten"):
        z.sum().backward()


def test_saved_tensors_hooks_pack_and_unpack():
    x = normal(3)
    log = []

    def pack(t):
        log.append("pack")
        return t.numpy(force=True) * 2

    def unpack(a):
        log.append("unpack")
        return tf.from_numpy(a / 2)

    with autograd.graph.saved_tensors_hooks(pack, unpack):
        y = (x * x).exp()
    assert "pack" in log and "unpack" not in log
    (g,) = autograd.grad(y.sum(), x, create_graph=True)
    v = x.detach().numpy()
    np.testing.assert_allclose(g.detach().numpy(), 2 * v * np.exp(v * v))
    (gg,) = autograd.grad(g.sum(), x)
    np.testing.assert_allclose(gg.numpy(), (2 + 4 * v * v) * np.exp(v * v))
    with autograd.graph.saved_tensors_hooks(pack, lambda a: 3):
        y = x * x
    with pytest.raises(GradientError, match="must return a tensor"):
        y.sum().backward()


# -- anomaly detection ------------------------------------------------------------------------------------------


def test_anomaly_detection_names_the_forward_line():
    x = tf.zeros(2, requires_grad=True)
    with autograd.detect_anomaly():
        assert autograd.is_anomaly_enabled()
        y = tf.sqrt(x)  # the culprit
        with pytest.raises(GradientError, match=r"sqrt.*the culprit"):
            (y * 0).sum().backward()
    assert not autograd.is_anomaly_enabled()
    tf.sqrt(x).sum().backward()
    autograd.set_detect_anomaly(True)
    autograd.set_detect_anomaly(False)
    assert not autograd.is_anomaly_enabled()
    with pytest.raises(ArgumentError, match="check_nan"):
        autograd.set_detect_anomaly(True, check_nan=False)


# -- numerical checks -------------------------------------------------------------------------------------------


def test_gradcheck_finds_wrong_derivatives():
    class Wrong(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    x = normal(2)
    with pytest.raises(
        GradientError, match=r"output 0 at \(0,\) with respect to input 0 at \(0,\) is 3, but numerically it is 2"
    ):
        autograd.gradcheck(Wrong.apply, x)
    assert not autograd.gradcheck(Wrong.apply, (x,), raise_exception=False)
    assert autograd.gradcheck(lambda a, b: (a @ b, a.sum()), (normal(2, 3), normal(3, 2)))
    assert autograd.gradgradcheck(lambda a, b: (a @ b).sin(), (normal(2, 2), normal(2, 2)))
    z = tf.tensor([1.0 + 2.0j], dtype=tf.complex128, requires_grad=True)
    assert autograd.gradcheck(lambda z: (z * z.conj()).real + z.abs(), z)
    with pytest.raises(DTypeError, match="float64"):
        autograd.gradcheck(tf.sin, tf.ones(2, requires_grad=True))
    with pytest.raises(GradientError, match="nothing to check"):
        autograd.gradcheck(tf.sin, tf.ones(2, dtype=tf.float64))


# -- checkpointing ----------------------------------------------------------------------------------------------


def noisy(x, w):
    return ((x @ w).tanh() * tf.rand(3, dtype=tf.float64)).sin()


@pytest.mark.parametrize("wrap", [lambda f: f, tf.compile], ids=["plain", "compiled"])
def test_a_checkpointed_part_has_the_same_gradients_and_random_numbers(wrap):
    w, x = normal(3, 3), normal(3)

    def step(x, part):
        y = part(lambda x: noisy(x, w), x)
        after = tf.rand(2)
        return (*autograd.grad((y * y).sum(), (x, w)), after)

    results = []
    for part in (lambda f, x: f(x), checkpoint):
        tf.manual_seed(3)
        results.append([r.numpy() for r in wrap(lambda x, part=part: step(x, part))(x)] + [tf.rand(2).numpy()])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_checkpointing_keeps_nothing_and_runs_twice():
    calls = []

    def part(x):
        calls.append(1)
        return x.exp().sin().exp()

    x = normal(3)
    y = checkpoint(part, x)
    y.sum().backward()
    assert len(calls) == 2
    with tf.no_grad():
        checkpoint(part, x)
    assert len(calls) == 3


def test_a_repetition_that_differs_is_an_error():
    calls = []

    def part(x):
        calls.append(1)
        return x.exp() if len(calls) == 1 else x.exp() * x.sin()

    y = checkpoint(part, normal(3))
    with pytest.raises(GradientError, match="must do the same both times"):
        y.sum().backward()
    with pytest.raises(ArgumentError, match="use_reentrant"):
        checkpoint(part, normal(1), use_reentrant=True)


def test_checkpoint_sequential():
    w = normal(3, 3)
    layers = [lambda x: x @ w, tf.tanh, lambda x: x * 2, tf.sin]
    x = normal(3)
    y = checkpoint_sequential(layers, 2, x)
    want = ((x @ w).tanh() * 2).sin()
    np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy())
    for a, b in zip(autograd.grad(y.sum(), (x, w)), autograd.grad(want.sum(), (x, w))):
        np.testing.assert_allclose(a.numpy(), b.numpy())
    with pytest.raises(ArgumentError, match="5 segments"):
        checkpoint_sequential(layers, 5, x)


# -- functional forms and forward mode --------------------------------------------------------------------------


def test_functional_forms_agree_with_each_other():
    a, b, v = (normal(3, grad=False) for _ in range(3))
    fn = lambda x: (x**3).sum()  # noqa: E731
    A = autograd.functional
    np.testing.assert_allclose(A.jacobian(lambda x: x * x, a).numpy(), np.diag(2 * a.numpy()))
    h = A.hessian(fn, a)
    np.testing.assert_allclose(h.numpy(), np.diag(6 * a.numpy()))
    for product in (A.hvp, A.vhp):
        value, found = product(fn, a, v)
        np.testing.assert_allclose(found.numpy(), 6 * a.numpy() * v.numpy())
        np.testing.assert_allclose(value.item(), fn(a).item())
    out, pulled = A.vjp(lambda x, y: x * y, (a, b), v)
    np.testing.assert_allclose(pulled[0].numpy(), (b * v).numpy())
    out, pushed = A.jvp(lambda x, y: x * y, (a, b), (v, v))
    np.testing.assert_allclose(pushed.numpy(), ((a + b) * v).numpy())
    assert out.tolist() == (a * b).tolist()
    blocks = A.hessian(lambda x, y: (x * y * y).sum(), (a, b))
    np.testing.assert_allclose(blocks[0][1].numpy(), np.diag(2 * b.numpy()))
    for strategy in ("reverse-mode", "forward-mode"):
        for vectorize in (True, False):
            both = A.jacobian(lambda x, y: (x * y, x.sum()), (a, b), strategy=strategy, vectorize=vectorize)
            np.testing.assert_allclose(both[0][1].numpy(), np.diag(a.numpy()))
            np.testing.assert_allclose(both[1][0].numpy(), np.ones(3))


def test_functional_results_are_differentiable_on_request():
    x = normal(3)
    j = autograd.functional.jacobian(lambda x: x**3, x, create_graph=True)
    np.testing.assert_allclose(autograd.grad(j.sum(), x)[0].numpy(), 6 * x.detach().numpy())
    assert not autograd.functional.jacobian(lambda x: x**3, x).requires_grad
    with pytest.raises(GradientError, match="left out"):
        autograd.functional.vjp(lambda x: x, x)
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        autograd.functional.vjp(lambda x: x, x, tf.ones(2))
    with pytest.raises(GradientError, match="strategy"):
        autograd.functional.jacobian(lambda x: x, x, strategy="both")


def test_dual_tensors():
    fwd = autograd.forward_ad
    x = normal(3, grad=False)
    with fwd.dual_level():
        y = fwd.make_dual(x, tf.ones_like(x)).sin() * 2
        primal, tangent = fwd.unpack_dual(y)
        assert fwd.unpack_dual(x).tangent is None
    np.testing.assert_allclose(primal.numpy(), 2 * np.sin(x.numpy()))
    np.testing.assert_allclose(tangent.numpy(), 2 * np.cos(x.numpy()))
    with pytest.raises(GradientError, match="no dual level"):
        fwd.make_dual(x, x)


def test_grad_of_a_batch_of_vectors_is_the_jacobian():
    x, unused = tf.tensor([1.0, 2.0, 3.0], requires_grad=True), tf.ones(2, requires_grad=True)
    rows, nothing = tf.autograd.grad(x**2, (x, unused), tf.eye(3), is_grads_batched=True, allow_unused=True)
    assert rows.tolist() == [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]]
    assert nothing is None
    with pytest.raises(ArgumentError, match="only_inputs=False"):
        tf.autograd.grad(x.sum(), x, only_inputs=False)


def test_the_hook_of_a_leaf_sees_the_whole_gradient():
    w, seen = tf.tensor([1.0, 2.0], requires_grad=True), []
    w.register_hook(lambda g: seen.append(g.tolist()) or g.clamp(max=4.0))
    ((w * 2.0).sum() + (w * 3.0).sum()).backward()
    assert (seen, w.grad.tolist()) == ([[5.0, 5.0]], [4.0, 4.0])
    assert tf.autograd.grad((w * 2.0 + w * 3.0).sum(), w)[0].tolist() == [4.0, 4.0]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_hook_after_accumulation_can_step_at_once(compiled):
    layer = tf.nn.Linear(2, 2)
    with tf.no_grad():
        layer.weight.copy_(tf.tensor([[1.0, 2.0], [3.0, 4.0]]))
        layer.bias.zero_()

    def step_of(p):
        p.data.add_(p.grad, alpha=-0.5)
        p.grad = None

    handles = [p.register_post_accumulate_grad_hook(step_of) for p in layer.parameters()]
    run = (
        tf.compile(lambda x: layer(layer(x)).sum().backward())
        if compiled
        else lambda x: layer(layer(x)).sum().backward()
    )
    run(tf.tensor([[1.0, -1.0]]))
    assert layer.weight.grad is None
    assert layer.weight.tolist() == [[-0.5, 4.5], [0.5, 7.5]]
    assert layer.bias.tolist() == [-2.5, -3.5]
    for handle in handles:
        handle.remove()
    layer(tf.ones(1, 2)).sum().backward()
    assert layer.bias.grad.tolist() == [1.0, 1.0]


def test_only_leaves_accumulate():
    with pytest.raises(GradientError, match="only a leaf"):
        (tf.ones(2, requires_grad=True) * 2.0).register_post_accumulate_grad_hook(print)
