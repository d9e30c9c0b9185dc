"""Saving and loading containers of tensors; damaged files."""

import contextlib
import json
import os
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import twinflow as tf
from twinflow.core.errors import CheckpointError

EVERY = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_every_type_and_shape(tmp_path, dtype, shape):
    t = tf.ones(*shape, dtype=dtype)
    tf.save(t, tmp_path / "t")
    found = tf.load(tmp_path / "t")
    assert (found.dtype, found.shape) == (t.dtype, t.shape)
    assert found.tolist() == t.tolist()


def test_containers(tmp_path):
    value = {
        "epoch": 3, "done": False, "none": None, "loss": 0.1, "inf": float("inf"), "name": "α", "pair": (1, [2, "x"]),
        "state": {0: {"m": tf.arange(3)}, 7: {}}, "$odd": 1, "array": np.arange(2), "view": tf.arange(6).reshape(2, 3).T, "n": np.float32(0.5),
    }  # fmt: skip
    tf.save(value, tmp_path / "c")
    found = tf.load(tmp_path / "c")
    assert list(found) == list(value)
    assert found["pair"] == (1, [2, "x"])
    assert found["state"][0]["m"].tolist() == [0, 1, 2]
    assert found["state"][7] == {}
    assert found["$odd"] == 1
    assert isinstance(found["array"], np.ndarray)
    assert found["view"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert (found["epoch"], found["done"], found["none"], found["loss"], found["inf"], found["name"], found["n"]) == (
        3, False, None, 0.1, float("inf"), "α", 0.5,
    )  # fmt: skip


def test_other_tools_read_and_write_the_same_files(tmp_path):
    tf.save({"a.weight": tf.ones(2, 2), "b": tf.arange(3)}, tmp_path / "m.safetensors")
    found = load_file(tmp_path / "m.safetensors")
    assert {k: v.tolist() for k, v in found.items()} == {"a.weight": [[1.0, 1.0], [1.0, 1.0]], "b": [0, 1, 2]}
    save_file({"w": np.ones(2, ml_dtypes.bfloat16)}, tmp_path / "n.safetensors")
    assert tf.load(tmp_path / "n.safetensors")["w"].dtype is tf.bfloat16


def test_loaded_tensors_can_be_written(tmp_path):
    tf.save(tf.ones(2), tmp_path / "t")
    t = tf.load(tmp_path / "t")
    t.add_(1.0)
    assert t.tolist() == [2.0, 2.0]


def test_what_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"'a\.1' is a function; tensors, numbers"):
        tf.save({"a": [1, test_containers]}, tmp_path / "x")
    with pytest.raises(CheckpointError, match="array of <U1"):
        tf.save(np.array(["a"]), tmp_path / "x")
    assert not os.listdir(tmp_path)


def test_a_failure_while_writing_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    tf.save({"step": 1}, path)

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        tf.save({"step": 2}, path)
    assert tf.load(path) == {"step": 1}
    assert os.listdir(tmp_path) == ["x"]


def test_damaged_files(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(CheckpointError, match="there is no file"):
        tf.load(path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        tf.load(tmp_path)
    path.write_bytes(b"\x80\x05pickled")
    with pytest.raises(CheckpointError, match="is a pickle, which can run any code"):
        tf.load(path)
    tf.save({"w": tf.ones(4)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        tf.load(path)
    head = json.dumps({"__metadata__": {"twinflow": json.dumps({"version": 99, "tree": 0})}}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head)
    with pytest.raises(CheckpointError, match="newer twinflow"):
        tf.load(path)


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 400), junk=st.binary(max_size=8), cut=st.integers(0, 500))
def test_fuzz(tmp_path_factory, at, junk, cut):
    path = tmp_path_factory.getbasetemp() / "fuzz"
    tf.save({"w": tf.ones(4), "x": [1, (2, {3: tf.arange(2)})]}, path)
    raw = path.read_bytes()
    path.write_bytes((raw[:at] + junk + raw[at + len(junk) :])[:cut])
    with contextlib.suppress(CheckpointError):
        tf.load(path)


def test_a_header_of_any_length_is_no_pickle(tmp_path):
    """A safetensors file begins with its header's length: 640 is written as the first bytes of a pickle are."""
    path = tmp_path / "values"
    lengths = set()
    for n in range(1, 200):
        tf.save({"x" * n: tf.tensor([1.0])}, path)
        lengths.add(path.read_bytes()[0])
        assert list(tf.load(path)) == ["x" * n]
    assert 0x80 in lengths
