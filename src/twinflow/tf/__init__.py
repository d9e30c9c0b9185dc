"""TensorFlow 2's face: variables, tapes and functions over the same tensors, and `tf.keras`."""

from importlib import import_module as _import_module
from typing import Any as _Any

from twinflow import keras as keras
from twinflow.core._dtypes import DType as DType
from twinflow.core._dtypes import bfloat16 as bfloat16
from twinflow.core._dtypes import bool_ as bool  # noqa: F401
from twinflow.core._dtypes import complex64 as complex64
from twinflow.core._dtypes import complex128 as complex128
from twinflow.core._dtypes import float16 as float16
from twinflow.core._dtypes import float32 as float32
from twinflow.core._dtypes import float64 as float64
from twinflow.core._dtypes import int8 as int8
from twinflow.core._dtypes import int16 as int16
from twinflow.core._dtypes import int32 as int32
from twinflow.core._dtypes import int64 as int64
from twinflow.core._dtypes import uint8 as uint8
from twinflow.core._dtypes import uint16 as uint16
from twinflow.core._dtypes import uint32 as uint32
from twinflow.core._dtypes import uint64 as uint64
from twinflow.keras import initializers as initializers
from twinflow.keras import losses as losses
from twinflow.keras import metrics as metrics
from twinflow.keras import optimizers as optimizers
from twinflow.keras._variable import to_tensor as convert_to_tensor  # noqa: F401
from twinflow.keras.initializers import Constant as constant_initializer  # noqa: F401
from twinflow.keras.initializers import Ones as ones_initializer  # noqa: F401
from twinflow.keras.initializers import RandomNormal as random_normal_initializer  # noqa: F401
from twinflow.keras.initializers import RandomUniform as random_uniform_initializer  # noqa: F401
from twinflow.keras.initializers import Zeros as zeros_initializer  # noqa: F401
from twinflow.tensor import Tensor as Tensor
from twinflow.tf import autograph as autograph
from twinflow.tf import bitwise as bitwise
from twinflow.tf import config as config
from twinflow.tf import data as data
from twinflow.tf import debugging as debugging
from twinflow.tf import dtypes as dtypes
from twinflow.tf import errors as errors
from twinflow.tf import image as image
from twinflow.tf import io as io
from twinflow.tf import linalg as linalg
from twinflow.tf import math as math
from twinflow.tf import nest as nest
from twinflow.tf import nn as nn
from twinflow.tf import random as random
from twinflow.tf import signal as signal
from twinflow.tf import strings as strings
from twinflow.tf import summary as summary
from twinflow.tf import train as train
from twinflow.tf._arranging import batch_to_space as batch_to_space
from twinflow.tf._arranging import bitcast as bitcast
from twinflow.tf._arranging import broadcast_dynamic_shape as broadcast_dynamic_shape
from twinflow.tf._arranging import broadcast_static_shape as broadcast_static_shape
from twinflow.tf._arranging import dynamic_partition as dynamic_partition
from twinflow.tf._arranging import dynamic_stitch as dynamic_stitch
from twinflow.tf._arranging import get_static_value as get_static_value
from twinflow.tf._arranging import histogram_fixed_width as histogram_fixed_width
from twinflow.tf._arranging import histogram_fixed_width_bins as histogram_fixed_width_bins
from twinflow.tf._arranging import identity_n as identity_n
from twinflow.tf._arranging import shape_n as shape_n
from twinflow.tf._arranging import space_to_batch as space_to_batch
from twinflow.tf._arranging import space_to_batch_nd as space_to_batch_nd
from twinflow.tf._arranging import tensor_scatter_nd_max as tensor_scatter_nd_max
from twinflow.tf._arranging import tensor_scatter_nd_min as tensor_scatter_nd_min
from twinflow.tf._arranging import unique_with_counts as unique_with_counts
from twinflow.tf._arranging import unravel_index as unravel_index
from twinflow.tf._array import argsort as argsort
from twinflow.tf._array import boolean_mask as boolean_mask
from twinflow.tf._array import broadcast_to as broadcast_to
from twinflow.tf._array import concat as concat
from twinflow.tf._array import constant as constant
from twinflow.tf._array import ensure_shape as ensure_shape
from twinflow.tf._array import expand_dims as expand_dims
from twinflow.tf._array import eye as eye
from twinflow.tf._array import fill as fill
from twinflow.tf._array import foldl as foldl
from twinflow.tf._array import gather as gather
from twinflow.tf._array import gather_nd as gather_nd
from twinflow.tf._array import identity as identity
from twinflow.tf._array import linspace as linspace
from twinflow.tf._array import map_fn as map_fn
from twinflow.tf._array import meshgrid as meshgrid
from twinflow.tf._array import one_hot as one_hot
from twinflow.tf._array import ones as ones
from twinflow.tf._array import ones_like as ones_like
from twinflow.tf._array import pad as pad
from twinflow.tf._array import range as range
from twinflow.tf._array import rank as rank
from twinflow.tf._array import repeat as repeat
from twinflow.tf._array import reshape as reshape
from twinflow.tf._array import reverse as reverse
from twinflow.tf._array import roll as roll
from twinflow.tf._array import scan as scan
from twinflow.tf._array import scatter_nd as scatter_nd
from twinflow.tf._array import searchsorted as searchsorted
from twinflow.tf._array import sequence_mask as sequence_mask
from twinflow.tf._array import shape as shape
from twinflow.tf._array import size as size
from twinflow.tf._array import slice as slice
from twinflow.tf._array import sort as sort
from twinflow.tf._array import split as split
from twinflow.tf._array import squeeze as squeeze
from twinflow.tf._array import stack as stack
from twinflow.tf._array import stop_gradient as stop_gradient
from twinflow.tf._array import strided_slice as strided_slice
from twinflow.tf._array import tensor_scatter_nd_add as tensor_scatter_nd_add
from twinflow.tf._array import tensor_scatter_nd_update as tensor_scatter_nd_update
from twinflow.tf._array import tile as tile
from twinflow.tf._array import transpose as transpose
from twinflow.tf._array import unstack as unstack
from twinflow.tf._array import where as where
from twinflow.tf._array import zeros as zeros
from twinflow.tf._array import zeros_like as zeros_like
from twinflow.tf._extras import complex as complex
from twinflow.tf._extras import control_dependencies as control_dependencies
from twinflow.tf._extras import custom_gradient as custom_gradient
from twinflow.tf._extras import device as device
from twinflow.tf._extras import executing_eagerly as executing_eagerly
from twinflow.tf._extras import foldr as foldr
from twinflow.tf._extras import group as group
from twinflow.tf._extras import is_tensor as is_tensor
from twinflow.tf._extras import name_scope as name_scope
from twinflow.tf._extras import no_op as no_op
from twinflow.tf._extras import print as print
from twinflow.tf._extras import reverse_sequence as reverse_sequence
from twinflow.tf._extras import saturate_cast as saturate_cast
from twinflow.tf._extras import tensor_scatter_nd_sub as tensor_scatter_nd_sub
from twinflow.tf._extras import unique as unique
from twinflow.tf._extras import vectorized_map as vectorized_map
from twinflow.tf._function import TensorSpec as TensorSpec
from twinflow.tf._function import case as case
from twinflow.tf._function import cond as cond
from twinflow.tf._function import function as function
from twinflow.tf._function import switch_case as switch_case
from twinflow.tf._function import while_loop as while_loop
from twinflow.tf._graphs import UnconnectedGradients as UnconnectedGradients
from twinflow.tf._graphs import get_current_name_scope as get_current_name_scope
from twinflow.tf._graphs import get_logger as get_logger
from twinflow.tf._graphs import grad_pass_through as grad_pass_through
from twinflow.tf._graphs import gradients as gradients
from twinflow.tf._graphs import hessians as hessians
from twinflow.tf._graphs import init_scope as init_scope
from twinflow.tf._graphs import inside_function as inside_function
from twinflow.tf._graphs import is_symbolic_tensor as is_symbolic_tensor
from twinflow.tf._graphs import numpy_function as numpy_function
from twinflow.tf._graphs import py_function as py_function
from twinflow.tf._graphs import recompute_grad as recompute_grad
from twinflow.tf._graphs import timestamp as timestamp
from twinflow.tf._graphs import tuple as tuple
from twinflow.tf._module import Module as Module
from twinflow.tf._shapes import TensorShape as TensorShape
from twinflow.tf._tape import GradientTape as GradientTape
from twinflow.tf._tensor_array import TensorArray as TensorArray
from twinflow.tf._variable import Variable as Variable
from twinflow.tf.debugging import Assert as Assert
from twinflow.tf.debugging import assert_equal as assert_equal
from twinflow.tf.debugging import assert_greater as assert_greater
from twinflow.tf.debugging import assert_less as assert_less
from twinflow.tf.debugging import assert_rank as assert_rank
from twinflow.tf.dtypes import as_dtype as as_dtype
from twinflow.tf.linalg import eig as eig
from twinflow.tf.linalg import eigvals as eigvals
from twinflow.tf.linalg import norm as norm
from twinflow.tf.linalg import sqrtm as matrix_square_root  # noqa: F401
from twinflow.tf.math import abs as abs
from twinflow.tf.math import acos as acos
from twinflow.tf.math import acosh as acosh
from twinflow.tf.math import add as add
from twinflow.tf.math import add_n as add_n
from twinflow.tf.math import argmax as argmax
from twinflow.tf.math import argmin as argmin
from twinflow.tf.math import asin as asin
from twinflow.tf.math import asinh as asinh
from twinflow.tf.math import atan as atan
from twinflow.tf.math import atan2 as atan2
from twinflow.tf.math import atanh as atanh
from twinflow.tf.math import cast as cast
from twinflow.tf.math import clip_by_global_norm as clip_by_global_norm
from twinflow.tf.math import clip_by_norm as clip_by_norm
from twinflow.tf.math import clip_by_value as clip_by_value
from twinflow.tf.math import cos as cos
from twinflow.tf.math import cosh as cosh
from twinflow.tf.math import cumsum as cumsum
from twinflow.tf.math import divide as divide
from twinflow.tf.math import einsum as einsum
from twinflow.tf.math import equal as equal
from twinflow.tf.math import exp as exp
from twinflow.tf.math import floor as floor
from twinflow.tf.math import greater as greater
from twinflow.tf.math import greater_equal as greater_equal
from twinflow.tf.math import less as less
from twinflow.tf.math import less_equal as less_equal
from twinflow.tf.math import logical_and as logical_and
from twinflow.tf.math import logical_not as logical_not
from twinflow.tf.math import logical_or as logical_or
from twinflow.tf.math import matmul as matmul
from twinflow.tf.math import maximum as maximum
from twinflow.tf.math import minimum as minimum
from twinflow.tf.math import multiply as multiply
from twinflow.tf.math import negative as negative
from twinflow.tf.math import not_equal as not_equal
from twinflow.tf.math import pow as pow
from twinflow.tf.math import reduce_all as reduce_all
from twinflow.tf.math import reduce_any as reduce_any
from twinflow.tf.math import reduce_logsumexp as reduce_logsumexp
from twinflow.tf.math import reduce_max as reduce_max
from twinflow.tf.math import reduce_mean as reduce_mean
from twinflow.tf.math import reduce_min as reduce_min
from twinflow.tf.math import reduce_prod as reduce_prod
from twinflow.tf.math import reduce_sum as reduce_sum
from twinflow.tf.math import round as round
from twinflow.tf.math import scalar_mul as scalar_mul
from twinflow.tf.math import sigmoid as sigmoid
from twinflow.tf.math import sign as sign
from twinflow.tf.math import sin as sin
from twinflow.tf.math import sinh as sinh
from twinflow.tf.math import sqrt as sqrt
from twinflow.tf.math import square as square
from twinflow.tf.math import squared_difference as squared_difference
from twinflow.tf.math import subtract as subtract
from twinflow.tf.math import tan as tan
from twinflow.tf.math import tanh as tanh
from twinflow.tf.math import tensordot as tensordot
from twinflow.tf.math import truediv as truediv
from twinflow.tf.math import truncatediv as truncatediv
from twinflow.tf.math import truncatemod as truncatemod
from twinflow.tf.strings import as_string as as_string

newaxis = None
realdiv = truediv
half, double = float16, float64

_LATER = ("compat", "estimator", "feature_column")  # what stands on static graphs, imported when it is first wanted


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        raise AttributeError(f"module 'twinflow.tf' has no attribute {name!r}")
    return _import_module(f"twinflow.tf.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
