"""Freezing graphs: `tf.graph_util`."""

from twinflow.tf.compat.v1._graph_def import convert_variables_to_constants as convert_variables_to_constants
