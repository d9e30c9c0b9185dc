"""The Python array API standard, version 2023.12: what `tensor.__array_namespace__()` returns.

Functions whose arguments agree with those at the top level of twinflow are the same; the others stand here. The one
difference to the standard is that `x.size` is PyTorch's method; `math.prod(x.shape)` gives the number of elements.
"""

import sys as _sys
from math import e as e
from math import inf as inf
from math import nan as nan
from math import pi as pi
from typing import Any as _Any

from twinflow.array_api import fft as fft
from twinflow.array_api import linalg as linalg
from twinflow.array_api._creation import arange as arange
from twinflow.array_api._creation import asarray as asarray
from twinflow.array_api._creation import astype as astype
from twinflow.array_api._creation import can_cast as can_cast
from twinflow.array_api._creation import empty as empty
from twinflow.array_api._creation import empty_like as empty_like
from twinflow.array_api._creation import eye as eye
from twinflow.array_api._creation import finfo as finfo
from twinflow.array_api._creation import full as full
from twinflow.array_api._creation import full_like as full_like
from twinflow.array_api._creation import iinfo as iinfo
from twinflow.array_api._creation import isdtype as isdtype
from twinflow.array_api._creation import linspace as linspace
from twinflow.array_api._creation import meshgrid as meshgrid
from twinflow.array_api._creation import ones as ones
from twinflow.array_api._creation import ones_like as ones_like
from twinflow.array_api._creation import result_type as result_type
from twinflow.array_api._creation import tril as tril
from twinflow.array_api._creation import triu as triu
from twinflow.array_api._creation import zeros as zeros
from twinflow.array_api._creation import zeros_like as zeros_like
from twinflow.array_api._functions import __array_namespace_info__ as __array_namespace_info__
from twinflow.array_api._functions import all as all
from twinflow.array_api._functions import any as any
from twinflow.array_api._functions import argmax as argmax
from twinflow.array_api._functions import argmin as argmin
from twinflow.array_api._functions import argsort as argsort
from twinflow.array_api._functions import broadcast_arrays as broadcast_arrays
from twinflow.array_api._functions import broadcast_to as broadcast_to
from twinflow.array_api._functions import clip as clip
from twinflow.array_api._functions import concat as concat
from twinflow.array_api._functions import cumulative_sum as cumulative_sum
from twinflow.array_api._functions import expand_dims as expand_dims
from twinflow.array_api._functions import flip as flip
from twinflow.array_api._functions import matrix_transpose as matrix_transpose
from twinflow.array_api._functions import max as max
from twinflow.array_api._functions import mean as mean
from twinflow.array_api._functions import min as min
from twinflow.array_api._functions import moveaxis as moveaxis
from twinflow.array_api._functions import nonzero as nonzero
from twinflow.array_api._functions import permute_dims as permute_dims
from twinflow.array_api._functions import prod as prod
from twinflow.array_api._functions import repeat as repeat
from twinflow.array_api._functions import reshape as reshape
from twinflow.array_api._functions import roll as roll
from twinflow.array_api._functions import round as round
from twinflow.array_api._functions import searchsorted as searchsorted
from twinflow.array_api._functions import sign as sign
from twinflow.array_api._functions import sort as sort
from twinflow.array_api._functions import squeeze as squeeze
from twinflow.array_api._functions import stack as stack
from twinflow.array_api._functions import std as std
from twinflow.array_api._functions import sum as sum
from twinflow.array_api._functions import take as take
from twinflow.array_api._functions import tensordot as tensordot
from twinflow.array_api._functions import tile as tile
from twinflow.array_api._functions import unique_all as unique_all
from twinflow.array_api._functions import unique_counts as unique_counts
from twinflow.array_api._functions import unique_inverse as unique_inverse
from twinflow.array_api._functions import unique_values as unique_values
from twinflow.array_api._functions import unstack as unstack
from twinflow.array_api._functions import var as var
from twinflow.array_api._functions import vecdot as vecdot
from twinflow.core._dtypes import bool_ as bool_
from twinflow.core._dtypes import complex64 as complex64
from twinflow.core._dtypes import complex128 as complex128
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
from twinflow.core.errors import ArgumentError
from twinflow.ops import abs as abs
from twinflow.ops import acos as acos
from twinflow.ops import acosh as acosh
from twinflow.ops import add as add
from twinflow.ops import asin as asin
from twinflow.ops import asinh as asinh
from twinflow.ops import atan as atan
from twinflow.ops import atan2 as atan2
from twinflow.ops import atanh as atanh
from twinflow.ops import bitwise_and as bitwise_and
from twinflow.ops import bitwise_left_shift as bitwise_left_shift
from twinflow.ops import bitwise_not as bitwise_not
from twinflow.ops import bitwise_or as bitwise_or
from twinflow.ops import bitwise_right_shift as bitwise_right_shift
from twinflow.ops import bitwise_xor as bitwise_xor
from twinflow.ops import ceil as ceil
from twinflow.ops import conj as conj
from twinflow.ops import copysign as copysign
from twinflow.ops import cos as cos
from twinflow.ops import cosh as cosh
from twinflow.ops import eq as eq
from twinflow.ops import exp as exp
from twinflow.ops import expm1 as expm1
from twinflow.ops import floor as floor
from twinflow.ops import floor_divide as floor_divide
from twinflow.ops import from_dlpack as from_dlpack
from twinflow.ops import greater as greater
from twinflow.ops import greater_equal as greater_equal
from twinflow.ops import hypot as hypot
from twinflow.ops import imag as imag
from twinflow.ops import isfinite as isfinite
from twinflow.ops import isinf as isinf
from twinflow.ops import isnan as isnan
from twinflow.ops import less as less
from twinflow.ops import less_equal as less_equal
from twinflow.ops import log as log
from twinflow.ops import log1p as log1p
from twinflow.ops import log2 as log2
from twinflow.ops import log10 as log10
from twinflow.ops import logaddexp as logaddexp
from twinflow.ops import logical_and as logical_and
from twinflow.ops import logical_not as logical_not
from twinflow.ops import logical_or as logical_or
from twinflow.ops import logical_xor as logical_xor
from twinflow.ops import matmul as matmul
from twinflow.ops import maximum as maximum
from twinflow.ops import minimum as minimum
from twinflow.ops import multiply as multiply
from twinflow.ops import negative as negative
from twinflow.ops import nextafter as nextafter
from twinflow.ops import not_equal as not_equal
from twinflow.ops import positive as positive
from twinflow.ops import pow as pow
from twinflow.ops import real as real
from twinflow.ops import reciprocal as reciprocal
from twinflow.ops import remainder as remainder
from twinflow.ops import signbit as signbit
from twinflow.ops import sin as sin
from twinflow.ops import sinh as sinh
from twinflow.ops import sqrt as sqrt
from twinflow.ops import square as square
from twinflow.ops import subtract as subtract
from twinflow.ops import tan as tan
from twinflow.ops import tanh as tanh
from twinflow.ops import true_divide as true_divide
from twinflow.ops import trunc as trunc
from twinflow.ops import where as where

__array_api_version__ = "2023.12"
newaxis = None
bool, bitwise_invert, equal, divide = bool_, bitwise_not, eq, true_divide


def _namespace(api_version: str | None = None) -> _Any:
    """This module, if it is of the version asked for."""
    if api_version not in (None, "2021.12", "2022.12", "2023.12"):
        raise ArgumentError(
            f"__array_namespace__: version {api_version!r} is not supported; {__array_api_version__} is"
        )
    return _sys.modules[__name__]
