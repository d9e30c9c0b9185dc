"""Transposes against NumPy: blocks of every shape, parts of larger arrays, any order of chunks."""

import numpy as np
import pytest

from twinflow.compiler.contraction import Module, TransposeSpec, emit_transpose


@pytest.mark.parametrize(
    ("batch", "rows", "cols"), [(3, 169, 32), (2, 32, 169), (1, 3, 1024), (1, 1024, 3), (40, 5, 7), (1, 700, 90), (2, 2, 40000)]
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_rows_and_columns_change_places(machine, machine_of, execute, batch, rows, cols, dtype):
    x = np.random.default_rng(0).standard_normal((batch, rows, cols)).astype(dtype)
    y = np.full((batch, cols, rows), -1, dtype)
    module = Module()
    spec = TransposeSpec(batch, rows, cols, rows * cols, cols, dtype)
    kernel = emit_transpose(module, machine_of(machine), spec, name="turn")
    execute(module, kernel, machine, x, x, y, workers=2)
    np.testing.assert_array_equal(y, x.transpose(0, 2, 1))


def test_a_part_of_a_larger_array_is_turned(machine, machine_of, execute):
    x = np.random.default_rng(0).standard_normal((6, 50, 40)).astype(np.float32)
    y = np.zeros((3, 21, 50), np.float32)
    module = Module()
    spec = TransposeSpec(3, 50, 21, 2 * 50 * 40, 40)
    execute(module, emit_transpose(module, machine_of(machine), spec, name="turn"), machine, x[1:], x, y)
    np.testing.assert_array_equal(y, x[1::2, :, :21].transpose(0, 2, 1))
