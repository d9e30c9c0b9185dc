"""What this machine can do at most, and the floor it sets: no program can be faster than its arithmetic and its bytes.

Multiply-adds and bytes a second are measured by `twinflow.runtime`, on as many threads as the frameworks get; bytes at
several sizes of working set, since a small model lives in the caches.
"""

from bisect import bisect_left
from dataclasses import dataclass

from twinflow.runtime import host_processor, measure_limits, set_num_threads

WORKING_SETS = (1 << 20, 1 << 23, 1 << 26, 1 << 28)  # bytes of all threads together: L2, L2 or L3, L3, memory


@dataclass
class Limits:
    threads: int
    processor: str
    peak_flops: float  # per second, all threads, float32
    bandwidths: tuple[float, ...]  # bytes per second, all threads, for each of WORKING_SETS

    def floor_s(self, flops: float, nbytes: float) -> float:
        """The least time for so much arithmetic over a working set of so many bytes, both passed once."""
        i = min(bisect_left(WORKING_SETS, nbytes), len(WORKING_SETS) - 1)
        return max(flops / self.peak_flops, nbytes / self.bandwidths[i])


def measure(threads: int) -> Limits:
    set_num_threads(threads)
    measured = [measure_limits(memory_nbytes=nbytes) for nbytes in WORKING_SETS]
    return Limits(
        threads,
        host_processor().name,
        max(m.all_flops for m in measured),
        tuple(max(m.all_read_nbytes_per_s, m.all_triad_nbytes_per_s) for m in measured),
    )
