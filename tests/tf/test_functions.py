"""Functions by TensorFlow's names, against NumPy and against TensorFlow 2.21's own numbers."""

import numpy as np
import pytest

from twinflow import tf
from twinflow.core.errors import ArgumentError, ShapeError

A = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], np.float32)


def same(got, want, **options):
    np.testing.assert_allclose(
        np.asarray(got.numpy() if hasattr(got, "numpy") else got), want, rtol=1e-5, atol=1e-6, **options
    )


def test_reductions():
    for name, fn in (
        ("sum", np.sum),
        ("mean", np.mean),
        ("max", np.max),
        ("min", np.min),
        ("prod", np.prod),
        ("std", np.std),
        ("variance", np.var),
    ):
        reduce = getattr(tf.math, f"reduce_{name}")
        same(reduce(A), fn(A))
        same(reduce(A, axis=1), fn(A, axis=1))
        same(reduce(A, axis=[0, 1], keepdims=True, name="r"), fn(A, axis=(0, 1), keepdims=True))
    same(tf.reduce_logsumexp(A, axis=-1), np.log(np.exp(A).sum(-1)))
    same(tf.reduce_any(A > 3.5, axis=1), [False, True])
    same(tf.reduce_sum(tf.constant(3.0)), 3)


def test_elementwise_functions_take_arrays_and_numbers():
    same(tf.maximum(A, 0.0), np.maximum(A, 0))
    same(tf.add(1.0, A), A + 1)
    same(tf.math.divide_no_nan(A, [[1.0, 0.0, 2.0]] * 2), np.where([[1, 0, 1]] * 2, A / [[1, 1, 2]], 0))
    same(tf.pow(2.0, A), 2**A)
    same(tf.math.squared_difference(A, 1.0), (A - 1) ** 2)
    same(tf.math.cumsum(A, axis=1, exclusive=True), [[0, 1, -1], [0, 0.5, 4.5]])
    same(tf.math.cumsum(A, axis=1, reverse=True), A[:, ::-1].cumsum(1)[:, ::-1])
    same(tf.argmax(A, axis=1), [2, 1])
    same(tf.clip_by_norm(tf.constant([3.0, 4.0]), 1.0), [0.6, 0.8])
    parts, norm = tf.clip_by_global_norm([tf.constant([3.0]), None, tf.constant([4.0])], 2.5)
    same(norm, 5)
    same(parts[2], [2])
    assert parts[1] is None


def test_constants_have_tensorflows_types():
    assert tf.constant([1, 2]).dtype is tf.int32 and tf.constant(1.0).dtype is tf.float32
    assert tf.constant(np.arange(2)).dtype is tf.int64 and tf.range(3).dtype is tf.int32
    same(tf.constant(2.0, shape=[2, 2]), np.full((2, 2), 2))
    same(tf.fill([2, 3], 7), np.full((2, 3), 7))


def test_shaping_and_choosing():
    same(tf.one_hot([1, 0, 5], 3), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    same(tf.one_hot([1], 2, on_value=5.0, off_value=-1.0, axis=0), [[-1], [5]])
    same(tf.gather(A, [2, 0], axis=1), A[:, [2, 0]])
    same(tf.gather(A, [[0, 1], [2, 2]], axis=1, batch_dims=1), [[1, -2], [-1, -1]])
    same(tf.gather_nd(A, [[0, 1], [1, 2]]), [-2, -1])
    same(tf.scatter_nd([[1], [3], [1]], [1.0, 2.0, 3.0], [4]), [0, 4, 0, 2])
    same(tf.tensor_scatter_nd_update(tf.zeros([3]), [[1]], [9.0]), [0, 9, 0])
    same(tf.where(A > 0, A, 0.0), np.where(A > 0, A, 0))
    same(tf.where(tf.constant([True, False, True])), [[0], [2]])
    same(tf.transpose(A), A.T)
    same(tf.pad(A, [[1, 0], [0, 2]]), np.pad(A, [[1, 0], [0, 2]]))
    for mode in ("REFLECT", "SYMMETRIC"):
        same(tf.pad(A, [[1, 1], [2, 1]], mode), np.pad(A, [[1, 1], [2, 1]], mode.lower()))
    first, second = tf.split(A, [1, -1], axis=1)
    same(first, A[:, :1])
    same(second, A[:, 1:])
    same(tf.stack(tf.unstack(A, axis=1), axis=1), A)
    same(tf.tile(A, [2, 1]), np.tile(A, (2, 1)))
    same(tf.sequence_mask([1, 3], 3), [[1, 0, 0], [1, 1, 1]])
    same(tf.slice(A, [0, 1], [-1, 2]), A[:, 1:])
    same(tf.reverse(A, [1]), A[:, ::-1])
    same(tf.sort(A, direction="DESCENDING"), -np.sort(-A))
    same(tf.shape(A), [2, 3])
    assert tf.expand_dims(A, 0).shape == (1, 2, 3) and tf.squeeze(tf.expand_dims(A, 0)).shape == (2, 3)
    same(tf.foldl(lambda a, x: a + x, tf.constant([1.0, 2.0, 3.0])), 6)
    same(tf.scan(lambda a, x: a + x, tf.constant([1.0, 2.0, 3.0])), [1, 3, 6])
    same(tf.map_fn(lambda x: x * x, tf.constant([1.0, 2.0])), [1, 4])


def test_mistakes_in_shaping_are_named():
    with pytest.raises(ShapeError, match="does not divide into 2 equal pieces"):
        tf.split(A, 2, axis=1)
    with pytest.raises(ShapeError, match=r"axis 0 of \(2, 3\) has the extent 2, not 1"):
        tf.squeeze(A, axis=0)
    with pytest.raises(ArgumentError, match="both x and y, or neither"):
        tf.where(A > 0, A)
    with pytest.raises(ShapeError, match="needs more than its 2 elements"):
        tf.pad(A, [[2, 0], [0, 0]], "REFLECT")
    with pytest.raises(ArgumentError, match="has 3 slices, not 2"):
        tf.unstack(A, 2, axis=1)
    with pytest.raises(ShapeError, match=r"tf\.ensure_shape: the shape is \(2, 3\)"):
        tf.ensure_shape(A, [None, 4])


def test_neural_network_functions():
    same(tf.nn.softmax(A), np.exp(A) / np.exp(A).sum(1, keepdims=True))
    labels = np.eye(3, dtype=np.float32)[[2, 0]]
    dense = tf.nn.softmax_cross_entropy_with_logits(labels, A)
    same(dense, -(labels * np.log(np.exp(A) / np.exp(A).sum(1, keepdims=True))).sum(1))
    same(tf.nn.sparse_softmax_cross_entropy_with_logits([2, 0], A), dense.numpy())
    same(tf.nn.sigmoid_cross_entropy_with_logits([0.0, 1.0], [2.0, -1.0]), [2.126928, 1.3132617])
    values, places = tf.nn.top_k(A, 2)
    same(values, [[3, 1], [4, 0.5]])
    same(places, [[2, 0], [1, 0]])
    mean, variance = tf.nn.moments(A, axes=[0])
    same(mean, A.mean(0))
    same(variance, A.var(0))
    same(tf.nn.l2_normalize(A, axis=1), A / np.linalg.norm(A, axis=1, keepdims=True))
    same(tf.nn.embedding_lookup(A, [[1, 0]]), A[[[1, 0]]])
    kept = tf.nn.dropout(tf.ones([1000]), rate=0.25).numpy()
    assert set(np.unique(kept)) == {0, np.float32(1 / 0.75)} and abs(kept.mean() - 1) < 0.1


def test_convolution_and_pooling_in_tensorflows_layout():
    """Numbers by TensorFlow 2.21: images 0, 1, 2, ... and filters of halves."""
    x = np.arange(50, dtype=np.float32).reshape(1, 5, 5, 2)
    w = np.full((3, 3, 2, 1), 0.5, np.float32)
    valid = tf.nn.conv2d(x, w, strides=1, padding="VALID")
    same(valid[0, :, :, 0], [[(x[0, i : i + 3, j : j + 3] * 0.5).sum() for j in range(3)] for i in range(3)])
    assert tf.nn.conv2d(x, w, strides=[1, 2, 2, 1], padding="SAME").shape == (1, 3, 3, 1)
    same(tf.nn.max_pool(x, 2, 2, "VALID")[0, 0, 0], [12, 13])
    same(tf.nn.avg_pool(x, 2, 2, "SAME")[0, 2, 2], [48, 49])
    same(tf.nn.bias_add(x, [1.0, 2.0]), x + np.array([1, 2]))
    with pytest.raises(ShapeError, match=r"has 2 channels, but the filters .* read 3"):
        tf.nn.conv2d(x, np.zeros((3, 3, 3, 1), np.float32))
    with pytest.raises(ArgumentError, match="padding is 'SAME' or 'VALID'"):
        tf.nn.conv2d(x, w, padding="full")


def test_linear_algebra():
    m = np.array([[4.0, 1.0], [1.0, 3.0]], np.float32)
    same(tf.linalg.inv(m) @ tf.constant(m), np.eye(2))
    same(tf.linalg.det(m), 11)
    same(tf.linalg.solve(m, [[1.0], [2.0]]), np.linalg.solve(m, [[1], [2]]))
    s, u, v = tf.linalg.svd(A)
    same(u.numpy() * s.numpy() @ v.numpy().T, A)
    values, _ = tf.linalg.eigh(m)
    same(values, np.linalg.eigvalsh(m))
    same(tf.linalg.norm(A), np.linalg.norm(A))
    same(tf.linalg.band_part(tf.ones([3, 3]), 0, 1), np.triu(np.tril(np.ones((3, 3)), 1)))
    same(tf.linalg.matvec(m, [1.0, 2.0]), m @ [1, 2])
    same(tf.linalg.trace(m), 7)
    same(tf.linalg.logdet(m), np.log(11))


def test_random_numbers():
    tf.random.set_seed(1)
    a = tf.random.normal([100])
    tf.random.set_seed(1)
    same(tf.random.normal([100]), a.numpy())
    same(tf.random.stateless_uniform([4], seed=[1, 2]), tf.random.stateless_uniform([4], seed=[1, 2]).numpy())
    whole = tf.random.uniform([200], 2, 5, tf.int32)
    assert set(np.unique(whole.numpy())) == {2, 3, 4}
    assert abs(tf.random.truncated_normal([1000]).numpy()).max() <= 2
    drawn = tf.random.categorical([[0.0, 100.0]], 5)
    same(drawn, [[1] * 5])
    same(np.sort(tf.random.shuffle(tf.range(5)).numpy()), np.arange(5))
    with pytest.raises(ArgumentError, match="whole numbers need maxval"):
        tf.random.uniform([2], dtype=tf.int32)


def test_segments_and_further_functions():
    ids = [0, 1, 0]
    data = np.array([[1.0, 5.0], [2.0, 2.0], [3.0, -1.0]], np.float32)
    same(tf.math.unsorted_segment_sum(data, ids, 2), [[4, 4], [2, 2]])
    same(tf.math.unsorted_segment_max(data, ids, 2), [[3, 5], [2, 2]])
    same(tf.math.unsorted_segment_mean(data, ids, 3), [[2, 2], [2, 2], [0, 0]])
    same(tf.math.segment_prod(data, [0, 0, 1]), [[2, 10], [3, -1]])
    same(tf.math.cumulative_logsumexp(tf.constant([0.0, 1.0, 2.0])), np.log(np.cumsum(np.exp([0, 1, 2]))))
    same(tf.math.invert_permutation([2, 0, 1]), [1, 2, 0])
    same(tf.math.reciprocal_no_nan([0.0, 4.0]), [0, 0.25])
    assert bool(tf.math.is_non_decreasing([1, 1, 2])) and not bool(tf.math.is_strictly_increasing([1, 1, 2]))
    values, places = tf.unique([5, 3, 5, 9])
    same(values, [5, 3, 9])
    same(places, [0, 1, 0, 2])
    same(tf.saturate_cast([300.0, -5.0], tf.uint8), [255, 0])
    same(tf.foldr(lambda a, x: a * 10 + x, tf.constant([1.0, 2.0, 3.0])), 321)
    same(tf.reverse_sequence([[1, 2, 3], [4, 5, 6]], [2, 3]), [[2, 1, 3], [6, 5, 4]])
    same(tf.vectorized_map(lambda x: x * 2, tf.constant([1.0, 2.0])), [2, 4])


def test_custom_gradients_work_in_functions_too():
    @tf.custom_gradient
    def clipped(x):
        return x * 1, lambda dy: tf.clip_by_value(dy, -1.0, 1.0)

    x = tf.Variable([1.0, 2.0])

    def run():
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(clipped(x) * tf.constant([0.5, 5.0]))
        return tape.gradient(y, x)

    same(run(), [0.5, 1])
    same(tf.function(run)(), [0.5, 1])


def test_transposed_and_separable_convolutions():
    """Transposition: ⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 7, 6, 3)).astype(np.float32), rng.standard_normal((3, 3, 3, 4)).astype(np.float32)
    for padding in ("SAME", "VALID"):
        forward = tf.nn.conv2d(x, w, 2, padding).numpy()
        y = rng.standard_normal(forward.shape).astype(np.float32)
        back = tf.nn.conv2d_transpose(y, w, x.shape, 2, padding).numpy()
        assert back.shape == x.shape and (forward * y).sum() == pytest.approx((x * back).sum(), rel=1e-4)
    d, p = rng.standard_normal((3, 3, 3, 2)).astype(np.float32), rng.standard_normal((1, 1, 6, 5)).astype(np.float32)
    assert tf.nn.separable_conv2d(x, d, p, [1, 1, 1, 1], "SAME").shape == (2, 7, 6, 5)
    blocks = tf.nn.space_to_depth(tf.constant(x[:, :6]), 2)
    assert blocks.shape == (2, 3, 3, 12)
    same(tf.nn.depth_to_space(blocks, 2), x[:, :6])


def test_checks():
    tf.debugging.assert_equal([1, 2], [1, 2])
    tf.debugging.assert_shapes([(A, ("n", 3)), (A.T, (3, "n"))])
    with pytest.raises(ArgumentError, match=r"assert_less: \[1, 5\] is not everywhere less than 4"):
        tf.debugging.assert_less([1, 5], 4)
    with pytest.raises(ArgumentError, match="assert_all_finite: weights"):
        tf.debugging.assert_all_finite([np.inf], "weights")
    with pytest.raises(ShapeError, match=r"the shape \(2, 3\) has 2 axes, not 3"):
        tf.debugging.assert_rank(A, 3)
    with pytest.raises(ShapeError, match="'n' is not 3"):
        tf.debugging.assert_shapes([(A, ("n", "n"))])
