"""twinflow: one deep-learning framework with two faces, and a native compiler under both.

The names at this level are PyTorch's: `import twinflow as torch` is the migration guide.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from twinflow import amp as amp
from twinflow import autodiff as autodiff
from twinflow import autograd as autograd
from twinflow import backends as backends
from twinflow import cuda as cuda
from twinflow import fft as fft
from twinflow import func as func
from twinflow import linalg as linalg
from twinflow import nn as nn
from twinflow import optim as optim
from twinflow import random as random
from twinflow import special as special
from twinflow.autodiff import vmap as vmap
from twinflow.autograd import is_anomaly_enabled as is_anomaly_enabled
from twinflow.core import DType as DType
from twinflow.core import broadcast_shapes as broadcast_shapes
from twinflow.core import finfo as finfo
from twinflow.core import get_default_dtype as get_default_dtype
from twinflow.core import iinfo as iinfo
from twinflow.core import promote_types as promote_types
from twinflow.core import set_default_dtype as set_default_dtype
from twinflow.core._dtypes import bfloat16 as bfloat16
from twinflow.core._dtypes import bool_ as bool_
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
from twinflow.jit import compile as compile
from twinflow.jit import debug as debug
from twinflow.jit import profile as profile
from twinflow.linalg._toplevel import cholesky as cholesky
from twinflow.linalg._toplevel import cholesky_inverse as cholesky_inverse
from twinflow.linalg._toplevel import cholesky_solve as cholesky_solve
from twinflow.linalg._toplevel import det as det
from twinflow.linalg._toplevel import inverse as inverse
from twinflow.linalg._toplevel import logdet as logdet
from twinflow.linalg._toplevel import lu_solve as lu_solve
from twinflow.linalg._toplevel import lu_unpack as lu_unpack
from twinflow.linalg._toplevel import matrix_exp as matrix_exp
from twinflow.linalg._toplevel import matrix_power as matrix_power
from twinflow.linalg._toplevel import pinverse as pinverse
from twinflow.linalg._toplevel import qr as qr
from twinflow.linalg._toplevel import slogdet as slogdet
from twinflow.linalg._toplevel import svd as svd
from twinflow.nn._summary import summary as summary
from twinflow.nn.functional import adaptive_avg_pool1d as adaptive_avg_pool1d
from twinflow.nn.functional import adaptive_max_pool1d as adaptive_max_pool1d
from twinflow.nn.functional import alpha_dropout as alpha_dropout
from twinflow.nn.functional import avg_pool1d as avg_pool1d
from twinflow.nn.functional import batch_norm as batch_norm
from twinflow.nn.functional import bilinear as bilinear
from twinflow.nn.functional import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from twinflow.nn.functional import celu as celu
from twinflow.nn.functional import celu_ as celu_
from twinflow.nn.functional import channel_shuffle as channel_shuffle
from twinflow.nn.functional import conv1d as conv1d
from twinflow.nn.functional import conv2d as conv2d
from twinflow.nn.functional import conv3d as conv3d
from twinflow.nn.functional import conv_transpose1d as conv_transpose1d
from twinflow.nn.functional import conv_transpose2d as conv_transpose2d
from twinflow.nn.functional import conv_transpose3d as conv_transpose3d
from twinflow.nn.functional import cosine_embedding_loss as cosine_embedding_loss
from twinflow.nn.functional import cosine_similarity as cosine_similarity
from twinflow.nn.functional import ctc_loss as ctc_loss
from twinflow.nn.functional import dropout as dropout
from twinflow.nn.functional import embedding as embedding
from twinflow.nn.functional import embedding_bag as embedding_bag
from twinflow.nn.functional import feature_alpha_dropout as feature_alpha_dropout
from twinflow.nn.functional import group_norm as group_norm
from twinflow.nn.functional import hardshrink as hardshrink
from twinflow.nn.functional import hinge_embedding_loss as hinge_embedding_loss
from twinflow.nn.functional import instance_norm as instance_norm
from twinflow.nn.functional import kl_div as kl_div
from twinflow.nn.functional import layer_norm as layer_norm
from twinflow.nn.functional import margin_ranking_loss as margin_ranking_loss
from twinflow.nn.functional import max_pool1d as max_pool1d
from twinflow.nn.functional import max_pool2d as max_pool2d
from twinflow.nn.functional import max_pool3d as max_pool3d
from twinflow.nn.functional import pairwise_distance as pairwise_distance
from twinflow.nn.functional import pixel_shuffle as pixel_shuffle
from twinflow.nn.functional import pixel_unshuffle as pixel_unshuffle
from twinflow.nn.functional import poisson_nll_loss as poisson_nll_loss
from twinflow.nn.functional import prelu as prelu
from twinflow.nn.functional import rms_norm as rms_norm
from twinflow.nn.functional import rrelu as rrelu
from twinflow.nn.functional import rrelu_ as rrelu_
from twinflow.nn.functional import selu as selu
from twinflow.nn.functional import selu_ as selu_
from twinflow.nn.functional import threshold as threshold
from twinflow.nn.functional import threshold_ as threshold_
from twinflow.nn.functional import triplet_margin_loss as triplet_margin_loss
from twinflow.ops import *  # noqa: F403 - the functions of `ops` are the top level
from twinflow.ops import Device as Device
from twinflow.ops._autocast import autocast as autocast
from twinflow.ops._autocast import get_autocast_dtype as get_autocast_dtype
from twinflow.ops._autocast import is_autocast_enabled as is_autocast_enabled
from twinflow.ops._keywords import add_keywords as _add_keywords
from twinflow.runtime import get_num_threads as get_num_threads
from twinflow.runtime import set_flush_denormal as set_flush_denormal
from twinflow.runtime import set_num_threads as set_num_threads
from twinflow.special import gammainc as gammainc
from twinflow.special import gammaincc as gammaincc
from twinflow.special import i0 as i0
from twinflow.special import polygamma as polygamma
from twinflow.special._gamma import mvlgamma as mvlgamma
from twinflow.special._toplevel import kaiser_window as kaiser_window
from twinflow.tensor import Size as Size
from twinflow.tensor import Tensor as Tensor
from twinflow.tensor import enable_grad as enable_grad
from twinflow.tensor import inference_mode as inference_mode
from twinflow.tensor import is_grad_enabled as is_grad_enabled
from twinflow.tensor import is_inference_mode_enabled as is_inference_mode_enabled
from twinflow.tensor import no_grad as no_grad
from twinflow.tensor import set_grad_enabled as set_grad_enabled

if _TYPE_CHECKING:
    from twinflow import array_api as array_api
    from twinflow import data as data
    from twinflow import distributions as distributions
    from twinflow import keras as keras
    from twinflow import metrics as metrics
    from twinflow import testing as testing
    from twinflow import tf as tf
    from twinflow import train as train
    from twinflow import utils as utils
    from twinflow.train import check as check
    from twinflow.utils import load as load
    from twinflow.utils import save as save

# What a program that only computes does not need is loaded when it is first asked for: `import twinflow` stays quick.
_LATER = {
    name: f"twinflow.{name}"
    for name in ("array_api", "data", "distributions", "keras", "metrics", "testing", "tf", "train", "utils")
}
_LATER |= {"check": "twinflow.train", "load": "twinflow.utils", "save": "twinflow.utils"}


# What programs written for PyTorch ask for and what is not here yet, with what to do instead.
_ABSENT = {
    "GradScaler": "it is in twinflow.amp",
    "distributed": "there is one process and one device; leave out the calls, and wrap the model in nn.DataParallel if its names matter",
    "onnx": "there is no export yet; weights leave as safetensors: save(model.state_dict(), path)",
    "export": "there is no export yet; weights leave as safetensors: save(model.state_dict(), path)",
    "profiler": "twinflow.profile() measures the kernels of compiled functions",
    "compiler": "twinflow.compile takes no settings",
    "accelerator": "there is no device but 'cpu'",
    "sparse": "there are no sparse tensors",
    "quantization": "there are no quantised tensors",
    "fx": "`twinflow.compile` has the graph of what it compiled",
    "hub": "build the model and load its state_dict: load(f, weights_only=True) reads PyTorch's",
    "multiprocessing": "the data loader starts its own workers; otherwise use Python's multiprocessing",
}


def __getattr__(name: str) -> _Any:
    module = _LATER.get(name)
    if module is None:
        why = f": {_ABSENT[name]} (docs/from-pytorch.md)" if name in _ABSENT else ""
        raise AttributeError(f"module 'twinflow' has no attribute {name!r}{why}")
    found = _import_module(module)
    value = globals()[name] = found if module == f"twinflow.{name}" else getattr(found, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


def _array_namespace(self: Tensor, *, api_version: str | None = None) -> _Any:
    """The namespace of the array API standard for this array."""
    return _import_module("twinflow.array_api")._namespace(api_version)


setattr(Tensor, "__array_namespace__", _array_namespace)  # noqa: B010 - a tensor does not know of its front ends

# PyTorch's other names for them
dtype = DType
device = Device
bool = bool_
float = float32
double = float64
half = float16
int = int32
long = int64
short = int16
cfloat = complex64
cdouble = complex128
igamma = gammainc
igammac = gammaincc
from math import e as e  # noqa: E402 - after `float` and `int` have become types
from math import inf as inf  # noqa: E402
from math import nan as nan  # noqa: E402
from math import pi as pi  # noqa: E402

newaxis = None
layout = Layout  # noqa: F405 - from `ops`
memory_format = MemoryFormat  # noqa: F405

set_anomaly_enabled = autograd.set_detect_anomaly

# The in-place methods, as functions.
for _name in (
    "abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil clamp clamp_max clamp_min clip cos "
    "cosh deg2rad detach erf erfc exp exp2 expm1 fill fix floor frac gcd i0 index_put lcm ldexp log log10 log1p log2 logit nan_to_num "
    "neg negative rad2deg reciprocal relu round rsqrt sigmoid sin sinc sinh sqrt square tan tanh trunc xlogy zero"
).split():
    globals()[f"{_name}_"] = getattr(Tensor, f"{_name}_")

# The functions of which PyTorch documents `out=`.
_add_keywords(
    globals(),
    "abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr all amax amin aminmax angle any arange arccos arccosh arcsin "
    "arcsinh arctan arctan2 arctanh argmax argmin asin asinh atan atan2 atanh baddbmm bartlett_window bernoulli bitwise_and "
    "bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman_window bmm bucketize cat ceil chain_matmul cholesky "
    "cholesky_inverse cholesky_solve clamp clamp_max clamp_min clip column_stack complex concat concatenate copysign cos cosh "
    "cross cummax cummin cumprod cumsum deg2rad diag diff digamma div divide dot dstack empty empty_like eq erf erfc erfinv exp exp2 "
    "expm1 eye fix float_power floor floor_divide fmax fmin fmod frac frexp full full_like gather gcd ge ger greater greater_equal gt "
    "hamming_window hann_window heaviside histc histogram hstack hypot i0 igamma igammac index_add index_copy index_reduce index_select "
    "inner inverse isneginf isposinf kron kthvalue lcm ldexp le lerp less less_equal lgamma linspace log log10 log1p log2 log_softmax "
    "logaddexp logaddexp2 logcumsumexp logical_and logical_not logical_or logical_xor logit logspace logsumexp lt lu_solve lu_unpack "
    "masked_select matmul matrix_power max maximum mean median min minimum mm mode msort mul multinomial multiply mv mvlgamma "
    "nan_to_num nanmean nanmedian nanquantile nansum ne neg negative nextafter nonzero norm normal not_equal ones ones_like outer "
    "pinverse polar polygamma pow prod qr quantile rad2deg rand rand_like randint randint_like randn randn_like randperm reciprocal relu "
    "remainder renorm round row_stack rsqrt scatter scatter_add scatter_reduce searchsorted sgn sigmoid sign signbit sin sinc sinh slogdet "
    "softmax sort sqrt square stack std std_mean sub subtract sum svd take take_along_dim tan tanh tensordot topk trace tril tril_indices "
    "triu triu_indices true_divide trunc var var_mean vdot vstack where xlogy zeros zeros_like",
)

__version__ = "0.1.0"
