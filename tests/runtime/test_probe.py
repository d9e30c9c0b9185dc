"""The machine's limits: plausible figures, for every vector width."""

import ctypes

import numpy as np
import pytest

from twinflow.core.errors import ArgumentError
from twinflow.runtime import Engine, KernelCache, aligned_zeros, host_processor, measure_limits, pool
from twinflow.runtime._probe import probe_ir


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_figures_are_plausible(dtype: str) -> None:
    limits = measure_limits(dtype, 6 * 2**20, 0.01)
    assert limits.threads == pool().threads
    # no core in existence does more than 10 teraflops or 2 TB/s; beside other processes any of these may be slow
    assert 1e8 < limits.core_flops < 1e13 and 1e8 < limits.all_flops < 1e15
    assert 1e8 < limits.core_read_nbytes_per_s < 2e12 and limits.all_read_nbytes_per_s > 1e8
    assert 1e8 < limits.core_triad_nbytes_per_s < 2e12 and limits.all_triad_nbytes_per_s > 1e8
    assert "GFLOP/s on one core" in str(limits) and f"on {limits.threads} threads" in str(limits)


@pytest.mark.parametrize("request_", ["generic", "native"])
def test_the_triad_computes_what_it_says(request_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINFLOW_CPU", request_)
    code = Engine(cache=KernelCache(None)).compile(probe_ir(host_processor(), "float32"))
    a, b, c = (aligned_zeros(2048, np.float32) for _ in range(3))
    b += np.arange(2048)
    c += 4
    context = np.array([x.ctypes.data for x in (a, b, c)] + [4096], np.uint64)
    code.function("run_triad", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(pool().address, context.ctypes.data, 2)
    np.testing.assert_array_equal(a, np.arange(2048) + 2)


def test_wrong_arguments() -> None:
    with pytest.raises(ArgumentError, match="dtype is 'int8', but the limits are those of float32 and float64"):
        measure_limits("int8")
    with pytest.raises(ArgumentError, match="memory_nbytes is 12, but needs to be at least 1048576"):
        measure_limits("float32", 12)
