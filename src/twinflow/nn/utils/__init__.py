"""Tools around layers: `nn.utils`."""

from twinflow.nn.utils import parametrizations as parametrizations
from twinflow.nn.utils import parametrize as parametrize
from twinflow.nn.utils import prune as prune
from twinflow.nn.utils import rnn as rnn
from twinflow.nn.utils._gradients import clip_grad_norm_ as clip_grad_norm_
from twinflow.nn.utils._gradients import clip_grad_value_ as clip_grad_value_
from twinflow.nn.utils._gradients import clip_grads_with_norm_ as clip_grads_with_norm_
from twinflow.nn.utils._gradients import get_total_norm as get_total_norm
from twinflow.nn.utils._gradients import parameters_to_vector as parameters_to_vector
from twinflow.nn.utils._gradients import vector_to_parameters as vector_to_parameters
from twinflow.nn.utils._reweight import remove_spectral_norm as remove_spectral_norm
from twinflow.nn.utils._reweight import remove_weight_norm as remove_weight_norm
from twinflow.nn.utils._reweight import spectral_norm as spectral_norm
from twinflow.nn.utils._reweight import weight_norm as weight_norm
from twinflow.nn.utils.fusion import fuse_conv_bn_eval as fuse_conv_bn_eval
from twinflow.nn.utils.fusion import fuse_conv_bn_weights as fuse_conv_bn_weights
from twinflow.nn.utils.fusion import fuse_linear_bn_eval as fuse_linear_bn_eval
from twinflow.nn.utils.fusion import fuse_linear_bn_weights as fuse_linear_bn_weights
from twinflow.nn.utils.fusion import skip_init as skip_init
