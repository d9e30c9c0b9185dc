"""The errors that users see. Each names the operation, the values and, where there is one, the way out."""

from __future__ import annotations

from twinflow.core._source import user_line


class TwinflowError(RuntimeError):
    """Base of all errors that twinflow raises on purpose. The user's line is appended to the message."""

    def __init__(self, message: str, *, line: str | None = None) -> None:
        where = user_line() if line is None else line
        super().__init__(f"{message}\n  at {where}" if where and "\n  at " not in message else message)


class InputError(TwinflowError):
    """Base of errors about what an operation was given: its shapes, types, indices or arguments."""


class ShapeError(InputError, ValueError):
    """Shapes that do not fit together, or not the operation."""


class DTypeError(InputError, TypeError):
    """A type that the operation does not take, or types that do not combine."""


class ArgumentError(InputError, ValueError):
    """An argument outside what the operation accepts."""


class CheckError(ArgumentError, AssertionError):
    """A check of values that did not hold when it was run."""


class IndexOutOfRange(InputError, IndexError):
    """An index, axis or label outside its range."""


class GradientError(TwinflowError):
    """A derivative that was asked for where there is none, or where a value it needs is gone."""


class LinAlgError(TwinflowError):
    """A matrix that a decomposition or solution does not exist for: singular, not positive-definite, not finite."""


class TraceError(TwinflowError):
    """Something that a traced (compiled) function cannot do, such as branching on a tensor's value."""


class DataError(TwinflowError, ValueError):
    """A file, data set or batch that is not what it says it is."""


class CheckpointError(DataError):
    """A checkpoint that is damaged, or belongs to another model."""


class DeviceError(TwinflowError):
    """A device that is absent, or tensors on different devices."""


class CompileError(TwinflowError):
    """Generated code that cannot be compiled, linked or found. A user who meets it has found a bug of twinflow's."""


class OutOfMemory(TwinflowError, MemoryError):
    """A compiled step that needs more memory than there is. Raised before the step runs, so nothing is lost."""


class MissingExtra(TwinflowError, ImportError):
    """An optional dependency that is not installed."""


def missing_extra(feature: str, package: str, extra: str) -> MissingExtra:
    """The error for an optional dependency: it names the feature, the package and the command that installs it."""
    return MissingExtra(f"{feature} needs the package {package}: pip install 'twinflow[{extra}]'")
