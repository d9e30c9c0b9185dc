"""vmap: axes, structures, random numbers, in-place updates, and its refusals."""

import numpy as np
import pytest

import twinflow as tf
from twinflow import func as F
from twinflow.core.errors import ArgumentError, GradientError, IndexOutOfRange, ShapeError

RNG = np.random.default_rng(0)


def normal(*shape):
    return tf.tensor(RNG.normal(size=shape))


@pytest.mark.parametrize("in_dim", [0, 1, -1])
@pytest.mark.parametrize("out_dim", [0, 1, -1])
def test_axes_of_arguments_and_results(in_dim, out_dim):
    x = normal(4, 4)
    got = F.vmap(lambda r: r.cumsum(0) * r.sum(), in_dims=in_dim, out_dims=out_dim)(x)
    rows = np.moveaxis(x.numpy(), in_dim, 0)
    want = np.stack([np.cumsum(r) * r.sum() for r in rows])
    np.testing.assert_allclose(got.numpy(), np.moveaxis(want, 0, out_dim))


def test_structures_and_shared_arguments():
    data = {"a": normal(5, 3), "b": normal(3, 5)}
    shared = normal(3)

    def fn(d, s, k):
        return (d["a"] * s + d["b"], [s * k])

    y, [z] = F.vmap(fn, in_dims=({"a": 0, "b": 1}, None, None), out_dims=(0, None))(data, shared, 2)
    np.testing.assert_allclose(y.numpy(), data["a"].numpy() * shared.numpy() + data["b"].numpy().T)
    np.testing.assert_allclose(z.numpy(), 2 * shared.numpy())


def test_results_without_the_mapped_axis_are_repeated_and_nesting_works():
    assert F.vmap(lambda x: tf.ones(2))(tf.zeros(3)).shape == (3, 2)
    a, b = normal(3), normal(4)
    outer = F.vmap(F.vmap(lambda x, y: x * y, in_dims=(None, 0)), in_dims=(0, None))(a, b)
    np.testing.assert_allclose(outer.numpy(), np.outer(a.numpy(), b.numpy()))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_chunks_give_the_same(chunk):
    x, y = normal(7, 3), normal(3, 7)
    fn = lambda a, b: (a @ b, a + b)  # noqa: E731
    whole = F.vmap(fn, in_dims=(0, 1), out_dims=(0, 1))(x, y)
    parts = F.vmap(fn, in_dims=(0, 1), out_dims=(0, 1), chunk_size=chunk)(x, y)
    for a, b in zip(whole, parts):
        np.testing.assert_allclose(a.numpy(), b.numpy())


def test_in_place_updates_inside():
    def fn(x):
        y = tf.zeros_like(x)
        y[0] = x[1] * 2
        y[1:].add_(x[1:])
        y.mul_(3)
        z = x.new_zeros(2)
        z.fill_(1)
        z += y[:2]
        return y, z

    xs = normal(4, 3)
    for run in (F.vmap(fn), tf.compile(F.vmap(fn)), F.vmap(tf.compile(fn))):
        ys, zs = run(xs)
        for x, y, z in zip(xs, ys, zs):
            wy, wz = fn(x.clone())
            np.testing.assert_allclose(y.numpy(), wy.numpy())
            np.testing.assert_allclose(z.numpy(), wz.numpy())


def test_writing_a_mapped_value_into_a_shared_tensor_is_refused():
    shared = tf.zeros(3)

    def fn(x):
        shared.add_(x)
        return x

    with pytest.raises(GradientError, match="zeros_like"):
        F.vmap(fn)(tf.ones(2, 3))
    assert shared.tolist() == [0, 0, 0]


@pytest.mark.parametrize("wrap", [lambda f: f, tf.compile], ids=["plain", "compiled"])
def test_random_numbers(wrap):
    x = tf.zeros(3)
    with pytest.raises(GradientError, match="randomness='different'"):
        wrap(F.vmap(lambda v: v + tf.rand(2)))(x)
    same = wrap(F.vmap(lambda v: v + tf.rand(2), randomness="same"))(x).numpy()
    assert np.all(same == same[0])
    different = wrap(F.vmap(F.vmap(lambda v: v + tf.rand(2), randomness="different"), randomness="different"))(
        tf.zeros(3, 4)
    )
    assert len(np.unique(different.numpy())) == 24


def test_indexing_with_mapped_indices():
    table, index = normal(6, 2), tf.tensor([[0, 5], [3, 3], [2, 1]])
    np.testing.assert_allclose(F.vmap(lambda i: table[i])(index).numpy(), table.numpy()[index.numpy()])
    tables = normal(3, 6, 2)
    got = F.vmap(lambda t, i: t[i])(tables, index)
    np.testing.assert_allclose(got.numpy(), np.stack([t[i] for t, i in zip(tables.numpy(), index.numpy())]))


def test_errors():
    x = tf.zeros(2, 3)
    with pytest.raises(ShapeError, match=r"\[2, 3\]"):
        F.vmap(lambda a, b: a)(x, tf.zeros(3))
    with pytest.raises(IndexOutOfRange, match="in_dims 2"):
        F.vmap(lambda a: a, in_dims=2)(x)
    with pytest.raises(IndexOutOfRange, match="out_dims 3"):
        F.vmap(lambda a: a, out_dims=3)(x)
    with pytest.raises(ArgumentError, match="no argument is mapped"):
        F.vmap(lambda a: a, in_dims=None)(x)
    with pytest.raises(ArgumentError, match="does not fit"):
        F.vmap(lambda a: a, in_dims=(0, 0))(x)
    with pytest.raises(ArgumentError, match="type int is not a tensor"):
        F.vmap(lambda a, b: a)(x, 3)
    with pytest.raises(ArgumentError, match="holds int"):
        F.vmap(lambda a: 3)(x)
    with pytest.raises(ArgumentError, match="differs from example to example"):
        F.vmap(lambda a: a, out_dims=None)(x)
    with pytest.raises(ArgumentError, match="randomness"):
        F.vmap(lambda a: a, randomness="often")
    with pytest.raises(ArgumentError, match="chunk_size"):
        F.vmap(lambda a: a, chunk_size=0)
