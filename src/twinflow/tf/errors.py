"""The errors that programs catch by name: `tf.errors`. They are names of the errors that are raised here."""

from __future__ import annotations

from twinflow.core.errors import ArgumentError as FailedPreconditionError
from twinflow.core.errors import CheckpointError as DataLossError
from twinflow.core.errors import CheckpointError as NotFoundError
from twinflow.core.errors import DataError
from twinflow.core.errors import InputError as InvalidArgumentError
from twinflow.core.errors import OutOfMemory as ResourceExhaustedError
from twinflow.core.errors import TraceError as OperatorNotAllowedInGraphError
from twinflow.core.errors import TwinflowError as InternalError
from twinflow.core.errors import TwinflowError as OpError
from twinflow.core.errors import TwinflowError as UnknownError


class OutOfRangeError(DataError):
    """A data set has no further elements."""


__all__ = [
    "DataLossError", "FailedPreconditionError", "InternalError", "InvalidArgumentError", "NotFoundError", "OpError",
    "OperatorNotAllowedInGraphError", "OutOfRangeError", "ResourceExhaustedError", "UnknownError",
]  # fmt: skip
