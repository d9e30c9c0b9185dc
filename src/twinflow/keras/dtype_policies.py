"""`keras.dtype_policies`: the one policy there is, float32."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError


class DTypePolicy:
    """In which type layers compute and keep their weights: float32.

    Raises: ArgumentError for another name: layers have no other types yet.
    """

    def __init__(self, name: str = "float32", source_name: str | None = None) -> None:
        if name != "float32":
            raise ArgumentError(
                f"keras.DTypePolicy: layers compute in float32; {name!r} is not supported; cast tensors with keras.ops.cast inside a layer "
                "of your own for another type"
            )
        self.name = self.compute_dtype = self.variable_dtype = name

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """The inverse of `get_config`."""
        return cls(**config)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


def get(identifier: Any) -> DTypePolicy:
    """A policy from a name, a configuration or a policy."""
    if isinstance(identifier, DTypePolicy):
        return identifier
    return DTypePolicy(**(identifier["config"] if isinstance(identifier, dict) else {"name": str(identifier)}))


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none."""
    return DTypePolicy()


def set_dtype_policy(policy: Any) -> None:
    """Takes float32 only."""
    get(policy)
