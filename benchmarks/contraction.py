"""GFLOP/s of generated matrix products and convolutions on one thread, beside PyTorch's if it can be imported.

Run: python -m benchmarks.contraction [matmul] [conv] [--level N]

Times are the least of many interleaved rounds, in processor time of the thread, so that a busy machine disturbs them
less. "of peak" is the share of what multiply-add instructions can do at most, measured in the same run.
"""

import argparse
import ctypes
import time
from collections.abc import Callable, Sequence

import numpy as np

from twinflow.compiler.contraction import ConvSpec, Kernel, Machine, MatmulSpec, Module, emit_conv, emit_matmul
from twinflow.runtime import Engine, KernelCache, aligned_empty, aligned_zeros, host_processor, measure_limits

try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None

ENGINE = Engine(cache=KernelCache(None))
MACHINE = Machine.of(host_processor())
SQUARES = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)
PRODUCTS = (  # m, n, k, transpose a, transpose b
    (64, 64, 64, False, True),
    (256, 256, 256, False, True),
    (1024, 1024, 1024, False, True),
    (64, 64, 64, True, False),
    (256, 256, 256, True, False),
    (1024, 1024, 1024, True, False),
    (64, 128, 784, False, True),
    (64, 128, 784, False, False),
    (784, 128, 64, True, False),
    (64, 10, 128, False, True),
    (128, 10, 64, True, False),
    (128, 128, 5408, False, False),
    (5408, 128, 128, True, False),
    (2048, 128, 128, False, False),
    (2048, 512, 128, False, False),
    (2048, 128, 512, False, True),
    (128, 512, 2048, True, False),
    (1, 1024, 1024, False, False),
    (1, 1024, 1024, False, True),
    (1, 4096, 4096, False, True),
    (4096, 1, 4096, False, False),
    (8, 1024, 1024, False, True),
    (16, 1024, 1024, False, True),
)
LAYERS = (  # batch, size, kernel, channels, filters, stride, padding
    (128, 28, 3, 1, 32, 1, 0),
    (64, 28, 5, 1, 32, 1, 2),
    (64, 32, 3, 3, 32, 1, 1),
    (64, 32, 3, 32, 32, 1, 1),
    (64, 16, 3, 32, 64, 1, 1),
    (64, 16, 3, 64, 64, 1, 1),
    (64, 8, 3, 64, 128, 1, 1),
    (32, 32, 3, 64, 64, 1, 1),
    (32, 32, 3, 64, 128, 2, 1),
    (32, 32, 1, 64, 128, 2, 0),
    (32, 16, 3, 128, 128, 1, 1),
    (32, 16, 3, 128, 256, 2, 1),
    (32, 8, 3, 256, 256, 1, 1),
    (32, 4, 3, 512, 512, 1, 1),
    (32, 8, 1, 256, 512, 2, 0),
    (32, 14, 1, 256, 64, 1, 0),
)


def best(calls: Sequence[Callable[[], object]], seconds: float = 0.4) -> list[float]:
    """The least time of each call, taking turns; short calls are repeated within a turn."""
    repeats = []
    for call in calls:
        call()
        start = time.perf_counter()
        call()
        repeats.append(max(1, int(1e-4 / (time.perf_counter() - start + 1e-7))))
    least = [float("inf")] * len(calls)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for n, call in enumerate(calls):
            start = time.thread_time_ns()
            for _ in range(repeats[n]):
                call()
            least[n] = min(least[n], (time.thread_time_ns() - start) / repeats[n] / 1e9)
    return least


def prepare(
    module: Module, kernel: Kernel, level: int, *arrays: np.ndarray
) -> tuple[Callable[[], object], float, float]:
    """The call of a compiled kernel, and the milliseconds it took to print and to compile."""
    start = time.perf_counter()
    text = str(module)
    printed = time.perf_counter()
    code = ENGINE.compile(text, level=level)
    compiled = time.perf_counter()
    space = aligned_empty((kernel.workspace_nbytes(1) + 64,), np.uint8)
    ctx = np.array([*(a.ctypes.data for a in (*arrays, space)), 0, 0, 0, 0], np.int64)
    entry = code.function(kernel.name, ctypes.c_void_p, ctypes.c_void_p)
    address = ctx.ctypes.data

    def call() -> object:
        return (entry(address, None), ctx, arrays, space)

    return call, (printed - start) * 1e3, (compiled - printed) * 1e3


def fill(*shape: int) -> np.ndarray:
    out = aligned_zeros(shape, np.float32)
    out[...] = np.random.default_rng(0).standard_normal(shape, np.float32)
    return out


def report(title: str, flops: int, call: Callable[[], object], theirs: Callable[[], object] | None,
           write_ms: float, compile_ms: float, peak: float) -> None:  # fmt: skip
    times = best([call] if theirs is None else [call, theirs])
    rate = flops / times[0] / 1e9
    other = "" if theirs is None else f"{flops / times[1] / 1e9:8.1f}{times[1] / times[0]:8.2f}"
    print(
        f"{title:44}{rate:8.1f}{rate / peak:8.0%}{other or '       -       -'}{write_ms:8.1f}{compile_ms:8.0f}",
        flush=True,
    )


def head(title: str) -> None:
    print(f"\n{title:44}{'GFLOP/s':>8}{'of peak':>8}{'PyTorch':>8}{'ratio':>8}{'write':>8}{'compile':>8}")


def matmuls(level: int, peak: float) -> None:
    head("matrix product m, n, k, orientation")
    for m, n, k, ta, tb in (*((s, s, s, False, False) for s in SQUARES), *PRODUCTS):
        a, b = fill(*((k, m) if ta else (m, k))), fill(*((n, k) if tb else (k, n)))
        c = fill(m, n)
        start = time.perf_counter()
        module = Module()
        kernel = emit_matmul(module, MACHINE, MatmulSpec.of(m, n, k, transpose_a=ta, transpose_b=tb), name="f")
        write = (time.perf_counter() - start) * 1e3
        call, printed, compiled = prepare(module, kernel, level, a, b, c)
        theirs = None
        if torch:
            x, y = (torch.from_numpy(v.T if t else v) for v, t in ((a, ta), (b, tb)))
            out = torch.empty(m, n)

            def theirs(x=x, y=y, out=out):
                return torch.mm(x, y, out=out)

        title = f"{m:6}{n:6}{k:6}  {'NT'[ta]}{'NT'[tb]}"
        report(title, 2 * m * n * k, call, theirs, write + printed, compiled, peak)
        if torch and call():
            np.testing.assert_allclose(c, theirs().numpy(), rtol=1e-4, atol=2e-4 * k**0.5)


def convolutions(level: int, peak: float) -> None:
    for kind in ("forward", "data", "weight"):
        head(f"convolution {kind}: batch, size, kernel, C, O, s")
        for batch, size, kernel, channels, filters, stride, padding in LAYERS:
            spec = ConvSpec(
                kind, batch, (size,) * 2, (kernel,) * 2, channels, filters, (stride,) * 2, ((padding,) * 2,) * 2
            )
            if kind == "data" and channels < 16:
                continue
            x, w = fill(batch, size, size, channels), fill(kernel, kernel, channels, filters)
            dy = fill(batch, *spec.out_size, filters)
            operands = {"forward": (x, w, dy.copy()), "data": (dy, w, x.copy()), "weight": (x, dy, w.copy())}[kind]
            start = time.perf_counter()
            module = Module()
            conv = emit_conv(module, MACHINE, spec, name="f")
            write = (time.perf_counter() - start) * 1e3
            call, printed, compiled = prepare(module, conv, level, *operands)
            theirs = torch_convolution(kind, x, w, dy, stride, padding) if torch else None
            title = f"{batch:5}{size:4}{kernel:3}{channels:5}{filters:5}{stride:3}"
            report(title, spec.flops or 0, call, theirs, write + printed, compiled, peak)


def torch_convolution(kind, x, w, dy, stride, padding):
    tx, tdy = (torch.from_numpy(v).permute(0, 3, 1, 2) for v in (x, dy))  # channels last in memory, as ours
    tw = torch.from_numpy(w).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    if kind == "forward":
        return lambda: torch.nn.functional.conv2d(tx, tw, stride=stride, padding=padding)
    mask = [kind == "data", kind == "weight", False]
    args = ([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, mask)
    return lambda: torch.ops.aten.convolution_backward(tdy, tx, tw, None, *args)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", default=[], help="matmul, conv; all by default")
    parser.add_argument("--level", type=int, default=1, help="optimisation level of the engine")
    args = parser.parse_args()
    peak = measure_limits().core_flops / 1e9
    print(f"peak of multiply-add, one thread: {peak:.0f} GFLOP/s")
    if not args.sections or "matmul" in args.sections:
        matmuls(args.level, peak)
    if not args.sections or "conv" in args.sections:
        convolutions(args.level, peak)
