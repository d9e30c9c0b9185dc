"""The recorded graph: nodes, edges, and hooks on what they keep."""

from twinflow.autodiff._hooks import GradientEdge as GradientEdge
from twinflow.autodiff._hooks import disable_saved_tensors_hooks as disable_saved_tensors_hooks
from twinflow.autodiff._hooks import get_gradient_edge as get_gradient_edge
from twinflow.autodiff._hooks import increment_version as increment_version
from twinflow.autodiff._hooks import register_multi_grad_hook as register_multi_grad_hook
from twinflow.autodiff._hooks import saved_tensors_hooks as saved_tensors_hooks
from twinflow.tensor import GradNode as Node

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "saved_tensors_hooks",
]
