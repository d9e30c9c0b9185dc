"""Differentiation as a user asks for it. `twinflow.autograd` and `twinflow.func` are its public faces."""

from twinflow.autodiff._functional import hessian as hessian
from twinflow.autodiff._functional import jacfwd as jacfwd
from twinflow.autodiff._functional import jacrev as jacrev
from twinflow.autodiff._functional import jvp as jvp
from twinflow.autodiff._functional import linearize as linearize
from twinflow.autodiff._functional import value_and_grad as value_and_grad
from twinflow.autodiff._functional import vjp as vjp
from twinflow.autodiff._grad import grad as grad
from twinflow.autodiff._rules import may_need_gradient as may_need_gradient
from twinflow.autodiff._rules import record_rule as record_rule
from twinflow.autodiff._vmap import vmap as vmap
