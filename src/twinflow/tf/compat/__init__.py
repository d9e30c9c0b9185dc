"""Older faces of TensorFlow: `twinflow.tf.compat.v1`, graphs built by hand and run in sessions."""

from twinflow.tf.compat import v1 as v1
