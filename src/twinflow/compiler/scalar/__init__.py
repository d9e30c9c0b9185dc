"""Scalar functions as LLVM instructions: the same code for one value and for a vector of any number of lanes."""

from twinflow.compiler.scalar._cast import STORED as STORED
from twinflow.compiler.scalar._cast import cast as cast
from twinflow.compiler.scalar._cast import narrow as narrow
from twinflow.compiler.scalar._cast import widen as widen
from twinflow.compiler.scalar._random import philox_words as philox_words
from twinflow.compiler.scalar._table import FUNCTIONS as FUNCTIONS
from twinflow.compiler.scalar._table import Function as Function
from twinflow.compiler.scalar._table import apply as apply
from twinflow.compiler.scalar._table import result_dtype as result_dtype
