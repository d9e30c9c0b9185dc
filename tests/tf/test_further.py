"""TensorArray, nest, config, io, strings, rarer data sets, and derivatives by tf.gradients."""

import re

import numpy as np
import pytest

from twinflow import tf
from twinflow.core.errors import ArgumentError, DataError, IndexOutOfRange, ShapeError, TraceError, TwinflowError


def test_tensor_arrays_in_loops_and_out():
    ta = tf.TensorArray(tf.float32, size=2)
    ta = ta.write(0, [1.0, 2.0]).write(1, [3.0, 4.0])
    assert ta.stack().tolist() == [[1, 2], [3, 4]] and ta.read(1).tolist() == [3, 4] and int(ta.size()) == 2
    assert ta.concat().tolist() == [1, 2, 3, 4] and ta.gather([1, 0]).tolist() == [[3, 4], [1, 2]]
    assert tf.TensorArray(tf.float32, size=0).unstack(tf.ones([3, 2])).element_shape == (2,)
    grown = tf.TensorArray(tf.float32, size=0, dynamic_size=True).write(0, 1.0).write(1, 2.0)
    assert grown.stack().tolist() == [1, 2]
    with pytest.raises(IndexOutOfRange, match="none has the number 5"):
        ta.write(5, [0.0, 0.0])
    with pytest.raises(ShapeError, match=r"the shape \(2,\), not \(3,\)"):
        ta.write(0, [0.0, 0.0, 0.0])
    with pytest.raises(ArgumentError, match="nothing was written"):
        tf.TensorArray(tf.float32, size=1).stack()


def test_a_tensor_array_in_a_function_has_gradients():
    @tf.function
    def cumulative(x):
        ta = tf.TensorArray(tf.float32, size=x.shape[0])
        total = tf.constant(0.0)
        for i in tf.range(x.shape[0]):
            total = total + x[i]
            ta = ta.write(i, total)
        return ta.stack()

    x = tf.Variable([1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(cumulative(x))
    assert float(y) == 10 and tape.gradient(y, x).tolist() == [3, 2, 1]


def test_functions_run_eagerly_where_asked():
    seen = []

    @tf.function
    def f(x):
        seen.append(float(x))
        return x

    tf.config.run_functions_eagerly(True)
    try:
        f(tf.constant(1.0))
        f(tf.constant(2.0))
    finally:
        tf.config.run_functions_eagerly(False)
    assert seen == [1.0, 2.0] and not tf.config.list_physical_devices("GPU")


def test_nested_containers():
    with pytest.raises(ArgumentError, match="two structures differ"):
        tf.nest.map_structure(lambda a, b: a, [1], [1, 2])
    assert tf.nest.pack_sequence_as({"a": 1, "b": (2, 3)}, [4, 5, 6]) == {"a": 4, "b": (5, 6)}
    assert tf.nest.is_nested([1]) and not tf.nest.is_nested(tf.constant(1))


def test_files_and_encodings(tmp_path):
    path = str(tmp_path / "folder" / "note.txt")
    tf.io.write_file(path, "hello")
    assert (
        tf.io.read_file(path) == b"hello"
        and tf.io.gfile.exists(path)
        and tf.io.gfile.glob(str(tmp_path / "*/*.txt")) == [path]
    )
    with pytest.raises(DataError, match="overwrite=True"):
        tf.io.gfile.copy(path, path)
    assert tf.io.parse_tensor(tf.io.serialize_tensor(tf.constant([1.0, 2.0])), tf.float32).tolist() == [1, 2]
    assert tf.io.decode_base64(tf.io.encode_base64(b"\x00\xff?")) == b"\x00\xff?"
    with pytest.raises(DataError, match="no whole number"):
        tf.io.decode_raw(b"abc", tf.int16)


def test_rarer_data_sets(tmp_path):
    data = tf.data.Dataset
    ds = data.range(7)
    assert [int(x) for x in ds.scan(0, lambda s, x: (s + x, s + x))] == [0, 1, 3, 6, 10, 15, 21]
    assert [int(x) for x in data.from_tensor_slices([1, 2, 1, 3]).unique()] == [1, 2, 3]
    assert [b.tolist() for b in ds.batch(3).rebatch(4)] == [[0, 1, 2, 3], [4, 5, 6]]
    pairs = ds.group_by_window(lambda x: x % 2, lambda k, w: w.batch(2), 2)
    assert sorted(b.tolist() for b in pairs) == [[0, 2], [1, 3], [4, 6], [5]]
    chosen = data.choose_from_datasets([data.range(3), data.range(10, 13)], data.from_tensor_slices([0, 1, 1]))
    assert [int(x) for x in chosen] == [0, 10, 11]
    mixed = data.sample_from_datasets([data.range(5), data.range(5, 8)], seed=1)
    assert sorted(int(x) for x in mixed) == list(range(8))
    ds.save(str(tmp_path / "kept"))
    assert [int(x) for x in data.load(str(tmp_path / "kept"))] == list(range(7))
    words = data.from_generator(lambda: iter([np.ones(n, np.float32) for n in (1, 5, 2, 6)]), tf.float32)
    shapes = [tuple(b.shape) for b in words.bucket_by_sequence_length(lambda x: x.shape[0], [4], [2, 2])]
    assert sorted(shapes) == [(2, 2), (2, 6)]
    assert [int(x) for x in data.counter(5, 2).take(3)] == [5, 7, 9]


def test_gradients_and_hessians_of_functions():
    x = tf.Variable([1.0, 2.0])

    @tf.function
    def f():
        y = tf.reduce_sum(x**3)
        return tf.gradients(y, x)[0], tf.hessians(y, x)[0]

    first, second = f()
    assert first.tolist() == [3, 12] and second.tolist() == [[6, 0], [0, 12]]
    with pytest.raises(ArgumentError, match=r"tf\.stop_gradient"):
        tf.gradients(x, x, stop_gradients=[x])


def test_python_inside_graphs_is_refused():
    assert tf.numpy_function(np.square, [tf.constant(3.0)], tf.float32).tolist() == 9
    with pytest.raises(TraceError, match="a graph runs without Python"):
        tf.function(lambda x: tf.py_function(lambda v: v, [x], tf.float32))(tf.constant(1.0))


def test_elements_of_variables():
    v = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    v.scatter_nd_add([[0, 0]], [10.0])
    v.scatter_nd_update([[1]], [[7.0, 8.0]])
    assert v.numpy().tolist() == [[11, 2], [7, 8]] and v.gather_nd([[0, 1]]).tolist() == [2]


def test_shapes_are_checked():
    shape = tf.TensorShape([None, 3])
    assert shape.with_rank(2) == shape
    with pytest.raises(ShapeError, match="incompatible"):
        shape.with_rank(3)
    with pytest.raises(ShapeError, match="not known in full"):
        shape.assert_is_fully_defined()


def test_random_streams_that_a_seed_decides():
    a, b = (tf.random.stateless_normal([3], seed=[1, 2]).tolist() for _ in range(2))
    assert a == b and tf.random.split([1, 2], 3).shape == (3, 2)
    assert tf.random.gamma([1000], 2.0).numpy().mean() == pytest.approx(2, abs=0.3)


def test_shapes_are_known_numbers_in_functions():
    @tf.function
    def f(x):
        ta = tf.TensorArray(tf.float32, tf.shape(x)[0])
        state = tf.zeros([tf.shape(x)[1]])
        for i in tf.range(tf.shape(x)[0]):
            state = tf.tanh(x[i] + state)
            ta = ta.write(i, state)
        return tf.reshape(ta.stack(), [-1, tf.shape(x)[1] * 1])

    x = tf.Variable(np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2))
    with tf.GradientTape() as tape:
        y = f(x)
        total = tf.reduce_sum(y)
    a = np.tanh(x.numpy()[0])
    b = np.tanh(x.numpy()[1] + a)
    np.testing.assert_allclose(y.detach().numpy()[1], b, rtol=1e-5)
    assert tape.gradient(total, x).shape.as_list() == [3, 2]


def test_types_and_shapes_answer_by_tensorflows_names():
    assert tf.float32.is_floating and tf.int32.max == 2**31 - 1 and tf.uint8.min == 0 and tf.float32.size == 4
    assert tf.bool.is_bool and tf.int64.as_numpy_dtype is np.int64 and tf.float16.max == 65504
    shape = tf.zeros([2, 3]).shape
    assert (
        shape.as_list() == [2, 3]
        and shape.rank == shape.ndims == 2
        and shape.num_elements() == 6
        and shape.is_fully_defined()
    )


@pytest.mark.parametrize(
    "wrong",
    [lambda: tf.matmul(tf.ones([2, 3]), tf.ones([2, 3])), lambda: tf.gather(tf.constant([1.0]), [5]), lambda: tf.debugging.assert_equal(1, 2)],
)  # fmt: skip
def test_programs_catch_wrong_arguments(wrong):
    with pytest.raises(tf.errors.InvalidArgumentError):
        wrong()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: tf.signal.dct(np.ones(4, np.float32), type=5), "type is 1, 2, 3 or 4, not 5"),
        (lambda: tf.signal.dct(np.ones((2, 4), np.float32), axis=0), "the last axis is transformed, not 0"),
        (lambda: tf.signal.dct(np.ones(4, np.float32), type=1, norm="ortho"), "norm is None, or 'ortho' for the types 2 to 4"),
        (lambda: tf.signal.dct(np.ones(1, np.float32), type=1), "type 1 needs at least 2 numbers, not 1"),
        (lambda: tf.signal.mdct(np.ones(8, np.float32), 6), "frame_length is a multiple of 4, not 6"),
        (lambda: tf.signal.rfft2d(np.ones((2, 4), np.float32), [4]), "one number for each of 2 axes"),
        (lambda: tf.signal.linear_to_mel_weight_matrix(upper_edge_hertz=5000.0), "upper_edge_hertz <= sample_rate / 2 is needed"),
        (lambda: tf.linalg.diag(np.ones(3, np.float32), num_rows=2), "of a matrix of 2 x 3 does not have the 3 elements"),
        (lambda: tf.linalg.diag(np.ones(3, np.float32), k=(0, 1)), "k is the number of one diagonal"),
        (lambda: tf.linalg.tridiagonal_solve(np.ones((3, 3), np.float32), np.ones(3), "dense"), "diagonals_format is 'compact'"),
        (lambda: tf.compat.v1.image.resize_images(np.ones((1, 2, 2, 1)), [3, 3], method=7), "method is 0, 1, 2, 3 or a ResizeMethod"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(call, says):
    with pytest.raises(TwinflowError, match=re.escape(says)):
        call()


def test_whole_numbers_are_divided_and_summed_as_in_tensorflow():
    """Types as TensorFlow 2.21 gives them."""
    a = tf.constant([3, 4])
    for found in (tf.divide(a, 2), tf.truediv(a, tf.constant([2, 2])), tf.divide(3, 2), tf.linspace(0, 1, 3)):
        assert found.dtype is tf.float64
    assert tf.truediv(tf.constant(3, tf.int16), tf.constant(2, tf.int16)).dtype is tf.float32
    assert tf.divide(a, 2).tolist() == [1.5, 2.0] and tf.linspace(0, 1, 3).tolist() == [0, 0.5, 1]
    assert tf.cumsum(a).dtype is tf.int32 and tf.math.cumprod(a).tolist() == [3, 12]
