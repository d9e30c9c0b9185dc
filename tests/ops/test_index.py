"""x[...] for reading and writing against NumPy, on random shapes and indices; views, versions and gradients of writes."""

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twinflow as tf
from twinflow.core.errors import ArgumentError, DTypeError, GradientError, IndexOutOfRange, ShapeError


@st.composite
def indexed(draw, *, advanced):
    """(shape, index) that NumPy accepts and that means the same in PyTorch."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    entries, tensors = [], []
    lead = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
    for n in shape[: draw(st.integers(0, len(shape)))]:
        kind = draw(st.sampled_from(["slice", "int", "tensor", "mask"] if advanced else ["slice", "int"]))
        if kind == "int":
            entries.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            bound = st.none() | st.integers(-n - 1, n + 1)
            step = draw(st.none() | st.integers(1, 3))
            entries.append(slice(draw(bound), draw(bound), step))
        elif kind == "mask" and not tensors:
            mask = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
            tensors.append(mask)
            entries.append(mask)
        else:
            size = lead if not any(t.dtype.kind == "b" for t in tensors) else (1,)
            flat = draw(st.lists(st.integers(-n, n - 1), min_size=int(np.prod(size)), max_size=int(np.prod(size))))
            index = np.array(flat).reshape(size)
            tensors.append(index)
            entries.append(index)
    if draw(st.booleans()):
        entries.insert(draw(st.integers(0, len(entries))), None)
    if draw(st.booleans()):
        entries.append(Ellipsis)
    return shape, tuple(entries)


def as_tensors(index):
    return tuple(tf.tensor(e) if isinstance(e, np.ndarray) else e for e in index)


def mixed(index):
    """Integers beside index tensors: NumPy counts them as index arrays when it places the result's axes, as PyTorch does."""
    return any(isinstance(e, np.ndarray) for e in index) and any(isinstance(e, int) for e in index)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(indexed(advanced=True))
def test_reading_equals_numpy(case):
    shape, index = case
    a = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    want = a[index]
    have = tf.tensor(a)[as_tensors(index)]
    if not mixed(index):
        assert tuple(have.shape) == want.shape
        np.testing.assert_array_equal(have.numpy(), want)
    else:
        np.testing.assert_array_equal(np.sort(have.numpy().reshape(-1)), np.sort(want.reshape(-1)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(indexed(advanced=False), st.integers(0, 2**20))
def test_basic_indexing_gives_views(case, seed):
    shape, index = case
    a = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    x = tf.tensor(a)
    part, want = x[index], a[index]
    if want.size:
        assert np.shares_memory(part.numpy(), x.numpy())
    part.fill_(seed)
    a[index] = seed
    np.testing.assert_array_equal(x.numpy(), a)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(indexed(advanced=True), st.sampled_from(["eager", "traced", "recorded"]))
def test_writing_equals_numpy(case, how):
    shape, index = case
    a = np.zeros(shape)
    x = tf.tensor(a)
    if mixed(index) or (how == "traced" and any(isinstance(e, np.ndarray) and e.dtype.kind == "b" for e in index)):
        return
    a[index] = 3.0
    if how == "eager":
        x[as_tensors(index)] = 3.0
    elif how == "traced":

        def write(y):
            y[as_tensors(index)] = 3.0

        tf.compile(write)(x)
    else:
        leaf = x.requires_grad_()
        x = leaf * 1.0
        x[as_tensors(index)] = 3.0
        (x.sum() + leaf.sum()).backward()
        np.testing.assert_array_equal(leaf.grad.numpy(), 2.0 - (a == 3.0))
    np.testing.assert_array_equal(x.detach().numpy(), a)


def test_the_gradient_of_a_write_goes_to_what_was_written_and_to_what_was_left():
    x = tf.zeros(3, 4, dtype=tf.float64, requires_grad=True)
    v = tf.ones(2, 4, dtype=tf.float64, requires_grad=True)
    y = x * 1.0
    y[tf.tensor([2, 0])] = v
    weights = tf.arange(12.0).double().reshape(3, 4)
    (y * weights).sum().backward()
    assert v.grad.tolist() == weights[[2, 0]].tolist()
    assert x.grad.tolist() == (weights * tf.tensor([[0.0], [1.0], [0.0]])).tolist()


@pytest.mark.parametrize(
    ("index", "error", "says"),
    [
        (5, IndexOutOfRange, "outside"),
        ((0, 0, 0), IndexOutOfRange, "3 indices"),
        ((..., ...), ArgumentError, "only one"),
        (slice(None, None, 0), ArgumentError, "must not be 0"),
        (1.5, ArgumentError, "whole number"),
        (tf.tensor([0.5]), IndexOutOfRange, "integers or bools"),
        (tf.tensor([0, 1, 0], dtype=tf.uint8), DTypeError, r"\.bool\(\) or \.long\(\)"),
        (tf.tensor([3]), IndexOutOfRange, "outside"),
        (tf.tensor([True, False]), IndexOutOfRange, "mask of shape"),
        ((tf.tensor([0, 1]), tf.tensor([0, 1, 2])), ShapeError, "do not broadcast"),
    ],
)
def test_wrong_indices_say_what_is_wrong(index, error, says):
    with pytest.raises(error, match=says):
        tf.zeros(3, 4)[index]


def test_masks_are_bool():
    x, numbers = tf.zeros(3), tf.tensor([0.0, 1.0, 1.0])
    for name, call in {
        "where: the condition": lambda m: tf.where(m, x, 1.0),
        "masked_fill: the mask": lambda m: x.masked_fill(m, 1.0),
        "masked_select: the mask": lambda m: x.masked_select(m),
        "masked_scatter: the mask": lambda m: x.masked_scatter(m, x),
    }.items():
        for mask in (numbers, numbers.long(), numbers.to(tf.uint8)):
            with pytest.raises(DTypeError, match=f"{name} is a bool tensor, not {mask.dtype.name}"):
                call(mask)
        call(numbers != 0)


def test_versions_count_writes_through_all_views():
    x = tf.zeros(2, 3)
    row, column = x[0], x[:, 1]
    before = x._version
    row.add_(1)
    column.mul_(2)
    x.zero_()
    assert x._version == row._version == column._version == before + 3
    assert x.detach()._version == x._version


def test_a_saved_value_that_was_overwritten_is_an_error_that_names_the_operation():
    x = tf.ones(3, requires_grad=True)
    y = x * 2
    z = y * y
    y[0] = 5.0
    with pytest.raises(GradientError, match="overwritten in place"):
        z.sum().backward()


def test_an_operation_in_place_keeps_what_its_own_derivative_needs():
    x = tf.tensor([1.0, 4.0], requires_grad=True)
    y = x * 1.0
    y.log_().pow_(2)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.log([1.0, 4.0]) / [1.0, 4.0], rtol=1e-6)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.T, lambda x: x.reshape(-1), lambda x: x[1:], lambda x: x.unsqueeze(0), lambda x: x.flatten(), lambda x: x.diagonal(),
        lambda x: x.expand(2, 3, 3)[0], lambda x: x.narrow(1, 1, 2), lambda x: x.select(0, 1), lambda x: x.movedim(0, 1), lambda x: x.unbind(1)[0],
        lambda x: x.split(2)[0], lambda x: x.view(9), lambda x: x.detach(), lambda x: x.mT, lambda x: x.chunk(2)[1], lambda x: x.squeeze(),
    ],
)  # fmt: skip
def test_views_share_memory(view):
    x = tf.arange(9.0).reshape(3, 3).clone()
    assert np.shares_memory(view(x).numpy(), x.numpy())


def test_writing_where_elements_share_a_place_is_an_error():
    with pytest.raises(ShapeError, match="clone"):
        tf.zeros(3).expand(2, 3).add_(1)
    with pytest.raises(ShapeError, match="reshape"):
        tf.zeros(2, 3).T.view(6)


def _assign_under_masks(x, pairs, rows, columns):
    x[pairs] = 0.0
    x[rows] = tf.arange(4.0)
    x[:, columns] = -1.0
    x[..., columns] = tf.tensor([[1.0], [2.0], [3.0]])
    x[1, columns] = 7.0
    x[x > 4] = -x.sum()
    part = x[1:]
    part[part < 0] = 3.0
    return x


def test_a_mask_can_be_assigned_under_while_a_function_is_traced():
    rng = np.random.default_rng(0)
    masks = [tf.tensor(rng.random(shape) > 0.5) for shape in ((3, 4), 3, 4)]
    x = tf.tensor(rng.standard_normal((3, 4)))
    want = _assign_under_masks(x.clone(), *masks)
    np.testing.assert_allclose(tf.compile(_assign_under_masks)(x.clone(), *masks).numpy(), want.numpy())


def test_the_gradient_of_what_a_mask_overwrote_is_zero():
    def gradient(w):
        y = w * 2.0
        y[y > 0] = 1.5
        return tf.autograd.grad((y * y).sum(), w)[0]

    w = tf.tensor([-1.0, 2.0, -3.0], requires_grad=True)
    assert gradient(w).tolist() == tf.compile(gradient)(w).tolist() == [-8.0, 0.0, -24.0]


def test_ranges_and_other_sequences_are_indices_and_data():
    x = tf.arange(12.0).reshape(3, 4)
    assert x[range(3), [0, 1, 2]].tolist() == [0.0, 5.0, 10.0]
    assert x[:, (1, 3)].tolist() == [[1.0, 3.0], [5.0, 7.0], [9.0, 11.0]]
    assert tf.tensor(collections.deque([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert tf.tensor([range(2), (3, 4)]).tolist() == [[0, 1], [3, 4]]
