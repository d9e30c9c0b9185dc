"""twinflow: one deep-learning framework with two faces, and a native compiler under both.

The names at this level are PyTorch's: `import twinflow as torch` is the migration guide.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from twinflow import autodiff as autodiff
from twinflow import autograd as autograd
from twinflow import fft as fft
from twinflow import func as func
from twinflow import linalg as linalg
from twinflow import nn as nn
from twinflow import optim as optim
from twinflow import special as special
from twinflow import utils as utils
from twinflow.autodiff import vmap as vmap
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
from twinflow.nn.functional import avg_pool1d as avg_pool1d
from twinflow.nn.functional import bilinear as bilinear
from twinflow.nn.functional import celu as celu
from twinflow.nn.functional import channel_shuffle as channel_shuffle
from twinflow.nn.functional import conv1d as conv1d
from twinflow.nn.functional import conv2d as conv2d
from twinflow.nn.functional import conv3d as conv3d
from twinflow.nn.functional import conv_transpose1d as conv_transpose1d
from twinflow.nn.functional import conv_transpose2d as conv_transpose2d
from twinflow.nn.functional import conv_transpose3d as conv_transpose3d
from twinflow.nn.functional import cosine_similarity as cosine_similarity
from twinflow.nn.functional import dropout as dropout
from twinflow.nn.functional import hardshrink as hardshrink
from twinflow.nn.functional import layer_norm as layer_norm
from twinflow.nn.functional import max_pool1d as max_pool1d
from twinflow.nn.functional import max_pool2d as max_pool2d
from twinflow.nn.functional import max_pool3d as max_pool3d
from twinflow.nn.functional import pairwise_distance as pairwise_distance
from twinflow.nn.functional import pixel_shuffle as pixel_shuffle
from twinflow.nn.functional import pixel_unshuffle as pixel_unshuffle
from twinflow.nn.functional import prelu as prelu
from twinflow.nn.functional import rms_norm as rms_norm
from twinflow.nn.functional import rrelu as rrelu
from twinflow.nn.functional import selu as selu
from twinflow.nn.functional import threshold as threshold
from twinflow.ops import *  # noqa: F403 - the functions of `ops` are the top level
from twinflow.ops import Device as Device
from twinflow.runtime import get_num_threads as get_num_threads
from twinflow.runtime import set_num_threads as set_num_threads
from twinflow.special import gammainc as gammainc
from twinflow.special import gammaincc as gammaincc
from twinflow.special import i0 as i0
from twinflow.special import polygamma as polygamma
from twinflow.special._gamma import mvlgamma as mvlgamma
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
    from twinflow import keras as keras
    from twinflow import metrics as metrics
    from twinflow import tf as tf
    from twinflow import train as train
    from twinflow import utils as utils
    from twinflow.train import check as check
    from twinflow.utils import load as load
    from twinflow.utils import save as save

# What a program that only computes does not need is loaded when it is first asked for: `import twinflow` stays quick.
_LATER = {name: f"twinflow.{name}" for name in ("array_api", "data", "keras", "metrics", "tf", "train", "utils")}
_LATER |= {"check": "twinflow.train", "load": "twinflow.utils", "save": "twinflow.utils"}


def __getattr__(name: str) -> _Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module 'twinflow' has no attribute {name!r}")
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

__version__ = "0.1.0"
