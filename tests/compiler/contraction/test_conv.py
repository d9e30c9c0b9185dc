"""Convolutions and their derivatives against a sum over taps in NumPy."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product

import ml_dtypes
import numpy as np
import pytest

from twinflow.compiler.contraction import At, ConvSpec, Function, Module, emit_conv
from twinflow.compiler.contraction._conv_narrow import is_narrow
from twinflow.compiler.contraction._winograd import pays
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.runtime import Pool

NUMPY = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def reference(spec, x, w, dy):
    """y, dx and dw in float64: each tap is a shifted, strided view of the padded image."""
    groups, axes = spec.groups, len(spec.size)
    x, w, dy = (np.asarray(v, np.float64) for v in (x, w, dy))
    padded = np.pad(x, [(0, 0), *spec.padding, (0, 0)])
    y, dpadded, dw = np.zeros(dy.shape), np.zeros(padded.shape), np.zeros(w.shape)
    deep, wide = spec.channels // groups, spec.filters // groups
    for tap in product(*(range(k) for k in spec.kernel)):
        where = tuple(
            slice(t * d, t * d + s * (q - 1) + 1, s)
            for t, d, s, q in zip(tap, spec.dilation, spec.stride, spec.out_size, strict=True)
        )
        for g in range(groups):
            c, o = slice(g * deep, (g + 1) * deep), slice(g * wide, (g + 1) * wide)
            view = (slice(None), *where, c)
            y[..., o] += padded[view] @ w[(*tap, slice(None), o)]
            dpadded[view] += dy[..., o] @ w[(*tap, slice(None), o)].T
            over = list(range(axes + 1))
            dw[(*tap, slice(None), o)] += np.tensordot(padded[view], dy[..., o], (over, over))
    inner = tuple(slice(p[0], p[0] + n) for p, n in zip(spec.padding, spec.size, strict=True))
    return {"forward": y, "data": dpadded[(slice(None), *inner)], "weight": dw}


def users_order(w):
    """[*K, C, O] as [O, C, *K]."""
    return np.ascontiguousarray(np.moveaxis(w, (-1, -2), (0, 1)))


def run_all(execute, machine_of, batch, size, kernel, channels, filters, *, machine="host", open_batch=False, workers=0,
            kinds=("forward", "data", "weight"), rtol=1e-5, **options):  # fmt: skip
    rng = np.random.default_rng(sum(size) + channels)
    spec = ConvSpec("forward", batch, size, kernel, channels, filters, **options)
    dtype = NUMPY[spec.dtype]
    x = rng.standard_normal((batch, *size, channels)).astype(dtype)
    w = rng.standard_normal((*kernel, channels // spec.groups, filters)).astype(dtype)
    dy = rng.standard_normal((batch, *spec.out_size, filters)).astype(dtype)
    want = reference(spec, x, w, dy)
    if spec.filters_first:
        w = users_order(w)
        want["weight"] = users_order(want["weight"])
    results = {}
    for kind in kinds:
        a, b = {"forward": (x, w), "data": (dy, w), "weight": (x, dy)}[kind]
        module = Module()
        given = replace(spec, kind=kind, batch=None if open_batch else batch)
        conv = emit_conv(module, machine_of(machine), given, name="conv")
        out = np.ones(want[kind].shape, dtype) if spec.accumulate else np.full(want[kind].shape, np.nan, dtype)
        execute(module, conv, machine, a, b, out, batch=batch, workers=workers)
        scale = max(1.0, np.abs(want[kind]).max(initial=0))
        error = np.abs(out.astype(np.float64) - spec.accumulate - want[kind]).max(initial=0) / scale
        assert error < rtol, (kind, error)
        results[kind] = (out, conv)
    return results


@pytest.fixture
def convolve(execute, machine_of):
    return partial(run_all, execute, machine_of)


def pad(*widths):
    return tuple((w, w) for w in widths)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": pad(1, 1)},
        {"stride": (2, 2), "padding": pad(1, 1)},
        {"stride": (2, 3), "padding": ((0, 1), (2, 0)), "dilation": (2, 1)},
        {"stride": (2, 4), "dilation": (2, 2)},
        {"padding": pad(4, 5)},
        {"stride": (5, 4)},
        {"accumulate": True, "padding": pad(1, 1)},
    ],
)
def test_geometry(convolve, machine, options) -> None:
    convolve(3, (9, 11), (3, 3), 5, 7, machine=machine, **options)


@pytest.mark.parametrize(
    ("batch", "size", "kernel", "channels", "filters", "options"),
    [
        (3, (9, 11), (3, 3), 5, 7, {"padding": pad(1, 1), "stride": (2, 1)}),
        (3, (9, 11), (3, 2), 21, 37, {"padding": pad(1, 1), "dilation": (2, 1)}),
        (2, (8, 8), (1, 1), 3, 5, {"stride": (2, 2)}),
        (2, (8, 8), (1, 1), 40, 50, {}),
        (2, (20,), (5,), 6, 9, {"padding": pad(2)}),
        (2, (5, 6, 7), (2, 3, 3), 4, 20, {"padding": pad(1, 1, 0), "stride": (1, 2, 1)}),
        (1, (6, 6), (3, 3), 70, 130, {"padding": pad(1, 1), "accumulate": True}),
        (2, (10, 12), (3, 2), 8, 36, {"groups": 4, "padding": pad(1, 1)}),
        (2, (9, 9), (5, 5), 1, 33, {"padding": pad(2, 2)}),
        (2, (9, 9), (3, 3), 40, 40, {"padding": pad(1, 1), "groups": 40, "stride": (2, 1)}),
    ],
)
def test_filters_in_the_users_order(convolve, machine, batch, size, kernel, channels, filters, options) -> None:
    convolve(batch, size, kernel, channels, filters, filters_first=True, machine=machine, **options)


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-13), ("bfloat16", 2**-8), ("float16", 2**-10)])
def test_filters_in_the_users_order_of_other_types(convolve, machine, dtype, rtol) -> None:
    options = {"padding": pad(1, 1), "filters_first": True, "dtype": dtype, "rtol": rtol}
    convolve(3, (9, 9), (3, 3), 12, 20, machine=machine, **options)
    convolve(3, (9, 9), (3, 3), 12, 20, workers=3, **options)


@pytest.mark.parametrize("groups", [2, 4, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_groups(convolve, groups, stride) -> None:
    convolve(2, (10, 12), (3, 2), 8, 16, groups=groups, stride=(stride, stride), padding=pad(1, 1))


@pytest.mark.parametrize("options", [{}, {"stride": (2, 2), "dilation": (2, 2)}])
def test_depthwise(convolve, machine, options) -> None:
    convolve(2, (12, 12), (3, 3), 40, 40, groups=40, padding=pad(2, 2), machine=machine, **options)


@pytest.mark.parametrize(
    ("batch", "size", "kernel", "channels", "filters", "options"),
    [
        (5, (28, 28), (3, 3), 1, 32, {}),
        (5, (28, 28), (5, 5), 1, 20, {"padding": pad(2, 2)}),
        (2, (30, 33), (7, 7), 3, 24, {"padding": pad(3, 3), "stride": (2, 2)}),
        (6, (4, 4), (3, 3), 70, 80, {"padding": pad(1, 1)}),
        (4, (8, 8), (1, 1), 40, 50, {"stride": (2, 2)}),
        (4, (8, 8), (1, 1), 40, 50, {}),
        (3, (20,), (5,), 6, 9, {"padding": pad(2), "stride": (2,)}),
        (2, (5, 6, 7), (2, 3, 3), 4, 20, {"padding": pad(1, 1, 0), "stride": (1, 2, 1)}),
        (2, (40, 7), (3, 3), 130, 300, {"padding": pad(1, 1), "stride": (2, 1)}),
        (2, (1, 1), (1, 1), 1, 1, {}),
    ],
)
def test_typical_layers(convolve, batch, size, kernel, channels, filters, options) -> None:
    convolve(batch, size, kernel, channels, filters, **options)


@pytest.mark.parametrize("batch", [0, 1, 5])
@pytest.mark.parametrize("open_batch", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_batch_sizes(convolve, batch, open_batch, stride) -> None:
    convolve(batch, (8, 8), (3, 3), 6, 10, padding=pad(1, 1), stride=(stride, stride), open_batch=open_batch)


@pytest.mark.parametrize(("channels", "filters"), [(0, 3), (3, 0)])
def test_no_channels(convolve, channels, filters) -> None:
    convolve(2, (5, 5), (3, 3), channels, filters)


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-13), ("bfloat16", 2**-8), ("float16", 2**-10)])
def test_element_types(convolve, machine, dtype, rtol) -> None:
    convolve(3, (9, 9), (3, 3), 12, 20, padding=pad(1, 1), dtype=dtype, rtol=rtol, machine=machine)
    convolve(2, (9, 9), (3, 3), 20, 20, padding=pad(1, 1), dtype=dtype, rtol=rtol, groups=20, machine=machine)


@pytest.mark.parametrize(("batch", "size", "channels"), [(40, (8, 8), 48), (1, (60, 20), 32), (3, (4, 4), 130)])
def test_results_do_not_depend_on_threads(convolve, batch, size, channels) -> None:
    alone = convolve(batch, size, (3, 3), channels, channels, padding=pad(1, 1))
    together = convolve(batch, size, (3, 3), channels, channels, padding=pad(1, 1), workers=3)
    for kind, (out, conv) in alone.items():
        np.testing.assert_array_equal(out, together[kind][0])
        if kind != "weight" or batch > 1:  # the derivative by the weights is divided by images
            assert max(phase.chunks or 0 for phase in conv.phases) > 1


WINOGRAD = [
    (4, (8, 8), 64, 96, pad(1, 1)),
    (3, (10, 9), 64, 32, pad(1, 1)),
    (2, (13, 12), 32, 64, ((0, 2), (1, 0))),
    (2, (32, 32), 64, 64, pad(1, 1)),
    (16, (4, 4), 256, 160, pad(1, 1)),
    (8, (8, 8), 256, 112, pad(1, 1)),  # several rounds of blocks for each panel of filters
    (20, (8, 8), 160, 128, pad(1, 1)),  # filters shared among chunks
    (1, (16, 16), 48, 48, pad(2, 2)),
]


@pytest.mark.parametrize(("batch", "size", "channels", "filters", "padding"), WINOGRAD)
@pytest.mark.parametrize("filters_first", [False, True])
def test_filters_of_nine_taps_with_sixteen_products(
    convolve, machine_of, batch, size, channels, filters, padding, filters_first
) -> None:
    options = {"padding": padding, "filters_first": filters_first}
    assert any(
        pays(machine_of("host"), ConvSpec(kind, batch, size, (3, 3), channels, filters, **options))
        for kind in ("forward", "data", "weight")
    )
    alone = convolve(batch, size, (3, 3), channels, filters, **options)
    together = convolve(batch, size, (3, 3), channels, filters, workers=3, **options)
    for kind, (out, _) in alone.items():
        np.testing.assert_array_equal(out, together[kind][0])


def test_nine_taps_with_sixteen_products_on_other_machines(convolve, machine) -> None:
    convolve(3, (9, 10), (3, 3), 64, 64, padding=pad(1, 1), machine=machine, filters_first=True)
    convolve(3, (9, 10), (3, 3), 64, 64, padding=pad(1, 1), machine=machine, accumulate=True)
    convolve(2, (8, 8), (3, 3), 64, 64, padding=pad(1, 1), machine=machine, accumulate=True, filters_first=True)


@pytest.mark.parametrize(
    "change",
    [
        {"stride": (2, 1)}, {"dilation": (1, 2)}, {"groups": 2}, {"dtype": "float64"}, {"kernel": (3, 2)},
        {"channels": 40}, {"filters": 16}, {"batch": None}, {"size": (3, 3), "batch": 1},
    ],
)  # fmt: skip
def test_what_is_summed_tap_by_tap(machine_of, change) -> None:
    spec = ConvSpec("forward", 4, (8, 8), (3, 3), 64, 64, padding=pad(1, 1))
    assert pays(machine_of("host"), spec)
    assert not pays(machine_of("host"), replace(spec, **change))


@pytest.mark.parametrize("kind", ["forward", "data", "weight"])
@pytest.mark.parametrize("filters_first", [False, True])
def test_epilogue_of_sixteen_products(execute, machine_of, kind, filters_first) -> None:
    """Adds an array of the result's shape, found by row and column."""
    spec = ConvSpec(kind, 4, (11, 12), (3, 3), 32, 64, padding=pad(1, 1), filters_first=filters_first)
    assert pays(machine_of("host"), spec)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 11, 12, 32)).astype(np.float32)
    w = rng.standard_normal((3, 3, 32, 64)).astype(np.float32)
    dy = rng.standard_normal((4, 11, 12, 64)).astype(np.float32)
    want = reference(spec, x, w, dy)[kind]
    if filters_first:
        w, want = users_order(w), users_order(want) if kind == "weight" else want
    width = {"forward": 64, "data": 32, "weight": 9 * 32 if filters_first else 64}[kind]

    def epilogue(f: Function, value: str, at: At) -> str:
        return f.op(f"fadd <{at.lanes} x float> {value}, {at.load(at.operand(0), 'float', width, 1)}")

    module = Module()
    conv = emit_conv(module, machine_of("host"), spec, name="conv", epilogue=epilogue)
    residual = rng.standard_normal(want.shape).astype(np.float32)
    out = np.zeros_like(residual)
    a, b = {"forward": (x, w), "data": (dy, w), "weight": (x, dy)}[kind]
    execute(module, conv, "host", a, b, out, operands=[residual])
    np.testing.assert_allclose(out, want + residual, rtol=1e-4, atol=2e-3)


NARROW = [
    (1, (4, 4), (3, 3), 128, 70, {"padding": pad(1, 1)}),
    (1, (8, 7), (3, 3), 72, 120, {"padding": ((1, 0), (2, 1)), "stride": (2, 1), "dilation": (1, 2)}),
    (2, (5, 5), (1, 1), 200, 330, {"stride": (2, 2)}),
    (1, (8, 8), (3, 3), 100, 100, {"padding": pad(1, 1), "accumulate": True}),
    (1, (9,), (5,), 130, 140, {"padding": pad(2)}),
    (1, (2, 3, 3), (2, 3, 3), 40, 120, {"padding": pad(1, 1, 1)}),
    (1, (49,), (3,), 90, 260, {"padding": pad(1)}),  # lines longer than a vector
    (3, (7, 6), (3, 2), 33, 350, {"padding": ((1, 1), (0, 1)), "stride": (2, 2)}),
    (1, (4, 1), (1, 3), 130, 180, {"padding": pad(0, 2), "dilation": (1, 2)}),  # taps that see nothing but padding
]


@pytest.mark.parametrize(("batch", "size", "kernel", "channels", "filters", "options"), NARROW)
def test_few_positions_and_large_filters(convolve, machine_of, batch, size, kernel, channels, filters, options) -> None:
    options = options | {"filters_first": True, "kinds": ("forward",)}
    spec = {k: v for k, v in options.items() if k != "kinds"}
    assert is_narrow(machine_of("host"), ConvSpec("forward", batch, size, kernel, channels, filters, **spec))
    alone = convolve(batch, size, kernel, channels, filters, **options)
    together = convolve(batch, size, kernel, channels, filters, workers=3, **options)
    np.testing.assert_array_equal(alone["forward"][0], together["forward"][0])


@pytest.mark.parametrize(
    ("size", "channels", "filters"),
    [(8, 100, 100), (16, 32, 64), (24, 32, 32)],
    ids=["columns for each worker", "images for each worker", "filters for each worker"],
)
def test_workers_that_prepare_for_themselves(execute, machine_of, size, channels, filters) -> None:
    """Whichever worker takes a part, and however many there are, the bits are those of one."""
    spec = ConvSpec(
        "forward", 1, (size, size), (3, 3), channels, filters, padding=pad(1, 1), filters_first=True
    )  # fmt: skip
    assert is_narrow(machine_of("host"), spec) or pays(machine_of("host"), spec)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, size, size, channels)).astype(np.float32)
    w = rng.standard_normal((filters, channels, 3, 3)).astype(np.float32)
    module, alone = Module(), np.zeros((1, size, size, filters), np.float32)
    conv = emit_conv(module, machine_of("host"), spec, name="conv")
    execute(module, conv, "host", x, w, alone)
    pool = Pool(3)
    for _ in range(20):
        together = np.zeros_like(alone)
        execute(module, conv, "host", x, w, together, pool=pool)
        np.testing.assert_array_equal(together, alone)
    pool.close()


def test_few_positions_on_other_machines_and_with_an_epilogue(convolve, execute, machine, machine_of) -> None:
    options = {"padding": pad(1, 1), "filters_first": True, "kinds": ("forward",)}
    convolve(1, (3, 2), (3, 3), 100, 75, machine=machine, **options)

    def epilogue(f: Function, value: str, at: At) -> str:
        kind = f"<{at.lanes} x {at.scalar}>"
        total = f.op(f"fadd {kind} {value}, {at.load(at.operand(0), 'float', 0, 1)}")
        return f.op(f"fadd {kind} {total}, {at.load(at.operand(1), 'float', 75, 1)}")

    rng = np.random.default_rng(0)
    spec = ConvSpec("forward", 1, (3, 2), (3, 3), 100, 75, padding=pad(1, 1), filters_first=True)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((1, 3, 2, 100), (3, 3, 100, 75)))
    bias, residual = (rng.standard_normal(s).astype(np.float32) for s in ((75,), (1, 3, 2, 75)))
    want = reference(spec, x, w, residual)["forward"] + bias + residual
    module, out = Module(), np.zeros_like(residual)
    conv = emit_conv(module, machine_of(machine), spec, name="conv", epilogue=epilogue)
    execute(module, conv, machine, x, users_order(w), out, operands=[bias, residual])
    np.testing.assert_allclose(out, want, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("batch", [1, 24])
def test_epilogue_sees_positions_and_channels(execute, machine_of, batch) -> None:
    """Adds a bias, and a residual found by row and column."""

    def epilogue(f: Function, value: str, at: At) -> str:
        kind = f"<{at.lanes} x {at.scalar}>"
        total = f.op(f"fadd {kind} {value}, {at.load(at.operand(0), 'float', 0, 1)}")
        return f.op(f"fadd {kind} {total}, {at.load(at.operand(1), 'float', 40, 1)}")

    rng = np.random.default_rng(0)
    spec = ConvSpec("forward", batch, (9, 9), (3, 3), 40, 40, padding=pad(1, 1), stride=(2, 2))
    x = rng.standard_normal((batch, 9, 9, 40)).astype(np.float32)
    w = rng.standard_normal((3, 3, 40, 40)).astype(np.float32)
    dy = rng.standard_normal((batch, 5, 5, 40)).astype(np.float32)
    bias = rng.standard_normal(40).astype(np.float32)
    want = reference(spec, x, w, dy)
    for kind, a, b in (("forward", x, w), ("data", dy, w), ("weight", x, dy)):
        module = Module()
        conv = emit_conv(module, machine_of("host"), replace(spec, kind=kind), name="conv", epilogue=epilogue)
        residual = rng.standard_normal(want[kind].shape).astype(np.float32)
        out = np.zeros_like(residual)
        execute(module, conv, "host", a, b, out, operands=[bias, residual])
        np.testing.assert_allclose(out, want[kind] + bias + residual, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kind": "backward"}, ArgumentError, "kind must be forward, data or weight"),
        ({"dtype": "int32"}, DTypeError, "dtype must be one of float32"),
        ({"kernel": (3,)}, ArgumentError, "must have one entry for each of 2 axes"),
        ({"stride": (0, 1)}, ArgumentError, "must be at least 1"),
        ({"groups": 4}, ShapeError, "groups=4 must divide channels=6"),
        ({"kernel": (10, 3)}, ShapeError, r"exceeds the padded image \(9, 9\)"),
        ({"size": (9,) * 4}, ArgumentError, "1 to 3 axes"),
    ],
)
def test_wrong_specifications(change, error, message) -> None:
    with pytest.raises(error, match=message):
        replace(ConvSpec("forward", 2, (9, 9), (3, 3), 6, 8), **change)


def test_flops() -> None:
    assert ConvSpec("weight", 2, (9, 9), (3, 3), 6, 8).flops == 2 * 2 * 49 * 8 * 6 * 9
    assert ConvSpec("forward", None, (9, 9), (3, 3), 6, 8).flops is None
