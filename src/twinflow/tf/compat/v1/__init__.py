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
from twinflow.tf._shapes import Dimension as Dimension
from twinflow.tf._shapes import StaticShape as TensorShape  # noqa: F401
from twinflow.tf.compat.v1 import data as data
from twinflow.tf.compat.v1 import errors as errors
from twinflow.tf.compat.v1 import graph_util as graph_util
from twinflow.tf.compat.v1 import initializers as initializers
from twinflow.tf.compat.v1 import layers as layers
from twinflow.tf.compat.v1 import losses as losses
from twinflow.tf.compat.v1 import metrics as metrics
from twinflow.tf.compat.v1 import nn as nn
from twinflow.tf.compat.v1 import summary as summary
from twinflow.tf.compat.v1 import train as train
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
from twinflow.tf.compat.v1._gradients import gradients as gradients
from twinflow.tf.compat.v1._graph import Graph as Graph
from twinflow.tf.compat.v1._graph import GraphKeys as GraphKeys
from twinflow.tf.compat.v1._graph import Operation as Operation
from twinflow.tf.compat.v1._graph import Tensor as Tensor
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
from twinflow.tf.compat.v1._variables import Variable as Variable
from twinflow.tf.compat.v1._variables import assign as assign
from twinflow.tf.compat.v1._variables import assign_add as assign_add
from twinflow.tf.compat.v1._variables import assign_sub as assign_sub
from twinflow.tf.compat.v1._variables import global_variables as global_variables
from twinflow.tf.compat.v1._variables import local_variables as local_variables
from twinflow.tf.compat.v1._variables import placeholder as placeholder
from twinflow.tf.compat.v1._variables import placeholder_with_default as placeholder_with_default
from twinflow.tf.compat.v1._variables import trainable_variables as trainable_variables


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
disable_eager_execution = disable_v2_behavior
