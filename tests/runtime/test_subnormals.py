"""Subnormal numbers count as zero inside compiled programs, on every thread, and nowhere else."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.runtime import engine
from twinflow.runtime._subnormals import subnormals_ir

SMALL = np.float32(1e-40)

flushes = pytest.mark.skipif(
    engine().processor.arch not in ("x86_64", "aarch64", "arm64"), reason="this processor keeps subnormal numbers"
)


@flushes
@pytest.mark.parametrize("n", [8, 1 << 20])  # one chunk, and many for all threads
def test_kernels_flush_subnormal_numbers_and_leave_python_as_it_was(n):
    x = tf.full((n,), float(SMALL))
    y = tf.full((n,), 1e-30)
    run = tf.compile(lambda x, y: (x * 1e10, y * 1e-10))
    for _ in range(3):
        from_subnormal, to_subnormal = run(x, y)
        assert not from_subnormal.numpy().any() and not to_subnormal.numpy().any()
    assert np.float32(1e-30) * np.float32(1e-10) == SMALL


@flushes
def test_references_inside_compiled_steps_keep_subnormal_numbers():
    def step(x):
        return tf.linalg.det(x), x * 1e-10  # the determinant runs on NumPy

    det, product = tf.compile(step)(tf.full((1, 1), 1e-310, dtype=tf.float64))
    assert det.item() == 1e-310 and product.item() == 0


@pytest.mark.parametrize("arch", ["x86_64", "aarch64", "riscv64"])
def test_every_architecture_has_the_four_functions(arch):
    text = subnormals_ir(arch)
    for name in ("float_mode", "set_float_mode", "flush_subnormals", "keep_subnormals"):
        assert f"@{name}(" in text
