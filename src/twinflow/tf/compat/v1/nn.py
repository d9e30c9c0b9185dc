"""Functions of neural networks in static graphs: `tf.nn`."""

from twinflow.tf.compat.v1 import rnn_cell as rnn_cell
from twinflow.tf.compat.v1._nn import avg_pool as avg_pool
from twinflow.tf.compat.v1._nn import avg_pool2d as avg_pool2d
from twinflow.tf.compat.v1._nn import batch_normalization as batch_normalization
from twinflow.tf.compat.v1._nn import bias_add as bias_add
from twinflow.tf.compat.v1._nn import conv1d as conv1d
from twinflow.tf.compat.v1._nn import conv2d as conv2d
from twinflow.tf.compat.v1._nn import conv2d_transpose as conv2d_transpose
from twinflow.tf.compat.v1._nn import conv3d as conv3d
from twinflow.tf.compat.v1._nn import crelu as crelu
from twinflow.tf.compat.v1._nn import depth_to_space as depth_to_space
from twinflow.tf.compat.v1._nn import depthwise_conv2d as depthwise_conv2d
from twinflow.tf.compat.v1._nn import dropout as dropout
from twinflow.tf.compat.v1._nn import elu as elu
from twinflow.tf.compat.v1._nn import embedding_lookup as embedding_lookup
from twinflow.tf.compat.v1._nn import in_top_k as in_top_k
from twinflow.tf.compat.v1._nn import l2_loss as l2_loss
from twinflow.tf.compat.v1._nn import l2_normalize as l2_normalize
from twinflow.tf.compat.v1._nn import leaky_relu as leaky_relu
from twinflow.tf.compat.v1._nn import local_response_normalization as local_response_normalization
from twinflow.tf.compat.v1._nn import log_poisson_loss as log_poisson_loss
from twinflow.tf.compat.v1._nn import log_sigmoid as log_sigmoid
from twinflow.tf.compat.v1._nn import log_softmax as log_softmax
from twinflow.tf.compat.v1._nn import lrn as lrn
from twinflow.tf.compat.v1._nn import max_pool as max_pool
from twinflow.tf.compat.v1._nn import max_pool2d as max_pool2d
from twinflow.tf.compat.v1._nn import moments as moments
from twinflow.tf.compat.v1._nn import relu as relu
from twinflow.tf.compat.v1._nn import relu6 as relu6
from twinflow.tf.compat.v1._nn import relu_layer as relu_layer
from twinflow.tf.compat.v1._nn import selu as selu
from twinflow.tf.compat.v1._nn import separable_conv2d as separable_conv2d
from twinflow.tf.compat.v1._nn import sigmoid as sigmoid
from twinflow.tf.compat.v1._nn import sigmoid_cross_entropy_with_logits as sigmoid_cross_entropy_with_logits
from twinflow.tf.compat.v1._nn import silu as silu
from twinflow.tf.compat.v1._nn import softmax as softmax
from twinflow.tf.compat.v1._nn import softmax_cross_entropy_with_logits as softmax_cross_entropy_with_logits
from twinflow.tf.compat.v1._nn import softmax_cross_entropy_with_logits_v2 as softmax_cross_entropy_with_logits_v2
from twinflow.tf.compat.v1._nn import softplus as softplus
from twinflow.tf.compat.v1._nn import softsign as softsign
from twinflow.tf.compat.v1._nn import space_to_depth as space_to_depth
from twinflow.tf.compat.v1._nn import (
    sparse_softmax_cross_entropy_with_logits as sparse_softmax_cross_entropy_with_logits,
)
from twinflow.tf.compat.v1._nn import swish as swish
from twinflow.tf.compat.v1._nn import tanh as tanh
from twinflow.tf.compat.v1._nn import top_k as top_k
from twinflow.tf.compat.v1._nn import weighted_cross_entropy_with_logits as weighted_cross_entropy_with_logits
from twinflow.tf.compat.v1._nn import xw_plus_b as xw_plus_b
from twinflow.tf.compat.v1._nn import zero_fraction as zero_fraction
from twinflow.tf.compat.v1.rnn_cell import bidirectional_dynamic_rnn as bidirectional_dynamic_rnn
from twinflow.tf.compat.v1.rnn_cell import dynamic_rnn as dynamic_rnn
from twinflow.tf.compat.v1.rnn_cell import static_rnn as static_rnn
