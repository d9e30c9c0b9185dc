"""Transformations of functions, as in `torch.func`: derivatives, Jacobians and vmap, freely nested."""

from twinflow.autodiff._functional import grad as grad
from twinflow.autodiff._functional import hessian as hessian
from twinflow.autodiff._functional import jacfwd as jacfwd
from twinflow.autodiff._functional import jacrev as jacrev
from twinflow.autodiff._functional import jvp as jvp
from twinflow.autodiff._functional import linearize as linearize
from twinflow.autodiff._functional import value_and_grad as grad_and_value  # noqa: F401 - PyTorch's name
from twinflow.autodiff._functional import value_and_grad as value_and_grad
from twinflow.autodiff._functional import vjp as vjp
from twinflow.autodiff._vmap import vmap as vmap
from twinflow.func._modules import functional_call as functional_call
from twinflow.func._modules import stack_module_state as stack_module_state
