"""Recurrent cells: one step, whose weights and equations the layers run over all steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twinflow.core.errors import ArgumentError
from twinflow.keras import activations
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras._registry import serialize
from twinflow.keras.layers._core import positive
from twinflow.keras.layers._regularization import check_rate, seeded
from twinflow.nn._recurrent import State, Step, Weights, gru_step, lstm_step_with, rnn_step
from twinflow.nn.functional._dropout import dropout_shared
from twinflow.ops import cat, matmul, ones, zeros
from twinflow.tensor import Tensor

Fixed = Callable[[Any, Any], Any]  # (inputs, states) -> (output, new states)


def fixed(cell: Any, shape: Any, training: bool) -> Fixed:
    """A cell with its draws of dropout made once for all steps; other cells are called as they are."""
    if hasattr(cell, "fixed"):
        found: Fixed = cell.fixed(shape, training)
        return found
    return cell


class _Cell(Layer):
    _in_float32 = True
    _n_gates = 1
    _n_states = 1
    _options: ClassVar[dict[str, Any]] = {"kernel": "glorot_uniform", "recurrent": "orthogonal", "bias": "zeros"}

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        positive(kind.removesuffix("Cell"), units=units)
        self.units, self.use_bias, self.seed = units, use_bias, seed
        self.activation = activations.get(activation)
        self.dropout = check_rate(kind, dropout)
        self.recurrent_dropout = check_rate(kind, recurrent_dropout)
        self._generator = seeded(seed)
        self.state_size: Any = units if self._n_states == 1 else [units] * self._n_states
        self.output_size = units

    def build(self, input_shape: Any) -> None:
        """Make kernel [in, G·units], recurrent_kernel [units, G·units] and bias."""
        width = self._n_gates * self.units
        self.kernel = self._weight("kernel", (input_shape[-1], width))
        self.recurrent_kernel = self._weight("recurrent", (self.units, width))
        self.bias = self._weight("bias", self._bias_shape()) if self.use_bias else None

    def _bias_shape(self) -> tuple[int, ...]:
        return (self._n_gates * self.units,)

    def get_initial_state(self, batch_size: Any = None) -> Any:
        """Zeros."""
        found = [zeros((batch_size, self.units)) for _ in range(self._n_states)]
        return found[0] if self._n_states == 1 else found

    def gates(self, x: Tensor) -> Tensor:
        """The input's part of the gates, x W + b, of one step or of all."""
        y = matmul(x, self.kernel)
        return y if self.bias is None else y + self.bias

    def _recurrent(self) -> Weights:
        return Weights(self.recurrent_kernel.mT)

    def _equations(self) -> Step:
        raise NotImplementedError(f"{type(self).__name__} must define _equations(self)")

    def step(self, batch: Any, training: bool) -> tuple[Step, Weights]:
        """One step of the equations, and what it multiplies the state with; with recurrent dropout, the same draws in all steps."""
        equations = self._equations()
        if not training or not self.recurrent_dropout:
            return equations, self._recurrent()
        kept = self._draw((batch, self.units), self.recurrent_dropout)

        def step(x: Tensor, state: State, w: Weights) -> State:
            return equations(x, (state[0] * kept, *state[1:]), w)

        return step, self._recurrent()

    def _draw(self, shape: Any, rate: float) -> Tensor:
        return dropout_shared(ones(shape), rate, True, tuple(shape), self._generator)

    def drop_input(self, x: Tensor, shape: Any, training: bool) -> Tensor:
        """Dropout of the input, by draws of `shape`, which broadcast along the steps."""
        return x * self._draw(shape, self.dropout) if training and self.dropout else x

    def fixed(self, shape: Any, training: bool) -> Fixed:
        """(inputs, states) -> (output, new states) for inputs of this shape, with the same draws of dropout in all steps."""
        step, weights = self.step(shape[0], training)
        kept = self._draw(shape, self.dropout) if training and self.dropout else None

        def run(inputs: Tensor, states: Any) -> Any:
            given = tuple(states) if isinstance(states, (list, tuple)) else (states,)
            new = step(self.gates(inputs if kept is None else inputs * kept), given, weights)
            return new[0], list(new) if isinstance(states, (list, tuple)) else new[0]

        return run

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> Any:
        """(output, new states)."""
        return self.fixed(tuple(inputs.shape), training)(inputs, states)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("units", "activation", "use_bias", "dropout", "recurrent_dropout", "seed")


@LAYERS.add()
class SimpleRNNCell(_Cell):
    """h' = activation(x W + h U + b)."""

    def _equations(self) -> Step:
        return rnn_step(self.activation)


class _Gated(_Cell):
    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", **kwargs: Any
    ) -> None:
        super().__init__(units, activation, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**super().get_config(), "recurrent_activation": serialize(self.recurrent_activation)}


@LAYERS.add()
class LSTMCell(_Gated):
    """One step of `LSTM`; the states are h and c."""

    _n_gates, _n_states = 4, 2

    def __init__(self, units: int, *args: Any, unit_forget_bias: bool = True, **kwargs: Any) -> None:
        super().__init__(units, *args, **kwargs)
        self.unit_forget_bias = unit_forget_bias

    def build(self, input_shape: Any) -> None:
        """Make the weights of the gates i, f, c, o."""
        super().build(input_shape)
        if self.bias is not None and self.unit_forget_bias:
            self.bias.detach()[self.units : 2 * self.units].fill_(1.0)

    def _equations(self) -> Step:
        return lstm_step_with(self.activation, self.recurrent_activation)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


@LAYERS.add()
class GRUCell(_Gated):
    """One step of `GRU`."""

    _n_gates = 3

    def __init__(self, units: int, *args: Any, reset_after: bool = True, **kwargs: Any) -> None:
        super().__init__(units, *args, **kwargs)
        self.reset_after = reset_after

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _swap(self, w: Tensor) -> Tensor:
        """Keras has the gates z, r, n; the step has r, z, n."""
        u = self.units
        return cat([w[..., u : 2 * u], w[..., :u], w[..., 2 * u :]], -1)

    def gates(self, x: Tensor) -> Tensor:
        """x W and what can be added of the biases beforehand."""
        y = matmul(x, self._swap(self.kernel))
        if self.bias is None:
            return y
        bias = self._swap(self.bias)
        if not self.reset_after:
            return y + bias
        u = 2 * self.units
        return y + cat([bias[0, :u] + bias[1, :u], bias[0, u:]])

    def _recurrent(self) -> Weights:
        b_n = None
        if self.bias is not None and self.reset_after:
            b_n = self._swap(self.bias)[1, 2 * self.units :]
        return Weights(self._swap(self.recurrent_kernel).mT, b_n)

    def _equations(self) -> Step:
        return gru_step(self.reset_after, "keep", self.activation, self.recurrent_activation)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**super().get_config(), "reset_after": self.reset_after}


@LAYERS.add()
class StackedRNNCells(Layer):
    """Several cells as one: the output of each is the input of the next."""

    def __init__(self, cells: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = [LAYERS.deserialize(c) if isinstance(c, dict) else c for c in cells]
        for c in self.cells:
            if not hasattr(c, "state_size"):
                raise ArgumentError(f"StackedRNNCells: {type(c).__name__} is no cell; it has no state_size")

    @property
    def state_size(self) -> list[Any]:
        """Those of all cells."""
        return [c.state_size for c in self.cells]

    @property
    def output_size(self) -> Any:
        """That of the last cell."""
        return _width(self.cells[-1])

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Those of all cells."""
        return [c.get_initial_state(batch_size=batch_size) if hasattr(c, "get_initial_state") else zeros((batch_size, _width(c)))
                for c in self.cells]  # fmt: skip

    def build(self, input_shape: Any) -> None:
        """Build each cell for the output of the one before."""
        for c in self.cells:
            if not c.built:
                c.build(input_shape)
                c.built = True
            input_shape = (input_shape[0], _width(c))

    def fixed(self, shape: Any, training: bool) -> Fixed:
        """(inputs, states) -> (output, new states) with the same draws of dropout in all steps."""
        cells = []
        for c in self.cells:
            cells.append(fixed(c, shape, training))
            shape = (shape[0], _width(c))

        def run(inputs: Any, states: Any) -> Any:
            new = []
            for c, s in zip(cells, states):
                inputs, after = c(inputs, s)
                new.append(after)
            return inputs, new

        return run

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """(output of the last cell, new states of all)."""
        return self.fixed(tuple(inputs.shape), training)(inputs, states)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**self._config(), "cells": [serialize(c) for c in self.cells]}


def _width(cell: Any) -> Any:
    size = getattr(cell, "output_size", None) or cell.state_size
    return size[0] if isinstance(size, (list, tuple)) else size
