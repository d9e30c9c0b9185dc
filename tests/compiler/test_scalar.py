"""The scalar functions against wider arithmetic: accuracy, special values, every processor level."""

import math
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from twinflow.compiler.loops import Apply, Axis, Buffer, Index, Kernel, Store
from twinflow.compiler.scalar import FUNCTIONS, result_dtype

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NaN and inf are what is tested

L = np.longdouble
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 2.0, -2.0, 0.5, 1e30, -1e30, 3.5, 88.8, -104.0]
EVERYWHERE = (-20.0, 20.0)

# name: the same in wide arithmetic, and ranges beside the special values
UNARY: dict[str, tuple[Callable, list[tuple[float, float]]]] = {
    "exp": (np.exp, [(-104, 89), (-1, 1)]),
    "exp2": (np.exp2, [(-150, 128), (-1, 1)]),
    "expm1": (np.expm1, [(-20, 88), (-1, 1), (-1e-3, 1e-3)]),
    "log": (np.log, [(0, 5), (0.9, 1.1), (0, 1e30)]),
    "log2": (np.log2, [(0, 5), (0.9, 1.1), (0, 1e30)]),
    "log10": (np.log10, [(0, 5), (0.9, 1.1), (0, 1e30)]),
    "log1p": (np.log1p, [(-1, 5), (-1e-3, 1e-3), (0, 1e30)]),
    "sigmoid": (lambda x: np.where(x < 0, np.exp(x), 1) / (1 + np.exp(-abs(x))), [(-104, 20), (-5, 5)]),
    "tanh": (np.tanh, [(-10, 10), (-0.7, 0.7), (-1e-3, 1e-3)]),
    "sinh": (np.sinh, [(-89, 89), (-1, 1)]),
    "cosh": (np.cosh, [(-89, 89), (-1, 1)]),
    "asinh": (np.arcsinh, [(-10, 10), (-1e30, 1e30), (-1e-3, 1e-3)]),
    "acosh": (np.arccosh, [(1, 3), (1, 1e30)]),
    "atanh": (np.arctanh, [(-1, 1), (-1e-3, 1e-3)]),
    "sin": (np.sin, [(-10, 10), (-1e4, 1e4), (-1e9, 1e9)]),
    "cos": (np.cos, [(-10, 10), (-1e4, 1e4), (-1e9, 1e9)]),
    "tan": (np.tan, [(-10, 10), (-1e4, 1e4), (-1e9, 1e9)]),
    "asin": (np.arcsin, [(-1, 1), (-1e-3, 1e-3)]),
    "acos": (np.arccos, [(-1, 1), (0.99, 1)]),
    "atan": (np.arctan, [(-3, 3), (-1e10, 1e10)]),
    "sqrt": (np.sqrt, [(0, 1e10)]),
    "rsqrt": (lambda x: 1 / np.sqrt(x), [(0, 1e10)]),
    "reciprocal": (lambda x: 1 / x, [EVERYWHERE]),
    "floor": (np.floor, [EVERYWHERE, (-1e9, 1e9)]),
    "ceil": (np.ceil, [EVERYWHERE, (-1e9, 1e9)]),
    "trunc": (np.trunc, [EVERYWHERE, (-1e9, 1e9)]),
    "round": (np.rint, [EVERYWHERE, (-1e9, 1e9)]),
    "abs": (np.abs, [EVERYWHERE]),
    "sign": (np.sign, [EVERYWHERE]),
    "neg": (np.negative, [EVERYWHERE]),
}

# float64 functions that NumPy lacks, from the C library: float32 is held to 2 ulp against them, float64 to more
C_LIBRARY: dict[str, tuple[Callable, list[tuple[float, float]]]] = {
    "erf": (math.erf, [(-5, 5), (-1, 1), (-1e-3, 1e-3)]),
    "erfc": (math.erfc, [(-5, 5), (0, 10)]),
    "lgamma": (math.lgamma, [(0, 5), (5, 100), (0.9, 1.1), (1.9, 2.1)]),
}


def compute(run: Callable, level: str, name: str, *args: np.ndarray, to: str | None = None) -> np.ndarray:
    """A function of the table over arrays."""
    dtypes = [str(a.dtype) for a in args]
    result = to or result_dtype(name, dtypes)
    i = Axis("i", args[0].size)
    sources = [Buffer(f"x{k}", dtype) for k, dtype in enumerate(dtypes)]
    value = Apply(name, *(s[i] for s in sources), to=to)
    kernel = Kernel(f"test_{name}", (i,), (Store(Buffer("y", result), Index.of(i), value),))
    out = np.empty(args[0].size, ml_dtypes.bfloat16 if result == "bfloat16" else result)
    run(kernel, [*args, out], level=level)
    return out


def points(ranges: list[tuple[float, float]], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore"):
        return np.concatenate([SPECIAL, *(rng.uniform(*r, size=200) for r in ranges)]).astype(dtype)


def ulp_error(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Units in the last place of got between it and a wider value; 0 where both are the same or both NaN."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        error = np.abs(got.astype(L) - want) / np.spacing(np.abs(rounded)).astype(L)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        largest = np.abs(got) == np.finfo(got.dtype).max  # may stand beside infinity
    return np.where(same | (largest & np.isinf(rounded)), 0, np.where(np.isnan(error), np.inf, error)).astype(float)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_unary_is_accurate(run: Callable, level: str, name: str, dtype: str) -> None:
    reference, ranges = UNARY[name]
    x = points(ranges, dtype)
    got = compute(run, level, name, x)
    with np.errstate(all="ignore"):
        want = reference(x.astype(L))
    error = ulp_error(got, want)
    bound = 2 if dtype == "float32" else 4
    worst = int(error.argmax())
    assert error[worst] <= bound, f"{name}({x[worst]!r}) = {got[worst]!r}, not {want[worst]!r}"
    zero = (got == 0) & (want == 0)
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", C_LIBRARY)
def test_special_functions_are_accurate(run: Callable, level: str, name: str, dtype: str) -> None:
    reference, ranges = C_LIBRARY[name]
    x = np.concatenate([np.random.default_rng(0).uniform(*r, size=200) for r in ranges]).astype(dtype)
    want = np.array([reference(v) for v in x.astype(float)]).astype(L)
    got = compute(run, level, name, x)
    if name == "lgamma" and dtype == "float64":  # the C library's own has only absolute accuracy near the zeros
        assert (np.abs(got - want) <= 1e-15 * (1 + np.abs(want))).all()
    else:
        assert ulp_error(got, want).max() <= (2 if dtype == "float32" else 6)


ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "gelu_slope": lambda x: math.erfc(-x / math.sqrt(2)) / 2 + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "silu_slope": lambda x: (1 + x / (1 + math.exp(x))) / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_accurate_relative_to_their_largest_term(
    run: Callable, level: str, name: str, dtype: str
) -> None:
    x = np.random.default_rng(0).uniform(-9, 9, 400).astype(dtype)
    want = np.array([ACTIVATIONS[name](v) for v in x.astype(float)])
    error = np.abs(compute(run, level, name, x) - want) / np.maximum(1, np.abs(x))
    assert error.max() <= 2 * np.finfo(dtype).eps


def test_special_functions_at_special_values(run: Callable, level: str) -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, -2.0])
    inf, nan = np.inf, np.nan
    want = {
        "erf": [0, -0.0, 1, -1, nan, math.erf(1), -math.erf(1), math.erf(-2)],
        "erfc": [1, 1, 0, 2, nan, math.erfc(1), math.erfc(-1), math.erfc(-2)],
        "erfinv": [0, -0.0, nan, nan, nan, inf, -inf, nan],
        "lgamma": [inf, inf, inf, inf, nan, 0, inf, inf],
        "digamma": [-inf, inf, inf, nan, nan, -0.5772156649015329, nan, nan],
    }
    for name, values in want.items():
        np.testing.assert_allclose(compute(run, level, name, x), values, rtol=1e-15, err_msg=name)


def test_erfinv_undoes_erf(run: Callable, level: str) -> None:
    y = np.concatenate([np.linspace(-3, 3, 200), [1e-9, 4.0, 5.0]])
    x = np.array([math.erf(v) for v in y])
    # erf flattens out: an ulp of x moves the inverse by the reciprocal of the slope
    slack = 4e-16 * np.abs(y) + np.spacing(np.abs(x)) * np.exp(y * y)
    assert (np.abs(compute(run, level, "erfinv", x) - y) <= slack).all()


def test_digamma_by_its_recurrence(run: Callable, level: str) -> None:
    x = np.concatenate([np.random.default_rng(0).uniform(0.01, 20, 100), np.random.default_rng(1).uniform(-9, 0, 100)])
    psi, following = compute(run, level, "digamma", x), compute(run, level, "digamma", x + 1)
    assert (np.abs(following - psi - 1 / x) <= 8e-15 * (1 + np.abs(psi) + np.abs(1 / x))).all()
    # ψ(1) = -γ, ψ(½) = -γ - 2 ln 2
    got = compute(run, level, "digamma", np.array([1.0, 0.5], "float32"))
    np.testing.assert_allclose(got, [-0.57721566, -1.96351003], rtol=2e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_incomplete_gamma_functions(run: Callable, level: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(-4, 4, 200)).astype(dtype)
    eps = np.finfo(dtype).eps
    for a, upper in (
        (0.5, lambda v: math.erfc(math.sqrt(v))),
        (1.0, lambda v: math.exp(-v)),
        (2.0, lambda v: (1 + v) * math.exp(-v)),
    ):
        want = np.array([upper(float(v)) for v in x])
        np.testing.assert_allclose(compute(run, level, "gammaincc", np.full_like(x, a), x), want, rtol=60 * eps)
        np.testing.assert_allclose(compute(run, level, "gammainc", np.full_like(x, a), x), 1 - want, atol=4 * eps)
    a = np.exp(rng.uniform(-4, 8, 200)).astype(dtype)
    x = (a * np.exp(rng.normal(0, 0.3, 200))).astype(dtype)
    lower, upper = compute(run, level, "gammainc", a, x), compute(run, level, "gammaincc", a, x)
    np.testing.assert_allclose(lower + upper, 1, rtol=4 * eps)
    order = rng.permutation(200)  # a value does not depend on its neighbours
    np.testing.assert_array_equal(compute(run, level, "gammaincc", a[order], x[order]), upper[order])


def test_incomplete_gamma_functions_at_their_ends(run: Callable, level: str) -> None:
    inf, nan = np.inf, np.nan
    a = np.array([0.0, 1, 1, 0, -1, 1, nan, inf, inf, 2])
    x = np.array([1.0, 0, inf, 0, 1, -1, 1, 1, 0, nan])
    want = np.array([1.0, 0, 1, nan, nan, nan, nan, nan, 0, nan])
    np.testing.assert_array_equal(compute(run, level, "gammainc", a, x), want)
    np.testing.assert_array_equal(compute(run, level, "gammaincc", a, x), 1 - want)


BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "fmod": np.fmod,
    "remainder": np.remainder,
    "floor_div": np.floor_divide,
    "max": np.maximum,
    "min": np.minimum,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BINARY)
def test_binary_floats_are_exact(run: Callable, level: str, name: str, dtype: str) -> None:
    pairs = [(a, b) for a in SPECIAL for b in SPECIAL] + list(np.random.default_rng(0).normal(size=(200, 2)) * 10)
    x, y = np.array(pairs, dtype).T.copy()
    got = compute(run, level, name, x, y)
    with np.errstate(all="ignore"):
        want = BINARY[name](x, y)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pow(run: Callable, level: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    pairs = [(a, b) for a in SPECIAL for b in SPECIAL]
    pairs += list(np.stack([np.exp(rng.uniform(-40, 40, 300)), rng.uniform(-2, 2, 300)], 1))
    pairs += [(x, n) for x in rng.uniform(-3, 3, 30) for n in (-3.0, 2.0, 7.0, 0.5)]
    x, y = np.array(pairs, dtype).T.copy()
    got = compute(run, level, "pow", x, y)
    with np.errstate(all="ignore"):
        want = np.power(x.astype(L), y.astype(L))
    error = ulp_error(got, want)
    worst = int(error.argmax())
    assert error[worst] <= (2 if dtype == "float32" else 4), (x[worst], y[worst], got[worst], want[worst])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_signbit_and_nextafter(run: Callable, level: str, dtype: str) -> None:
    x, y = np.array([(a, b) for a in SPECIAL for b in SPECIAL], dtype).T.copy()
    np.testing.assert_array_equal(compute(run, level, "signbit", x), np.signbit(x))
    with np.errstate(all="ignore"):
        want = np.nextafter(x, y)
    np.testing.assert_array_equal(compute(run, level, "nextafter", x, y), want)


def test_order_sorts_like_the_values(run: Callable, level: str) -> None:
    x = np.array([-np.inf, -1e300, -2.0, -5e-324, -0.0, 0.0, 5e-324, 1.0, np.inf, np.nan, -np.nan])
    key = compute(run, level, "order", x)
    assert np.all(key[:-1] <= key[1:])
    assert [i for i in range(len(x) - 1) if key[i] == key[i + 1]] == [4, 9]  # the zeros, and NaN of either sign


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint32"])
def test_gcd_and_integer_powers(run: Callable, level: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 120, (2, 200)).astype(dtype)
    x[:3], y[:3] = (0, 0, 7), (0, 5, 0)
    if dtype.startswith("int"):
        x[50:100] *= -1
    np.testing.assert_array_equal(compute(run, level, "gcd", x, y), np.gcd(x, y))
    n = (y % 9).astype(dtype)
    np.testing.assert_array_equal(compute(run, level, "pow", x, n), np.power(x, n))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_atan2(run: Callable, level: str, dtype: str) -> None:
    pairs = [(a, b) for a in SPECIAL for b in SPECIAL] + list(np.random.default_rng(0).normal(size=(200, 2)))
    y, x = np.array(pairs, dtype).T.copy()
    got = compute(run, level, "atan2", y, x)
    want = np.arctan2(y.astype(L), x.astype(L))
    assert ulp_error(got, want).max() <= (2 if dtype == "float32" else 4)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64"])
def test_integers(run: Callable, level: str, dtype: str) -> None:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    x = np.concatenate([[info.min, info.min, info.max, 0, 7], rng.integers(info.min, info.max, 100, dtype)]).astype(
        dtype
    )
    y = np.concatenate([[info.max, 1, 2, 5, 3], rng.integers(max(info.min, -9), 10, 100)]).astype(dtype)
    names = ["add", "sub", "mul", "floor_div", "remainder", "fmod", "max", "min", "and", "or", "xor"]
    numpy = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
    for name in names:
        with np.errstate(all="ignore"):
            want = (BINARY | numpy)[name](x, y)
        np.testing.assert_array_equal(compute(run, level, name, x, y), want, err_msg=name)
    for name, function in {"neg": np.negative, "abs": np.abs, "sign": np.sign, "not": np.invert}.items():
        np.testing.assert_array_equal(compute(run, level, name, x), function(x), err_msg=name)


def test_integer_division_never_traps(run: Callable, level: str) -> None:
    x = np.array([-(2**31), 5, -(2**31), 0], np.int32)
    y = np.array([-1, 0, 0, 0], np.int32)
    np.testing.assert_array_equal(compute(run, level, "floor_div", x, y), [-(2**31), 0, 0, 0])
    np.testing.assert_array_equal(compute(run, level, "remainder", x, y), [0, 0, 0, 0])


def test_shifts_by_too_much(run: Callable, level: str) -> None:
    x, y = np.array([-8, -8, 8, 1], np.int32), np.array([1, 40, 40, 31], np.int32)
    np.testing.assert_array_equal(compute(run, level, "shift_right", x, y), [-4, -1, 0, 0])
    np.testing.assert_array_equal(compute(run, level, "shift_left", x, y), [-16, 0, 0, -(2**31)])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8"])
def test_comparisons(run: Callable, level: str, dtype: str) -> None:
    values = SPECIAL if dtype.startswith("f") else [0, 1, 2, 100, 200]
    x, y = np.array([(a, b) for a in values for b in values], dtype).T.copy()
    numpy = {
        "eq": np.equal,
        "ne": np.not_equal,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
    }
    for name, function in numpy.items():
        np.testing.assert_array_equal(compute(run, level, name, x, y), function(x, y), err_msg=name)
    for name, function in {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite}.items():
        np.testing.assert_array_equal(compute(run, level, name, x), function(x), err_msg=name)


CAST_DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]


@pytest.mark.parametrize("to", [*CAST_DTYPES, "float16", "bfloat16"])
def test_casts(run: Callable, level: str, to: str) -> None:
    for dtype in CAST_DTYPES:
        x = np.array([0, 1, 2, 3, 100, 127, 1, 0, 5, 64, 7], dtype)
        if dtype.startswith("float"):
            x = x + np.array([0.5, 0, 0.25, 0.99, 0.5, 0, 0, 0.001, 0.3, 0.7, 0.5], dtype)
        if dtype.startswith(("int", "float")) and not to.startswith("u"):
            x[::2] *= -1
        got = compute(run, level, "cast", x, to=to)
        np.testing.assert_array_equal(got, x.astype(got.dtype), err_msg=f"{dtype} to {to}")


def test_casts_of_what_does_not_fit_saturate(run: Callable, level: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1e20, -1e20, 300, -300], np.float32)
    for to in ("int8", "uint8", "int32", "uint32", "int64", "uint64"):
        low, high = np.iinfo(to).min, np.iinfo(to).max
        inner = [min(300, high), max(-300, low)]
        np.testing.assert_array_equal(compute(run, level, "cast", x, to=to), [0, high, low, high, low, *inner])


@pytest.mark.parametrize("to", ["float16", "bfloat16"])
def test_half_floats_round_to_nearest_even(run: Callable, level: str, to: str) -> None:
    rng = np.random.default_rng(0)
    dtype = ml_dtypes.bfloat16 if to == "bfloat16" else np.float16
    every = np.arange(2**16, dtype=np.uint16).view(dtype)
    with np.errstate(all="ignore"):
        wide = every.astype(np.float32)
        between = (wide[:-1] + wide[1:]) / 2  # ties
        x = np.concatenate([wide, between, rng.normal(size=1000).astype(np.float32), np.float32([65520, 1e38, 3.4e38])])
        want = x.astype(dtype)
    np.testing.assert_array_equal(
        compute(run, level, "cast", x, to=to).view(np.uint16)[~np.isnan(x)], want.view(np.uint16)[~np.isnan(x)]
    )
    i = Axis("i", 2**16)
    kernel = Kernel("widen", (i,), (Store(Buffer("y", "float32"), Index.of(i), Buffer("x", to)[i]),))
    got = np.empty(2**16, np.float32)
    run(kernel, [every, got], level=level)
    np.testing.assert_array_equal(got, wide)


def test_random_bits_are_philox(run: Callable, level: str) -> None:
    """Known answers of Random123 (Salmon et al. 2011): counter and key all zeros, all ones, and digits of π."""
    ones = 2**64 - 1
    known = [
        (0, 0, 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (0xA4093822 | 0x299F31D0 << 32, 0x13198A2E | 0x03707344 << 32, None, None),
    ]
    key, stream, block, words = known[0]
    element = np.arange(4, dtype=np.uint64) + np.uint64(4 * block)
    got = compute(run, level, "random_bits", np.full(4, key, np.uint64), np.full(4, stream, np.uint64), element)
    np.testing.assert_array_equal(got, np.array(words, np.uint32))
    # the rest against the definition in Python's integers
    for key, stream, start in ((ones, ones, 0), (known[1][0], known[1][1], 4 * 12345678901)):
        element = np.arange(start, start + 64, dtype=np.uint64)
        got = compute(run, level, "random_bits", np.full(64, key, np.uint64), np.full(64, stream, np.uint64), element)
        assert got.tolist() == [philox(key, stream, int(e)) for e in element]


def philox(key: int, stream: int, element: int) -> int:
    block, mask = element // 4, 2**32 - 1
    c = [block & mask, block >> 32, stream & mask, stream >> 32]
    k = [key & mask, key >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k[0], q & mask, p >> 32 ^ c[3] ^ k[1], p & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c[element % 4]


def test_every_function_is_tested_here() -> None:
    apart = {"gammainc", "gammaincc", "signbit", "nextafter", "order", "gcd"}
    apart |= {"erfinv", "digamma", "pow", "atan2", "and", "or", "xor", "not", "shift_left", "shift_right", "cast"}
    apart |= {"isnan", "isinf", "isfinite", "eq", "ne", "lt", "le", "gt", "ge", "random_bits", "select"}
    assert set(FUNCTIONS) == set(UNARY) | set(C_LIBRARY) | set(BINARY) | set(ACTIVATIONS) | apart


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, i: Apply("exp", i), "exp does not take int32"),
        (lambda x, i: Apply("add", x, i), "add: arguments of one dtype are needed, not float32, int32"),
        (lambda x, i: Apply("add", x), "add takes 2 arguments, not 1"),
        (lambda x, i: Apply("sine", x), "no scalar function 'sine'"),
        (lambda x, i: Apply("cast", x, to="int7"), "cast: no such dtype 'int7'"),
        (lambda x, i: Apply("select", x, x, x), "select: the condition is float32, not bool"),
        (lambda x, i: Apply("neg", x, to="int8"), "neg: only cast takes a dtype"),
    ],
)
def test_wrong_use_is_refused(call: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(Buffer("x", "float32")[0], Buffer("i", "int32")[0])
