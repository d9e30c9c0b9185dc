"""`compile`: a Python function traced once per signature and run as one graph."""

from twinflow.jit._compile import Compiled as Compiled
from twinflow.jit._compile import compile as compile
from twinflow.jit._compile import interpreted as interpreted
from twinflow.jit._compile import native as native
