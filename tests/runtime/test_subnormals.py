"""Subnormal numbers in compiled code: zero unless told otherwise, in every thread alike, and nowhere else."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.runtime import set_flush_denormal
from twinflow.runtime._subnormals import mode_ir

TINY = 1e-40  # of float32 values, those below 1.2e-38 are subnormal


@pytest.fixture
def can_flush():
    if not set_flush_denormal(True):
        pytest.skip("this processor's mode cannot be set")
    yield
    set_flush_denormal(True)


def test_compiled_code_treats_them_as_zero(can_flush):
    small, large = np.full(3, TINY, np.float32), np.full(1_000_000, TINY, np.float32)  # the second by all threads
    double = tf.compile(lambda x: x * 2)
    for x in (small, large):
        assert not double(tf.from_numpy(x)).numpy().any()
    assert tf.compile(lambda x: x * x)(tf.tensor([1e-25])).item() == 0  # results too


def test_they_are_kept_when_asked_for(can_flush):
    double = tf.compile(lambda x: x * 2)
    large = tf.from_numpy(np.full(1_000_000, TINY, np.float32))
    double(large)
    set_flush_denormal(False)
    assert (double(large).numpy() == np.float32(TINY) * 2).all()
    set_flush_denormal(True)
    assert not double(large).numpy().any()


def test_the_mode_ends_with_the_program(can_flush):
    tf.compile(lambda x: x * 2)(tf.ones(1_000_000))
    assert np.float32(TINY) * np.float32(0.5) > 0
    assert (tf.tensor([TINY]) * 0.5).item() > 0  # NumPy computes small operations


def test_a_loop_has_it_too(can_flush):
    @tf.compile
    def decay(x):
        return tf.fori_loop(0, 5, lambda i, x: x * 0.1, x)

    assert decay(tf.tensor([1e-36])).item() == 0
    set_flush_denormal(False)
    assert decay(tf.tensor([1e-36])).item() > 0


def test_references_inside_programs_keep_them(can_flush):
    step = tf.compile(lambda x: (tf.linalg.det(x), x * 1e-10))  # the determinant runs on NumPy
    det, product = step(tf.full((1, 1), 1e-310, dtype=tf.float64))
    assert det.item() == 1e-310 and product.item() == 0


@pytest.mark.parametrize("arch", ["x86_64", "aarch64", "riscv64"])
def test_every_architecture_has_the_functions(arch):
    for name in ("get_mode", "set_mode", "flushing", "keeping"):
        assert f"@{name}(" in mode_ir(arch)
