"""Loop kernels: elementwise expressions, reductions, row-wise stages, gathers and scatters over an iteration space."""

from twinflow.compiler._builder import Module as Module
from twinflow.compiler._builder import Target as Target
from twinflow.compiler.loops._emit import emit as emit
from twinflow.compiler.loops._interpret import interpret as interpret
from twinflow.compiler.loops._ir import Apply as Apply
from twinflow.compiler.loops._ir import Axis as Axis
from twinflow.compiler.loops._ir import Buffer as Buffer
from twinflow.compiler.loops._ir import Const as Const
from twinflow.compiler.loops._ir import Coordinate as Coordinate
from twinflow.compiler.loops._ir import Expr as Expr
from twinflow.compiler.loops._ir import Index as Index
from twinflow.compiler.loops._ir import Kernel as Kernel
from twinflow.compiler.loops._ir import Load as Load
from twinflow.compiler.loops._ir import Reduce as Reduce
from twinflow.compiler.loops._ir import Rest as Rest
from twinflow.compiler.loops._ir import Size as Size
from twinflow.compiler.loops._ir import Store as Store
from twinflow.compiler.loops._ir import Sym as Sym
from twinflow.compiler.loops._ir import walk as walk
from twinflow.compiler.loops._rewrite import Substitution as Substitution
from twinflow.compiler.loops._schedule import merge_axes as merge_axes
from twinflow.compiler.loops._schedule import schedule as schedule
from twinflow.compiler.loops._split import Split as Split
from twinflow.compiler.loops._split import split_reductions as split_reductions
from twinflow.compiler.loops._verify import verify as verify
