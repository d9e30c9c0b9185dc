"""What there is of `keras.backend` and `keras.config`: one backend, float32, channels last, ε = 1e-7."""

from __future__ import annotations

from typing import Any

from twinflow.core import as_dtype, promote_types
from twinflow.core.errors import ArgumentError
from twinflow.keras._objects import clear_session as clear_session
from twinflow.keras._objects import is_keras_tensor as is_keras_tensor
from twinflow.keras._objects import standardize_dtype as standardize_dtype
from twinflow.keras._registry import unique_name


def backend() -> str:
    """'twinflow'."""
    return "twinflow"


def epsilon() -> float:
    """The small number that losses and metrics keep off 0."""
    return 1e-7


def floatx() -> str:
    """The type in which layers compute."""
    return "float32"


def image_data_format() -> str:
    """Where channels stand if a layer is not told otherwise."""
    return "channels_last"


def _fixed(name: str, value: Any) -> Any:
    def set_to(wanted: Any) -> None:
        if wanted != value:
            raise ArgumentError(f"keras.config.{name}: it is {value!r} everywhere and cannot be changed to {wanted!r}")

    set_to.__name__ = name
    set_to.__doc__ = f"Takes {value!r} only."
    return set_to


set_epsilon, set_floatx = _fixed("set_epsilon", 1e-7), _fixed("set_floatx", "float32")
set_image_data_format = _fixed("set_image_data_format", "channels_last")


def get_uid(prefix: str = "") -> str:
    """A name that was not given yet."""
    return unique_name(prefix)


def is_float_dtype(dtype: Any) -> bool:
    """Whether a type is floating."""
    return bool(as_dtype(dtype).is_floating_point)


def is_int_dtype(dtype: Any) -> bool:
    """Whether a type is of whole numbers."""
    t = as_dtype(dtype)
    return not t.is_floating_point and not t.name.startswith("complex") and t.name != "bool"


def result_type(*dtypes: Any) -> str:
    """The type that several types become together."""
    found = as_dtype(dtypes[0]) if dtypes else as_dtype("float32")
    for d in dtypes[1:]:
        found = promote_types(found, as_dtype(d))
    return str(found.name)
