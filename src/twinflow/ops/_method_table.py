"""Which functions are methods of Tensor too, and which have an in-place form."""

from __future__ import annotations

from typing import Any

from twinflow.ops import _arranging as A
from twinflow.ops import _contractions as C
from twinflow.ops import _distributions as D
from twinflow.ops import _elementary as E
from twinflow.ops import _generator as G
from twinflow.ops import _math as M
from twinflow.ops import _products
from twinflow.ops import _reductions as R
from twinflow.ops import _selecting as I
from twinflow.ops import _shaping as P
from twinflow.ops import _signal as N
from twinflow.ops import _sorting as S
from twinflow.ops import _statistics as T
from twinflow.ops._keywords import has_axes, with_keywords
from twinflow.ops._methods import UFUNCS
from twinflow.tensor import Tensor

_FUNCTIONS: dict[Any, str] = {
    M: "add sub mul div true_divide floor_divide remainder fmod pow atan2 maximum minimum eq ne lt le gt ge bitwise_and bitwise_or bitwise_xor bitwise_not "
       "bitwise_left_shift bitwise_right_shift nextafter neg sqrt rsqrt exp expm1 log log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc "
       "erfinv lgamma digamma sigmoid relu square reciprocal floor ceil trunc round abs sign sgn isnan isinf isfinite logical_not logical_and logical_or "
       "logical_xor clamp conj signbit",
    E: "absolute arccos arccosh arcsin arcsinh arctan arctanh arctan2 divide multiply subtract negative greater greater_equal less less_equal not_equal fix "
       "clip gcd lcm exp2 log2 log10 positive float_power logaddexp logaddexp2 hypot copysign heaviside lerp addcmul addcdiv nan_to_num frac deg2rad rad2deg "
       "logit xlogy sinc clamp_min clamp_max ldexp frexp isposinf isneginf isreal isclose allclose equal angle resolve_conj resolve_neg is_nonzero "
       "is_same_size fmax fmin is_signed",
    R: "sum prod mean var std amax amin argmax argmin max min any all cumsum cumprod logsumexp softmax log_softmax",
    P: "reshape permute transpose t squeeze unsqueeze flatten expand broadcast_to narrow split chunk unbind flip diagonal tril triu",
    A: "movedim moveaxis swapaxes swapdims adjoint unflatten ravel tensor_split hsplit vsplit dsplit split_with_sizes repeat tile repeat_interleave roll rot90 "
       "fliplr flipud diag_embed diag diagflat trace unfold as_strided squeeze_ unsqueeze_ transpose_ t_ swapaxes_ swapdims_",
    C: "vdot inner ger kron cross baddbmm addbmm addmv addr",
    S: "sort argsort msort topk kthvalue median nanmedian quantile nanquantile mode unique unique_consecutive bincount histc histogram",
    I: "nonzero argwhere count_nonzero masked_select masked_scatter index_select index_add index_copy index_fill take_along_dim gather scatter scatter_add "
       "scatter_reduce index_reduce take put index_put select slice_scatter select_scatter diagonal_scatter",
    T: "aminmax nansum nanmean norm dist renorm cov corrcoef cummax cummin logcumsumexp diff",
    G: "bernoulli",
    N: "stft istft",
    D: "multinomial random_ exponential_ geometric_ cauchy_ log_normal_ bernoulli_",
    _products: "matmul mm bmm mv dot outer addmm",
}  # fmt: skip
_IN_PLACE: dict[Any, str] = {
    M: "add sub mul div true_divide floor_divide remainder fmod pow atan2 eq ne lt le gt ge neg sqrt rsqrt exp expm1 log log1p sin cos tan asin acos atan sinh "
       "cosh tanh asinh acosh atanh erf erfc erfinv lgamma digamma sigmoid relu square reciprocal floor ceil trunc round abs sign sgn clamp logical_not "
       "logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor bitwise_not bitwise_left_shift bitwise_right_shift nextafter conj",
    E: "absolute arccos arccosh arcsin arcsinh arctan arctanh arctan2 divide multiply subtract negative greater greater_equal less less_equal not_equal fix "
       "clip gcd lcm exp2 log2 log10 float_power hypot copysign heaviside lerp addcmul addcdiv nan_to_num frac deg2rad rad2deg logit xlogy sinc clamp_min "
       "clamp_max ldexp",
    R: "cumsum cumprod",
    P: "tril triu",
    C: "baddbmm addbmm addmv addr",
    I: "masked_scatter index_add index_copy index_fill scatter scatter_add scatter_reduce index_reduce put index_put",
    T: "renorm",
    _products: "addmm",
}  # fmt: skip

for _module, _names in _FUNCTIONS.items():
    for _name in _names.split():
        _fn = getattr(_module, _name)
        setattr(Tensor, _name, with_keywords(_fn, out=False, module=_fn.__module__) if has_axes(_fn) else _fn)
for _module, _names in _IN_PLACE.items():
    for _name in _names.split():
        setattr(Tensor, f"{_name}_", M.inplace(getattr(_module, _name), f"{_name}_", UFUNCS.get(_name)))
