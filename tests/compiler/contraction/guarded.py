"""Run contraction kernels whose operands lie between unreadable pages: `python guarded.py MACHINE`.

A read or write out of bounds ends this process with a signal, so it is a process of its own. The name of each case is
printed before it runs: the last one printed is the one that crashed.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable

import ml_dtypes
import numpy as np
from conftest import engine_of, machine_of_name

from twinflow.compiler.contraction import (
    ConvSpec,
    Kernel,
    MatmulSpec,
    Module,
    TransposeSpec,
    emit_conv,
    emit_matmul,
    emit_transpose,
)

PAGE = mmap.PAGESIZE
SHAPES = [  # m, n, k
    (1, 1, 1), (1, 33, 70), (33, 1, 70), (5, 10, 3), (64, 10, 128), (10, 128, 65), (64, 128, 10), (3, 5, 17),
    (67, 131, 80), (19, 33, 530), (128, 200, 64), (30, 64, 2100), (100, 260, 300), (270, 300, 40), (65, 512, 1100), (300, 256, 256),
    (264, 512, 70), (128, 200, 1100), (270, 300, 400),
]  # fmt: skip
IMAGES = [  # batch, size, kernel, channels, filters, stride, padding
    (2, 9, 3, 1, 5, 1, 0), (3, 8, 3, 16, 20, 1, 1), (2, 7, 3, 17, 33, 2, 1), (2, 5, 1, 40, 10, 1, 0),
    (4, 9, 3, 64, 96, 1, 1), (16, 4, 3, 256, 96, 1, 1), (1, 4, 3, 128, 70, 1, 1), (2, 8, 3, 130, 300, 1, 1),
]  # fmt: skip

BF16 = ml_dtypes.bfloat16


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Guarded:
    """Memory whose first or last byte touches a page that may not be touched."""

    def __init__(self, nbytes: int, at_end: bool) -> None:
        inner = -(-max(nbytes, 1) // PAGE) * PAGE
        self.map = mmap.mmap(-1, inner + 2 * PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for page in (base, base + PAGE + inner):
            if protect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self.address = base + PAGE + (inner - nbytes if at_end else 0)

    def array(self, shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
        """The memory as an array."""
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(self.address))
        return memory.view(dtype).reshape(shape)


def runner(machine: str, module: Module, kernel: Kernel) -> Callable[[list[Guarded], bool], None]:
    """Compile a kernel; what is returned runs it on operands, with a workspace that is guarded as they are."""
    code = engine_of(machine).compile(module)

    def run(operands: list[Guarded], at_end: bool) -> None:
        workspace = Guarded(kernel.workspace_nbytes(1), at_end)
        ctx = np.array([*(o.address for o in operands), workspace.address, 0, 0, 0, 0], np.int64)
        code.function(kernel.name, ctypes.c_void_p, ctypes.c_void_p)(ctx.ctypes.data, None)

    return run


def guarded(rng: np.random.Generator, shape: tuple[int, ...], at_end: bool, dtype: type) -> tuple[Guarded, np.ndarray]:
    memory = Guarded(int(np.prod(shape)) * np.dtype(dtype).itemsize, at_end)
    array = memory.array(shape, dtype)
    array[...] = rng.standard_normal(shape)
    return memory, array


def product(machine: str, m: int, n: int, k: int, order: str, dtype: type = np.float32) -> None:
    say(f"matmul {m} {n} {k} {order} {dtype.__name__}")
    rng = np.random.default_rng(m + n + k)
    first, second = order[0] == "t", order[1] == "t"
    spec = MatmulSpec.of(m, n, k, transpose_a=first, transpose_b=second, dtype=np.dtype(dtype).name)
    module = Module()
    run = runner(machine, module, emit_matmul(module, machine_of_name(machine), spec, name="f"))
    for at_end in (False, True):
        at, a = guarded(rng, (k, m) if first else (m, k), at_end, dtype)
        bt, b = guarded(rng, (n, k) if second else (k, n), at_end, dtype)
        ct, c = guarded(rng, (m, n), at_end, dtype)
        run([at, bt, ct], at_end)
        want = (a.T if first else a).astype(np.float64) @ (b.T if second else b).astype(np.float64)
        rounding = (2**-8, 0.1) if dtype is BF16 else (1e-4, 1e-3)
        np.testing.assert_allclose(c.astype(np.float64), want, rtol=rounding[0], atol=rounding[1])


def convolution(machine: str, kind: str, image: tuple[int, ...], filters_first: bool) -> None:
    say(f"convolution {kind} {image} {filters_first}")
    batch, size, kernel, channels, filters, stride, padding = image
    spec = ConvSpec(
        kind, batch, (size,) * 2, (kernel,) * 2, channels, filters, (stride,) * 2, ((padding,) * 2,) * 2,
        filters_first=filters_first,
    )  # fmt: skip
    rng = np.random.default_rng(size)
    shapes = {"x": (batch, size, size, channels), "w": (kernel, kernel, channels, filters)}
    if filters_first:
        shapes["w"] = (filters, channels, kernel, kernel)
    shapes["y"] = (batch, *spec.out_size, filters)
    order = {"forward": "xwy", "data": "ywx", "weight": "xyw"}[kind]
    module = Module()
    run = runner(machine, module, emit_conv(module, machine_of_name(machine), spec, name="f"))
    for at_end in (False, True):
        operands = [guarded(rng, shapes[name], at_end, np.float32) for name in order]
        operands[2][1][...] = np.nan
        run([memory for memory, _ in operands], at_end)
        if not np.isfinite(operands[2][1]).all():  # that the values are right is the matter of test_conv.py
            raise ValueError("elements of the result were never written")


def transpose(machine: str, batch: int, rows: int, cols: int) -> None:
    say(f"transpose {batch} {rows} {cols}")
    rng = np.random.default_rng(rows)
    module = Module()
    spec = TransposeSpec(batch, rows, cols, rows * cols, cols)
    run = runner(machine, module, emit_transpose(module, machine_of_name(machine), spec, name="f"))
    for at_end in (False, True):
        x, other = (guarded(rng, (batch, rows, cols), at_end, np.float32) for _ in range(2))
        y = guarded(rng, (batch, cols, rows), at_end, np.float32)
        run([x[0], other[0], y[0]], at_end)
        np.testing.assert_array_equal(y[1], x[1].transpose(0, 2, 1))


def main(machine: str) -> None:
    """Every case; orders of the operands in turn."""
    for number, shape in enumerate(SHAPES):
        for order in ("nt", "tn") if number % 2 else ("nn", "nt", "tt"):
            product(machine, *shape, order)
    product(machine, 21, 37, 70, "nt", np.float64)
    for order in ("nn", "nt", "tn", "tt"):
        product(machine, 37, 51, 75, order, BF16)
        product(machine, 32, 32, 1088, order, BF16)
    for image in IMAGES:
        for kind in ("forward", "data", "weight"):
            for filters_first in (False, True):
                convolution(machine, kind, image, filters_first)
    for matrices in ((3, 5, 7), (1, 17, 33), (2, 3, 900), (1, 300, 70)):
        transpose(machine, *matrices)
    say("done")


if __name__ == "__main__":
    main(sys.argv[1])
