"""Places where PyTorch's users look: `utils.data`."""

from twinflow.utils import data as data
