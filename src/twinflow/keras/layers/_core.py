"""Core layers: dense, embedding, masking, and functions as layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import activations
from twinflow.keras._layer import LAYERS, Layer, shape_of
from twinflow.keras._registry import serialize
from twinflow.nn import functional as F
from twinflow.ops import einsum, matmul, tanh
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
        kernel_initializer, kernel_regularizer, kernel_constraint: for W [in, units]; the same with `bias` for b [units].

    >>> from twinflow import keras
    >>> keras.layers.Dense(4)(keras.ops.ones((2, 3))).shape
    twinflow.Size([2, 4])
    """

    supports_masking = True
    _options: ClassVar[dict[str, Any]] = {"kernel": "glorot_uniform", "bias": "zeros"}

    def __init__(self, units: int, activation: Any = None, use_bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        positive("Dense", units=units)
        self.units, self.use_bias = units, use_bias
        self.activation = activations.get(activation)

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        if not isinstance(input_shape, tuple) or len(input_shape) < 2:
            raise ShapeError(
                f"Dense {self.name!r}: the input needs a batch axis and an axis of features, but its shape is {input_shape}"
            )
        self.kernel = self._weight("kernel", (input_shape[-1], self.units))
        self.bias = self._weight("bias", (self.units,)) if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        """activation(x W + b)."""
        if inputs.shape[-1] != self.kernel.shape[0]:
            raise ShapeError(
                f"Dense {self.name!r}: it was built for {self.kernel.shape[0]} features, but the input has shape {tuple(inputs.shape)}"
            )
        return self.activation(F.linear(inputs, self.kernel.mT, self.bias))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("units", "activation", "use_bias")


@LAYERS.add()
class Embedding(Layer):
    """A vector for each whole number: [...] -> [..., output_dim].

    Args:
        input_dim: how many numbers there are, from 0.
        output_dim: the length of the vectors.
        mask_zero: whether 0 stands for steps that do not count; then layers behind this one skip them.
        weights: the table to begin with.
    """

    supports_masking = True
    _options: ClassVar[dict[str, Any]] = {"embeddings": "uniform"}

    def __init__(
        self, input_dim: int, output_dim: int, mask_zero: bool = False, weights: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        positive("Embedding", input_dim=input_dim, output_dim=output_dim)
        self.input_dim, self.output_dim, self.mask_zero = input_dim, output_dim, mask_zero
        self._given = weights

    def build(self, input_shape: Any) -> None:
        """Make the table."""
        self.embeddings = self._weight("embeddings", (self.input_dim, self.output_dim))
        if self._given is not None:
            self.set_weights(self._given if isinstance(self._given, (list, tuple)) else [self._given])

    def call(self, inputs: Tensor) -> Tensor:
        """`nn.functional.embedding`; floating inputs are cut to whole numbers."""
        return F.embedding(inputs.long() if inputs.dtype.is_floating_point else inputs, self.embeddings)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """inputs ≠ 0 with `mask_zero`."""
        return inputs != 0 if self.mask_zero else None

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("input_dim", "output_dim", "mask_zero")


@LAYERS.add()
class ReversibleEmbedding(Embedding):
    """An embedding that also goes back: layer(vectors, reverse=True) gives the scores of all numbers, vectors · tableᵀ.

    Args:
        tie_weights: whether both directions share the table.
        logit_soft_cap: keeps scores inside ±cap by cap · tanh(score / cap).
    Source: Press and Wolf, arXiv:1608.05859.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_dim, output_dim, **kwargs)
        self.tie_weights, self.logit_soft_cap = tie_weights, logit_soft_cap

    def build(self, input_shape: Any) -> None:
        """Make the table, and one for the way back unless they are tied."""
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                (self.output_dim, self.input_dim), self.embeddings_initializer, name="reverse_embeddings"
            )

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        """Vectors of numbers, or scores of vectors."""
        if not reverse:
            return super().call(inputs)
        table = self.embeddings.mT if self.tie_weights else self.reverse_embeddings
        scores = matmul(inputs, table)
        cap = self.logit_soft_cap
        return scores if cap is None else tanh(scores / cap) * cap

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """As for `Embedding`; vectors keep their own."""
        return previous_mask if inputs.dtype.is_floating_point else super().compute_mask(inputs, previous_mask)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**super().get_config(), "tie_weights": self.tie_weights, "logit_soft_cap": self.logit_soft_cap}


@LAYERS.add()
class Masking(Layer):
    """Steps whose features all equal `mask_value` do not count for the layers behind this one."""

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs, with 0 in the steps that do not count."""
        return inputs * (inputs != self.mask_value).any(-1, keepdim=True).to(dtype=inputs.dtype)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Whether any feature of a step differs from `mask_value`."""
        return (inputs != self.mask_value).any(-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("mask_value")


@LAYERS.add()
class EinsumDense(Layer):
    """activation(einsum(equation, x, W) + b).

    Args:
        equation: such as "abc,cd->abd"; "..." stands for axes in front.
        output_shape: the result's shape without the batch axis; None where it is the input's.
        bias_axes: the letters of the output that b has an axis for.

    >>> from twinflow import keras
    >>> keras.layers.EinsumDense("abc,cd->abd", (None, 5))(keras.ops.ones((2, 3, 4))).shape
    twinflow.Size([2, 3, 5])
    """

    _options: ClassVar[dict[str, Any]] = {"kernel": "glorot_uniform", "bias": "zeros"}

    def __init__(
        self, equation: str, output_shape: Any, activation: Any = None, bias_axes: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.equation, self.bias_axes = equation.replace(" ", ""), bias_axes
        self.features = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.activation = activations.get(activation)

    def build(self, input_shape: Any) -> None:
        """Find the extent of each letter, and make kernel and bias."""
        try:
            x, rest = self.equation.split(",")
            w, y = rest.split("->")
        except ValueError:
            raise ArgumentError(
                f"EinsumDense {self.name!r}: equation has the form 'ab,bc->ac', but {self.equation!r} was given"
            ) from None
        sizes: dict[str, Any] = {}
        letters_y = y.replace("...", "")
        for letters, shape in ((x, tuple(input_shape)), (y, (input_shape[0], *self.features))):
            n = len(letters.replace("...", ""))
            pairs = list(zip(letters.replace("...", ""), shape[-n:] if "..." in letters else shape))
            if len(shape) < n or ("..." not in letters and len(shape) != n):
                raise ShapeError(
                    f"EinsumDense {self.name!r}: {letters!r} of equation {self.equation!r} does not fit the shape {shape}"
                )
            for letter, size in pairs:
                if size is not None:
                    sizes.setdefault(letter, size)
        if any(c not in sizes for c in w):
            raise ShapeError(
                f"EinsumDense {self.name!r}: the size of a letter of {w!r} in {self.equation!r} is not known"
            )
        self.kernel = self._weight("kernel", tuple(sizes[c] for c in w))
        self.bias = None
        if self.bias_axes:
            unknown = [c for c in self.bias_axes if c not in letters_y]
            if unknown:
                raise ArgumentError(
                    f"EinsumDense {self.name!r}: bias_axes={self.bias_axes!r}: {unknown[0]!r} is not in {y!r}"
                )
            first = min(letters_y.index(c) for c in self.bias_axes)
            self.bias = self._weight("bias", tuple(sizes[c] if c in self.bias_axes else 1 for c in letters_y[first:]))

    def call(self, inputs: Tensor) -> Tensor:
        """activation(einsum + b)."""
        y = einsum(self.equation, inputs, self.kernel)
        return self.activation(y if self.bias is None else y + self.bias)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**self._config("equation", "activation", "bias_axes"), "output_shape": list(self.features)}


class Wrapper(Layer):
    """Base of layers around another layer: `self.layer`."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = LAYERS.deserialize(layer) if isinstance(layer, dict) else layer
        if not isinstance(self.layer, Layer):
            raise ArgumentError(f"{type(self).__name__}: a layer is needed, not {type(layer).__name__}")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**self._config(), "layer": serialize(self.layer)}


@LAYERS.add()
class Identity(Layer):
    """The input itself."""

    supports_masking = True

    def call(self, inputs: Any) -> Any:
        """The input."""
        return inputs


@LAYERS.add()
class Lambda(Layer):
    """A function as a layer. It cannot be saved, because a saved model contains no code: write a Layer for that."""

    supports_masking = True

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._stated_shape = output_shape
        if not callable(function):
            raise ArgumentError(f"Lambda: a function is needed, not {function!r}")
        self.function, self._mask, self._arguments = function, mask, dict(arguments or {})

    def call(self, inputs: Any) -> Any:
        """function(inputs). Raises: ShapeError if its shape is not the one that was stated."""
        y = self.function(inputs, **self._arguments)
        if self._stated_shape is not None and isinstance(y, Tensor):
            stated = self._stated_shape(shape_of(inputs)) if callable(self._stated_shape) else self._stated_shape
            found = tuple(y.shape)[len(y.shape) - len(stated) :]
            if any(a is not None and a != b for a, b in zip(stated, found)):
                raise ShapeError(
                    f"Lambda {self.name!r}: output_shape={tuple(stated)}, but the function gives {tuple(y.shape)}; leave output_shape out"
                )
        return y

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """What `mask` says: a tensor, or a function of inputs and their mask."""
        return self._mask(inputs, previous_mask) if callable(self._mask) else self._mask

    def get_config(self) -> dict[str, Any]:
        """Raises ArgumentError."""
        raise ArgumentError(
            f"Lambda {self.name!r} cannot be saved, because a saved model contains no code; write a keras.layers.Layer subclass "
            "and register it with @keras.saving.register_keras_serializable()"
        )
