"""Data sets of files: lines, tables, IDX; what is wrong in a file is named with its place."""

import contextlib
import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twinflow
from twinflow.core.errors import DataError, TwinflowError
from twinflow.tf.data import Dataset, TextLineDataset
from twinflow.tf.data.experimental import CsvDataset


def test_lines_of_several_files(tmp_path):
    (tmp_path / "a.txt").write_text("one\r\ntwo\n\nüber", encoding="utf-8")
    with gzip.open(tmp_path / "b.txt.gz", "wt", encoding="utf-8") as file:
        file.write("three\n")
    ds = TextLineDataset([tmp_path / "a.txt"])
    assert list(ds) == ["one", "two", "", "über"]
    assert list(ds.filter(lambda s: len(s) > 0).map(lambda s: s.upper()).batch(2).take(1).unbatch()) == ["ONE", "TWO"]
    assert list(TextLineDataset(str(tmp_path / "b.txt.gz"), compression_type="GZIP")) == ["three"]
    names = Dataset.list_files(str(tmp_path / "*.txt"), shuffle=False)
    assert list(names.flat_map(TextLineDataset)) == ["one", "two", "", "über"]


def test_files_that_are_missing_or_no_text_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no file .*nothing"):
        TextLineDataset(tmp_path / "nothing")
    (tmp_path / "b").write_bytes(b"fine\n\xff\xfe\n")
    with pytest.raises(DataError, match="b cannot be read as text"):
        list(TextLineDataset(tmp_path / "b"))
    with pytest.raises(DataError, match="cannot be read as text"):
        list(TextLineDataset(tmp_path / "b", compression_type="GZIP"))


def table(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_tables(tmp_path):
    path = table(tmp_path, 'x,name,n\n1.5,"a, b",3\n,c,4\n')
    rows = list(CsvDataset(path, [[0.5], str, "int32"], header=True))
    assert [(float(x), s, int(n)) for x, s, n in rows] == [(1.5, "a, b", 3), (0.5, "c", 4)]
    assert rows[0][0].dtype == twinflow.float32
    assert rows[0][2].dtype == twinflow.int32
    assert [int(n) for (n,) in CsvDataset(path, [[0]], header=True, select_cols=[2])] == [3, 4]


@pytest.mark.parametrize(
    ("text", "defaults", "message"),
    [
        ("1,2\n3\n", ["float32", "float32"], "line 2 has 1 fields, but 2"),
        ("1,2\n3,\n", ["float32", "float32"], "line 2, column 1 is empty"),
        ("1,x\n", ["float32", "int32"], "line 1, column 1: 'x' is not a number of type int32"),
        ("1\n", [[0], [0]], "1 fields"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(tmp_path, text, defaults, message):
    with pytest.raises(DataError, match=message):
        list(CsvDataset(table(tmp_path, text), defaults))


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "f"
    path.write_bytes(content)
    for make in (lambda: TextLineDataset(path), lambda: CsvDataset(path, [[0.0], str]), lambda: Dataset.from_idx(path)):
        with contextlib.suppress(TwinflowError):
            list(make())


def test_idx_files(tmp_path):
    (tmp_path / "i").write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, 4, 2, 2) + bytes(range(16)))
    (tmp_path / "l").write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, 4) + bytes([1, 2, 3, 4]))
    images = [x.tolist() for x, _ in Dataset.from_idx(tmp_path / "i", tmp_path / "l")]
    assert images[1] == [[4, 5], [6, 7]]
    assert [int(y) for y in Dataset.from_idx(tmp_path / "l")] == [1, 2, 3, 4]
    assert next(iter(Dataset.from_idx(tmp_path / "i").batch(4))).numpy().dtype == np.uint8
