"""Core layers: dense, activations, dropout, embedding, and those that only rearrange."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import activations, initializers, regularizers
from twinflow.keras._layer import LAYERS, Layer
from twinflow.nn import functional as F
from twinflow.ops import cat, matmul, randn
from twinflow.tensor import Tensor


def positive(layer: str, **sizes: Any) -> None:
    """Raise unless every size is a positive whole number."""
    for what, n in sizes.items():
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ArgumentError(f"{layer}: {what} must be a positive whole number, not {n!r}")


@LAYERS.add()
class Dense(Layer):
    """y = activation(x W + b) over the last axis.

    Args:
        units: the size of the result's last axis.
        activation: a name or a function.
        use_bias: whether there is a b.
        kernel_initializer, bias_initializer: the values that W [in, units] and b [units] begin with.
        kernel_regularizer, bias_regularizer: penalties on them.

    >>> from twinflow import keras
    >>> keras.layers.Dense(4)(keras.ops.ones((2, 3))).shape
    twinflow.Size([2, 4])
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        positive("Dense", units=units)
        self.units, self.use_bias = units, use_bias
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        if not isinstance(input_shape, tuple) or len(input_shape) < 2:
            raise ShapeError(
                f"Dense {self.name!r}: the input needs a batch axis and an axis of features, but its shape is {input_shape}"
            )
        self.kernel = self.add_weight(
            (input_shape[-1], self.units), self.kernel_initializer, regularizer=self.kernel_regularizer, name="kernel"
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,), self.bias_initializer, regularizer=self.bias_regularizer, name="bias"
            )

    def call(self, inputs: Tensor) -> Tensor:
        """activation(x W + b)."""
        if inputs.shape[-1] != self.kernel.shape[0]:
            raise ShapeError(
                f"Dense {self.name!r}: it was built for {self.kernel.shape[0]} features, but the input has shape {tuple(inputs.shape)}"
            )
        return self.activation(F.linear(inputs, self.kernel.mT, self.bias))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config(
            "units", "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer"
        )  # fmt: skip


@LAYERS.add()
class Activation(Layer):
    """An activation by name or function."""

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        """The function of each element (or row)."""
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("activation")


@LAYERS.add()
class ReLU(Layer):
    """max(x, 0), with Keras's options."""

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def call(self, inputs: Tensor) -> Tensor:
        """`activations.relu`."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("max_value", "negative_slope", "threshold")


@LAYERS.add()
class LeakyReLU(Layer):
    """x where positive, else negative_slope · x."""

    def __init__(self, negative_slope: float = 0.3, alpha: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = negative_slope if alpha is None else alpha

    def call(self, inputs: Tensor) -> Tensor:
        """`activations.leaky_relu`."""
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("negative_slope")


@LAYERS.add()
class PReLU(Layer):
    """x where positive, else α · x with a trained α for each feature."""

    def __init__(self, alpha_initializer: Any = "zeros", shared_axes: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.shared_axes = None if shared_axes is None else list(shared_axes)

    def build(self, input_shape: Any) -> None:
        """Make α."""
        shape = [1 if self.shared_axes and i in self.shared_axes else s for i, s in enumerate(input_shape)][1:]
        self.alpha = self.add_weight(shape, self.alpha_initializer, name="alpha")

    def call(self, inputs: Tensor) -> Tensor:
        """relu(x) - α relu(-x)."""
        return inputs.relu() - self.alpha * (-inputs).relu()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("alpha_initializer", "shared_axes")


@LAYERS.add()
class ELU(Layer):
    """x where positive, else α (e^x - 1)."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Tensor) -> Tensor:
        """`activations.elu`."""
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("alpha")


@LAYERS.add()
class Softmax(Layer):
    """e^x / Σ e^x along an axis."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Tensor) -> Tensor:
        """`activations.softmax`."""
        return activations.softmax(inputs, self.axis)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("axis")


def check_rate(layer: str, rate: Any) -> float:
    """A fraction that is dropped. Raises: ArgumentError outside [0, 1]."""
    if not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ArgumentError(f"{layer}: rate is the fraction that is dropped, in [0, 1], not {rate!r}")
    return float(rate)


@LAYERS.add()
class Dropout(Layer):
    """While training, each element is 0 with probability `rate`, and the others are divided by 1 - rate."""

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = check_rate("Dropout", rate)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """`nn.functional.dropout`."""
        return F.dropout(inputs, self.rate, training)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("rate")


@LAYERS.add()
class SpatialDropout1D(Dropout):
    """Dropout of whole channels of [N, T, C]."""

    _rank, _axes = 3, "batch, steps, channels"

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """`nn.functional.dropout1d`, channels last."""
        return F.dropout1d(inputs.transpose(1, 2), self.rate, training).transpose(1, 2)


@LAYERS.add()
class GaussianNoise(Layer):
    """While training, normal numbers of deviation `stddev` are added."""

    def __init__(self, stddev: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if stddev < 0:
            raise ArgumentError(f"GaussianNoise: stddev must not be negative, but {stddev} was given")
        self.stddev = stddev

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """x + σ ε."""
        return inputs + randn(tuple(inputs.shape)) * self.stddev if training else inputs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("stddev")


@LAYERS.add()
class Embedding(Layer):
    """A vector for each whole number: [...] -> [..., output_dim].

    Args:
        input_dim: how many numbers there are, from 0.
        output_dim: the length of the vectors.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        positive("Embedding", input_dim=input_dim, output_dim=output_dim)
        self.input_dim, self.output_dim = input_dim, output_dim
        self.embeddings_initializer = (
            initializers.RandomUniform()
            if embeddings_initializer == "uniform"
            else initializers.get(embeddings_initializer)
        )
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)

    def build(self, input_shape: Any) -> None:
        """Make the table."""
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            name="embeddings",
        )

    def call(self, inputs: Tensor) -> Tensor:
        """`nn.functional.embedding`; floating inputs are cut to whole numbers."""
        return F.embedding(inputs.long() if inputs.dtype.is_floating_point else inputs, self.embeddings)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("input_dim", "output_dim", "embeddings_initializer", "embeddings_regularizer")


@LAYERS.add()
class Flatten(Layer):
    """[N, ...] -> [N, all the rest]."""

    def call(self, inputs: Tensor) -> Tensor:
        """Join all axes but the batch's."""
        if inputs.ndim == 1:
            return inputs.reshape(-1, 1)
        return inputs.reshape(inputs.shape[0], math.prod(inputs.shape[1:]))


@LAYERS.add()
class Reshape(Layer):
    """[N, ...] -> [N, *target_shape]; one extent may be -1."""

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """The same elements in another shape."""
        have = math.prod(inputs.shape[1:])
        want = math.prod(s for s in self.target_shape if s != -1)
        if (have % want if -1 in self.target_shape else have != want) or self.target_shape.count(-1) > 1:
            raise ShapeError(
                f"Reshape {self.name!r}: {tuple(inputs.shape[1:])} has {have} elements for each example, which do not fit target_shape={self.target_shape}"
            )
        return inputs.reshape(inputs.shape[0], *(have // want if s == -1 else s for s in self.target_shape))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("target_shape")


@LAYERS.add()
class Permute(Layer):
    """Reorder the axes behind the batch's; `dims` counts from 1."""

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError(f"Permute: dims has each number from 1 to {len(self.dims)} once, not {self.dims}")

    def call(self, inputs: Tensor) -> Tensor:
        """The axes in another order."""
        return inputs.permute(0, *self.dims)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("dims")


@LAYERS.add()
class RepeatVector(Layer):
    """[N, C] -> [N, n, C]."""

    _rank, _axes = 2, "batch, features"

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        positive("RepeatVector", n=n)
        self.n = n

    def call(self, inputs: Tensor) -> Tensor:
        """Each row n times."""
        return inputs.unsqueeze(1).expand(inputs.shape[0], self.n, inputs.shape[1])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("n")


def _pairs(name: str, value: Any, n: int) -> tuple[tuple[int, int], ...]:
    if isinstance(value, int):
        return ((value, value),) * n
    items = tuple(value)
    if n == 1 and len(items) == 2 and all(isinstance(v, int) for v in items):
        items = (items,)
    if len(items) != n:
        raise ArgumentError(f"{name}: a number, or one (or a pair) for each of {n} axes, is needed, not {value!r}")
    return tuple((v, v) if isinstance(v, int) else (int(v[0]), int(v[1])) for v in items)


class _Padding(Layer):
    _n = 1

    def __init__(self, padding: Any = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = _pairs(type(self).__name__, padding, self._n)

    def call(self, inputs: Tensor) -> Tensor:
        """Zeros around the middle axes."""
        flat: list[int] = [0, 0]
        for low, high in reversed(self.padding):
            flat += [low, high]
        return F.pad(inputs, flat)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("padding")


@LAYERS.add()
class ZeroPadding1D(_Padding):
    """Zeros before and after the steps of [N, T, C]."""

    _rank, _axes = 3, "batch, steps, channels"


@LAYERS.add()
class ZeroPadding2D(_Padding):
    """Zeros around images [N, H, W, C]."""

    _n, _rank, _axes = 2, 4, "batch, height, width, channels"


@LAYERS.add()
class Rescaling(Layer):
    """scale · x + offset."""

    def __init__(self, scale: float, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Tensor) -> Tensor:
        """scale · x + offset, in float32."""
        return inputs.float() * self.scale + self.offset

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("scale", "offset")


@LAYERS.add()
class Identity(Layer):
    """The input itself."""

    def call(self, inputs: Any) -> Any:
        """The input."""
        return inputs


@LAYERS.add()
class Lambda(Layer):
    """A function as a layer. It cannot be saved, because a saved model contains no code: write a Layer for that."""

    def __init__(self, function: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise ArgumentError(f"Lambda: a function is needed, not {function!r}")
        self.function = function

    def call(self, inputs: Any) -> Any:
        """function(inputs)."""
        return self.function(inputs)

    def get_config(self) -> dict[str, Any]:
        """Raises ArgumentError."""
        raise ArgumentError(
            f"Lambda {self.name!r} cannot be saved, because a saved model contains no code; write a keras.layers.Layer subclass "
            "and register it with @keras.saving.register_keras_serializable()"
        )


class _Merge(Layer):
    def build(self, input_shape: Any) -> None:
        """Check that there is a list."""
        if not isinstance(input_shape, list) or len(input_shape) < 2:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: a list of at least 2 tensors is needed, such as {type(self).__name__}()([a, b])"
            )

    def call(self, inputs: Any) -> Tensor:
        """All inputs as one."""
        total = inputs[0]
        for x in inputs[1:]:
            total = self._merge(total, x)
        return total

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        raise NotImplementedError


@LAYERS.add()
class Add(_Merge):
    """The sum of a list of tensors."""

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


@LAYERS.add()
class Subtract(_Merge):
    """The difference of two tensors."""

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b


@LAYERS.add()
class Multiply(_Merge):
    """The product of a list of tensors."""

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b


@LAYERS.add()
class Average(Add):
    """The mean of a list of tensors."""

    def call(self, inputs: Any) -> Tensor:
        """Sum / count."""
        return super().call(inputs) / len(inputs)


@LAYERS.add()
class Maximum(_Merge):
    """The largest of a list of tensors, element by element."""

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        return a.maximum(b)


@LAYERS.add()
class Minimum(_Merge):
    """The smallest of a list of tensors, element by element."""

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        return a.minimum(b)


@LAYERS.add()
class Concatenate(_Merge):
    """A list of tensors side by side along an axis."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Tensor:
        """`cat` along the axis."""
        return cat(list(inputs), self.axis)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("axis")


@LAYERS.add()
class Dot(_Merge):
    """Products of two batches of vectors or matrices along an axis of each: [N, a, c] and [N, b, c] -> [N, a, b]."""

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes, self.normalize = axes, normalize

    def call(self, inputs: Any) -> Tensor:
        """Contract the axes."""
        a, b = inputs
        i, j = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        if self.normalize:
            a, b = F.normalize(a, dim=i), F.normalize(b, dim=j)
        a, b = a.movedim(i, -1), b.movedim(j, -1)
        lead_a, lead_b = a.shape[1:-1], b.shape[1:-1]
        a = a.reshape(a.shape[0], math.prod(lead_a), a.shape[-1])
        b = b.reshape(b.shape[0], math.prod(lead_b), b.shape[-1])
        return matmul(a, b.mT).reshape(a.shape[0], *((*lead_a, *lead_b) or (1,)))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("axes", "normalize")
