"""The errors that programs catch by name: `tf.errors`."""

from twinflow.tf.errors import *  # noqa: F403
