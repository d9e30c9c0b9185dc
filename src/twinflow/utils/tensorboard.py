"""Event files that TensorBoard shows, written as with `torch.utils.tensorboard`. Needs the extra `tensorboard`."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.tensor import Tensor, array_of
from twinflow.utils._events import EventWriter, histogram_value, image_values, scalar_value, text_value


def _numbers(op: str, x: Any) -> Any:
    if not isinstance(x, Tensor):
        return x
    data = array_of(x, op)
    return data.astype(np.float32) if data.dtype.kind == "V" else data


class SummaryWriter:
    """Writes one event file; as a context manager it is closed at the end.

    Args:
        log_dir: the folder, which TensorBoard is pointed at; by default runs/<time>.

    Raises: MissingExtra, naming the command that installs it, without the package tensorboard.
    """

    def __init__(self, log_dir: str | os.PathLike[str] | None = None) -> None:
        self.log_dir = (
            os.fspath(log_dir) if log_dir is not None else os.path.join("runs", time.strftime("%b%d_%H-%M-%S"))
        )
        self._writer = EventWriter(self.log_dir)

    def add_scalar(self, tag: str, scalar_value: Any, global_step: int = 0) -> None:
        """One number of a curve."""
        self.add_scalars("", {tag: scalar_value}, global_step)

    def add_scalars(self, main_tag: str, tag_scalar_dict: dict[str, Any], global_step: int = 0) -> None:
        """One number of each of several curves, which are named main_tag/tag."""
        lead = f"{main_tag}/" if main_tag else ""
        values = [scalar_value(f"{lead}{tag}", _numbers("add_scalar", x)) for tag, x in tag_scalar_dict.items()]
        self._writer.values(values, global_step)

    def add_histogram(self, tag: str, values: Any, global_step: int = 0, bins: int = 64) -> None:
        """How the elements of a tensor are distributed. Elements that are not finite are left out."""
        self._writer.values([histogram_value(tag, _numbers("add_histogram", values), bins)], global_step)

    def add_image(self, tag: str, img_tensor: Any, global_step: int = 0, dataformats: str = "CHW") -> None:
        """A picture: bytes, or floating numbers in [0, 1], its axes in the order that `dataformats` says."""
        self.add_images(tag, _numbers("add_image", img_tensor)[None], global_step, "N" + dataformats)

    def add_images(self, tag: str, img_tensor: Any, global_step: int = 0, dataformats: str = "NCHW") -> None:
        """Several pictures."""
        array = np.asarray(_numbers("add_images", img_tensor))
        if len(dataformats) != array.ndim or set(dataformats) - set("NCHW") or not set("NHW") <= set(dataformats):
            raise ArgumentError(
                f"add_image: dataformats names each axis once, as 'CHW' or 'HW', but {dataformats.removeprefix('N')!r} was given for "
                f"an array of shape {array.shape[1:]}"
            )
        if "C" not in dataformats:
            array, dataformats = array[..., None], dataformats + "C"
        array = array.transpose([dataformats.index(c) for c in "NHWC"])
        self._writer.values(image_values(tag, array, len(array)), global_step)

    def add_text(self, tag: str, text_string: str, global_step: int = 0) -> None:
        """A text, in Markdown."""
        self._writer.values([text_value(tag, text_string)], global_step)

    def flush(self) -> None:
        """Write what is still in memory."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is still in memory and close the file."""
        self._writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
