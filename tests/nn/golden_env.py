"""What golden cases are written in: expressions over `nn`, `F` and the inputs below, evaluated for either framework.

A case is "F.gelu(f(3, 4))", or "nn.Linear(4, 3) | f(2, 4)": a layer and what it is called with. Inputs and parameters
follow from formulas, so that both frameworks see the same numbers; results are condensed to weighted sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def wave(shape: tuple[int, ...], seed: int) -> np.ndarray[Any, Any]:
    """Numbers in (-1.5, 1.5) without ties."""
    k = np.arange(int(np.prod(shape)), dtype=np.float64)
    return (1.5 * np.sin(0.9 * k + 1.7 * seed + 0.3 * k * k / (k + 7.0))).reshape(shape)


class Inputs:
    """Makes the inputs of a case once, and gives the same ones at every evaluation."""

    def __init__(self, nn: Any, F: Any, from_numpy: Any) -> None:
        self.made: list[Any] = []
        self.leaves: list[Any] = []
        self.at = 0
        self._from_numpy = from_numpy
        self.names = {
            "nn": nn,
            "F": F,
            "R": nn.utils.rnn,
            "f": lambda *shape: self._give(wave(shape, len(self.made) + 1), True),  # differentiable
            "c": lambda *shape: self._give(wave(shape, len(self.made) + 1), False),  # constant
            "p": lambda *shape: self._give(0.5 + wave(shape, len(self.made) + 1) * 0.3, True),  # in (0.05, 0.95)
            "q": lambda *shape: self._give(np.abs(wave(shape, len(self.made) + 1)) + 0.1, False),  # positive
            "s": lambda *shape: self._give(np.sign(wave(shape, len(self.made) + 1)), False),  # -1 or 1
            "i": lambda n, *shape: self._give(self._whole(shape) % n, False),  # labels
            "a": lambda *values: self._give(np.array(values), False),
        }

    @staticmethod
    def _whole(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        k = np.arange(int(np.prod(shape)), dtype=np.int64)
        return (k * 7 + k * k // 3 + 3).reshape(shape)

    def _give(self, array: np.ndarray[Any, Any], differentiable: bool) -> Any:
        if self.at == len(self.made):
            t = self._from_numpy(np.asarray(array))
            if differentiable:
                t.requires_grad_()
                self.leaves.append(t)
            self.made.append(t)
        self.at += 1
        return self.made[self.at - 1]


class Case:
    """One expression in one framework."""

    def __init__(self, text: str, nn: Any, F: Any, from_numpy: Any) -> None:
        layer, bar, args = text.partition(" | ")
        self.inputs = Inputs(nn, F, from_numpy)
        self.layer: Any = None
        self.code = text
        if bar:
            self.layer = eval(layer, dict(self.inputs.names)).double()
            self.code = f"layer({args})"
            self.weights = [p for _, p in sorted(self.layer.named_parameters())]
            for k, p in enumerate(self.weights):
                p.data.copy_(from_numpy(wave(tuple(p.shape), 50 + k) * 0.4))
            self.inputs.made.clear()
            self.inputs.leaves.clear()
        else:
            self.weights = []

    def outputs(self) -> list[Any]:
        """The floating results."""
        self.inputs.at = 0
        y = eval(self.code, {**self.inputs.names, "layer": self.layer})
        return [t for t in _flat(y) if t.dtype.is_floating_point]

    def total(self, from_numpy: Any) -> Any:
        """Σ yᵢ rᵢ with fixed weights r."""
        total: Any = None
        for k, y in enumerate(self.outputs()):
            part = (y * from_numpy(wave(tuple(y.shape), 90 + k))).sum()
            total = part if total is None else total + part
        return total

    def leaves(self) -> list[Any]:
        """What gradients are taken of."""
        return [*self.inputs.leaves, *self.weights]

    @staticmethod
    def condense(value: float, grads: list[Any]) -> list[float | None]:
        """The numbers that are compared."""
        return [
            float(value),
            *(None if g is None else float((np.asarray(g) * wave(tuple(g.shape), 30)).sum()) for g in grads),
        ]


def _flat(y: Any) -> list[Any]:
    """The tensors in nested results."""
    if y is None:
        return []
    if hasattr(y, "batch_sizes"):  # a packed sequence
        return [y.data]
    return [t for part in y for t in _flat(part)] if isinstance(y, (tuple, list)) else [y]
