"""Probability distributions, with PyTorch's names: samples, densities, entropies and divergences."""

from twinflow.distributions import _transforms as transforms  # noqa: F401
from twinflow.distributions import kl as kl
from twinflow.distributions._continuous import Beta as Beta
from twinflow.distributions._continuous import Cauchy as Cauchy
from twinflow.distributions._continuous import Chi2 as Chi2
from twinflow.distributions._continuous import Dirichlet as Dirichlet
from twinflow.distributions._continuous import Exponential as Exponential
from twinflow.distributions._continuous import Gamma as Gamma
from twinflow.distributions._continuous import Gumbel as Gumbel
from twinflow.distributions._continuous import HalfNormal as HalfNormal
from twinflow.distributions._continuous import Laplace as Laplace
from twinflow.distributions._continuous import LogNormal as LogNormal
from twinflow.distributions._continuous import MultivariateNormal as MultivariateNormal
from twinflow.distributions._continuous import Normal as Normal
from twinflow.distributions._continuous import StudentT as StudentT
from twinflow.distributions._continuous import Uniform as Uniform
from twinflow.distributions._discrete import Bernoulli as Bernoulli
from twinflow.distributions._discrete import Binomial as Binomial
from twinflow.distributions._discrete import Categorical as Categorical
from twinflow.distributions._discrete import Geometric as Geometric
from twinflow.distributions._discrete import Multinomial as Multinomial
from twinflow.distributions._discrete import OneHotCategorical as OneHotCategorical
from twinflow.distributions._discrete import Poisson as Poisson
from twinflow.distributions._discrete import RelaxedOneHotCategorical as RelaxedOneHotCategorical
from twinflow.distributions._distribution import Distribution as Distribution
from twinflow.distributions._distribution import Independent as Independent
from twinflow.distributions._transformed import TransformedDistribution as TransformedDistribution
from twinflow.distributions.kl import kl_divergence as kl_divergence
from twinflow.distributions.kl import register_kl as register_kl
