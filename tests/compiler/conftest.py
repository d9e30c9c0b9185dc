"""Compile and run loop kernels, on this machine's processor and with features masked."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest

from twinflow.compiler.loops import Kernel, Module, Target, emit
from twinflow.runtime import Engine, KernelCache, Processor, host_processor

HOST = host_processor()
LEVELS = ["host"] + (["x86-64-v3", "x86-64"] if HOST.arch == "x86_64" and HOST.has("avx512f") else [])


@cache
def engine_of(level: str) -> Engine:
    processor = HOST if level == "host" else Processor(HOST.triple, level, "")
    return Engine(processor, KernelCache(None))


@cache
def target_of(level: str) -> Target:
    named = {"x86-64-v3": "+avx2,+fma,+f16c,+sse4.1", "x86-64": ""}
    return Target.from_features(named.get(level, HOST.features), HOST.arch)


def run_kernel(kernel: Kernel, arrays: Sequence[np.ndarray], symbols: Sequence[int] = (), level: str = "host") -> None:
    """Run all chunks, last first: their order must not matter."""
    module = Module(target_of(level))
    name = emit(module, kernel)
    code = engine_of(level).compile(module)
    arguments = (ctypes.c_int64 * (len(arrays) + len(symbols)))(*(a.ctypes.data for a in arrays), *symbols)
    chunks = code.function(f"{name}.nchunks", ctypes.c_void_p, restype=ctypes.c_int64)(arguments)
    call = code.function(name, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    for chunk in reversed(range(chunks)):
        call(arguments, chunk, 0)


@pytest.fixture
def run() -> Callable[..., None]:
    return run_kernel


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    return request.param
