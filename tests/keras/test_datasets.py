"""Data sets of Keras's names, from small files in the formats in which they are published."""

import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from twinflow import keras
from twinflow.core.errors import ArgumentError, DataError
from twinflow.data._download import check_digest
from twinflow.keras import datasets


def ragged(*lists):
    found = np.empty(len(lists), object)
    found[:] = [list(x) for x in lists]
    return found


@pytest.fixture
def words(tmp_path):
    np.savez(
        tmp_path / "imdb.npz",
        x_train=ragged([1, 2, 9], [4], [5, 6]),
        y_train=np.array([0, 1, 1]),
        x_test=ragged([7, 8], [3]),
        y_test=np.array([1, 0]),
    )
    return tmp_path / "imdb.npz"


def test_reviews_are_those_that_keras_gives(words):
    # by Keras 3.15.0 from the same file
    (x, y), (x_test, y_test) = datasets.imdb.load_data(words, num_words=10)
    assert [list(t) for t in x] == [[1, 8, 9], [1, 4, 5, 2], [1, 7]] and y.tolist() == [1, 0, 1]
    assert [list(t) for t in x_test] == [[1, 6], [1, 2, 2]] and y_test.tolist() == [0, 1]
    (x, _), _ = datasets.imdb.load_data(words, maxlen=3, oov_char=None, num_words=9)
    assert [list(t) for t in x] == [[1, 7]]
    with pytest.raises(DataError, match="fewer than maxlen=1 words; give a larger maxlen"):
        datasets.imdb.load_data(words, maxlen=1)


def test_news_are_split(tmp_path):
    np.savez(tmp_path / "r.npz", x=ragged(*([k + 1] for k in range(10))), y=np.arange(10))
    (x, y), (x_test, y_test) = datasets.reuters.load_data(tmp_path / "r.npz", test_split=0.3)
    assert len(x) == len(y) == 7 and len(x_test) == 3
    assert all(text == [1, label + 4] for text, label in zip([*x, *x_test], [*y, *y_test]) if label < 9)
    (tmp_path / "w.json").write_text(json.dumps({"the": 1}))
    assert (
        datasets.reuters.get_word_index(tmp_path / "w.json")
        == {"the": 1}
        == datasets.imdb.get_word_index(tmp_path / "w.json")
    )


def test_houses(tmp_path):
    x, y = np.arange(20.0).reshape(10, 2), np.arange(10.0)
    np.savez(tmp_path / "h.npz", x=x, y=y)
    for load in (datasets.boston_housing.load_data, datasets.california_housing.load_data):
        (a, b), (c, d) = load(path=tmp_path / "h.npz")
        assert a.shape == (8, 2) and c.shape == (2, 2)
        np.testing.assert_array_equal(np.concatenate([a, c])[:, 0], 2 * np.concatenate([b, d]))
    with pytest.raises(ArgumentError, match="'large' or 'small', not 'tiny'"):
        datasets.california_housing.load_data("tiny")


def archive(path, parts):
    with tarfile.open(path, "w:gz") as found:
        for name, content in parts.items():
            data = pickle.dumps(content, protocol=2)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            found.addfile(info, io.BytesIO(data))


def pictures(n, first=0):
    return np.arange(first, first + n * 3072, dtype=np.int64).astype(np.uint8).reshape(n, 3072)


def test_pictures_of_cifar(tmp_path):
    parts = {f"cifar-10-batches-py/data_batch_{k}": {b"data": pictures(2, k), b"labels": [k, 0]} for k in range(1, 6)}
    parts["cifar-10-batches-py/test_batch"] = {b"data": pictures(1), b"labels": [7]}
    archive(tmp_path / "c10.tar.gz", parts)
    (x, y), (x_test, y_test) = datasets.cifar10.load_data(tmp_path / "c10.tar.gz")
    assert (
        x.shape == (10, 32, 32, 3)
        and x.dtype == y.dtype == np.uint8
        and y[:, 0].tolist() == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    )
    assert y_test.tolist() == [[7]]
    np.testing.assert_array_equal(x_test[0, :, :, 1].ravel(), pictures(1)[0, 1024:2048])
    both = {b"data": pictures(2), b"fine_labels": [5, 6], b"coarse_labels": [1, 2]}
    archive(tmp_path / "c100.tar.gz", {"cifar-100-python/train": both, "cifar-100-python/test": both})
    (_, fine), _ = datasets.cifar100.load_data(path=tmp_path / "c100.tar.gz")
    (_, coarse), _ = datasets.cifar100.load_data("coarse", tmp_path / "c100.tar.gz")
    assert fine.ravel().tolist() == [5, 6] and coarse.ravel().tolist() == [1, 2]
    with pytest.raises(DataError, match="no archive of CIFAR"):
        datasets.cifar10.load_data(tmp_path / "c100.tar.gz")


class Evil:
    def __reduce__(self):
        return print, ("code of the file ran",)


def test_code_in_files_does_not_run(tmp_path, capsys):
    np.savez(tmp_path / "e.npz", x=ragged([Evil()]), y=np.zeros(1))
    with pytest.raises(DataError, match=r"the file names builtins\.print, which is no array of numbers"):
        datasets.reuters.load_data(tmp_path / "e.npz")
    archive(tmp_path / "e.tar.gz", {"cifar-100-python/train": Evil()})
    with pytest.raises(DataError, match="is not read"):
        datasets.cifar100.load_data(path=tmp_path / "e.tar.gz")
    assert capsys.readouterr().out == ""


def test_missing_and_damaged_files_say_what_to_do(tmp_path):
    for load in (datasets.imdb.load_data, datasets.cifar10.load_data):
        with pytest.raises(DataError, match=r"there is no file .*gone; pass download=True to fetch it from https://"):
            load(tmp_path / "gone")
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"bad\.npz is damaged"):
        datasets.reuters.load_data(tmp_path / "bad.npz")
    with pytest.raises(DataError, match="damaged: "):
        datasets._files.read_objects(b"\x80\x04")
    with pytest.raises(DataError, match="f: the contents are damaged"):
        check_digest(b"abc", "0" * 64, "f")
    with pytest.raises(ArgumentError, match=r"32 .* or 64"):
        check_digest(b"abc", "12", "f")
    check_digest(b"abc", "900150983cd24fb0d6963f7d28e17f72", "f")


def test_files_are_fetched_once_checked_and_unpacked(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"abc")
    options = {"origin": (tmp_path / "a.txt").as_uri(), "cache_dir": tmp_path / "cache"}
    path = keras.utils.get_file(**options, file_hash="900150983cd24fb0d6963f7d28e17f72")
    assert path == str(tmp_path / "cache" / "datasets" / "a.txt") and Path(path).read_text() == "abc"
    (tmp_path / "a.txt").write_bytes(b"new")
    assert Path(keras.utils.get_file(**options)).read_text() == "abc"
    assert Path(keras.utils.get_file(**options, force_download=True)).read_text() == "new"
    with pytest.raises(DataError, match="the contents are damaged"):
        keras.utils.get_file(**options, file_hash="0" * 64)
    with tarfile.open(tmp_path / "b.tar", "w") as packed:
        packed.add(tmp_path / "a.txt", "inner/a.txt")
    folder = keras.utils.get_file("b.tar", (tmp_path / "b.tar").as_uri(), cache_dir=tmp_path, extract=True)
    assert folder.endswith("b.tar_extracted") and Path(folder, "inner", "a.txt").read_text() == "new"
    with pytest.raises(DataError, match="cannot be unpacked"):
        keras.utils.get_file(**options, extract=True)
    with pytest.raises(ArgumentError, match="give origin"):
        keras.utils.get_file("x")
    with pytest.raises(DataError, match=r"download of .* failed: .*fetch the file by other means"):
        keras.utils.get_file("gone", (tmp_path / "gone").as_uri(), cache_dir=tmp_path)


def test_an_archive_with_files_outside_its_folder_is_not_unpacked(tmp_path):
    path = tmp_path / "datasets" / "bad.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as packed:
        info = tarfile.TarInfo("../outside")
        info.size = 1
        packed.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(DataError, match=r"'\.\./outside', which is no file inside its folder"):
        keras.utils.get_file("bad.tar", path.as_uri(), cache_dir=str(tmp_path), extract=True)
    assert not (tmp_path / "outside").exists()
    assert sorted(p.name for p in path.parent.iterdir()) == ["bad.tar"]
