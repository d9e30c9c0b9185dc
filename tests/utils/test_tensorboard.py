"""SummaryWriter: what it writes, TensorBoard reads."""

from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import twinflow
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.utils.tensorboard import SummaryWriter


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("loss", twinflow.tensor(1.0 / (step + 1), requires_grad=True), step)
        writer.add_scalars("accuracy", {"train": 0.5, "test": np.float32(0.25)}, 2)
        writer.add_histogram("weights", twinflow.arange(10, dtype="bfloat16"), 1)
        writer.add_image("picture", twinflow.rand(3, 4, 5), 1)
        writer.add_image("grey", np.zeros((4, 5), np.uint8), 1, dataformats="HW")
        writer.add_text("note", "**hello**", 1)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, round(e.value, 4)) for e in events.Scalars("loss")] == [(0, 1.0), (1, 0.5), (2, 0.3333)]
    assert events.Scalars("accuracy/test")[0].value == 0.25
    histogram = events.Histograms("weights")[0].histogram_value
    assert (histogram.min, histogram.max, histogram.num, histogram.sum) == (0, 9, 10, 45)
    [picture] = events.Images("picture/image")
    assert (picture.width, picture.height) == (5, 4)
    assert "grey/image" in events.Tags()["images"] and "note" in events.Tags()["tensors"]


def test_what_is_no_number_or_picture_is_refused(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        with pytest.raises(ShapeError, match="'loss' has the shape"):
            writer.add_scalar("loss", twinflow.ones(2))
        with pytest.raises(ArgumentError, match="dataformats names each axis once"):
            writer.add_image("picture", twinflow.ones(3, 4))
