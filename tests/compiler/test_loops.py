"""Loop kernels: what is generated against what the loop IR means, for all shapes of loop, processors and dtypes."""

import ctypes
from collections.abc import Callable, Sequence

import ml_dtypes
import numpy as np
import pytest

from twinflow.compiler.loops import (
    Apply,
    Axis,
    Buffer,
    Const,
    Coordinate,
    Expr,
    Index,
    Kernel,
    Load,
    Module,
    Reduce,
    Rest,
    Store,
    Sym,
    Target,
    emit,
    interpret,
    merge_axes,
    split_reductions,
    verify,
)
from twinflow.runtime import engine, host_processor, pool

Run = Callable[..., None]


def data(shape: int | Sequence[int], dtype: str = "float32", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype.startswith(("int", "uint")):
        return rng.integers(0, 100, shape).astype(dtype)
    return rng.normal(size=shape).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def check(
    run: Run, level: str, kernel: Kernel, rtol: float = 2e-6, symbols: dict | None = None, **arrays: np.ndarray
) -> None:
    """Run a kernel both ways on the same arrays; those that both leave behind must agree."""
    symbols = symbols or {}
    verify(kernel)
    assert [b.name for b in kernel.buffers] == [n for n in (b.name for b in kernel.buffers) if n in arrays]
    mine = {name: a.copy().ravel() for name, a in arrays.items()}
    theirs = {name: a.copy().ravel() for name, a in arrays.items()}
    run(kernel, [mine[b.name] for b in kernel.buffers], [symbols[s] for s in kernel.symbols], level=level)
    interpret(kernel, theirs, symbols)
    for name, got in mine.items():
        want = theirs[name]
        if got.dtype.kind in "biu":
            np.testing.assert_array_equal(got, want, err_msg=name)
        else:
            np.testing.assert_allclose(got.astype("f8"), want.astype("f8"), rtol=rtol, atol=rtol, err_msg=name)


SIZES = [0, 1, 2, 7, 15, 16, 17, 33, 64, 100, 257]


@pytest.mark.parametrize("n", [*SIZES, 40000])
def test_elementwise(run: Run, level: str, n: int) -> None:
    i = Axis("i", n)
    x, y, s, z = (Buffer(b, "float32") for b in "xysz")
    value = Apply("add", Apply("mul", x[i], s[0]), y[i])
    kernel = Kernel("axpy", (i,), (Store(z, Index.of(i), value),))
    check(run, level, kernel, x=data(n), y=data(n, seed=1), s=data(1), z=np.zeros(n, "f4"))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int64", "float64", "float16", "bfloat16", "bool"])
@pytest.mark.parametrize("n", [1, 17, 300])
def test_elementwise_dtypes(run: Run, level: str, n: int, dtype: str) -> None:
    i = Axis("i", n)
    x, y, z = (Buffer(b, dtype) for b in "xyz")
    kernel = Kernel("max", (i,), (Store(z, Index.of(i), Apply("max", x[i], y[i])),))
    check(run, level, kernel, x=data(n, dtype), y=data(n, dtype, 1), z=np.zeros_like(data(n, dtype)))


def test_broadcasting_and_strides(run: Run, level: str) -> None:
    """z[i, j, k] = x[j] + y[k, i] with every kind of access: contiguous, constant, strided."""
    i, j, k = Axis("i", 5), Axis("j", 3), Axis("k", 35)
    x, y, z = (Buffer(b, "float32") for b in "xyz")
    value = Apply("add", x[j], y[Index.of((k, 5), i)])
    kernel = Kernel("broadcast", (i, j, k), (Store(z, Index.of((i, 105), (j, 35), k), value),))
    check(run, level, kernel, x=data(3), y=data((35, 5)), z=np.zeros(525, "f4"))


def test_reversed_and_offset(run: Run, level: str) -> None:
    i = Axis("i", 50)
    x, z = Buffer("x", "float32"), Buffer("z", "float32")
    kernel = Kernel("flip", (i,), (Store(z, Index.of(i, 3), x[Index.of((i, -1), 49)]),))
    check(run, level, kernel, x=data(50), z=np.zeros(60, "f4"))


def softmax(rows: int | Sym, columns: int | Sym) -> Kernel:
    i, j = Axis("i", rows), Axis("j", columns)
    x, y = Buffer("x", "float32"), Buffer("y", "float32")
    at = Index.of((i, columns), j)
    here = x[at]
    shifted = Apply("sub", here, Reduce("max", here, [j]))
    e = Apply("exp", shifted)
    value = Apply("div", e, Reduce("sum", e, [j]))
    return Kernel("softmax", (i,), (Store(y, at, value, (j,)),))


@pytest.mark.parametrize("columns", [n for n in SIZES if n])
def test_softmax(run: Run, level: str, columns: int) -> None:
    check(run, level, softmax(9, columns), x=data((9, columns)), y=np.zeros(9 * columns, "f4"))


def test_softmax_prints() -> None:
    assert str(softmax(64, 10)) == (
        "kernel softmax(x: float32, y: float32):\n"
        "  for i < 64:\n"
        "    %0 = x[10·i + j]\n"
        "    %1 = max[j < 10] %0\n"
        "    %2 = exp(sub(%0, %1))\n"
        "    %3 = sum[j < 10] %2\n"
        "    for j < 10:\n"
        "      y[10·i + j] = div(%2, %3)"
    )


def test_layer_norm_with_row_results(run: Run, level: str) -> None:
    """Two reductions in one pass, one that uses another, a store of a row's own value and stores along the row."""
    n, c = 11, 70
    i, j = Axis("i", n), Axis("j", c)
    x, g, y, mean_out = Buffer("x", "float32"), Buffer("g", "float32"), Buffer("y", "float32"), Buffer("m", "float32")
    at = Index.of((i, c), j)
    scale = Const(1 / c, "float32")
    mean = Apply("mul", Reduce("sum", x[at], [j]), scale)
    centred = Apply("sub", x[at], mean)
    variance = Apply("mul", Reduce("sum", Apply("mul", centred, centred), [j]), scale)
    factor = Apply("rsqrt", Apply("add", variance, Const(1e-5, "float32")))
    normed = Apply("mul", Apply("mul", centred, factor), g[j])
    kernel = Kernel("layer_norm", (i,), (Store(y, at, normed, (j,)), Store(mean_out, Index.of(i), mean)))
    check(run, level, kernel, x=data((n, c)), g=data(c), y=np.zeros(n * c, "f4"), m=np.zeros(n, "f4"))


REDUCTIONS = [("sum", "float32"), ("sum", "int32"), ("sum", "float64"), ("sum", "bfloat16"), ("prod", "float64")]
REDUCTIONS += [(op, d) for op in ("max", "min", "argmax", "argmin") for d in ("float32", "int8", "uint8", "int64")]
REDUCTIONS += [("any", "bool"), ("all", "bool")]


@pytest.mark.parametrize(("op", "dtype"), REDUCTIONS)
@pytest.mark.parametrize("over", ["rows", "columns", "all"])
def test_reductions(run: Run, level: str, op: str, dtype: str, over: str) -> None:
    for n, c in [(5, 1), (3, 20), (70, 37), (1, 300), (4, 64), (3, 0)]:
        if (op, c) == ("prod", 300):
            continue
        i, j = Axis("i", n), Axis("j", c)
        x = Buffer("x", dtype)
        value = x[Index.of((i, c), j)]
        outer, inner = {"rows": ((i,), [j]), "columns": ((j,), [i]), "all": ((), [i, j])}[over]
        result = Reduce(op, value, inner)
        stored = "bfloat16" if dtype == "bfloat16" else result.dtype
        kernel = Kernel("reduce", outer, (Store(Buffer("y", stored), Index.of(*outer), result),))
        size = {"rows": n, "columns": c, "all": 1}[over]
        check(run, level, kernel, x=data((n, c), dtype), y=np.zeros_like(data(size, stored)), rtol=1e-5)


@pytest.mark.parametrize("op", ["max", "min", "argmax", "argmin", "sum"])
def test_reductions_with_nan_ties_and_infinity(run: Run, level: str, op: str) -> None:
    inf, nan = np.inf, np.nan
    rows = [[1, 3, 3, 0], [nan, 1, nan, 2], [1, nan, 2, nan], [-inf] * 4, [inf, -1, inf, 0], [0.0, -0.0, 0, -1]]
    x = np.array([row * 9 for row in rows], np.float32)
    i, j = Axis("i", len(rows)), Axis("j", 36)
    result = Reduce(op, Buffer("x", "float32")[Index.of((i, 36), j)], [j])
    kernel = Kernel("reduce", (i,), (Store(Buffer("y", result.dtype), Index.of(i), result),))
    check(run, level, kernel, x=x, y=np.zeros(len(rows), result.dtype))


def test_sums_are_as_accurate_as_pairwise(run: Run) -> None:
    n = 1 << 16
    x = np.random.default_rng(0).random(n).astype(np.float32)
    j = Axis("j", n)
    out = np.zeros(1, np.float32)
    total = Reduce("sum", Buffer("x", "float32")[j], [j])
    run(Kernel("sum", (), (Store(Buffer("y", "float32"), Index.of(0), total),)), [x, out])
    exact = x.astype(np.float64).sum()
    assert abs(out[0] - exact) / exact < 4e-7


def test_reduction_over_two_axes_that_do_not_merge(run: Run, level: str) -> None:
    """Average pooling: 2 × 3 windows of images, channels last and channels first."""
    n, h, w, c = 2, 4, 6, 5
    for channels_last in (True, False):
        at, i, j, k = Axis("n", n), Axis("i", h // 2), Axis("j", w // 3), Axis("c", c)
        u, v = Axis("u", 2), Axis("v", 3)
        x, y = Buffer("x", "float32"), Buffer("y", "float32")
        if channels_last:
            source = Index.of((at, h * w * c), (i, 2 * w * c), (u, w * c), (j, 3 * c), (v, c), k)
            target, axes = Index.of((at, 4 * c), (i, 2 * c), (j, c), k), (at, i, j, k)
        else:
            source = Index.of((at, h * w * c), (k, h * w), (i, 2 * w), (u, w), (j, 3), v)
            target, axes = Index.of((at, 4 * c), (k, 4), (i, 2), j), (at, k, i, j)
        mean = Apply("div", Reduce("sum", x[source], [u, v]), Const(6.0, "float32"))
        kernel = Kernel("pool", axes, (Store(y, target, mean),))
        check(run, level, kernel, x=data(n * h * w * c), y=np.zeros(n * 4 * c, "f4"))


def test_gather(run: Run, level: str) -> None:
    """Embedding: rows by number; and single elements by number."""
    n, d = 6, 40
    i, j = Axis("i", n), Axis("j", d)
    table, ids, y = Buffer("table", "float32"), Buffer("ids", "int32"), Buffer("y", "float32")
    kernel = Kernel("embed", (i, j), (Store(y, Index.of((i, d), j), table[Index.of((ids[i], d), j)]),))
    numbers = np.array([3, 0, 9, 9, 1, 5], np.int32)
    check(run, level, kernel, table=data((10, d)), ids=numbers, y=np.zeros(n * d, "f4"))
    k = Axis("k", 50)
    kernel = Kernel("take", (k,), (Store(y, Index.of(k), table[Index.of((ids[k], 2), 1)]),))
    check(run, level, kernel, table=data(200), ids=data(50, "int32"), y=np.zeros(50, "f4"))


def test_scatter_add_with_repeated_targets(run: Run, level: str) -> None:
    n, d = 50, 40
    i, j = Axis("i", n), Axis("j", d)
    g, ids, out = Buffer("g", "float32"), Buffer("ids", "int64"), Buffer("out", "float32")
    ids_data = np.random.default_rng(0).integers(0, 4, n)
    store = Store(out, Index.of((ids[i], d), j), g[Index.of((i, d), j)], combine="sum")
    kernel = Kernel("embed_grad", (i, j), (store,), serial=(i,))
    check(run, level, kernel, g=data((n, d)), ids=ids_data, out=data((4, d)), rtol=1e-5)
    store = Store(out, Index.of((ids[i], 1)), g[i], combine="max")
    check(run, level, Kernel("scatter_max", (i,), (store,), serial=(i,)), g=data(n), ids=ids_data, out=data(4))


def test_masked_loads_read_nothing_outside(run: Run, level: str) -> None:
    """Padding: where the source does not exist it is not read, as an index far outside shows."""
    n, pad = 20, 3
    i = Axis("i", n + 2 * pad)
    x, y = Buffer("x", "float32"), Buffer("y", "float32")
    here = Coordinate(i)
    inside = Apply("and", Apply("ge", here, Const(pad, "int64")), Apply("lt", here, Const(n + pad, "int64")))
    padded = Load(x, Index.of(i, -pad), inside, -1.5)
    kernel = Kernel("pad", (i,), (Store(y, Index.of(i), padded),))
    check(run, level, kernel, x=data(n), y=np.zeros(n + 2 * pad, "f4"))
    far = Load(x, Index.of((Apply("mul", here, Const(1 << 40, "int64")), 1)), Apply("eq", here, Const(0, "int64")), 2.0)
    check(run, level, Kernel("far", (i,), (Store(y, Index.of(i), far),)), x=data(1), y=np.zeros(n + 2 * pad, "f4"))


def test_masked_store(run: Run, level: str) -> None:
    i = Axis("i", 45)
    x, y = Buffer("x", "float32"), Buffer("y", "float32")
    positive = Apply("gt", x[i], Const(0, "float32"))
    kernel = Kernel("keep", (i,), (Store(y, Index.of(i), x[i], mask=positive),))
    check(run, level, kernel, x=data(45), y=np.full(45, 9, "f4"))


def test_iota_and_concatenation(run: Run, level: str) -> None:
    i, j = Axis("i", 3), Axis("j", 30)
    y = Buffer("y", "float32")
    left = Apply("lt", Coordinate(j), Const(12, "int64"))
    x, z = Buffer("x", "float32"), Buffer("z", "float32")
    joined = Apply(
        "select",
        left,
        Load(x, Index.of((i, 12), j), left),
        Load(z, Index.of((i, 18), j, -12), Apply("not", left)),
    )
    value = Apply("add", joined, Coordinate(j, "float32"))
    kernel = Kernel("concat", (i, j), (Store(y, Index.of((i, 30), j), value),))
    check(run, level, kernel, x=data((3, 12)), z=data((3, 18)), y=np.zeros(90, "f4"))


@pytest.mark.parametrize("n", [0, 1, 16, 37, 1000])
def test_symbolic_extents(run: Run, level: str, n: int) -> None:
    rows = Sym("n")
    check(run, level, softmax(rows, 10), symbols={"n": n}, x=data((n, 10)), y=np.zeros(n * 10, "f4"))
    if n:
        check(run, level, softmax(3, rows), symbols={"n": n}, x=data((3, n)), y=np.zeros(3 * n, "f4"))
    i, j = Axis("i", rows), Axis("j", 4)
    x, y = Buffer("x", "float32"), Buffer("y", "float32")
    at = Index.of((i, 4), j)
    kernel = Kernel("relu", (i, j), (Store(y, at, Apply("max", x[at], Const(0.0, "float32"))),))
    check(run, level, kernel, symbols={"n": n}, x=data((n, 4)), y=np.zeros(4 * n, "f4"))
    total = Reduce("sum", x[at], [i])
    kernel = Kernel("columns", (j,), (Store(y, Index.of(j), total),))
    check(run, level, kernel, symbols={"n": n}, x=data((n, 4)), y=np.zeros(4, "f4"), rtol=1e-5)


def test_blocks_of_an_axis(run: Run, level: str) -> None:
    """Partial sums over blocks of 32 of an axis of 100: the last block is shorter."""
    c, r = Axis("c", 4), None
    r = Axis("r", Rest(100, 32, c))
    x, y = Buffer("x", "float32"), Buffer("y", "float32")
    kernel = Kernel("partial", (c,), (Store(y, Index.of(c), Reduce("sum", x[Index.of((c, 32), r)], [r])),))
    check(run, level, kernel, x=data(100), y=np.zeros(4, "f4"))


def test_several_outputs_of_different_dtypes(run: Run, level: str) -> None:
    i = Axis("i", 70)
    x = Buffer("x", "float32")
    e = Apply("exp", x[i])
    stores = (
        Store(Buffer("a", "float32"), Index.of(i), e),
        Store(Buffer("b", "bfloat16"), Index.of(i), Apply("add", e, Const(1.0, "float32"))),
        Store(Buffer("c", "bool"), Index.of(i), Apply("gt", e, Const(1.0, "float32"))),
        Store(Buffer("d", "int64"), Index.of(i), Apply("cast", e, to="int64")),
        Store(Buffer("f", "float64"), Index.of((i, 2)), Apply("cast", e, to="float64")),
    )
    outputs = {"a": "float32", "b": ml_dtypes.bfloat16, "c": "bool", "d": "int64"}
    zeros = {name: np.zeros(70, dtype) for name, dtype in outputs.items()}
    check(run, level, Kernel("many", (i,), stores), x=data(70), f=np.zeros(140), **zeros, rtol=1e-2)


def test_axes_merge_where_memory_is_contiguous() -> None:
    i, j, k = Axis("i", 4), Axis("j", 5), Axis("k", 6)
    x, y = Buffer("x", "float32"), Buffer("y", "float32")
    flat = Index.of((i, 30), (j, 6), k)
    merged = merge_axes(Kernel("copy", (i, j, k), (Store(y, flat, x[flat]),)))
    assert [a.extent for a in merged.axes] == [120]
    rows = merge_axes(Kernel("add_row", (i, j, k), (Store(y, flat, Apply("add", x[flat], x[k])),)))
    assert [a.extent for a in rows.axes] == [20, 6]
    sums = merge_axes(Kernel("sum", (i,), (Store(y, Index.of(i), Reduce("sum", x[flat], [j, k])),)))
    (reduction,) = [e for e in sums.stores[0].operands if isinstance(e, Reduce)]
    assert [a.extent for a in reduction.axes] == [30]


OPERATIONS = ["add", "sub", "mul", "max", "min", "abs", "neg", "sigmoid", "tanh", "exp", "select"]


def random_kernel(seed: int) -> tuple[Kernel, dict[str, np.ndarray]]:
    """A row-wise kernel of random expressions, reductions, layouts and stores."""
    rng = np.random.default_rng(seed)
    n, c = int(rng.integers(1, 40)), int(rng.integers(1, 90))
    i, j = Axis("i", n), Axis("j", c)
    arrays = {name: data(n * c, seed=seed + k) for k, name in enumerate("ab")}
    arrays |= {"v": data(c, seed=seed), "w": data(n, seed=seed)}
    order = Index.of((i, c), j) if rng.random() < 0.7 else Index.of(i, (j, n))
    pool: list[Expr] = [Buffer(name, "float32")[order] for name in "ab"]
    pool += [Buffer("v", "float32")[j], Buffer("w", "float32")[i], Const(float(rng.normal()), "float32")]
    bounded = Const(3.0, "float32")
    for _ in range(int(rng.integers(2, 10))):
        op = str(rng.choice(OPERATIONS))
        x, y = (pool[int(rng.integers(len(pool)))] for _ in range(2))
        if op == "exp":
            x = Apply("min", x, bounded)
        made = (
            Apply("select", Apply("lt", x, y), x, y)
            if op == "select"
            else Apply(op, *(x, y)[: 1 + (op in OPERATIONS[:5])])
        )
        pool.append(made)
        if rng.random() < 0.3:
            along = Apply("tanh", Apply("add", made, pool[0]))
            pool.append(Reduce(str(rng.choice(["sum", "max", "min"])), along, [j]))
    row_values = [e for e in pool if isinstance(e, Reduce)]
    out = Buffer("y", "float32")
    stores = [Store(out, Index.of((i, c), j), pool[-1] if not isinstance(pool[-1], Reduce) else pool[-2], (j,))]
    arrays["y"] = np.zeros(n * c, "f4")
    if row_values:
        stores.append(Store(Buffer("r", "float32"), Index.of(i), row_values[-1]))
        arrays["r"] = np.zeros(n, "f4")
    kernel = Kernel("random", (i,), tuple(stores))
    return kernel, {b.name: arrays[b.name] for b in kernel.buffers}


@pytest.mark.parametrize("seed", range(25))
def test_random_kernels(run: Run, level: str, seed: int) -> None:
    kernel, arrays = random_kernel(seed)
    check(run, level, kernel, rtol=3e-5, **arrays)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda x, y, i, j: Kernel("k", (i,), (Store(y, Index.of(j), x[i]),)), "store to y uses j outside its loop"),
        (lambda x, y, i, j: Kernel("k", (i,), (Store(y, Index.of(i), x[j]),)), "store to y uses j outside its loop"),
        (
            lambda x, y, i, j: Kernel(
                "k", (), (Store(y, Index.of(i), Reduce("sum", x[Index.of((i, 9), j)], [j]), (i,)),)
            ),
            "a sum depends on i, which is not an outer axis",
        ),
        (lambda x, y, i, j: Kernel("k", (i,), (Store(y, Index.of(i), x[i]),), (j,)), "a serial axis is not one of its"),
        (lambda x, y, i, j: Reduce("median", x[j], [j]), "no reduction 'median'"),
        (lambda x, y, i, j: Reduce("any", x[j], [j]), "any reduces bool values, not float32"),
        (lambda x, y, i, j: Reduce("sum", Apply("lt", x[j], x[i]), [j]), "sum does not reduce bool values"),
        (lambda x, y, i, j: Reduce("sum", x[j], []), "needs at least one axis"),
        (lambda x, y, i, j: Store(y, Index.of(i), x[i], combine="xor"), "no combiner 'xor'"),
        (lambda x, y, i, j: Buffer("z", "float8"), "no such dtype 'float8'"),
        (lambda x, y, i, j: Load(x, Index.of(i), x[i]), "the mask is float32, not bool"),
    ],
)
def test_malformed_kernels_are_refused(kernel: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verify(kernel(Buffer("x", "float32"), Buffer("y", "float32"), Axis("i", 9), Axis("j", 9)))


@pytest.mark.parametrize("shape", [(70000, 1), (1, 150000), (5000, 32), (300, 7, 500)])
@pytest.mark.parametrize("op", ["sum", "max", "any"])
def test_large_reductions_are_split(run: Run, op: str, shape: tuple[int, ...]) -> None:
    """Column statistics of [..., C], over everything for one column: in blocks, then put together."""
    *outer, c = shape
    dtype = "bool" if op == "any" else "float32"
    axes = [Axis(f"i{k}", n) for k, n in enumerate(outer)]
    j = Axis("j", c)
    strides = [int(np.prod(shape[k + 1 :])) for k in range(len(outer))]
    x = Buffer("x", dtype)[Index.of(*zip(axes, strides), j)]
    over, kept = ((j, *axes), ()) if c == 150000 else (tuple(axes), (j,))
    result = Reduce(op, x, over)
    value = result if op == "any" else Apply("mul", result, Const(0.5, "float32"))
    y = Buffer("y", dtype)
    kernel = Kernel("reduce", kept, (Store(y, Index.of(*kept), value),))
    split = split_reductions(kernel)
    assert len(split.kernels) == 2
    arrays = {
        "x": data(shape, dtype) if op != "any" else np.zeros(shape, bool),
        "y": np.zeros(c, dtype)[: c if kept else 1],
    }
    arrays |= {b.name: np.zeros(n, b.dtype) for b, n in split.partial.items()}
    want = {name: a.copy().ravel() for name, a in arrays.items()}
    interpret(kernel, want)
    for part in split.kernels:
        run(part, [arrays[b.name] for b in part.buffers])
    np.testing.assert_allclose(arrays["y"], want["y"], rtol=1e-5, atol=1e-4)


def test_split_of_an_unknown_extent(run: Run) -> None:
    i, j = Axis("i", Sym("n")), Axis("j", 300)
    x = Buffer("x", "float32")[Index.of((i, 300), j)]
    total = Reduce("sum", Apply("mul", x, x), [i, j])
    split = split_reductions(Kernel("squares", (), (Store(Buffer("y", "float32"), Index.of(0), total),)))
    assert len(split.kernels) == 2
    (buffer,) = split.partial
    for n in (1, 100, 1000):
        arrays = {"x": data((n, 300)), "y": np.zeros(1, "f4")}
        arrays[buffer.name] = np.zeros(split.partial[buffer].value({"n": n}), "f4")
        for part in split.kernels:
            run(part, [arrays[b.name] for b in part.buffers], [n for _ in part.symbols])
        np.testing.assert_allclose(arrays["y"][0], (arrays["x"].astype("f8") ** 2).sum(), rtol=1e-6)


def test_kernels_with_rows_enough_are_not_split() -> None:
    kernel = softmax(512, 1000)
    assert split_reductions(kernel).kernels == (kernel,)


def test_the_pool_runs_all_chunks() -> None:
    i = Axis("i", 300000)
    x, y = Buffer("x", "float32"), Buffer("y", "float32")
    kernel = Kernel("double", (i,), (Store(y, Index.of(i), Apply("add", x[i], x[i])),))
    module = Module(Target.from_features(host_processor().features, host_processor().arch))
    emit(module, kernel)
    code = engine().compile(module)
    a, b = data(300000), np.zeros(300000, "f4")
    arguments = (ctypes.c_int64 * 2)(a.ctypes.data, b.ctypes.data)
    code.function("double.run", ctypes.c_void_p, ctypes.c_void_p)(pool().address, arguments)
    np.testing.assert_array_equal(b, 2 * a)


def test_updates_in_place_see_the_old_values(run: Run, level: str) -> None:
    i = Axis("i", 37)
    p, m = Buffer("p", "float32"), Buffer("m", "float32")
    old_p, old_m = p[i], m[i]
    stores = (
        Store(p, Index.of(i), Apply("add", old_p, old_m)),
        Store(m, Index.of(i), Apply("sub", old_p, old_m)),
    )
    check(run, level, Kernel("swap", (i,), stores), p=data(37), m=data(37, seed=1))


@pytest.mark.parametrize("shape", [(33, 65), (16, 16), (200, 3), (1, 40)])
def test_transposes(run: Run, level: str, shape: tuple[int, int]) -> None:
    n, c = shape
    i, j, k = Axis("i", n), Axis("j", c), Axis("k", 2)
    x, y = Buffer("x", "float32"), Buffer("y", "float32")
    store = Store(y, Index.of((k, n * c), (j, n), i), x[Index.of((k, n * c), (i, c), j)])
    check(run, level, Kernel("transpose", (k, i, j), (store,)), x=data(2 * n * c), y=np.zeros(2 * n * c, "f4"))
