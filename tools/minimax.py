"""Fit the polynomials of twinflow.compiler.scalar: prints the tables of `_coefficients.py`.

Each is the best approximation in the weighted maximum norm (Remez exchange on a fixed dense grid, in 50 digits), with
its coefficients rounded one after another from the lowest, the rest refitted each time, so that rounding to float32
costs nothing. Needs mpmath. Run: python tools/minimax.py > src/twinflow/compiler/scalar/_coefficients.py
"""

import struct
from collections.abc import Callable, Sequence

from mpmath import mp, mpf

mp.dps = 50


def exchange(points, values, weights, basis):
    """Coefficients c minimising max |w·(Σ c_k b_k - f)| over the points, and that maximum."""
    n = basis.cols
    m = len(points)
    chosen = [round((1 - mp.cos(mp.pi * (i + mpf(1) / 2) / (n + 1))) / 2 * (m - 1)) for i in range(n + 1)]
    for _ in range(60):
        a = mp.matrix(n + 1, n + 1)
        rhs = mp.matrix(n + 1, 1)
        for r, p in enumerate(chosen):
            for k in range(n):
                a[r, k] = basis[p, k]
            a[r, n] = (-1) ** r / weights[p]
            rhs[r] = values[p]
        c = mp.lu_solve(a, rhs)
        error = [weights[p] * (sum(c[k] * basis[p, k] for k in range(n)) - values[p]) for p in range(m)]
        extrema = []  # the largest error of each run of one sign
        for p in range(m):
            if extrema and (error[p] > 0) == (error[extrema[-1]] > 0):
                if abs(error[p]) > abs(error[extrema[-1]]):
                    extrema[-1] = p
            else:
                extrema.append(p)
        while len(extrema) > n + 1:
            extrema.pop(0 if abs(error[extrema[0]]) < abs(error[extrema[-1]]) else -1)
        if len(extrema) < n + 1:
            break
        worst = max(abs(e) for e in error)
        if worst < abs(c[n]) * mpf("1.001"):
            break
        chosen = extrema
    return [c[k] for k in range(n)], max(abs(e) for e in error)


def rounded(x, dtype):
    return mpf(struct.unpack("<f", struct.pack("<f", float(x)))[0]) if dtype == "float32" else mpf(float(x))


def fit(name: str, f: Callable, lo, hi, terms: int, dtype: str, weight: Callable | None = None) -> None:
    """Print the coefficients (lowest first) of Σ c_k x^k ≈ f on [lo, hi], relative to the weight 1/f by default."""
    lo, hi = mpf(lo), mpf(hi)
    m = 24 * terms + 1
    points = [(lo + hi) / 2 - (hi - lo) / 2 * mp.cos(mp.pi * i / (m - 1)) for i in range(m)]
    values = [f(x) for x in points]
    weights = [weight(x) for x in points] if weight else [1 / abs(v) for v in values]
    fixed: list = []
    while len(fixed) < terms:
        left = terms - len(fixed)
        basis = mp.matrix(m, left)
        for p, x in enumerate(points):
            for k in range(left):
                basis[p, k] = x ** (k + len(fixed))
        c, error = exchange(points, values, weights, basis)
        if not fixed:
            best = error
        step = 1 if dtype == "float32" else terms  # float64's rounding is already below what is aimed at
        for value in c[:step]:
            fixed.append(rounded(value, dtype))
            values = [v - fixed[-1] * x ** (len(fixed) - 1) for v, x in zip(values, points)]
    final = max(abs(w * v) for w, v in zip(weights, values))
    show(
        name,
        fixed,
        f"on [{mp.nstr(lo, 4)}, {mp.nstr(hi, 4)}], weighted error {mp.nstr(best, 2)}, rounded {mp.nstr(final, 2)}",
    )


def show(name: str, values: Sequence, note: str) -> None:
    print(f"{name} = (  # {note}")
    for v in values:
        print(f"    {float(v)!r},")
    print(")")


def smooth(f: Callable, at_zero) -> Callable:
    """f with its removable singularity at 0 filled in."""
    return lambda x: mpf(at_zero) if abs(x) < mpf(10) ** -25 else f(x)


def main() -> None:
    print('"""Polynomial coefficients, lowest power first. Made by tools/minimax.py; do not edit by hand."""\n')
    print("# fmt: off\n# ruff: noqa: E501")
    half_ln2 = mp.log(2) / 2 * mpf("1.0005")
    small = mpf(10) ** -12

    def exp_tail(r):  # (e^r - 1 - r) / r²
        return mpf(1) / 2 + r / 6 if abs(r) < small else (mp.expm1(r) - r) / r**2

    def log_tail(f):  # (log(1 + f) - f + f²/2) / f³
        return mpf(1) / 3 - f / 4 + f * f / 5 if abs(f) < small else (mp.log1p(f) - f + f * f / 2) / f**3

    lo, hi = mp.sqrt(mpf(1) / 2) - 1, mp.sqrt(2) - 1
    pi4 = (mp.pi / 4 * mpf("1.0005")) ** 2

    def of_root(f, limit):  # f(√z), continued to z = 0
        return lambda z: mpf(limit) if z < mpf(10) ** -20 else f(mp.sqrt(z))

    one = lambda x: mpf(1)  # noqa: E731
    for dtype, tag, te, tl, ts, tc in (("float32", "32", 5, 8, 3, 3), ("float64", "64", 11, 0, 6, 6)):
        fit(f"EXP_{tag}", exp_tail, -half_ln2, half_ln2, te, dtype, lambda r: max(r * r, mpf(1) / 10**8))
        if tl:
            fit(
                f"LOG_{tag}",
                log_tail,
                lo,
                hi,
                tl,
                dtype,
                lambda f: max(abs(f**3 / mp.log1p(f)), mpf(1) / 10**8) if f else mpf(1) / 10**8,
            )
        fit(
            f"SIN_{tag}",
            of_root(lambda x: (mp.sin(x) - x) / x**3, -mpf(1) / 6),
            0,
            pi4,
            ts,
            dtype,
            lambda z: z + mpf(1) / 10**8,
        )
        fit(
            f"COS_{tag}",
            of_root(lambda x: (mp.cos(x) - 1 + x * x / 2) / x**4, mpf(1) / 24),
            0,
            pi4,
            tc,
            dtype,
            lambda z: z * z + mpf(1) / 10**8,
        )
    # log((1 + s)/(1 - s)) = 2s + s·z·R(z), z = s²
    fit(
        "LOG_64",
        of_root(lambda s: (mp.log((1 + s) / (1 - s)) - 2 * s) / s**3, mpf(2) / 3),
        0,
        mpf("0.02945"),
        7,
        "float64",
        one,
    )
    # the same from its third term: 2s + 2s³/3 + s⁵·R(z), for the logarithm in two parts that pow needs
    fit(
        "LOG_TAIL_64",
        of_root(lambda s: (mp.log((1 + s) / (1 - s)) - 2 * s - 2 * s**3 / 3) / s**5, mpf(2) / 5),
        0,
        mpf("0.02945"),
        8,
        "float64",
        one,
    )
    fit(
        "ASIN_64",
        of_root(lambda x: (mp.asin(x) - x) / x**3, mpf(1) / 6),
        0,
        mpf("0.2501"),
        13,
        "float64",
        lambda z: z + mpf(1) / 10**8,
    )
    fit(
        "ATAN_64",
        of_root(lambda x: (mp.atan(x) - x) / x**3, -mpf(1) / 3),
        0,
        mpf("0.1717"),
        12,
        "float64",
        lambda z: z + mpf(1) / 10**8,
    )
    fit("ERF_32", of_root(lambda x: mp.erf(x) / x - 1, 2 / mp.sqrt(mp.pi) - 1), 0, mpf("0.9") ** 2, 6, "float32", one)
    fit("ERFC_LOG_32", lambda x: mp.log(mp.erfc(x)), mpf("0.89"), mpf("4.0"), 9, "float32", lambda x: mp.erfc(x))
    beyond = lambda t: mp.erfc(t / mp.sqrt(2)) / 2  # noqa: E731  # the normal distribution's share beyond t
    fit("NORMAL_LOG2_32", lambda t: mp.log(beyond(t), 2), 0, mpf("5.7"), 9, "float32", lambda t: beyond(t) * mp.log(2))
    fit(
        "ERF_64", of_root(lambda x: mp.erf(x) / x - 1, 2 / mp.sqrt(mp.pi) - 1), 0, mpf("0.751") ** 2, 11, "float64", one
    )
    k = mpf("3.75")  # Shepherd and Laframboise 1981: (1 + 2x)·e^{x²}·erfc(x) as a polynomial in (x - k)/(x + k)

    def scaled_erfc(t):
        x = k * (1 + t) / (1 - t)
        return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)

    fit("ERFC_64", scaled_erfc, (mpf("0.74") - k) / (mpf("0.74") + k), (28 - k) / (28 + k), 22, "float64")
    # lgamma(2 + e) = e·P(e)
    fit(
        "LGAMMA_64",
        smooth(lambda e: mp.loggamma(2 + e) / e, mp.digamma(2)),
        mpf("-0.5001"),
        mpf("0.5001"),
        19,
        "float64",
    )
    show("STIRLING_64", [mp.bernoulli(2 * k) / (2 * k * (2 * k - 1)) for k in range(1, 10)], "B_2k / (2k(2k-1))")
    show("DIGAMMA_64", [mp.bernoulli(2 * k) / (2 * k) for k in range(1, 10)], "B_2k / 2k")


if __name__ == "__main__":
    main()
