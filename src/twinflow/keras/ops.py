"""Functions on tensors: `keras.ops`, those of its names that mean the same as at the top level."""

from twinflow.keras._variable import to_tensor as convert_to_tensor  # noqa: F401
from twinflow.ops import abs as abs
from twinflow.ops import arange as arange
from twinflow.ops import cos as cos
from twinflow.ops import exp as exp
from twinflow.ops import floor as floor
from twinflow.ops import log as log
from twinflow.ops import matmul as matmul
from twinflow.ops import maximum as maximum
from twinflow.ops import minimum as minimum
from twinflow.ops import ones as ones
from twinflow.ops import ones_like as ones_like
from twinflow.ops import sigmoid as sigmoid
from twinflow.ops import sin as sin
from twinflow.ops import sqrt as sqrt
from twinflow.ops import square as square
from twinflow.ops import tanh as tanh
from twinflow.ops import where as where
from twinflow.ops import zeros as zeros
from twinflow.ops import zeros_like as zeros_like
