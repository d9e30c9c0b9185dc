"""`twinflow.data` under PyTorch's name."""

from twinflow.data import *  # noqa: F403 - the same package
