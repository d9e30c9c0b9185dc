"""LSTM layers whose products are convolutions."""

from __future__ import annotations

from typing import Any, ClassVar

from twinflow.core.errors import ShapeError
from twinflow.keras import activations
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras.layers._core import positive
from twinflow.keras.layers._recurrent import RNN
from twinflow.keras.layers._regularization import check_rate, seeded
from twinflow.keras.layers._spatial import Over1D, Over2D, Over3D, Spatial, check_padding, pads, several
from twinflow.nn._recurrent import Weights, lstm_step_with
from twinflow.nn.functional._dropout import dropout_shared
from twinflow.ops import call, ones, zeros
from twinflow.tensor import Tensor


class _ConvCell(Spatial):
    _in_float32 = True
    _options: ClassVar[dict[str, Any]] = {"kernel": "glorot_uniform", "recurrent": "orthogonal", "bias": "zeros"}

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        unit_forget_bias: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind, n = type(self).__name__, self._n
        positive(kind, filters=filters)
        self.filters, self.use_bias, self.unit_forget_bias, self.seed = filters, use_bias, unit_forget_bias, seed
        self.kernel_size = several(kind, "kernel_size", kernel_size, n)
        self.strides = several(kind, "strides", strides, n)
        self.dilation_rate = several(kind, "dilation_rate", dilation_rate, n)
        self.padding = check_padding(kind, padding)
        self._format(data_format)
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.dropout, self.recurrent_dropout = check_rate(kind, dropout), check_rate(kind, recurrent_dropout)
        self._generator = seeded(seed)
        self.state_size = [filters, filters]

    def build(self, input_shape: Any) -> None:
        """Make kernel [..., in, 4·filters], recurrent_kernel [..., filters, 4·filters] and bias."""
        space = tuple(input_shape[a] for a in self._space())
        if any(n is None for n in space):
            raise ShapeError(
                f"{type(self).__name__}: the sizes of the images must be known, but the shape is {input_shape}"
            )
        sides = pads(self.padding, space, self.kernel_size, self.strides, self.dilation_rate)
        self._extents = tuple(
            (n + a + b - d * (k - 1) - 1) // s + 1
            for n, (a, b), k, s, d in zip(space, sides, self.kernel_size, self.strides, self.dilation_rate)
        )
        width = 4 * self.filters
        self.kernel = self._weight("kernel", (*self.kernel_size, self._channels(input_shape), width))
        self.recurrent_kernel = self._weight("recurrent", (*self.kernel_size, self.filters, width))
        self.bias = self._weight("bias", (width,)) if self.use_bias else None
        if self.bias is not None and self.unit_forget_bias:
            self.bias.detach()[self.filters : 2 * self.filters].fill_(1.0)

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """Zeros."""
        if self.data_format == "channels_last":
            shape = (batch_size, *self._extents, self.filters)
        else:
            shape = (batch_size, self.filters, *self._extents)
        return [zeros(shape), zeros(shape)]

    def _convolve(self, x: Tensor, kernel: Tensor, own: bool) -> Tensor:
        """Gates last."""
        n = self._n
        stride, dilation = (self.strides, self.dilation_rate) if own else ((1,) * n, (1,) * n)
        x = self._first(x)
        y: Tensor = call(
            "conv", x, kernel.permute(n + 1, n, *range(n)), stride=stride, dilation=dilation, groups=1,
            padding=pads(self.padding if own else "same", x.shape[2:], self.kernel_size, stride, dilation),
        )  # fmt: skip
        return y.movedim(1, -1)

    def fixed(self, shape: Any, training: bool) -> Any:
        """(inputs, states) -> (output, new states) with the same draws of dropout in all steps."""
        h_shape = tuple(self.get_initial_state(shape[0])[0].shape)
        kept = [
            dropout_shared(ones(s), rate, True, s, self._generator) if training and rate else None
            for s, rate in ((tuple(shape), self.dropout), (h_shape, self.recurrent_dropout))
        ]
        step = lstm_step_with(self.activation, self.recurrent_activation)
        nothing = Weights(zeros((4 * self.filters, self.filters), dtype=self.kernel.dtype))

        def run(inputs: Tensor, states: Any) -> Any:
            h, c = states
            x = inputs if kept[0] is None else inputs * kept[0]
            gates = self._convolve(x, self.kernel, True)
            gates = gates if self.bias is None else gates + self.bias
            gates = gates + self._convolve(h if kept[1] is None else h * kept[1], self.recurrent_kernel, False)
            own = c if self.data_format == "channels_last" else c.movedim(1, -1)
            new = step(gates, (own * 0.0, own), nothing)  # the state's part of the gates is in them already
            if self.data_format != "channels_last":
                new = tuple(s.movedim(-1, 1) for s in new)
            return new[0], list(new)

        return run

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> Any:
        """(output, new states)."""
        return self.fixed(tuple(inputs.shape), training)(inputs, states)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config(
            "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "recurrent_activation",
            "use_bias", "unit_forget_bias", "dropout", "recurrent_dropout", "seed",
        )  # fmt: skip


class _Cell1D(Over1D, _ConvCell):
    pass


class _Cell2D(Over2D, _ConvCell):
    pass


class _Cell3D(Over3D, _ConvCell):
    pass


class _ConvLSTM(RNN):
    _cell: Any

    def __init__(self, filters: int, kernel_size: Any, *args: Any, **kwargs: Any) -> None:
        base = ("name", "trainable", "dtype", "activity_regularizer", "input_shape", "batch_input_shape", *RNN._shared)
        own = {k: kwargs.pop(k) for k in list(kwargs) if k in base}
        super().__init__(self._cell(filters, kernel_size, *args, dtype=own.get("dtype"), **kwargs), **own)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        inner = {k: v for k, v in self.cell.get_config().items() if k not in ("name", "trainable", "dtype")}
        return {**inner, **Layer.get_config(self), **{n: getattr(self, n) for n in self._shared}}


@LAYERS.add()
class ConvLSTM1D(_ConvLSTM):
    """`ConvLSTM2D` over sequences [N, T, W, C]."""

    _cell = _Cell1D


@LAYERS.add()
class ConvLSTM2D(_ConvLSTM):
    """An LSTM over the steps of [N, T, H, W, C] whose products are convolutions; that of the state has padding 'same'.

    Args:
        filters, kernel_size, strides, padding, data_format, dilation_rate: as for `Conv2D`.
        activation, recurrent_activation, return_sequences, ...: as for `LSTM`.
    Source: Shi et al., arXiv:1506.04214, without the peepholes.
    """

    _cell = _Cell2D


@LAYERS.add()
class ConvLSTM3D(_ConvLSTM):
    """`ConvLSTM2D` over volumes [N, T, D, H, W, C]."""

    _cell = _Cell3D
