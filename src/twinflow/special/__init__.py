"""Special functions: those of `torch.special`, with derivatives."""

from twinflow.ops import digamma as digamma
from twinflow.ops import erf as erf
from twinflow.ops import erfc as erfc
from twinflow.ops import erfinv as erfinv
from twinflow.ops import exp2 as exp2
from twinflow.ops import expm1 as expm1
from twinflow.ops import lgamma as lgamma
from twinflow.ops import log1p as log1p
from twinflow.ops import log_softmax as log_softmax
from twinflow.ops import logit as logit
from twinflow.ops import logsumexp as logsumexp
from twinflow.ops import round as round
from twinflow.ops import sigmoid as sigmoid
from twinflow.ops import sinc as sinc
from twinflow.ops import softmax as softmax
from twinflow.ops import xlogy as xlogy
from twinflow.ops._keywords import add_keywords as _add_keywords
from twinflow.special import _toplevel as _toplevel
from twinflow.special._bessel import bessel_j0 as bessel_j0
from twinflow.special._bessel import bessel_j1 as bessel_j1
from twinflow.special._bessel import bessel_y0 as bessel_y0
from twinflow.special._bessel import bessel_y1 as bessel_y1
from twinflow.special._bessel import i0 as i0
from twinflow.special._bessel import i0e as i0e
from twinflow.special._bessel import i1 as i1
from twinflow.special._bessel import i1e as i1e
from twinflow.special._bessel import modified_bessel_i0 as modified_bessel_i0
from twinflow.special._bessel import modified_bessel_i1 as modified_bessel_i1
from twinflow.special._bessel import modified_bessel_k0 as modified_bessel_k0
from twinflow.special._bessel import modified_bessel_k1 as modified_bessel_k1
from twinflow.special._bessel import scaled_modified_bessel_k0 as scaled_modified_bessel_k0
from twinflow.special._bessel import scaled_modified_bessel_k1 as scaled_modified_bessel_k1
from twinflow.special._bessel import spherical_bessel_j0 as spherical_bessel_j0
from twinflow.special._gamma import entr as entr
from twinflow.special._gamma import gammainc as gammainc
from twinflow.special._gamma import gammaincc as gammaincc
from twinflow.special._gamma import multigammaln as multigammaln
from twinflow.special._gamma import polygamma as polygamma
from twinflow.special._gamma import psi as psi
from twinflow.special._gamma import xlog1py as xlog1py
from twinflow.special._gamma import zeta as zeta
from twinflow.special._normal import erfcx as erfcx
from twinflow.special._normal import log_ndtr as log_ndtr
from twinflow.special._normal import ndtr as ndtr
from twinflow.special._normal import ndtri as ndtri
from twinflow.special._polynomials import chebyshev_polynomial_t as chebyshev_polynomial_t
from twinflow.special._polynomials import chebyshev_polynomial_u as chebyshev_polynomial_u
from twinflow.special._polynomials import chebyshev_polynomial_v as chebyshev_polynomial_v
from twinflow.special._polynomials import chebyshev_polynomial_w as chebyshev_polynomial_w
from twinflow.special._polynomials import hermite_polynomial_h as hermite_polynomial_h
from twinflow.special._polynomials import hermite_polynomial_he as hermite_polynomial_he
from twinflow.special._polynomials import laguerre_polynomial_l as laguerre_polynomial_l
from twinflow.special._polynomials import legendre_polynomial_p as legendre_polynomial_p

expit = sigmoid
gammaln = lgamma

_add_keywords(globals(), " ".join(_name for _name in list(globals()) if not _name.startswith("_")))
