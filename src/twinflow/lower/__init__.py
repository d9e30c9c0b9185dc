"""From graphs to native programs: fusion, kernels, memory, linking."""

from twinflow.lower._native import OBSERVERS as OBSERVERS
from twinflow.lower._native import NativeGraph as NativeGraph
from twinflow.lower._native import compile_graph as compile_graph
from twinflow.lower._timing import Timing as Timing
