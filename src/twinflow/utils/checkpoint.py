"""Trading computation for memory, as in `torch.utils.checkpoint`."""

from twinflow.autodiff._checkpoint import checkpoint as checkpoint
from twinflow.autodiff._checkpoint import checkpoint_sequential as checkpoint_sequential
