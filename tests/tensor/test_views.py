"""Views share memory, versions and the tape with what they look at, eagerly and in a traced function."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import GradientError, IndexOutOfRange, ShapeError

VIEWS = {
    "reshape": lambda t: t.reshape(3, 2),
    "infer": lambda t: t.reshape(-1),
    "view": lambda t: t.view(6),
    "permute": lambda t: t.permute(1, 0),
    "transpose": lambda t: t.transpose(0, -1),
    "t": lambda t: t.t(),
    "T": lambda t: t.T,
    "unsqueeze": lambda t: t.unsqueeze(1),
    "flatten": lambda t: t.flatten(),
    "integer": lambda t: t[1],
    "slice": lambda t: t[:, 1:],
    "step": lambda t: t[:, ::2],
    "element": lambda t: t[1, -1],
    "new axis": lambda t: t[None, ..., 0],
    "chain": lambda t: t.T[1:].reshape(2, 2)[0],
}


@pytest.fixture
def data():
    return np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_looks_at_the_same_memory(name, data):
    base = tf.tensor(data)
    v = VIEWS[name](base)
    base.add_(10.0)
    np.testing.assert_array_equal(v.numpy(), VIEWS[name](tf.tensor(data + 10)).numpy())
    if name != "chain":  # reshaping a transpose copies
        assert v._base is base
        v.zero_()
        assert (base == 0).sum().item() == v.numel()


@pytest.mark.parametrize("name", VIEWS)
def test_gradients_flow_through_views(name, data):
    x = tf.tensor(data, requires_grad=True)
    y = VIEWS[name](x * 1.0)
    (y * y).sum().backward()
    mask = VIEWS[name](tf.arange(6).reshape(2, 3)).numpy().ravel()
    want = np.zeros(6, np.float32)
    want[mask] = 2 * data.ravel()[mask]
    np.testing.assert_array_equal(x.grad.numpy().ravel(), want)


@pytest.mark.parametrize("name", [n for n in VIEWS if n != "chain"])
def test_writing_through_a_view_moves_the_tape_of_its_base(name, data):
    x = tf.tensor(data, requires_grad=True)

    def loss(x):
        base = x * 1.0
        v = VIEWS[name](base)
        v.mul_(3.0)
        return (base * base).sum()

    loss(x).backward()
    index = VIEWS[name](tf.arange(6).reshape(2, 3)).numpy().ravel()
    want = 2 * data.ravel()
    want[index] *= 9
    np.testing.assert_array_equal(x.grad.numpy().ravel(), want)
    x.grad = None
    step = tf.compile(lambda x: tf.autodiff.grad(loss(x), [x])[0])
    np.testing.assert_array_equal(step(x).numpy().ravel(), want)


def test_a_view_made_before_its_base_is_written_follows_it():
    w = tf.tensor([2.0, 3.0], requires_grad=True)
    base = tf.ones(2)
    v = base[0:1]
    assert not v.requires_grad
    base.mul_(w)
    assert v.requires_grad
    (v * 5).sum().backward()
    assert w.grad.tolist() == [5.0, 0.0]


def test_versions_are_shared_between_a_base_and_its_views(data):
    x = tf.tensor(data, requires_grad=True)
    base = x * 1.0
    part = base[0]
    y = base * base
    part.add_(1.0)
    assert base._version == part._version == 1
    with pytest.raises(GradientError, match="overwritten in place"):
        y.sum().backward()


def test_a_kept_view_notices_that_its_base_was_written(data):
    w = tf.ones(3, requires_grad=True)
    base = tf.tensor(data)
    y = base[1] * w
    base.zero_()
    with pytest.raises(GradientError, match="overwritten in place"):
        y.sum().backward()


def test_a_view_of_a_leaf_cannot_be_written_while_gradients_are_recorded(data):
    x = tf.tensor(data, requires_grad=True)
    with pytest.raises(GradientError, match="view of a leaf"):
        x[0].zero_()
    with tf.no_grad():
        x[0].zero_()
    assert x.tolist()[0] == [0.0, 0.0, 0.0]


def test_a_traced_function_writes_through_a_view_made_before_it(data):
    base = tf.tensor(data)
    row = base[1]

    @tf.compile
    def step():
        row.add_(1.0)
        return base.sum()

    assert step().item() == 18.0
    assert step().item() == 21.0
    assert row.tolist() == [5.0, 6.0, 7.0]
    assert base.tolist() == [[0.0, 1.0, 2.0], [5.0, 6.0, 7.0]]


def test_reshape_copies_where_memory_does_not_allow_a_view(data):
    base = tf.tensor(data)
    y = base.T.reshape(6)
    base.zero_()
    assert y.tolist() == [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    with pytest.raises(ShapeError, match="use reshape"):
        base.T.view(6)


def test_expanded_tensors_are_read_only():
    y = tf.ones(1).expand(3)
    with pytest.raises(ShapeError, match="read-only"):
        y.add_(1.0)
    assert y.sum().item() == 3.0


@pytest.mark.parametrize("shape", [(4, 2), (-2, 3), (-1, -1), (4, -1)])
def test_impossible_shapes_are_errors(shape, data):
    with pytest.raises(ShapeError, match="reshape"):
        tf.tensor(data).reshape(*shape)


def test_indices_outside_are_errors(data):
    x = tf.tensor(data)
    for index in (2, -3, (0, 3), (0, 0, 0)):
        with pytest.raises(IndexOutOfRange):
            x[index]


def test_an_integer_bool_and_a_scalar_array_are_not_basic_indices(data):
    x = tf.tensor(data)
    assert x[True].shape == (1, 2, 3)
    assert x[np.int64(1)].tolist() == [3.0, 4.0, 5.0]
    assert x[tf.tensor(1)].tolist() == [3.0, 4.0, 5.0]


def leaf():
    return tf.arange(6.0).reshape(2, 3).clone().requires_grad_()


@pytest.mark.parametrize("asked", [False, True])
def test_a_view_follows_a_base_that_a_recorded_value_was_written_to(asked):
    t = tf.zeros(3)
    v = t[:2]
    if asked:  # the view's Meta is made then, while the base does not require gradients
        assert v._version == 0
    w = tf.ones(3, requires_grad=True)
    t.add_(w)
    assert v.requires_grad
    (v * 2).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [2, 2, 0])


def test_a_view_follows_a_base_that_was_written_with_constants():
    x = leaf()
    h = x * 2
    v = h[0]
    h.zero_()
    ((v * 3).sum() + x.sum()).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones((2, 3)))


def test_asking_a_view_for_its_place_without_recording_does_not_lose_it():
    x = leaf()
    h = x * 1
    v = h[0]
    h.mul_(2.0)
    with tf.no_grad():
        assert v.grad_fn is not None
    (v * 3).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[6, 6, 6], [0, 0, 0]])


@pytest.mark.parametrize(
    "view", [lambda t: t[0], lambda t: t.reshape(-1), lambda t: t.T], ids=["index", "reshape", "T"]
)
def test_a_view_made_without_recording_carries_no_gradient(view):
    h = leaf() * 1
    with tf.no_grad():
        v = view(h)
    assert not (v * 2).requires_grad
    t = tf.zeros(2, 3)
    v = view(t)
    t.requires_grad_()
    assert not (v * 2).requires_grad


def test_writes_to_detached_memory_count_for_a_tensor_nothing_was_known_of():
    t = tf.zeros(3)
    d = t.detach()
    w = tf.ones(3, requires_grad=True)
    y = (t * w).sum()
    d.add_(1.0)
    with pytest.raises(GradientError, match="mul needs operand 0"):
        y.backward()


def test_a_retained_gradient_is_that_of_the_value_after_a_write():
    h = leaf() * 1
    h.retain_grad()
    h.mul_(2.0)
    (h * 3).sum().backward()
    np.testing.assert_array_equal(h.grad.numpy(), np.full((2, 3), 3))


def test_several_views_of_a_view_that_was_written_in_place():
    x = tf.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    w = (x * 2.0)[:, :2]
    w /= w.sum(-1, keepdim=True)
    (w[0] * w[1]).sum().backward()
    numerical = np.zeros((2, 2))
    eps = 1e-6

    def value(rows):
        a = np.array(rows)[:, :2] * 2.0
        a = a / a.sum(-1, keepdims=True)
        return (a[0] * a[1]).sum()

    for i in range(2):
        for j in range(2):
            step = np.zeros((2, 3))
            step[i, j] = eps
            at = np.array(x.tolist())
            numerical[i, j] = (value(at + step) - value(at - step)) / (2 * eps)
    np.testing.assert_allclose(x.grad[:, :2].numpy(), numerical, atol=1e-5)


@pytest.mark.parametrize("first", [lambda x: tf.topk(x, 2)[0], lambda x: tf.sort(x)[0][:, :2]])
def test_sorted_values_may_be_written_in_place(first):
    def gradient(in_place):
        x = tf.tensor([[1.0, 3.0, 2.0], [6.0, 5.0, 4.0]], requires_grad=True)
        w = first(x)
        if in_place:
            w /= w.sum(-1, keepdim=True)
        else:
            w = w / w.sum(-1, keepdim=True)
        (w * tf.tensor([1.0, -2.0])).sum().backward()
        return x.grad.tolist()

    assert gradient(True) == gradient(False)
