"""TensorFlow 1's face: placeholders, variables and sessions over the same tensors, derivatives and compiler.

>>> from twinflow.tf.compat import v1 as tf
>>> x = tf.placeholder(tf.float32, [None, 2])
>>> w = tf.Variable(tf.ones([2, 1]))
>>> with tf.Session() as session:
...     _ = session.run(tf.global_variables_initializer())
...     float(session.run(tf.matmul(x, w), feed_dict={x: [[1.0, 2.0]]})[0, 0])
3.0
"""

import builtins

from twinflow.core import DType as DType
from twinflow.core import as_dtype as as_dtype
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
from twinflow.tf import autograph as autograph
from twinflow.tf import config as config
from twinflow.tf import debugging as debugging
from twinflow.tf import dtypes as dtypes
from twinflow.tf import io as io
from twinflow.tf import nest as nest
from twinflow.tf import strings as strings
from twinflow.tf._function import TensorSpec as TensorSpec
from twinflow.tf._graphs import UnconnectedGradients as UnconnectedGradients
from twinflow.tf._graphs import get_logger as get_logger
from twinflow.tf._shapes import Dimension as Dimension
from twinflow.tf._shapes import StaticShape as TensorShape  # noqa: F401
from twinflow.tf.compat.v1 import app as app
from twinflow.tf.compat.v1 import data as data
from twinflow.tf.compat.v1 import errors as errors
from twinflow.tf.compat.v1 import flags as flags
from twinflow.tf.compat.v1 import graph_util as graph_util
from twinflow.tf.compat.v1 import initializers as initializers
from twinflow.tf.compat.v1 import layers as layers
from twinflow.tf.compat.v1 import logging as logging
from twinflow.tf.compat.v1 import losses as losses
from twinflow.tf.compat.v1 import metrics as metrics
from twinflow.tf.compat.v1 import nn as nn
from twinflow.tf.compat.v1 import summary as summary
from twinflow.tf.compat.v1 import train as train
from twinflow.tf.compat.v1._collections import add_to_collections as add_to_collections
from twinflow.tf.compat.v1._collections import colocate_with as colocate_with
from twinflow.tf.compat.v1._collections import count_up_to as count_up_to
from twinflow.tf.compat.v1._collections import device as device
from twinflow.tf.compat.v1._collections import dimension_at_index as dimension_at_index
from twinflow.tf.compat.v1._collections import dimension_value as dimension_value
from twinflow.tf.compat.v1._collections import enable_control_flow_v2 as enable_control_flow_v2
from twinflow.tf.compat.v1._collections import enable_eager_execution as enable_eager_execution
from twinflow.tf.compat.v1._collections import enable_resource_variables as enable_resource_variables
from twinflow.tf.compat.v1._collections import enable_v2_behavior as enable_v2_behavior
from twinflow.tf.compat.v1._collections import get_local_variable as get_local_variable
from twinflow.tf.compat.v1._collections import make_template as make_template
from twinflow.tf.compat.v1._collections import model_variables as model_variables
from twinflow.tf.compat.v1._collections import moving_average_variables as moving_average_variables
from twinflow.tf.compat.v1._collections import op_scope as op_scope
from twinflow.tf.compat.v1._collections import report_uninitialized_variables as report_uninitialized_variables
from twinflow.tf.compat.v1._collections import resource_variables_enabled as resource_variables_enabled
from twinflow.tf.compat.v1._collections import scatter_add as scatter_add
from twinflow.tf.compat.v1._collections import scatter_max as scatter_max
from twinflow.tf.compat.v1._collections import scatter_min as scatter_min
from twinflow.tf.compat.v1._collections import scatter_mul as scatter_mul
from twinflow.tf.compat.v1._collections import scatter_sub as scatter_sub
from twinflow.tf.compat.v1._collections import scatter_update as scatter_update
from twinflow.tf.compat.v1._collections import tables_initializer as tables_initializer
from twinflow.tf.compat.v1._collections import variable_op_scope as variable_op_scope
from twinflow.tf.compat.v1._control import case as case
from twinflow.tf.compat.v1._control import cond as cond
from twinflow.tf.compat.v1._control import control_dependencies as control_dependencies
from twinflow.tf.compat.v1._control import foldl as foldl
from twinflow.tf.compat.v1._control import group as group
from twinflow.tf.compat.v1._control import map_fn as map_fn
from twinflow.tf.compat.v1._control import name_scope as name_scope
from twinflow.tf.compat.v1._control import no_op as no_op
from twinflow.tf.compat.v1._control import scan as scan
from twinflow.tf.compat.v1._control import tuple as tuple
from twinflow.tf.compat.v1._control import while_loop as while_loop
from twinflow.tf.compat.v1._deferred import constant as constant
from twinflow.tf.compat.v1._deferred import convert_to_tensor as convert_to_tensor
from twinflow.tf.compat.v1._functions import *  # noqa: F403
from twinflow.tf.compat.v1._further import Assert as Assert
from twinflow.tf.compat.v1._further import Print as Print
from twinflow.tf.compat.v1._further import arg_max as arg_max
from twinflow.tf.compat.v1._further import arg_min as arg_min
from twinflow.tf.compat.v1._further import assert_equal as assert_equal
from twinflow.tf.compat.v1._further import assert_greater as assert_greater
from twinflow.tf.compat.v1._further import assert_greater_equal as assert_greater_equal
from twinflow.tf.compat.v1._further import assert_integer as assert_integer
from twinflow.tf.compat.v1._further import assert_less as assert_less
from twinflow.tf.compat.v1._further import assert_less_equal as assert_less_equal
from twinflow.tf.compat.v1._further import assert_negative as assert_negative
from twinflow.tf.compat.v1._further import assert_non_negative as assert_non_negative
from twinflow.tf.compat.v1._further import assert_non_positive as assert_non_positive
from twinflow.tf.compat.v1._further import assert_none_equal as assert_none_equal
from twinflow.tf.compat.v1._further import assert_positive as assert_positive
from twinflow.tf.compat.v1._further import assert_rank as assert_rank
from twinflow.tf.compat.v1._further import assert_rank_at_least as assert_rank_at_least
from twinflow.tf.compat.v1._further import assert_rank_in as assert_rank_in
from twinflow.tf.compat.v1._further import assert_scalar as assert_scalar
from twinflow.tf.compat.v1._further import assert_type as assert_type
from twinflow.tf.compat.v1._further import batch_gather as batch_gather
from twinflow.tf.compat.v1._further import batch_to_space as batch_to_space
from twinflow.tf.compat.v1._further import batch_to_space_nd as batch_to_space_nd
from twinflow.tf.compat.v1._further import bincount as bincount
from twinflow.tf.compat.v1._further import bitcast as bitcast
from twinflow.tf.compat.v1._further import broadcast_dynamic_shape as broadcast_dynamic_shape
from twinflow.tf.compat.v1._further import broadcast_static_shape as broadcast_static_shape
from twinflow.tf.compat.v1._further import check_numerics as check_numerics
from twinflow.tf.compat.v1._further import cholesky_solve as cholesky_solve
from twinflow.tf.compat.v1._further import clip_by_average_norm as clip_by_average_norm
from twinflow.tf.compat.v1._further import complex as complex
from twinflow.tf.compat.v1._further import fft as fft
from twinflow.tf.compat.v1._further import fft2d as fft2d
from twinflow.tf.compat.v1._further import fft3d as fft3d
from twinflow.tf.compat.v1._further import foldr as foldr
from twinflow.tf.compat.v1._further import histogram_fixed_width as histogram_fixed_width
from twinflow.tf.compat.v1._further import histogram_fixed_width_bins as histogram_fixed_width_bins
from twinflow.tf.compat.v1._further import ifft as ifft
from twinflow.tf.compat.v1._further import ifft2d as ifft2d
from twinflow.tf.compat.v1._further import ifft3d as ifft3d
from twinflow.tf.compat.v1._further import igamma as igamma
from twinflow.tf.compat.v1._further import igammac as igammac
from twinflow.tf.compat.v1._further import invert_permutation as invert_permutation
from twinflow.tf.compat.v1._further import is_numeric_tensor as is_numeric_tensor
from twinflow.tf.compat.v1._further import is_tensor as is_tensor
from twinflow.tf.compat.v1._further import lbeta as lbeta
from twinflow.tf.compat.v1._further import matrix_set_diag as matrix_set_diag
from twinflow.tf.compat.v1._further import matrix_solve_ls as matrix_solve_ls
from twinflow.tf.compat.v1._further import matrix_square_root as matrix_square_root
from twinflow.tf.compat.v1._further import polygamma as polygamma
from twinflow.tf.compat.v1._further import print as print
from twinflow.tf.compat.v1._further import random_crop as random_crop
from twinflow.tf.compat.v1._further import random_gamma as random_gamma
from twinflow.tf.compat.v1._further import reverse_sequence as reverse_sequence
from twinflow.tf.compat.v1._further import saturate_cast as saturate_cast
from twinflow.tf.compat.v1._further import segment_max as segment_max
from twinflow.tf.compat.v1._further import segment_mean as segment_mean
from twinflow.tf.compat.v1._further import segment_min as segment_min
from twinflow.tf.compat.v1._further import segment_prod as segment_prod
from twinflow.tf.compat.v1._further import segment_sum as segment_sum
from twinflow.tf.compat.v1._further import shape_n as shape_n
from twinflow.tf.compat.v1._further import space_to_batch as space_to_batch
from twinflow.tf.compat.v1._further import space_to_batch_nd as space_to_batch_nd
from twinflow.tf.compat.v1._further import switch_case as switch_case
from twinflow.tf.compat.v1._further import tensor_scatter_nd_max as tensor_scatter_nd_max
from twinflow.tf.compat.v1._further import tensor_scatter_nd_min as tensor_scatter_nd_min
from twinflow.tf.compat.v1._further import tensor_scatter_nd_sub as tensor_scatter_nd_sub
from twinflow.tf.compat.v1._further import tensor_scatter_sub as tensor_scatter_sub
from twinflow.tf.compat.v1._further import to_bfloat16 as to_bfloat16
from twinflow.tf.compat.v1._further import to_complex64 as to_complex64
from twinflow.tf.compat.v1._further import to_complex128 as to_complex128
from twinflow.tf.compat.v1._further import truncatediv as truncatediv
from twinflow.tf.compat.v1._further import truncatemod as truncatemod
from twinflow.tf.compat.v1._further import unravel_index as unravel_index
from twinflow.tf.compat.v1._further import unsorted_segment_sqrt_n as unsorted_segment_sqrt_n
from twinflow.tf.compat.v1._further import verify_tensor_all_finite as verify_tensor_all_finite
from twinflow.tf.compat.v1._further import zeta as zeta
from twinflow.tf.compat.v1._gradients import gradients as gradients
from twinflow.tf.compat.v1._graph import Graph as Graph
from twinflow.tf.compat.v1._graph import GraphKeys as GraphKeys
from twinflow.tf.compat.v1._graph import get_default_graph as get_default_graph
from twinflow.tf.compat.v1._graph import reset_default_graph as reset_default_graph
from twinflow.tf.compat.v1._graph_def import GraphDef as GraphDef
from twinflow.tf.compat.v1._graph_def import NodeDef as NodeDef
from twinflow.tf.compat.v1._graph_def import import_graph_def as import_graph_def
from twinflow.tf.compat.v1._init_ops import global_variables_initializer as global_variables_initializer
from twinflow.tf.compat.v1._init_ops import initialize_all_variables as initialize_all_variables
from twinflow.tf.compat.v1._init_ops import is_variable_initialized as is_variable_initialized
from twinflow.tf.compat.v1._init_ops import local_variables_initializer as local_variables_initializer
from twinflow.tf.compat.v1._init_ops import variables_initializer as variables_initializer
from twinflow.tf.compat.v1._nn import depth_to_space as depth_to_space
from twinflow.tf.compat.v1._nn import space_to_depth as space_to_depth
from twinflow.tf.compat.v1._operations import Operation as Operation
from twinflow.tf.compat.v1._operations import Tensor as Tensor
from twinflow.tf.compat.v1._scopes import AUTO_REUSE as AUTO_REUSE
from twinflow.tf.compat.v1._scopes import VariableScope as VariableScope
from twinflow.tf.compat.v1._scopes import constant_initializer as constant_initializer
from twinflow.tf.compat.v1._scopes import get_variable as get_variable
from twinflow.tf.compat.v1._scopes import get_variable_scope as get_variable_scope
from twinflow.tf.compat.v1._scopes import glorot_normal_initializer as glorot_normal_initializer
from twinflow.tf.compat.v1._scopes import glorot_uniform_initializer as glorot_uniform_initializer
from twinflow.tf.compat.v1._scopes import ones_initializer as ones_initializer
from twinflow.tf.compat.v1._scopes import orthogonal_initializer as orthogonal_initializer
from twinflow.tf.compat.v1._scopes import random_normal_initializer as random_normal_initializer
from twinflow.tf.compat.v1._scopes import random_uniform_initializer as random_uniform_initializer
from twinflow.tf.compat.v1._scopes import truncated_normal_initializer as truncated_normal_initializer
from twinflow.tf.compat.v1._scopes import variable_scope as variable_scope
from twinflow.tf.compat.v1._scopes import variance_scaling_initializer as variance_scaling_initializer
from twinflow.tf.compat.v1._scopes import zeros_initializer as zeros_initializer
from twinflow.tf.compat.v1._session import ConfigProto as ConfigProto
from twinflow.tf.compat.v1._session import InteractiveSession as InteractiveSession
from twinflow.tf.compat.v1._session import Session as Session
from twinflow.tf.compat.v1._session import get_default_session as get_default_session
from twinflow.tf.compat.v1._spaces import bitwise as bitwise
from twinflow.tf.compat.v1._spaces import image as image
from twinflow.tf.compat.v1._spaces import linalg as linalg
from twinflow.tf.compat.v1._spaces import math as math
from twinflow.tf.compat.v1._spaces import random as random
from twinflow.tf.compat.v1._spaces import signal as signal
from twinflow.tf.compat.v1._variables import Variable as Variable
from twinflow.tf.compat.v1._variables import assign as assign
from twinflow.tf.compat.v1._variables import assign_add as assign_add
from twinflow.tf.compat.v1._variables import assign_sub as assign_sub
from twinflow.tf.compat.v1._variables import global_variables as global_variables
from twinflow.tf.compat.v1._variables import local_variables as local_variables
from twinflow.tf.compat.v1._variables import placeholder as placeholder
from twinflow.tf.compat.v1._variables import placeholder_with_default as placeholder_with_default
from twinflow.tf.compat.v1._variables import trainable_variables as trainable_variables
from twinflow.tf.io import decode_base64 as decode_base64
from twinflow.tf.io import encode_base64 as encode_base64
from twinflow.tf.io import gfile as gfile
from twinflow.tf.io import matching_files as matching_files
from twinflow.tf.io import read_file as read_file
from twinflow.tf.io import write_file as write_file
from twinflow.tf.strings import as_string as as_string
from twinflow.tf.strings import join as string_join  # noqa: F401
from twinflow.tf.strings import reduce_join as reduce_join
from twinflow.tf.strings import regex_replace as regex_replace
from twinflow.tf.strings import split as string_split  # noqa: F401
from twinflow.tf.strings import strip as string_strip  # noqa: F401
from twinflow.tf.strings import substr as substr
from twinflow.tf.strings import to_number as string_to_number  # noqa: F401


def disable_v2_behavior() -> None:
    """Nothing to switch: this face always builds graphs."""


def add_to_collection(name: str, value: object) -> None:
    """Put a value into a collection of the default graph."""
    get_default_graph().add_to_collection(name, value)


def get_collection(name: str, scope: str | None = None) -> list:  # type: ignore[type-arg]
    """What is in a collection of the default graph."""
    return get_default_graph().get_collection(name, scope)


def get_collection_ref(name: str) -> list:  # type: ignore[type-arg]
    """A collection of the default graph itself."""
    return get_default_graph().get_collection_ref(name)


def executing_eagerly() -> builtins.bool:
    """False: this face always builds graphs."""
    return False


newaxis = None
half, double = float16, float64
all_variables = global_variables
initialize_variables = variables_initializer
initialize_local_variables = local_variables_initializer
initialize_all_tables = tables_initializer
disable_eager_execution = disable_tensor_equality = disable_v2_tensorshape = disable_v2_behavior
