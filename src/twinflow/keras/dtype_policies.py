"""`keras.dtype_policies`: in which type layers compute, and in which they keep their weights."""

from __future__ import annotations

from typing import Any

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, TwinflowError

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


class DTypePolicy:
    """In which type a layer computes, and in which it keeps its weights.

    Args:
        name: 'float32', 'float64', 'float16' or 'bfloat16' for both, 'mixed_float16' or 'mixed_bfloat16' for weights of float32 that
            are converted to the shorter type where they are used; None for the policy of layers that are given none.

    Raises: ArgumentError for another name.

    >>> from twinflow import keras
    >>> policy = keras.DTypePolicy("mixed_bfloat16")
    >>> policy.compute_dtype, policy.variable_dtype
    ('bfloat16', 'float32')
    """

    def __init__(self, name: str | None = None) -> None:
        self.name: str = dtype_policy().name if name is None else name
        self.compute_dtype = _MIXED.get(self.name) or _floating(self.name)
        self.variable_dtype = "float32" if self.name in _MIXED else self.compute_dtype
        self.quantization_mode = None

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """The inverse of `get_config`."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


FloatDTypePolicy = DTypePolicy


def _floating(name: Any) -> str:
    try:
        found = as_dtype(name)
    except (TwinflowError, TypeError):
        found = None
    if found is None or not found.is_floating_point:
        raise ArgumentError(
            f"keras.DTypePolicy: {name!r} is no policy; there are 'float32', 'float64', 'float16', 'bfloat16', 'mixed_float16' and "
            "'mixed_bfloat16'"
        )
    return str(found.name)


_GLOBAL = [DTypePolicy("float32")]


def get(identifier: Any) -> DTypePolicy:
    """A policy from a name, a type, a configuration or a policy; None for the one of layers that are given none."""
    if isinstance(identifier, DTypePolicy):
        return identifier
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, dict):
        return DTypePolicy(**identifier["config"])
    return DTypePolicy(identifier if isinstance(identifier, str) else as_dtype(identifier).name)


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none."""
    return _GLOBAL[0]


def set_dtype_policy(policy: Any) -> None:
    """Set the policy of layers that are made from now on.

    >>> from twinflow import keras
    >>> keras.config.set_dtype_policy("mixed_bfloat16")
    >>> keras.layers.Dense(3).compute_dtype
    'bfloat16'
    >>> keras.config.set_dtype_policy("float32")
    """
    _GLOBAL[0] = get(policy)
