"""Data sets, samplers and collating."""

import collections

import numpy as np
import pytest

import twinflow as tf
from twinflow import data
from twinflow.core.errors import ArgumentError, DataError, IndexOutOfRange


def test_combining_data_sets():
    a, b = data.TensorDataset(tf.arange(3)), data.TensorDataset(tf.arange(2) + 10)
    both = a + b
    assert [both[i][0].item() for i in range(len(both))] == [0, 1, 2, 10, 11]
    assert both[-1][0].item() == 11
    with pytest.raises(IndexOutOfRange, match="no sample 5 among 5"):
        both[5]
    part = data.Subset(both, [4, 0])
    assert [part[i][0].item() for i in range(2)] == [11, 0]
    chain = data.ChainDataset([[1, 2], [3]])
    assert list(chain) == [1, 2, 3]
    assert len(chain) == 3
    stacked = data.StackDataset(x=[1, 2], y=[3, 4])
    assert stacked[1] == {"x": 2, "y": 4}
    assert data.StackDataset([1, 2], [3, 4])[0] == (1, 3)


def test_rows_of_a_subset_are_gathered_at_once():
    rows = data.Subset(data.TensorDataset(tf.arange(6), tf.arange(6) * 2.0), [5, 3, 1])
    [(x, y)] = data.DataLoader(rows, 3)
    assert x.tolist() == [5, 3, 1]
    assert y.tolist() == [10.0, 6.0, 2.0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: data.TensorDataset(), "at least one tensor"),
        (lambda: data.TensorDataset(np.ones(3)), "not ndarray"),
        (lambda: data.TensorDataset(tf.ones(3), tf.ones(4)), "different numbers of rows: 3, 4"),
        (lambda: data.TensorDataset(tf.tensor(1.0)), "has no rows"),
        (lambda: data.StackDataset([1], [1, 2]), "different lengths: 1, 2"),
        (lambda: data.StackDataset(), "either in order or by name"),
        (lambda: data.ConcatDataset([]), "at least one data set"),
        (lambda: data.ConcatDataset([data.ChainDataset([])]), "use ChainDataset"),
        (lambda: data.random_split([], [1]), "empty"),
        (lambda: data.RandomSampler([]), "empty"),
    ],
)
def test_wrong_data(make, said):
    with pytest.raises(DataError, match=said):
        make()


def test_random_split():
    parts = data.random_split(range(11), [0.5, 0.3, 0.2], generator=tf.Generator().manual_seed(1))
    assert [len(p) for p in parts] == [6, 3, 2]
    assert sorted(x for p in parts for x in p) == list(range(11))
    again = data.random_split(range(11), [6, 3, 2], generator=tf.Generator().manual_seed(1))
    assert [p.indices for p in parts] == [p.indices for p in again]
    with pytest.raises(ArgumentError, match="add up to 10, but there are 11"):
        data.random_split(range(11), [5, 5])
    with pytest.raises(ArgumentError, match="must not be negative"):
        data.random_split(range(11), [12, -1])


def test_samplers():
    g = tf.Generator().manual_seed(0)
    assert sorted(data.RandomSampler(range(9), generator=g)) == list(range(9))
    assert len(list(data.RandomSampler(range(3), num_samples=8, generator=g))) == 8
    drawn = list(data.RandomSampler(range(3), replacement=True, num_samples=300, generator=g))
    assert set(drawn) == {0, 1, 2}
    assert sorted(data.SubsetRandomSampler([4, 2], generator=g)) == [2, 4]
    weighted = list(data.WeightedRandomSampler([0.0, 1.0, 3.0], 4000, generator=g))
    counts = collections.Counter(weighted)
    assert counts[0] == 0
    assert counts[2] / counts[1] == pytest.approx(3, rel=0.15)
    assert sorted(data.WeightedRandomSampler([1.0, 0.0, 3.0], 2, replacement=False, generator=g)) == [0, 2]
    assert list(data.BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert len(data.BatchSampler(range(5), 2, True)) == 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: data.RandomSampler([1], num_samples=0), "num_samples must be a positive"),
        (lambda: data.WeightedRandomSampler([-1.0, 2.0], 1), "not negative"),
        (lambda: data.WeightedRandomSampler([0.0, 2.0], 2, replacement=False), "from 1 positions of positive weight"),
        (lambda: data.WeightedRandomSampler([1.0], 0), "num_samples must be positive"),
        (lambda: data.BatchSampler([1], True, False), "batch_size must be a positive"),
    ],
)
def test_wrong_samplers(make, said):
    with pytest.raises(ArgumentError, match=said):
        make()


def test_collating():
    Point = collections.namedtuple("Point", "x y")
    samples = [
        (Point(1, 2.5), {"name": "a", "ok": True}, np.float32(1)),
        (Point(3, 4.5), {"name": "b", "ok": False}, np.float32(2)),
    ]
    point, info, number = data.default_collate(samples)
    assert isinstance(point, Point)
    assert point.x.tolist() == [1, 3]
    assert point.y.dtype is tf.float64
    assert info["name"] == ["a", "b"]
    assert info["ok"].tolist() == [True, False]
    assert number.dtype is tf.float32
    converted = data.default_convert({"a": np.arange(2), "b": ["text"]})
    assert converted["a"].tolist() == [0, 1]
    assert converted["b"] == ["text"]
    assert data.default_convert(np.float32(2)).shape == ()


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ([np.ones(3), np.ones(4)], r"sample 1 of the batch has shape \(4,\), but sample 0 has \(3,\)"),
        ([{"a": 1}, {"b": 1}], r"sample 1 has the keys \['b'\], but sample 0 has \['a'\]"),
        ([(1, 2), (1,)], "sample 1 has 1 parts, but sample 0 has 2"),
        ([object()], "not object; pass a collate_fn"),
    ],
)
def test_samples_that_do_not_fit_together(batch, said):
    with pytest.raises(DataError, match=said):
        data.default_collate(batch)
