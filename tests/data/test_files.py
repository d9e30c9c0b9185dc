"""Data sets of files: what they read, and that damaged files are refused with one clear error."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import twinflow as tf
from twinflow import data
from twinflow.core.errors import ArgumentError, DataError


def idx_bytes(array):
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_mnist(folder, n_train=20, n_test=10, zipped=False):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for part, n in (("train", n_train), ("t10k", n_test)):
        for name, array in (
            (f"{part}-images-idx3-ubyte", rng.integers(0, 256, (n, 28, 28)).astype(np.uint8)),
            (f"{part}-labels-idx1-ubyte", (np.arange(n) % 10).astype(np.uint8)),
        ):
            raw = idx_bytes(array)
            (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(raw) if zipped else raw)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_of_every_type(tmp_path, dtype, zipped):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    raw = idx_bytes(array)
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    found = data.read_idx(path)
    assert found.dtype == np.dtype(dtype)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)


GOOD = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is no IDX file"),
        (b"\x89PNG\r\n", "is no IDX file"),
        (b"\0\0\x07\x01\0\0\0\1x", "is no IDX file"),
        (GOOD[:7], "ends within its header"),
        (GOOD[:-1], r"shape \(3, 4\), 12 bytes, but there are only 11"),
        (GOOD + b"x", "but there are more"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "its header is damaged"),
        (b"\0\0\x08\x01\x7f\xff\xff\xffxyz", "but there are only 3"),
        (gzip.compress(GOOD, mtime=0)[:-9], "cannot be read"),
        (b"\x1f\x8b" + b"rubbish", "cannot be read"),
    ],
)
def test_idx_files_that_lie(tmp_path, raw, said):
    path = tmp_path / "x"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=said):
        data.read_idx(path)


@settings(max_examples=200, deadline=None)
@given(
    raw=st.binary(max_size=60),
    head=st.sampled_from([b"", GOOD[:4], GOOD, b"\0\0\x08\x00", gzip.compress(GOOD, mtime=0)[:20]]),
)
def test_idx_fuzz(tmp_path_factory, raw, head):
    path = tmp_path_factory.getbasetemp() / "fuzz"
    path.write_bytes(head + raw)
    try:
        found = data.read_idx(path)
    except DataError:
        return
    assert found.nbytes <= 60


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist(tmp_path, zipped):
    write_mnist(tmp_path / "MNIST" / "raw", zipped=zipped)
    train = data.MNIST(tmp_path)
    image, label = train[13]
    assert (len(train), image.shape, label) == (20, (1, 28, 28), 3)
    assert 0 <= image.min().item() <= image.max().item() <= 1
    images, labels = next(iter(data.DataLoader(train, 4)))
    assert images.shape == (4, 1, 28, 28)
    assert labels.tolist() == [0, 1, 2, 3]
    cropped = data.FashionMNIST(
        tmp_path / "MNIST" / "raw", train=False, transform=data.transforms.CenterCrop(20), target_transform=str
    )
    assert cropped[7][0].shape == (1, 20, 20)
    assert cropped[7][1] == "7"
    images, labels = next(iter(data.DataLoader(cropped, 2)))
    assert (images.shape, labels) == ((2, 1, 20, 20), ["0", "1"])


def test_mnist_with_wrong_files(tmp_path):
    with pytest.raises(DataError, match=r"no train-images-idx3-ubyte \(or .*download=True"):
        data.MNIST(tmp_path)
    write_mnist(tmp_path)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.zeros(19, np.uint8)))
    with pytest.raises(DataError, match="20 images, but 19 labels"):
        data.MNIST(tmp_path)
    labels.write_bytes(idx_bytes(np.full(20, 11, np.uint8)))
    with pytest.raises(DataError, match="label 11 among the 10 classes"):
        data.MNIST(tmp_path)
    labels.write_bytes(idx_bytes(np.zeros(20, np.float32)))
    with pytest.raises(DataError, match="holds float32 of shape"):
        data.MNIST(tmp_path)


def test_download_only_when_asked_and_checked(tmp_path, monkeypatch):
    source = tmp_path / "source"
    write_mnist(source, zipped=True)
    with pytest.raises(DataError, match="the contents are damaged"):
        data.MNIST(tmp_path / "root", download=True, mirror=source.as_uri() + "/")
    assert not list((tmp_path / "root").rglob("*ubyte*"))
    sums = {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in source.iterdir()}
    monkeypatch.setattr(data.MNIST, "_md5", sums)
    assert len(data.MNIST(tmp_path / "root", train=False, download=True, mirror=source.as_uri() + "/")) == 10
    with pytest.raises(DataError, match=r"download of .* failed"):
        data.MNIST(tmp_path / "other", download=True, mirror=(tmp_path / "nowhere").as_uri() + "/")


def test_digits():
    train, test, everything = data.Digits(), data.Digits(train=False), data.Digits(train=None)
    assert (len(train), len(test), len(everything)) == (1437, 360, 1797)
    assert everything.data.max().item() == 1.0
    assert sorted(set(test.targets.tolist())) == list(range(10))
    assert train[0][0].dtype is tf.float32


def test_image_folder(tmp_path):
    for k, name in enumerate(["ant", "bee"]):
        (tmp_path / name).mkdir()
        Image.new("RGB", (6, 4), (255 * k, 51, 0)).save(tmp_path / name / "a.png")
    (tmp_path / "bee" / "notes.txt").write_text("not a picture")
    found = data.ImageFolder(tmp_path)
    assert found.classes == ["ant", "bee"]
    image, label = found[1]
    assert (len(found), label, image.shape) == (2, 1, (3, 4, 6))
    np.testing.assert_allclose(image[:, 0, 0].tolist(), [1.0, 0.2, 0.0], rtol=1e-6)
    assert data.ImageFolder(tmp_path, mode="L", transform=data.transforms.Resize((2, 2)))[0][0].shape == (1, 2, 2)
    whole = (tmp_path / "ant" / "a.png").read_bytes()
    (tmp_path / "ant" / "a.png").write_bytes(whole[:40])
    with pytest.raises(DataError, match=r"a\.png cannot be read"):
        found[0]


def test_image_folders_without_pictures(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        data.ImageFolder(tmp_path / "none")
    with pytest.raises(DataError, match="no sub-folders"):
        data.ImageFolder(tmp_path)
    (tmp_path / "ant").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        data.ImageFolder(tmp_path)
    with pytest.raises(DataError, match="there is no file"):
        data.load_image(tmp_path / "x.png")


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 200), junk=st.binary(max_size=30))
def test_image_fuzz(tmp_path_factory, cut, junk):
    path = tmp_path_factory.getbasetemp() / "fuzz.png"
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:cut] + junk + raw[cut + len(junk) :])
    try:
        image = data.load_image(path)
    except DataError:
        return
    assert image.shape[0] == 3


def test_csv(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\ufeffheight, width,kind\n1.5,2,0\n\n3,4e0,1\n", encoding="utf-8")
    table = data.CSV(path, target="kind", target_dtype="int64")
    assert table.columns == ["height", "width"]
    x, y = table[1]
    assert (x.tolist(), y.item(), y.dtype) == ([3.0, 4.0], 1, tf.int64)
    assert data.CSV(path, columns=["width"])[0][0].tolist() == [2.0]
    path.write_text("1;\n3;4")
    [row] = data.CSV(path, header=False, delimiter=";", missing="nan")[0]
    assert row.isnan().tolist() == [False, True]
    assert len(data.CSV(path, target=-1, header=False, delimiter=";", missing="nan").tensors) == 2


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("a,b\n1,2\n3\n", {}, "line 3 of .* has 1 fields, not 2"),
        ("a,b\n1,x\n", {}, "line 2 of .*: 'x' in column 'b' is not a number"),
        ("a,b\n1,\n", {}, "column 'b' is empty; missing='nan'"),
        ("a,b\n", {}, "has no rows"),
        ("", {}, "has no rows"),
        ("a\n1\n", {"target": "c"}, "has no column 'c'; there are a"),
        ("a\n1\n", {"target": 3}, "there is no column 3"),
        ("a,b\n1,2.5\n", {"target": "b", "target_dtype": "int64"}, "holds values that are not whole"),
        ('a\n"1\n', {}, "cannot be read"),
    ],
)
def test_wrong_csv(tmp_path, text, options, said):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        data.CSV(path, **options)


def test_csv_that_is_absent_or_binary(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        data.CSV(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"\xff\xfe\0")
    with pytest.raises(DataError, match="cannot be read"):
        data.CSV(tmp_path / "x")
    with pytest.raises(ArgumentError, match="missing is 'error' or 'nan'"):
        data.CSV(tmp_path / "x", missing="zero")


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=80))
def test_csv_and_lines_fuzz(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(raw)
    for read in (data.CSV, data.TextLines):
        try:
            found = read(path)
            [found[i] for i in range(len(found))]
        except DataError:
            pass


def test_text_lines(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes("eins\r\nzwölf\n\nend".encode())
    lines = data.TextLines(path)
    assert [lines[i] for i in range(len(lines))] == ["eins", "zwölf", "", "end"]
    assert data.TextLines(path, str.upper)[-1] == "END"
    assert list(data.DataLoader(lines, 2, num_workers=1)) == [["eins", "zwölf"], ["", "end"]]
    with pytest.raises(DataError, match="no line 4 among 4"):
        lines[4]
    path.write_bytes(b"ok\n\xff\n")
    with pytest.raises(DataError, match=r"line 2 of .* is not utf-8"):
        data.TextLines(path)[1]
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        data.TextLines(path)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        data.TextLines(tmp_path / "none")
