"""Matrix products against NumPy: every orientation, size 0 and 1, open extents, batches, threads, element types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import ml_dtypes
import numpy as np
import pytest

from twinflow.compiler.contraction import AVX2, At, Function, Machine, MatmulSpec, Module, emit_matmul
from twinflow.compiler.contraction._plan import PACKED, choose_blocks
from twinflow.core.errors import ArgumentError, TwinflowError
from twinflow.runtime import host_processor

NUMPY = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def steps(x: np.ndarray) -> tuple[int, ...]:
    return tuple(s // x.itemsize for s in x.strides)


@pytest.fixture
def product(execute, machine_of):
    return partial(run_product, execute, machine_of)


def run_product(
    execute, machine_of, a, b, c, machine="host", *, open_extents="", workers=0, epilogue=None, operands=(), **spec
):
    """Run C = A·B on views of any strides, in place in `c`."""
    m, k, n = *a.shape[-2:], b.shape[-1]
    extents = {name: None if name in open_extents else value for name, value in (("m", m), ("n", n), ("k", k))}
    batch = c.shape[:-2]
    spread = [np.broadcast_to(x, batch + x.shape[-2:]) for x in (a, b, c)]
    s = MatmulSpec(
        **extents,
        a_strides=steps(a)[-2:], b_strides=steps(b)[-2:], c_strides=steps(c)[-2:],
        batch=tuple(None if i == 0 and "b" in open_extents else x for i, x in enumerate(batch)),
        a_batch=steps(spread[0])[:-2], b_batch=steps(spread[1])[:-2], c_batch=steps(spread[2])[:-2], **spec,
    )  # fmt: skip
    module = Module()
    kernel = emit_matmul(module, machine_of(machine), s, name="product", epilogue=epilogue)
    execute(
        module,
        kernel,
        machine,
        a,
        b,
        c,
        m=m,
        n=n,
        k=k,
        batch=batch[0] if batch else 0,
        operands=operands,
        workers=workers,
    )
    return kernel


def operand(rng, rows, cols, transposed, dtype="float32"):
    x = rng.standard_normal((cols, rows) if transposed else (rows, cols)).astype(NUMPY[dtype])
    return x.T if transposed else x


@pytest.mark.parametrize("orientation", ["nnn", "ntn", "tnn", "ttt", "nnt"])
@pytest.mark.parametrize(
    ("m", "n", "k"), [(1, 1, 1), (3, 5, 7), (17, 33, 100), (1, 300, 70), (300, 1, 70), (100, 10, 33), (5, 40, 1)]
)
def test_every_orientation_and_size(product, machine, orientation, m, n, k) -> None:
    rng = np.random.default_rng(m + n + k)
    a, b, c = (operand(rng, *shape, t == "t") for shape, t in zip(((m, k), (k, n), (m, n)), orientation, strict=True))
    product(a, b, c, machine)
    np.testing.assert_allclose(c, a.astype(np.float64) @ b, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("m", "n", "k"),
    [
        (300, 250, 700), (19, 33, 530), (61, 50, 1100), (600, 70, 1030), (33, 2100, 64), (70, 80, 3000), (100, 130, 2049),
        (264, 512, 70), (300, 1024, 300), (128, 200, 1100),
    ],
)  # fmt: skip
@pytest.mark.parametrize("orientation", ["nnn", "ntn", "tnn"])
def test_blocked_sizes(product, orientation, m, n, k) -> None:
    rng = np.random.default_rng(7)
    a, b, c = (operand(rng, *shape, t == "t") for shape, t in zip(((m, k), (k, n), (m, n)), orientation, strict=True))
    product(a, b, c)
    np.testing.assert_allclose(c, a.astype(np.float64) @ b, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("orientation", ["nnn", "ntn", "tnn", "nnt"])
@pytest.mark.parametrize(("m", "n", "k"), [(261, 300, 400), (256, 512, 1024)])
def test_a_cut_reduction_goes_on_where_it_stopped(product, machine, orientation, m, n, k) -> None:
    """Sums wait beside C: it is written once, by the epilogue, to which what it held before may be added."""
    rng = np.random.default_rng(8)
    a, b, c = (operand(rng, *shape, t == "t") for shape, t in zip(((m, k), (k, n), (m, n)), orientation, strict=True))
    scale = rng.standard_normal(n).astype(np.float32)

    def scaled(f: Function, value: str, at: At) -> str:
        kind = f"<{at.lanes} x {at.scalar}>"
        return f.op(f"fmul {kind} {value}, {at.load(at.operand(0), 'float', 0, 1)}")

    want = (c + a.astype(np.float64) @ b) * scale
    product(a, b, c, machine, workers=2, accumulate=True, epilogue=scaled, operands=(scale,))
    np.testing.assert_allclose(c, want, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_a_cut_reduction_of_other_types_rounds_once(product, dtype) -> None:
    rng = np.random.default_rng(9)
    a, b = operand(rng, 260, 500, False, dtype), operand(rng, 500, 270, False, dtype)
    c = np.zeros((260, 270), NUMPY[dtype])
    product(a, b, c, dtype=dtype)
    want = a.astype(np.float64) @ b.astype(np.float64)
    rtol, atol = (1e-12, 1e-12) if dtype == "float64" else (2.0**-11, 1e-3)
    np.testing.assert_allclose(c.astype(np.float64), want, rtol=rtol, atol=atol)


@pytest.mark.parametrize("open_extents", ["m", "n", "k", "mn", "mnk"])
@pytest.mark.parametrize(
    ("m", "n", "k"), [(0, 8, 8), (1, 1, 1), (4, 20, 0), (17, 33, 100), (130, 150, 600), (1, 300, 70)]
)
@pytest.mark.parametrize("orientation", ["nnn", "ntn", "nnt"])
def test_open_extents(product, open_extents, m, n, k, orientation) -> None:
    rng = np.random.default_rng(3)
    a, b, c = (operand(rng, *shape, t == "t") for shape, t in zip(((m, k), (k, n), (m, n)), orientation, strict=True))
    product(a, b, c, open_extents=open_extents)
    np.testing.assert_allclose(c, a.astype(np.float64) @ b, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("m", "n", "k"), [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty(product, m, n, k) -> None:
    c = np.full((m, n), 7.0, np.float32)
    product(np.ones((m, k), np.float32), np.ones((k, n), np.float32), c)
    np.testing.assert_array_equal(c, np.zeros((m, n)))


@pytest.mark.parametrize("k", [0, 64, 1200])
def test_accumulate_adds_once(product, k) -> None:
    rng = np.random.default_rng(5)
    a, b, c = operand(rng, 40, k, False), operand(rng, k, 50, False), operand(rng, 40, 50, False)
    want = c + a.astype(np.float64) @ b
    product(a, b, c, accumulate=True)
    np.testing.assert_allclose(c, want, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_element_types(product, dtype, machine, transpose_b) -> None:
    rng = np.random.default_rng(6)
    a, b = operand(rng, 37, 70, False, dtype), operand(rng, 70, 45, transpose_b, dtype)
    c = np.zeros((37, 45), NUMPY[dtype])
    product(a, b, c, machine, dtype=dtype)
    want = a.astype(np.float64) @ b.astype(np.float64)
    if dtype == "float64":
        np.testing.assert_allclose(c, want, rtol=1e-12, atol=1e-12)
    else:  # one rounding, at the end
        np.testing.assert_allclose(c.astype(np.float64), want, rtol=2**-11 if dtype == "float16" else 2**-8, atol=1e-4)


def test_half_conversion_of_special_values(product, machine) -> None:
    values = np.array([0.0, -0.0, 1.0, 6e-8, 6.1e-5, 65504.0, np.inf, -np.inf, np.nan, 2049.0, 1e-3], np.float16)
    c = np.zeros((11, 1), np.float16)
    product(values[:, None], np.ones((1, 1), np.float16), c, machine, dtype="float16")
    np.testing.assert_array_equal(c[:, 0], values)
    single = np.array([65519.0, 65520.0, 1e9, -1e9, 2.9e-8, 3.1e-8, 1.00048828125, np.nan], np.float32)
    out = np.zeros((8, 1), np.float16)

    def replace_by_operand(f: Function, value: str, at: At) -> str:
        return at.load(at.operand(0), "float", 1, 0)

    product(out[:, :1].copy(), np.ones((1, 1), np.float16), out, machine, dtype="float16",
            epilogue=replace_by_operand, operands=[single])  # fmt: skip
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out[:, 0], single.astype(np.float16))


def bias_relu(f: Function, value: str, at: At) -> str:
    """max(value + columns' bias + residual, 0)"""
    kind = f"<{at.lanes} x {at.scalar}>"
    total = f.op(f"fadd {kind} {value}, {at.load(at.operand(0), 'float', 0, 1)}")
    total = f.op(f"fadd {kind} {total}, {at.load(at.operand(1), 'float', 45, 1)}")
    positive = f.op(f"fcmp ogt {kind} {total}, zeroinitializer")
    return f.op(f"select <{at.lanes} x i1> {positive}, {kind} {total}, {kind} zeroinitializer")


@pytest.mark.parametrize("k", [20, 4000])
@pytest.mark.parametrize("columns_first", [False, True])
@pytest.mark.parametrize("open_extents", ["", "m", "k"])
def test_epilogue_is_applied_once_at_its_place(product, k, columns_first, open_extents) -> None:
    rng = np.random.default_rng(8)
    a, b, c = operand(rng, 37, k, False), operand(rng, k, 45, False), operand(rng, 37, 45, columns_first)
    bias, residual = operand(rng, 1, 45, False), operand(rng, 37, 45, False)
    product(a, b, c, epilogue=bias_relu, operands=[bias, residual], open_extents=open_extents)
    want = np.maximum(a.astype(np.float64) @ b + bias + residual, 0)
    np.testing.assert_allclose(c, want, rtol=1e-5, atol=1e-3)


def test_epilogue_knows_rows_and_columns(product) -> None:
    def causal(f: Function, value: str, at: At) -> str:
        kept = f.op(f"icmp sle <{at.lanes} x i32> {at.cols()}, {at.rows()}")
        kind = f"<{at.lanes} x {at.scalar}>"
        return f.op(f"select <{at.lanes} x i1> {kept}, {kind} {value}, {kind} zeroinitializer")

    rng = np.random.default_rng(9)
    for transposed in (False, True):
        a, b, c = operand(rng, 30, 8, False), operand(rng, 8, 30, False), operand(rng, 30, 30, transposed)
        product(a, b, c, epilogue=causal)
        np.testing.assert_allclose(c, np.tril(a @ b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("k", [60, 512])
@pytest.mark.parametrize(("m", "n"), [(1, 40), (37, 45), (300, 100)])
@pytest.mark.parametrize("orientation", ["ntn", "tnn", "nnt"])
def test_an_epilogue_may_read_what_is_overwritten(product, m, n, k, orientation, dtype) -> None:
    """Where C is stored once, it may be an operand of the epilogue: parameters are updated so."""
    rng = np.random.default_rng(m + k)
    a, b, c = (
        operand(rng, *shape, t == "t", d)
        for shape, t, d in zip(((m, k), (k, n), (m, n)), orientation, (dtype, dtype, "float32"), strict=True)
    )
    row, col = steps(c)
    want = c - (a.astype(np.float64) @ b.astype(np.float64))

    def update(f: Function, value: str, at: At) -> str:
        return f.op(f"fsub <{at.lanes} x float> {at.load(at.operand(0), 'float', row, col)}, {value}")

    product(a, b, c, epilogue=update, operands=[c], workers=3, dtype=dtype, out_dtype="float32")
    np.testing.assert_allclose(c, want, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("open_extents", ["", "b", "m"])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_batches_broadcast(product, open_extents, transpose_b) -> None:
    rng = np.random.default_rng(10)
    a = rng.standard_normal((6, 1, 20, 40)).astype(np.float32)
    b = rng.standard_normal((1, 5, 70, 40) if transpose_b else (1, 5, 40, 70)).astype(np.float32)
    b = b.swapaxes(-1, -2) if transpose_b else b
    c = np.zeros((6, 5, 20, 70), np.float32)
    product(a, b, c, open_extents=open_extents)
    np.testing.assert_allclose(c, a @ b, rtol=1e-5, atol=1e-4)
    shared = np.zeros((6, 5, 20, 70), np.float32)
    product(a, b[0, 0], shared, open_extents=open_extents)
    np.testing.assert_allclose(shared, a @ np.broadcast_to(b[:, :1], b.shape), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("m", "n", "k"), [(700, 600, 500), (300, 256, 1000), (40, 30, 9000), (2000, 64, 40)])
def test_results_do_not_depend_on_threads(product, m, n, k) -> None:
    rng = np.random.default_rng(11)
    a, b = operand(rng, m, k, False), operand(rng, k, n, True)
    results = []
    for workers in (0, 1, 3):
        c = np.zeros((m, n), np.float32)
        kernel = product(a, b, c, workers=workers)
        results.append(c)
    assert max(phase.chunks or 0 for phase in kernel.phases) > 1
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_allclose(results[0], a.astype(np.float64) @ b, rtol=1e-5, atol=1e-3)


def test_strided_result_writes_nothing_else(product) -> None:
    rng = np.random.default_rng(12)
    a, b = operand(rng, 9, 12, False), operand(rng, 12, 21, False)
    whole = np.full((18, 63), 5.0, np.float32)
    product(a, b, whole[::2, ::3])
    np.testing.assert_allclose(whole[::2, ::3], a @ b, rtol=1e-5, atol=1e-5)
    whole[::2, ::3] = 5.0
    np.testing.assert_array_equal(whole, 5.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "int8"}, "dtype must be one of float32"),
        ({"out_dtype": "float64"}, "cast the operands first"),
        ({"batch": (3,)}, "a_batch has 0 strides for 1 batch axes"),
        ({"m": -1}, "must not be negative"),
        (
            {"batch": (2, None), "a_batch": (0, 0), "b_batch": (0, 0), "c_batch": (0, 0)},
            "only the outermost batch axis may be open",
        ),
    ],
)
def test_wrong_specifications(change: dict[str, object], message: str) -> None:
    with pytest.raises(TwinflowError, match=message):
        replace(MatmulSpec.of(4, 5, 6), **change)


def test_open_extent_as_step() -> None:
    with pytest.raises(ArgumentError, match="m is the step between rows"):
        MatmulSpec.of(None, 5, 6, transpose_a=True)


def test_one_name_one_kernel() -> None:
    module = Module()
    emit_matmul(module, AVX2, MatmulSpec.of(4, 5, 6), name="same")
    with pytest.raises(ArgumentError, match="give every kernel its own name"):
        emit_matmul(module, AVX2, MatmulSpec.of(4, 5, 6), name="same")


def test_flops() -> None:
    make: Callable[..., MatmulSpec] = MatmulSpec.of
    assert make(4, 5, 6).flops == 240
    assert make(None, 5, 6).flops is None
    assert Machine(vector_nbytes=16).lanes("double") == 2


def test_blocks_of_open_rows_serve_small_and_large_batches():
    """B of 1024 x 1024 was packed anew for every tile of rows, which made products of large batches four times slower."""
    machine = replace(AVX2, vector_nbytes=64, registers=32)
    blocks = choose_blocks(machine, None, 1024, 1024, 512, 8, 48, parts=1, b_cost=PACKED, own_b=True)
    assert blocks.rows >= 64  # packed for that many
    assert blocks.cols <= 512  # and the columns are shared among threads


# -- bfloat16 on AMX: where there are no tiles, the same products take the ordinary way

BF16 = ml_dtypes.bfloat16


def bf16_error(c, a, b):
    """The largest error of c = a·b in units of what one rounding of the largest sum may be."""
    want = a.astype(np.float64) @ b.astype(np.float64)
    return np.abs(c.astype(np.float64) - want).max() / (np.abs(want).max() * 2.0**-8)


@pytest.mark.parametrize("orientation", ["nnn", "ntn", "tnn", "ttt", "nnt"])
@pytest.mark.parametrize(
    ("m", "n", "k"), [(16, 16, 32), (17, 19, 33), (64, 128, 100), (33, 70, 1025), (300, 530, 64), (31, 257, 700)]
)
def test_bfloat16_in_every_orientation(product, orientation, m, n, k) -> None:
    rng = np.random.default_rng(m + n + k)
    shapes = ((m, k), (k, n), (m, n))
    a, b, c = (operand(rng, *s, t == "t", "bfloat16") for s, t in zip(shapes, orientation, strict=True))
    product(a, b, c, dtype="bfloat16")
    assert bf16_error(c, a, b) < 1.01


@pytest.mark.parametrize("open_extents", ["m", "n", "k", "mnk"])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (40, 50, 0), (100, 37, 600), (600, 16, 33)])
def test_bfloat16_open_extents(product, open_extents, m, n, k) -> None:
    rng = np.random.default_rng(m)
    a, b = operand(rng, m, k, False, "bfloat16"), operand(rng, k, n, True, "bfloat16")
    c = np.full((m, n), 7, np.float32)
    product(a, b, c, open_extents=open_extents, dtype="bfloat16", out_dtype="float32")
    np.testing.assert_allclose(c, a.astype(np.float64) @ b.astype(np.float64), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("workers", [0, 3])
def test_bfloat16_batches_with_an_epilogue_that_adds(product, workers) -> None:
    rng = np.random.default_rng(5)
    a = rng.standard_normal((3, 1, 50, 70)).astype(BF16)
    b = rng.standard_normal((4, 70, 90)).astype(BF16)
    c = rng.standard_normal((3, 4, 50, 90)).astype(np.float32)
    bias = rng.standard_normal(90).astype(np.float32)
    want = a.astype(np.float64) @ b.astype(np.float64) + c + bias

    def add_bias(f: Function, value: str, at: At) -> str:
        return f.op(f"fadd <{at.lanes} x float> {value}, {at.load(at.operand(0), 'float', 0, 1)}")

    product(
        a, b, c, workers=workers, epilogue=add_bias, operands=[bias], dtype="bfloat16", out_dtype="float32",
        accumulate=True,
    )  # fmt: skip
    np.testing.assert_allclose(c, want, rtol=1e-5, atol=1e-4)


def test_bfloat16_results_do_not_depend_on_threads(product) -> None:
    rng = np.random.default_rng(0)
    a, b = operand(rng, 700, 500, False, "bfloat16"), operand(rng, 500, 600, False, "bfloat16")
    one, many = np.zeros((700, 600), np.float32), np.zeros((700, 600), np.float32)
    product(a, b, one, dtype="bfloat16", out_dtype="float32")
    product(a, b, many, dtype="bfloat16", out_dtype="float32", workers=5)
    assert one.tobytes() == many.tobytes()


@pytest.mark.skipif(not host_processor().has_amx_bf16, reason="this processor has no bfloat16 tiles")
def test_large_bfloat16_products_use_tiles() -> None:
    def text(spec: MatmulSpec) -> str:
        module = Module()
        emit_matmul(module, Machine.of(host_processor()), spec, name="product")
        return str(module)

    assert "tdpbf16ps" in text(MatmulSpec.of(64, 64, 64, dtype="bfloat16"))
    assert "tdpbf16ps" not in text(MatmulSpec.of(1, 64, 64, dtype="bfloat16"))
    assert "tdpbf16ps" not in text(MatmulSpec.of(64, 64, 64))
