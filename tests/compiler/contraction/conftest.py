"""Compile and run contraction kernels on this machine's processor and on lesser ones of the same architecture."""

import ctypes
from functools import cache

import numpy as np
import pytest

from twinflow.compiler.contraction import Kernel, Machine, Module
from twinflow.runtime import Engine, KernelCache, Processor, host_processor

HOST = host_processor()
FEATURES = {"x86-64": "", "x86-64-v3": "+avx2,+fma,+f16c", "x86-64-v4": "+avx512f,+avx512vl,+avx512bw,+avx2,+fma,+f16c"}
MACHINES = ["host"]
if HOST.arch == "x86_64":
    MACHINES += ["x86-64"] + ["x86-64-v3"] * HOST.has("avx2") + ["x86-64-v4"] * HOST.has_avx512


@cache
def engine_of(machine: str) -> Engine:
    processor = HOST if machine == "host" else Processor(HOST.triple, machine, FEATURES[machine])
    return Engine(processor, KernelCache(None))


@cache
def machine_of_name(machine: str) -> Machine:
    return Machine.of(engine_of(machine).processor)


def execute_kernel(
    module: Module, kernel: Kernel, machine: str, a, b, c, *, m=0, n=0, k=0, batch=0, operands=(), workers=0, pool=None
) -> None:
    """Run a kernel in a poisoned workspace: alone, with `workers` whose chunks come last first, or in a thread pool."""
    code = engine_of(machine).compile(module)
    threads = pool.threads if pool else max(1, workers)
    workspace = np.full(kernel.workspace_nbytes(threads) + 64, 0xFF, np.uint8)
    space = workspace.ctypes.data + -workspace.ctypes.data % 64
    pointers = [a.ctypes.data, b.ctypes.data, c.ctypes.data, space, m, n, k, batch]
    ctx = np.array([*pointers, *(o.ctypes.data for o in operands)], np.int64)
    entry = code.function(kernel.name, ctypes.c_void_p, ctypes.c_void_p)
    if not workers:
        entry(ctx.ctypes.data, pool.address if pool else None)
        return
    body = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)

    def backwards(_pool: int, function: int, ctx: int, chunks: int) -> None:
        for chunk in reversed(range(chunks)):
            body(function)(ctx, chunk, chunk % workers)

    parallel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(backwards)
    backwards_first = np.array([ctypes.cast(parallel, ctypes.c_void_p).value], np.int64)
    entry(ctx.ctypes.data, backwards_first.ctypes.data)


@pytest.fixture
def execute():
    return execute_kernel


@pytest.fixture
def machine_of():
    return machine_of_name


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return request.param
