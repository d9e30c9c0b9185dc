"""The graph IR: primitives' form, nodes, text, the interpreter that gives a graph its meaning, and the verifier."""

from twinflow.graph._canonical import canonical_text as canonical_text
from twinflow.graph._interpret import constant_value as constant_value
from twinflow.graph._interpret import interpret as interpret
from twinflow.graph._interpret import run_node as run_node
from twinflow.graph._ir import Graph as Graph
from twinflow.graph._ir import Node as Node
from twinflow.graph._ir import live_nodes as live_nodes
from twinflow.graph._ir import rebuild as rebuild
from twinflow.graph._primitive import PRIMITIVES as PRIMITIVES
from twinflow.graph._primitive import Aval as Aval
from twinflow.graph._primitive import Primitive as Primitive
from twinflow.graph._primitive import Sample as Sample
from twinflow.graph._primitive import aval_of as aval_of
from twinflow.graph._primitive import find_primitive as find_primitive
from twinflow.graph._text import from_text as from_text
from twinflow.graph._text import to_text as to_text
from twinflow.graph._verify import verify as verify
