"""TensorFlow 2's face: variables, tapes and functions over the same tensors, and `tf.keras`."""

from __future__ import annotations

from typing import Any

from twinflow import keras as keras
from twinflow import ops as _ops
from twinflow.core._dtypes import bool_ as bool  # noqa: F401
from twinflow.core._dtypes import float32 as float32
from twinflow.core._dtypes import float64 as float64
from twinflow.core._dtypes import int32 as int32
from twinflow.core._dtypes import int64 as int64
from twinflow.jit import compile as function  # noqa: F401
from twinflow.keras import Variable as Variable
from twinflow.keras._variable import to_tensor as convert_to_tensor
from twinflow.tensor import Tensor as Tensor
from twinflow.tf import math as math
from twinflow.tf import random as random
from twinflow.tf._tape import GradientTape as GradientTape
from twinflow.tf.math import abs as abs
from twinflow.tf.math import argmax as argmax
from twinflow.tf.math import cast as cast
from twinflow.tf.math import cos as cos
from twinflow.tf.math import equal as equal
from twinflow.tf.math import exp as exp
from twinflow.tf.math import matmul as matmul
from twinflow.tf.math import reduce_max as reduce_max
from twinflow.tf.math import reduce_mean as reduce_mean
from twinflow.tf.math import reduce_min as reduce_min
from twinflow.tf.math import reduce_sum as reduce_sum
from twinflow.tf.math import sigmoid as sigmoid
from twinflow.tf.math import sin as sin
from twinflow.tf.math import sqrt as sqrt
from twinflow.tf.math import square as square
from twinflow.tf.math import tanh as tanh


def constant(value: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    """A tensor of these values.

    >>> from twinflow import tf
    >>> tf.constant([1.0, 2.0])
    tensor([1., 2.])
    """
    t = convert_to_tensor(value, dtype).detach().clone()
    return t if shape is None else t.expand(tuple(shape)) if t.numel() == 1 else t.reshape(tuple(shape))


def zeros(shape: Any, dtype: Any = "float32") -> Tensor:
    """Zeros."""
    return _ops.zeros(tuple(shape) if not isinstance(shape, int) else (shape,), dtype=dtype)


def ones(shape: Any, dtype: Any = "float32") -> Tensor:
    """Ones."""
    return _ops.ones(tuple(shape) if not isinstance(shape, int) else (shape,), dtype=dtype)
