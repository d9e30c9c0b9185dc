"""Python's control flow on tensors: functions are rewritten so that `if`, `while` and `for` become part of the graph.

What TensorFlow calls AutoGraph. A condition that is no tensor stays Python's own.
"""

from twinflow.autograph._calls import RANGES as RANGES
from twinflow.autograph._calls import prepared as prepared
from twinflow.autograph._convert import convert as convert
from twinflow.autograph._convert import do_not_convert as do_not_convert
from twinflow.autograph._convert import has_source as has_source
from twinflow.autograph._convert import rewritten_source as rewritten_source
from twinflow.autograph._operators import Grows as Grows
from twinflow.autograph._operators import set_loop_options as set_loop_options
from twinflow.autograph._unknown import known_number as known_number
