"""Initializers of variables: `tf.initializers`."""

from twinflow.tf.compat.v1._scopes import constant_initializer as constant
from twinflow.tf.compat.v1._scopes import glorot_normal_initializer as glorot_normal
from twinflow.tf.compat.v1._scopes import glorot_uniform_initializer as glorot_uniform
from twinflow.tf.compat.v1._scopes import he_normal as he_normal
from twinflow.tf.compat.v1._scopes import he_uniform as he_uniform
from twinflow.tf.compat.v1._scopes import lecun_normal as lecun_normal
from twinflow.tf.compat.v1._scopes import lecun_uniform as lecun_uniform
from twinflow.tf.compat.v1._scopes import ones_initializer as ones
from twinflow.tf.compat.v1._scopes import orthogonal_initializer as orthogonal
from twinflow.tf.compat.v1._scopes import random_normal_initializer as random_normal
from twinflow.tf.compat.v1._scopes import random_uniform_initializer as random_uniform
from twinflow.tf.compat.v1._scopes import truncated_normal_initializer as truncated_normal
from twinflow.tf.compat.v1._scopes import variance_scaling_initializer as variance_scaling
from twinflow.tf.compat.v1._scopes import zeros_initializer as zeros

__all__ = [
    "constant", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "ones", "orthogonal",
    "random_normal", "random_uniform", "truncated_normal", "variance_scaling", "zeros",
]  # fmt: skip
