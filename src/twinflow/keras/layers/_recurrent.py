"""Recurrent layers, over the same steps and the same scan as `nn`'s."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import activations, initializers, regularizers
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras._registry import serialize
from twinflow.keras.layers._core import check_rate, positive
from twinflow.nn import functional as F
from twinflow.nn._recurrent import Step, Weights, gru_step, lstm_step_with, rnn_step
from twinflow.nn._recurrent_layers import run_direction
from twinflow.ops import cat, matmul, zeros
from twinflow.tensor import Tensor


class _Recurrent(Layer):
    _rank, _axes = 3, "batch, steps, features"
    _gates = 1
    _states = 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        positive(type(self).__name__, units=units)
        self.units, self.use_bias = units, use_bias
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.dropout = check_rate(type(self).__name__, dropout)
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards

    def build(self, input_shape: Any) -> None:
        """Make kernel [in, G·units], recurrent_kernel [units, G·units] and bias."""
        width = self._gates * self.units
        self.kernel = self.add_weight(
            (input_shape[-1], width), self.kernel_initializer, regularizer=self.kernel_regularizer, name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            (self.units, width),
            self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            name="recurrent_kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                self._bias_shape(), self.bias_initializer, regularizer=self.bias_regularizer, name="bias"
            )

    def _bias_shape(self) -> tuple[int, ...]:
        return (self._gates * self.units,)

    def _step(self) -> Step:
        raise NotImplementedError

    def _run(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(h of every step [T, N, H], last state) for gates' inputs in step order."""
        gates = matmul(x, self.kernel)
        if self.bias is not None:
            gates = gates + self.bias
        return run_direction(self._step(), gates, state, Weights(self.recurrent_kernel.mT), None, self.go_backwards)

    def call(self, inputs: Tensor, initial_state: Any = None, training: bool = False) -> Any:
        """The last output, or all of them with return_sequences; with return_state also the last state."""
        if inputs.shape[1] == 0:
            raise ShapeError(f"{type(self).__name__} {self.name!r}: a sequence without steps has no last output")
        x = F.dropout(inputs, self.dropout, training) if self.dropout else inputs
        if initial_state is None:
            state = tuple(zeros((inputs.shape[0], self.units)) for _ in range(self._states))
        else:
            state = tuple(initial_state) if isinstance(initial_state, (list, tuple)) else (initial_state,)
            if len(state) != self._states:
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r}: initial_state has {self._states} tensors, but {len(state)} were given"
                )
        ys, last = self._run(x.transpose(0, 1), state)
        if not self.return_sequences:
            y = last[0]
        else:
            # going backwards, Keras gives the outputs in the order in which they were computed
            y = (ys.flip(0) if self.go_backwards else ys).transpose(0, 1)
        return [y, *last] if self.return_state else y

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config(
            "units", "activation", "use_bias", "kernel_initializer", "recurrent_initializer", "bias_initializer", "kernel_regularizer",
            "recurrent_regularizer", "bias_regularizer", "dropout", "return_sequences", "return_state", "go_backwards",
        )  # fmt: skip


@LAYERS.add()
class SimpleRNN(_Recurrent):
    """h' = activation(x W + h U + b). Arguments as for `LSTM`."""

    def _step(self) -> Step:
        return rnn_step(self.activation)


@LAYERS.add()
class LSTM(_Recurrent):
    """Long short-term memory over [N, T, features].

    Args:
        units: the size of the state.
        activation, recurrent_activation: of the candidate and output, and of the gates.
        unit_forget_bias: begin with 1 in the forget gate's bias.
        dropout: the fraction of the input that is dropped while training.
        return_sequences: the outputs of all steps [N, T, units] instead of the last.
        return_state: also the last state, [output, h, c].
        go_backwards: go from the last step to the first.
    Source: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000.
    """

    _gates, _states = 4, 2

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        unit_forget_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, activation, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias

    def build(self, input_shape: Any) -> None:
        """Make the weights of the gates i, f, c, o."""
        super().build(input_shape)
        if self.bias is not None and self.unit_forget_bias:
            self.bias.detach()[self.units : 2 * self.units].fill_(1.0)

    def _step(self) -> Step:
        return lstm_step_with(self.activation, self.recurrent_activation)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        own = {"recurrent_activation": serialize(self.recurrent_activation), "unit_forget_bias": self.unit_forget_bias}
        return {**super().get_config(), **own}


@LAYERS.add()
class GRU(_Recurrent):
    """Gated recurrent unit over [N, T, features]: h' = z·h + (1 - z)·n. Arguments as for `LSTM`, and:

    Args:
        reset_after: whether the reset gate multiplies after the product with U (then there are two biases) or before.
    Source: Cho et al., arXiv:1406.1078 (v3 before, v1 after).
    """

    _gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        reset_after: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, activation, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = reset_after

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _swap(self, w: Tensor) -> Tensor:
        """Keras has the gates z, r, n; the step has r, z, n."""
        u = self.units
        return cat([w[..., u : 2 * u], w[..., :u], w[..., 2 * u :]], -1)

    def _run(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        gates, b_n = matmul(x, self._swap(self.kernel)), None
        if self.bias is not None:
            bias = self._swap(self.bias)
            if self.reset_after:
                u = 2 * self.units
                gates = gates + cat([bias[0, :u] + bias[1, :u], bias[0, u:]])
                b_n = bias[1, u:]
            else:
                gates = gates + bias
        step = gru_step(self.reset_after, "keep", self.activation, self.recurrent_activation)
        return run_direction(
            step, gates, state, Weights(self._swap(self.recurrent_kernel).mT, b_n), None, self.go_backwards
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        own = {"recurrent_activation": serialize(self.recurrent_activation), "reset_after": self.reset_after}
        return {**super().get_config(), **own}


@LAYERS.add()
class Bidirectional(Layer):
    """A recurrent layer forwards and a copy of it backwards, joined.

    Args:
        layer: a recurrent layer.
        merge_mode: 'concat', 'sum', 'mul', 'ave', or None for a list of both.
        backward_layer: what goes backwards, instead of a copy.
    """

    _rank, _axes = 3, "batch, steps, features"

    def __init__(
        self, layer: Any, merge_mode: str | None = "concat", backward_layer: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(layer, dict):
            layer = LAYERS.deserialize(layer)
        if isinstance(backward_layer, dict):
            backward_layer = LAYERS.deserialize(backward_layer)
        if not isinstance(layer, _Recurrent):
            raise ArgumentError(f"Bidirectional: a recurrent layer is needed, not {type(layer).__name__}")
        if layer.return_state:
            raise ArgumentError(
                "Bidirectional: a layer with return_state=True is not supported; its two states would be mixed"
            )
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise ArgumentError(
                f"Bidirectional: merge_mode is 'concat', 'sum', 'mul', 'ave' or None, not {merge_mode!r}"
            )
        if backward_layer is None:
            config = layer.get_config()
            config.update(go_backwards=not layer.go_backwards, name=f"backward_{layer.name}")
            config.pop("batch_input_shape", None)
            backward_layer = type(layer).from_config(config)
        self.forward_layer, self.backward_layer, self.merge_mode = layer, backward_layer, merge_mode
        if self._batch_input_shape is None:
            self._batch_input_shape = layer._batch_input_shape

    def call(self, inputs: Tensor) -> Any:
        """Both directions."""
        a, b = self.forward_layer(inputs), self.backward_layer(inputs)
        if self.forward_layer.return_sequences:
            b = b.flip(1)
        if self.merge_mode is None:
            return [a, b]
        if self.merge_mode == "concat":
            return cat([a, b], -1)
        if self.merge_mode == "mul":
            return a * b
        return a + b if self.merge_mode == "sum" else (a + b) / 2

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        layers = {"layer": serialize(self.forward_layer), "backward_layer": serialize(self.backward_layer)}
        return {**self._config("merge_mode"), **layers}


@LAYERS.add()
class TimeDistributed(Layer):
    """A layer applied to every step: [N, T, ...] -> [N, T, ...]."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = LAYERS.deserialize(layer) if isinstance(layer, dict) else layer
        if not isinstance(self.layer, Layer):
            raise ArgumentError(f"TimeDistributed: a layer is needed, not {type(layer).__name__}")

    def call(self, inputs: Tensor) -> Tensor:
        """Steps become examples for the layer."""
        if inputs.ndim < 3:
            raise ShapeError(
                f"TimeDistributed {self.name!r}: the input needs batch, steps and features, but its shape is {tuple(inputs.shape)}"
            )
        n, t = inputs.shape[:2]
        y = self.layer(inputs.reshape(n * t, *inputs.shape[2:]))
        return y.reshape(n, t, *y.shape[1:])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**self._config(), "layer": serialize(self.layer)}
