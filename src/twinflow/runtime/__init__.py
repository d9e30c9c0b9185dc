"""Native code at run time: the engine that makes and loads it, its cache, the thread pool, aligned memory.

llvmlite is imported only when something is compiled.
"""

from twinflow.runtime._buffers import ALIGNMENT as ALIGNMENT
from twinflow.runtime._buffers import UNUSED as UNUSED
from twinflow.runtime._buffers import Arena as Arena
from twinflow.runtime._buffers import address_of as address_of
from twinflow.runtime._buffers import aligned_empty as aligned_empty
from twinflow.runtime._buffers import aligned_zeros as aligned_zeros
from twinflow.runtime._buffers import available_memory as available_memory
from twinflow.runtime._buffers import is_aligned as is_aligned
from twinflow.runtime._buffers import round_up as round_up
from twinflow.runtime._cache import KernelCache as KernelCache
from twinflow.runtime._cache import default_cache_dir as default_cache_dir
from twinflow.runtime._engine import Engine as Engine
from twinflow.runtime._engine import Executable as Executable
from twinflow.runtime._engine import compile_assembly as compile_assembly
from twinflow.runtime._engine import compile_object as compile_object
from twinflow.runtime._engine import engine as engine
from twinflow.runtime._pool import Pool as Pool
from twinflow.runtime._pool import get_num_threads as get_num_threads
from twinflow.runtime._pool import pool as pool
from twinflow.runtime._pool import set_flush_denormal as set_flush_denormal
from twinflow.runtime._pool import set_num_threads as set_num_threads
from twinflow.runtime._pool_ir import PARALLEL_IR as PARALLEL_IR
from twinflow.runtime._probe import MachineLimits as MachineLimits
from twinflow.runtime._probe import measure_limits as measure_limits
from twinflow.runtime._processor import Processor as Processor
from twinflow.runtime._processor import cache_nbytes as cache_nbytes
from twinflow.runtime._processor import host_processor as host_processor
