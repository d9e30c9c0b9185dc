"""`tf.data`: what each transformation gives, its errors, and its state after every element."""

import collections
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twinflow
from twinflow.core.errors import ArgumentError, DataError, DTypeError, ShapeError
from twinflow.tf.data import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Dataset


def plain(ds, n=None):
    it = ds.as_numpy_iterator()
    found = list(it) if n is None else [next(it) for _ in range(n)]
    return [
        tuple(p.tolist() for p in e) if isinstance(e, tuple) else e.tolist() if hasattr(e, "tolist") else e
        for e in found
    ]


def test_slices_keep_types_and_structure():
    ds = Dataset.from_tensor_slices({"a": np.arange(3), "b": (np.ones((3, 2), np.float16), [1.5, 2.5, 3.5])})
    first = next(iter(ds))
    assert first["a"].dtype == twinflow.int64
    assert first["b"][0].dtype == twinflow.float16
    assert first["b"][0].shape == (2,)
    assert first["b"][1].dtype == twinflow.float32
    assert len(ds) == 3


def test_elements_of_the_users_arrays_are_not_writable_copies_in_disguise():
    data = np.zeros((2, 3), np.float32)
    batch = next(iter(Dataset.from_tensor_slices(data).shuffle(2, seed=0).batch(2)))
    batch.add_(1)
    assert data.sum() == 0


@pytest.mark.parametrize("fn", [lambda x: x * 2 + 1, lambda x: twinflow.tensor(float(x) * 2 + 1)])
@pytest.mark.parametrize("calls", [None, 3, AUTOTUNE])
def test_map_is_the_same_together_and_one_by_one(fn, calls):
    assert plain(Dataset.from_tensor_slices([1.0, 2.0, 3.0]).map(fn, num_parallel_calls=calls)) == [3.0, 5.0, 7.0]


def test_map_gets_the_parts_of_tuples_and_whole_dictionaries():
    pairs = Dataset.from_tensor_slices((np.arange(3), np.arange(3) * 10))
    assert plain(pairs.map(lambda a, b: a + b)) == [0, 11, 22]
    named = Dataset.from_tensor_slices({"a": np.arange(3)})
    assert plain(named.map(lambda d: (d["a"], 1))) == [(0, 1), (1, 1), (2, 1)]


def test_an_error_in_a_mapped_function_names_the_element():
    def check(x):
        if int(x) == 5:
            raise ValueError("five")
        return x

    with pytest.raises(ValueError, match="five") as caught:
        plain(Dataset.range(10).map(check))
    assert "element 5" in caught.value.__notes__[0]


def test_threads_keep_the_order():
    def slow(x):
        time.sleep(0.002 * (3 - int(x) % 3))
        return x, threading.get_ident()

    found = plain(Dataset.range(12).map(slow, num_parallel_calls=3))
    assert [k for k, _ in found] == list(range(12))
    assert len({t for _, t in found}) > 1


def test_filter_take_while_enumerate_shard_skip_take():
    ds = Dataset.range(10)
    assert plain(ds.filter(lambda x: x % 2 == 0)) == [0, 2, 4, 6, 8]
    assert plain(ds.filter(lambda x: int(x) > 6)) == [7, 8, 9]
    assert plain(ds.take_while(lambda x: x < 3)) == [0, 1, 2]
    assert plain(Dataset.range(5, 8).enumerate(1)) == [(1, 5), (2, 6), (3, 7)]
    assert plain(ds.shard(3, 1)) == [1, 4, 7]
    assert plain(ds.skip(7)) == [7, 8, 9]
    assert plain(ds.take(2)) == [0, 1]
    assert plain(ds.skip(-1)) == []
    assert len(ds.take(-1)) == 10


def test_a_predicate_must_give_bools():
    with pytest.raises(DataError, match="one bool for each element"):
        plain(Dataset.range(4).filter(lambda x: x * 2))


@pytest.mark.parametrize("buffer", [1, 3, 10, 50])
def test_shuffle_gives_every_element_once_and_looks_no_further_than_its_buffer(buffer):
    order = plain(Dataset.range(40).shuffle(buffer, seed=3))
    assert sorted(order) == list(range(40))
    assert all(value < place + buffer for place, value in enumerate(order))
    assert (order == list(range(40))) == (buffer == 1)


def test_shuffles_repeat_with_a_seed_and_differ_between_rounds():
    ds = Dataset.range(20).shuffle(20, seed=1)
    one, two = plain(ds), plain(ds)
    assert one != two
    assert plain(Dataset.range(20).shuffle(20, seed=1)) == one
    steady = Dataset.range(20).shuffle(20, seed=1, reshuffle_each_iteration=False)
    assert plain(steady) == plain(steady) == one
    twinflow.manual_seed(4)
    a = plain(Dataset.range(20).shuffle(20))
    twinflow.manual_seed(4)
    assert plain(Dataset.range(20).shuffle(20)) == a


def test_all_orders_are_equally_likely():
    counts = collections.Counter(tuple(plain(Dataset.range(3).shuffle(3, seed=s))) for s in range(1200))
    assert len(counts) == 6
    assert all(130 < c < 270 for c in counts.values())  # 200 each; 5 standard deviations are 65


def test_batches():
    ds = Dataset.range(7)
    assert plain(ds.batch(3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert plain(ds.batch(3, drop_remainder=True)) == [[0, 1, 2], [3, 4, 5]]
    assert (len(ds.batch(3)), len(ds.batch(3, True))) == (3, 2)
    assert plain(ds.batch(3, True).batch(2)) == [[[0, 1, 2], [3, 4, 5]]]
    assert plain(ds.take(8).concatenate(ds.take(1)).batch(2).batch(2)) == [[[0, 1], [2, 3]], [[4, 5], [6, 0]]]
    with pytest.raises(ShapeError, match=r"\(2,\) and \(1,\)"):
        plain(ds.batch(2).batch(4))
    assert plain(ds.batch(3).unbatch()) == list(range(7))


def ragged(n=4):
    return Dataset.from_generator(lambda: (np.arange(k) for k in range(1, n + 1)), output_types="int64")


def test_batches_of_different_shapes_are_refused_and_padded_ones_filled():
    with pytest.raises(ShapeError, match=r"\(1,\) and \(2,\).*padded_batch"):
        plain(ragged().batch(2))
    assert plain(ragged().padded_batch(2)) == [[[0, 0], [0, 1]], [[0, 1, 2, 0], [0, 1, 2, 3]]]
    assert plain(ragged(2).padded_batch(2, padded_shapes=(3,), padding_values=-1)) == [[[0, -1, -1], [0, 1, -1]]]
    pairs = Dataset.zip(ragged(), Dataset.range(4))
    shapes, values = ((None,), ()), (9, 0)
    assert plain(pairs.padded_batch(4, shapes, values))[0] == (
        [[0, 9, 9, 9], [0, 1, 9, 9], [0, 1, 2, 9], [0, 1, 2, 3]],
        [0, 1, 2, 3],
    )
    with pytest.raises(ShapeError, match="larger than padded_shapes"):
        plain(ragged().padded_batch(4, padded_shapes=(2,)))
    with pytest.raises(ShapeError, match="have 1 axes"):
        plain(ragged().padded_batch(4, padded_shapes=(2, 2)))


def test_windows():
    ds = Dataset.range(7)
    assert [plain(w) for w in ds.window(3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [plain(w) for w in ds.window(3, shift=2, drop_remainder=True)] == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    assert [plain(w) for w in ds.window(2, shift=4)] == [[0, 1], [4, 5]]
    assert [plain(w) for w in ds.window(3, shift=1, stride=2, drop_remainder=True)] == [[0, 2, 4], [1, 3, 5], [2, 4, 6]]
    pairs = Dataset.zip(ds, ds).window(2).map(lambda a, b: (next(iter(a)), next(iter(b)) * 10))
    assert plain(pairs)[:2] == [(0, 0), (2, 20)]
    assert plain(ds.window(2, 1, 1, True).flat_map(lambda w: w.batch(2)))[:2] == [[0, 1], [1, 2]]


def test_repeat_concatenate_zip():
    ds = Dataset.range(2)
    assert plain(ds.repeat(3)) == [0, 1] * 3
    assert plain(ds.repeat(), 5) == [0, 1, 0, 1, 0]
    assert ds.repeat().cardinality() == INFINITE_CARDINALITY
    assert ds.repeat(0).cardinality() == 0
    with pytest.raises(TypeError, match="infinite"):
        len(ds.repeat())
    with pytest.raises(DataError, match="empty"):
        next(iter(ds.take(0).repeat()))
    assert plain(ds.concatenate(Dataset.range(5, 7))) == [0, 1, 5, 6]
    assert [int(c) for _, (_, c) in Dataset.zip((ds, Dataset.zip(Dataset.range(9), ds)))] == [0, 1]
    nested = next(iter(Dataset.zip({"a": ds, "b": Dataset.zip(ds, ds)})))
    assert int(nested["b"][1]) == 0
    assert len(Dataset.zip(ds, Dataset.range(9).repeat())) == 2


def test_interleave_and_flat_map():
    ds = Dataset.range(1, 5)
    made = ds.interleave(lambda x: Dataset.from_tensors(x).repeat(6), cycle_length=2, block_length=4)
    assert (
        plain(made) == [1] * 4 + [2] * 4 + [1] * 2 + [2] * 2 + [3] * 4 + [4] * 4 + [3] * 2 + [4] * 2
    )  # TensorFlow's own example
    assert plain(ds.flat_map(lambda x: Dataset.range(int(x)))) == [0, 0, 1, 0, 1, 2, 0, 1, 2, 3]
    with pytest.raises(DataError, match="must return a Dataset"):
        plain(ds.flat_map(lambda x: x))


def test_generators_are_checked_against_what_was_said():
    def numbers():
        yield 1, [1.0, 2.0]
        yield 2, [3.0]

    ds = Dataset.from_generator(numbers, output_types=("int32", "float32"))
    assert next(iter(ds))[0].dtype == twinflow.int32
    assert ds.cardinality() == UNKNOWN_CARDINALITY
    with pytest.raises(ShapeError, match=r"part 1 of element 1 has shape \(1,\)"):
        plain(Dataset.from_generator(numbers, ("int32", "float32"), ((), (2,))))
    with pytest.raises(DTypeError, match="part 1 of element 0 is float32, not int64"):
        plain(Dataset.from_generator(numbers, ("int32", "int64")))
    with pytest.raises(DataError, match="has 2 parts"):
        plain(Dataset.from_generator(numbers, "int32"))
    with pytest.raises(ArgumentError, match="not the generator itself"):
        Dataset.from_generator(numbers())


def test_a_generator_is_not_asked_for_more_than_is_used():
    asked = []

    def numbers():
        for k in range(100):
            asked.append(k)
            yield k

    it = iter(Dataset.from_generator(numbers, output_types="int64").map(lambda x: x + 1))
    next(it)
    assert asked == [0]


def test_cache_reads_its_source_once(tmp_path):
    calls = []
    source = Dataset.range(4).map(lambda x: (calls.append(int(x)), x)[1])
    cached = source.cache()
    assert [plain(cached), plain(cached), calls] == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    file = str(tmp_path / "cache")
    assert plain(source.cache(file)) == [0, 1, 2, 3]
    assert plain(Dataset.range(0).cache(file)) == [0, 1, 2, 3]
    part = source.cache()
    next(iter(part.take(1)))
    assert plain(part) == [0, 1, 2, 3]


def test_prefetch_works_ahead_and_passes_errors_on():
    made = []
    it = iter(Dataset.range(100).map(lambda x: (made.append(int(x)), x)[1]).batch(2).prefetch(3))
    end = time.monotonic() + 10
    assert next(it).tolist() == [0, 1]
    while len(made) < 8 and time.monotonic() < end:
        time.sleep(0.005)
    assert made[:8] == list(range(8))
    assert len(made) < 100

    def fail(x):
        raise RuntimeError(f"no {int(x)}")

    with pytest.raises(RuntimeError, match="no 0"):
        next(iter(Dataset.range(3).map(fail).prefetch(2)))


def test_a_dropped_iterator_ends_its_thread():
    before = threading.active_count()
    for _ in range(5):
        next(iter(Dataset.range(1000).prefetch(2)))
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.005)
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Dataset.from_tensor_slices((np.ones(3), np.ones(4))), "equally many"),
        (lambda: Dataset.from_tensor_slices(3), "no first axis"),
        (lambda: Dataset.range(3).batch(0), "at least 1, not 0"),
        (lambda: Dataset.range(3).shuffle(-1), "at least 1, not -1"),
        (lambda: Dataset.range(3).shard(2, 2), r"\[0, 2\)"),
        (lambda: Dataset.range(3).repeat(-2), "not be negative"),
        (lambda: Dataset.zip(Dataset.range(3), [1]), "not list"),
        (lambda: Dataset.range(2).get_single_element(), "more than one"),
        (lambda: Dataset.list_files("/nowhere/*.txt"), "no file matches"),
        (lambda: iter(Dataset.range(0)).get_next(), "has ended"),
    ],
)
def test_wrong_calls_are_refused(call, message):
    with pytest.raises((ArgumentError, ShapeError, DataError), match=message):
        call()


def numbers():
    return iter(range(23))


STEPS = {
    "map": lambda d: d.map(lambda x: x + 1),
    "map one by one": lambda d: d.map(lambda x: int(x.sum()) + 1 if x.ndim else int(x)),
    "filter": lambda d: d.filter(lambda x: (x % 3 != 0).all()),
    "shuffle": lambda d: d.shuffle(5, seed=2),
    "batch": lambda d: d.batch(3),
    "padded": lambda d: d.padded_batch(2),
    "unbatch": lambda d: d.batch(4).unbatch(),
    "repeat": lambda d: d.repeat(3),
    "take": lambda d: d.take(9),
    "skip": lambda d: d.skip(2),
    "shard": lambda d: d.shard(2, 1),
    "concatenate": lambda d: d.concatenate(d),
    "interleave": lambda d: d.interleave(lambda x: Dataset.from_tensors(x).repeat(3), cycle_length=2, block_length=2),
    "window": lambda d: d.window(3, shift=2).flat_map(lambda w: w),
    "cache": lambda d: d.cache(),
    "prefetch": lambda d: d.prefetch(2),
    "zip": lambda d: Dataset.zip(d, Dataset.range(50)).map(lambda a, b: a),
}
SOURCES = {
    "range": lambda: Dataset.range(23),
    "slices": lambda: Dataset.from_tensor_slices(np.arange(23)),
    "generator": lambda: Dataset.from_generator(numbers, output_types="int64"),
}


def rest(it):
    return [np.asarray(e).tolist() for e in it]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(SOURCES)), st.lists(st.sampled_from(sorted(STEPS)), max_size=4), st.integers(0, 60))
def test_an_iterator_goes_on_where_its_state_was_taken(source, steps, used):
    def build():
        ds = SOURCES[source]()
        for step in steps:
            ds = STEPS[step](ds)
        return ds

    try:
        whole = rest(build())
    except (ShapeError, DataError):  # such as batches of batches whose last one is shorter
        return
    it = iter(build())
    for _ in range(min(used, len(whole))):
        next(it)
    state = it.state_dict()
    assert rest(it) == whole[used:]
    again = iter(build())
    again.load_state_dict(state)
    assert rest(again) == whole[used:]


def test_a_state_is_saved_and_loaded(tmp_path):
    def build():
        return (
            Dataset.from_tensor_slices((np.arange(20.0), np.array(list("abcdefghijklmnopqrst"))))
            .shuffle(6, seed=5)
            .batch(3)
        )

    it = iter(build())
    next(it)
    twinflow.save(it.state_dict(), tmp_path / "state")
    want = [(x.tolist(), list(s)) for x, s in it]
    again = iter(build())
    again.load_state_dict(twinflow.load(tmp_path / "state"))
    assert [(x.tolist(), list(s)) for x, s in again] == want


def test_fit_takes_a_data_set():
    from twinflow import keras

    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [2.0], [3.0]], np.float32)
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    ds = Dataset.from_tensor_slices((x, y)).shuffle(64, seed=0).batch(16)
    history = model.fit(ds, epochs=30, verbose=0)
    assert history.history["loss"][-1] < 1e-3
    assert model.predict(ds.map(lambda x, y: x), verbose=0).shape == (64, 1)
