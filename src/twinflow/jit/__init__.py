"""`compile`: a Python function traced once per signature and run as one graph."""

from twinflow.jit._compile import Compiled as Compiled
from twinflow.jit._compile import compile as compile
