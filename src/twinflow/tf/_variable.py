"""`tf.Variable`: Keras's variable, whose value TensorFlow reads by a method."""

from __future__ import annotations

from twinflow import keras
from twinflow.tensor import Tensor


class Variable(keras.Variable):
    """A tensor with a name that keeps its place while its value changes; arguments as for `keras.Variable`.

    >>> from twinflow import tf
    >>> v = tf.Variable([1.0, 2.0])
    >>> _ = v.assign_add([1.0, 1.0])
    >>> v.value()
    tensor([2., 3.], grad_fn=<MulBackward>)
    """

    def value(self) -> Tensor:  # type: ignore[override] # a property in Keras
        """The variable as a tensor."""
        return self * 1

    def read_value(self) -> Tensor:
        """The same as `value()`."""
        return self.value()
