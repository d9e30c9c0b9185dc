"""The CPU compiler: kernel descriptions in, LLVM functions out. It knows no graphs and no tensors."""

from twinflow.compiler._builder import ITEMSIZE as ITEMSIZE
from twinflow.compiler._elimination import COLUMNS as COLUMNS
from twinflow.compiler._elimination import emit_lu as emit_lu
from twinflow.compiler._elimination import emit_substitution as emit_substitution
from twinflow.compiler._sorting import emit_sort as emit_sort
