"""InputLayer: the shape of a Sequential model's input, as a layer."""

from __future__ import annotations

from typing import Any

from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras._symbolic import Input
from twinflow.tensor import Tensor


@LAYERS.add()
class InputLayer(Layer):
    """Says what a model's input looks like; arguments as for `keras.Input`."""

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = "float32",
        batch_shape: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        given = kwargs.pop("input_shape", shape)
        kwargs.pop("batch_input_shape", None)
        tensor = Input(given, batch_size, dtype, name, batch_shape)
        super().__init__(name=tensor.name, batch_input_shape=tensor.shape, **kwargs)
        self.input_dtype = tensor.dtype
        self.__dict__["_tensor"] = tensor
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """The input itself."""
        return inputs

    @property
    def output(self) -> Any:
        """The symbolic tensor that it stands for."""
        return self.__dict__["_tensor"]

    input = output

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"batch_shape": list(self._batch_input_shape), "dtype": self.input_dtype, "name": self.name}
