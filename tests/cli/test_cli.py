"""The command line: what it prints, what it leaves behind, how it fails."""

import gzip
import re
import struct

import numpy as np
import pytest

import twinflow as tf
from twinflow.cli import main


def write_mnist(folder, n=64):
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        raw = b"\0\0\x08\x03" + struct.pack(">3I", *images.shape) + images.tobytes()
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(raw))
        labels = (np.arange(n) % 10).astype(np.uint8)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + struct.pack(">I", n) + labels.tobytes())


def test_demo_trains_saves_and_draws(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), "--epochs", "3", "--eager"]) == 0
    printed = capsys.readouterr().out
    assert "epoch 3/3  loss" in printed
    accuracy = float(re.search(r"test accuracy ([\d.]+)%", printed)[1])
    assert accuracy > 80
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    assert tf.load(tmp_path / "digits.safetensors")["out.bias"].shape == (10,)


def test_demo_on_idx_files(tmp_path, capsys):
    write_mnist(tmp_path)
    out = tmp_path / "out"
    assert (
        main(["demo", "--data", str(tmp_path), "--out", str(out), "--epochs", "1", "--batch-size", "32", "--eager"])
        == 0
    )
    assert "MNIST: 64 images of 28 x 28 to learn from, 64 held out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "/nowhere"], "twinflow demo: MNIST: there is no train-images-idx3-ubyte"),
        (["--lr", "-1"], "--lr must be positive, but -1.0 was given"),
        (["--batch-size", "5000"], "--batch-size 5000 is more than the 1437 images"),
    ],
)
def test_demo_with_wrong_options(arguments, said, capsys):
    assert main(["demo", *arguments]) == 1
    assert said in capsys.readouterr().err


def test_doctor(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for word in ("numpy", "threads", "devices        cpu", "factorisations native", "kernel cache", "scikit-learn"):
        assert word in printed


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--help"], 0), (["demo", "--help"], 0), ([], 2), (["demo", "--epochs", "0"], 2)]
)
def test_help_and_usage(arguments, status, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == status
    printed = capsys.readouterr()
    assert "usage: twinflow" in printed.out + printed.err
