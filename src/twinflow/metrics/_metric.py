"""What all metrics share: counts and sums over batches, and a result at the end."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from twinflow.core.errors import CheckpointError, DataError
from twinflow.tensor import Tensor, no_grad, paused_tracing, wrap


class Metric:
    """Base of metrics. `update(prediction, target)` takes a batch into account, `compute()` gives the result so far.

    Calling a metric does both for one batch: it is taken into account, and its own result is returned. Sums are tensors
    that are updated in place, so `update` may stand inside a compiled step unless a metric says otherwise.
    """

    def __init__(self) -> None:
        self._state: dict[str, Tensor] = {}

    def _add_state(self, name: str, shape: tuple[int, ...] = (), dtype: str = "float64") -> None:
        self._state[name] = wrap(np.zeros(shape, dtype))

    def update(self, *args: Any) -> None:
        """Take a batch into account."""
        with no_grad():
            self._update(*args)

    def _update(self, *args: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _update")

    def compute(self) -> Any:
        """The result of all batches since the last `reset`.

        Raises: DataError if there were none.
        """
        raise NotImplementedError(f"{type(self).__name__} must define compute")

    def reset(self) -> None:
        """Begin anew."""
        with paused_tracing(), no_grad():
            for t in self._state.values():
                t.zero_()

    def __call__(self, *args: Any) -> Any:
        """Take a batch into account, and return the result of that batch alone."""
        one = self._alone()
        one.update(*args)
        self._merge(one)
        return one.compute()

    def _alone(self) -> Self:
        one = object.__new__(type(self))
        one.__dict__.update(self.__dict__)
        one._state = {k: wrap(np.zeros(t.shape, t.dtype.np)) for k, t in self._state.items()}
        return one

    def _merge(self, other: Self) -> None:
        with no_grad():
            for k, t in self._state.items():
                t.add_(other._state[k])

    def _want_any(self, count: float) -> None:
        if not count:
            raise DataError(f"{type(self).__name__}: there is no result before the first update")

    def state_dict(self) -> dict[str, Any]:
        """The counts and sums so far (copies)."""
        return {k: t.clone() for k, t in self._state.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        if state_dict.keys() != self._state.keys():
            raise CheckpointError(
                f"{type(self).__name__}.load_state_dict: {sorted(state_dict)} was saved, but {sorted(self._state)} is needed"
            )
        with no_grad():
            for k, t in self._state.items():
                if tuple(state_dict[k].shape) != tuple(t.shape):
                    raise CheckpointError(
                        f"{type(self).__name__}.load_state_dict: {k} of shape {tuple(state_dict[k].shape)}, not {tuple(t.shape)}"
                    )
                t.copy_(state_dict[k])

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({options})"
