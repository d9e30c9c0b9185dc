"""`load(..., weights_only=True)` on what PyTorch saved. `torch_2_13.pt` was written by `torch.save` of PyTorch 2.13: a
model's state_dict, an input with the model's output, and one value of each kind that state_dicts hold."""

import io
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

import twinflow
from twinflow import nn
from twinflow.core.errors import ArgumentError, CheckpointError, DeviceError

FILE = Path(__file__).with_name("torch_2_13.pt")


def test_a_state_dict_from_pytorch_gives_the_same_outputs() -> None:
    held = twinflow.load(FILE, map_location="cpu", weights_only=True)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).eval()
    model.load_state_dict(held["model"])
    np.testing.assert_allclose(model(held["x"]).detach().numpy(), held["y"].numpy(), rtol=1e-5, atol=1e-6)


def test_every_kind_of_value_is_read() -> None:
    held = twinflow.load(FILE, weights_only=True)
    assert held["view"].tolist() == [[1.0, 4.0], [2.0, 5.0]]
    assert held["half"].dtype is twinflow.bfloat16 and held["half"].tolist() == [1.5, -2.0]
    assert tuple(held["empty"].shape) == (0, 3)
    assert held["flag"].item() is True
    assert held["epoch"] == 3 and held["names"] == ["a", ("b", None)]
    assert held["complex"].tolist() == [1 + 2j]
    assert held["dtype"] is twinflow.float16
    assert isinstance(held["parameter"], nn.Parameter) and held["parameter"].requires_grad
    assert held["size"] == (2, 3)
    held["x"].add_(1)  # memory of its own, which can be written


def test_pickles_are_read_only_when_asked_for_by_name() -> None:
    with pytest.raises(CheckpointError, match=r"weights_only=True\) reads its tensors"):
        twinflow.load(FILE)
    with pytest.raises(ArgumentError, match="would run code"):
        twinflow.load(FILE, weights_only=False)
    with pytest.raises(DeviceError, match="'cuda' is absent"):
        twinflow.load(FILE, map_location="cuda")


def test_a_name_that_would_run_code_is_refused() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("m/data.pkl", b"cos\nsystem\n(S'true'\ntR.")
    packed.seek(0)
    with pytest.raises(CheckpointError, match=r"os\.system.*state_dict\(\) instead of the model"):
        twinflow.load(packed, weights_only=True)


def test_a_bare_pickle_is_refused() -> None:
    with pytest.raises(CheckpointError, match="bare pickle"):
        twinflow.load(io.BytesIO(b"\x80\x02}q\x00."), weights_only=True)


def test_damaged_files_give_one_clear_error() -> None:
    raw = FILE.read_bytes()
    rng = random.Random(0)
    refused = 0
    for k in range(300):
        damaged = bytearray(raw)
        if k % 3 == 0:
            damaged = damaged[: rng.randrange(2, len(damaged))]
        else:
            for _ in range(rng.randrange(1, 30)):
                damaged[rng.randrange(2, len(damaged))] = rng.randrange(256)
        try:
            twinflow.load(io.BytesIO(bytes(damaged)), weights_only=True)
        except CheckpointError:
            refused += 1
    assert refused > 250
