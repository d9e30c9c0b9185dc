"""From graphs to native programs: fusion, kernels, memory, linking."""

from twinflow.lower._fuse import Fuser as Fuser
from twinflow.lower._fuse import Group as Group
from twinflow.lower._fuse import Plan as Plan
from twinflow.lower._memory import Request as Request
from twinflow.lower._memory import plan_memory as plan_memory
from twinflow.lower._program import OBSERVERS as OBSERVERS
from twinflow.lower._program import NativeGraph as NativeGraph
from twinflow.lower._program import compile_graph as compile_graph
from twinflow.lower._steps import Step as Step
