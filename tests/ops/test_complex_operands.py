"""Functions that have no meaning for complex numbers say so, in eager mode as in compiled functions."""

import pytest

import twinflow as tf
from twinflow.core.errors import TwinflowError
from twinflow.nn import functional as F

REAL = [
    "gt", "lt", "ge", "le", "maximum", "minimum", "fmax", "amax", "amin", "max", "min", "argmax", "sort", "argsort", "median", "relu",
    "floor", "ceil", "round", "trunc", "frac", "erf", "erfc", "erfinv", "lgamma", "digamma", "i0", "hypot", "fmod", "remainder", "clamp",
]  # fmt: skip
ACTIVATIONS = ["elu", "selu", "leaky_relu", "hardtanh", "gelu", "silu", "softplus", "mish", "logsigmoid"]
TWO = {"gt", "lt", "ge", "le", "maximum", "minimum", "fmax", "hypot", "fmod", "remainder"}


@pytest.mark.parametrize("name", [*REAL, *ACTIVATIONS])
def test_no_value_is_made_up(name):
    function = getattr(tf if name in REAL else F, name)
    z = tf.tensor([1 + 2j, 3 - 1j])
    args = (z, z) if name in TWO else (z, 0.0) if name == "clamp" else (z,)
    with pytest.raises(TwinflowError, match=r"complex"):
        function(*args)
    with pytest.raises(TwinflowError, match=r"complex"):
        tf.compile(lambda *a: function(*a, *args[len(a) :]))(*[a for a in args if isinstance(a, tf.Tensor)])
