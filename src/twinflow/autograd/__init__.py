"""Automatic differentiation as in `torch.autograd`."""

from twinflow.autodiff._function import Function as Function
from twinflow.autodiff._function import FunctionCtx as FunctionCtx
from twinflow.autodiff._function import once_differentiable as once_differentiable
from twinflow.autodiff._grad import backward as backward
from twinflow.autodiff._grad import grad as grad
from twinflow.autodiff._gradcheck import gradcheck as gradcheck
from twinflow.autodiff._gradcheck import gradgradcheck as gradgradcheck
from twinflow.autodiff._hooks import detect_anomaly as detect_anomaly
from twinflow.autodiff._hooks import is_anomaly_enabled as is_anomaly_enabled
from twinflow.autodiff._hooks import set_detect_anomaly as set_detect_anomaly
from twinflow.autograd import forward_ad as forward_ad
from twinflow.autograd import function as function
from twinflow.autograd import functional as functional
from twinflow.autograd import graph as graph
from twinflow.autograd._variable import Variable as Variable
from twinflow.tensor import enable_grad as enable_grad
from twinflow.tensor import inference_mode as inference_mode
from twinflow.tensor import no_grad as no_grad
from twinflow.tensor import set_grad_enabled as set_grad_enabled
