"""`compile`: a Python function traced once per signature and run as one graph."""

from twinflow.jit._compile import Compiled as Compiled
from twinflow.jit._compile import compile as compile
from twinflow.jit._compile import interpreted as interpreted
from twinflow.jit._compile import native as native
from twinflow.jit._debug import Finding as Finding
from twinflow.jit._debug import Replay as Replay
from twinflow.jit._debug import debug as debug
from twinflow.jit._profile import KernelTime as KernelTime
from twinflow.jit._profile import profile as profile
