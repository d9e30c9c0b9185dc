"""The errors that programs catch by name: `tf.errors`."""

from __future__ import annotations

from twinflow.core.errors import ArgumentError as InvalidArgumentError
from twinflow.core.errors import DataError
from twinflow.core.errors import TwinflowError as OpError


class OutOfRangeError(DataError):
    """A data set's iterator has no further element."""


__all__ = ["InvalidArgumentError", "OpError", "OutOfRangeError"]
