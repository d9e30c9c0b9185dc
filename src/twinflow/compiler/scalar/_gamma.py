"""The incomplete gamma functions: a series below x = a + 1, Lentz's continued fraction above it (Press et al., "Numerical
Recipes", sec. 6.2). Lanes that have converged stay as they are while others go on, so a value does not depend on its
neighbours."""

import math
from collections.abc import Callable

from twinflow.compiler._builder import Builder, Value
from twinflow.compiler.scalar._exp_log import exp, log, via_float64
from twinflow.compiler.scalar._special import lgamma

_MOST_TERMS = 100_000
_TINY = 1e-300


def _until_all(b: Builder, state: list[Value], turn: Callable[[list[Value]], tuple[list[Value], Value]]) -> list[Value]:
    """Run `turn` on the values that are carried, the first of which counts, until no lane of what it says wants more."""
    name, before = b.fresh("terms"), b.block
    b.jump(name)
    b.label(name)
    phis = [Value(f"%{name}.{k}", x.dtype, x.lanes) for k, x in enumerate(state)]
    at = len(b.lines)
    b.lines.extend([""] * len(phis))
    results, wanted = turn(phis)
    more = b.and_(b.any(wanted), b.fcmp("olt", b.extract(results[0], 0), b.const(_MOST_TERMS, results[0].dtype)))
    latch = b.block
    for k, (phi, first, last) in enumerate(zip(phis, state, results)):
        b.lines[at + k] = f"  {phi.text} = phi {phi.type} [{first.text}, %{before}], [{last.text}, %{latch}]"
    b.branch(more, name, f"{name}.done")
    b.label(f"{name}.done")
    return results


def _series(b: Builder, a: Value, x: Value) -> Value:
    """Σ xᵏ / (a (a+1) ... (a+k)) for x < a + 1."""
    one = b.like(1, a)
    first = b.fdiv(one, a)

    def turn(state: list[Value]) -> tuple[list[Value], Value]:
        i, n, term, total = state
        n = b.fadd(n, one)
        term = b.fdiv(b.fmul(term, x), n)
        total = b.fadd(total, term)
        wanted = b.fcmp("ogt", b.fabs(term), b.fmul(b.fabs(total), b.like(1e-17, a)))
        return [b.fadd(i, one), n, term, total], wanted

    return _until_all(b, [b.like(0, a), a, first, first], turn)[3]


def _fraction(b: Builder, a: Value, x: Value) -> Value:
    """1 / (x+1-a - 1·(1-a) / (x+3-a - 2·(2-a) / (x+5-a - ...))) for x >= a + 1."""
    one, two, tiny = b.like(1, a), b.like(2, a), b.like(_TINY, a)
    below = b.fsub(b.fadd(x, one), a)
    d = b.fdiv(one, below)

    def away(v: Value) -> Value:
        return b.select(b.fcmp("olt", b.fabs(v), tiny), tiny, v)

    def turn(state: list[Value]) -> tuple[list[Value], Value]:
        i, below, c, d, h, last = state
        i = b.fadd(i, one)
        factor = b.fmul(b.fneg(i), b.fsub(i, a))
        below = b.fadd(below, two)
        d = b.fdiv(one, away(b.fadd(b.fmul(factor, d), below)))
        c = away(b.fadd(below, b.fdiv(factor, c)))
        step = b.fmul(d, c)
        going = b.fcmp("ogt", b.fabs(b.fsub(last, one)), b.like(1e-15, a))
        h = b.select(going, b.fmul(h, step), h)
        last = b.select(going, step, last)
        return [i, below, c, d, h, last], b.fcmp("ogt", b.fabs(b.fsub(last, one)), b.like(1e-15, a))

    start = [b.like(0, a), below, b.like(1 / _TINY, a), d, d, b.like(2, a)]
    return _until_all(b, start, turn)[4]


def _regularised(b: Builder, a: Value, x: Value, *, upper: bool) -> Value:
    zero, one, infinite = b.like(0, a), b.like(1, a), b.like(math.inf, a)
    good = b.and_(b.fcmp("ogt", a, zero), b.fcmp("oge", x, zero))
    ends = b.and_(b.fcmp("olt", a, infinite), b.fcmp("olt", x, infinite))
    inside = b.and_(b.and_(good, ends), b.fcmp("ogt", x, zero))
    near = b.and_(inside, b.fcmp("olt", x, b.fadd(a, one)))
    far = b.and_(inside, b.fcmp("oge", x, b.fadd(a, one)))
    scale = exp(b, b.fsub(b.fsub(b.fmul(a, log(b, x)), x), lgamma(b, a)))
    # Lanes that the one or the other does not concern get arguments at which it ends at once.
    series = b.fmul(_series(b, b.select(near, a, one), b.select(near, x, zero)), scale)
    fraction = b.fmul(_fraction(b, b.select(far, a, one), b.select(far, x, one)), scale)
    small, large = (b.fsub(one, series), fraction) if upper else (series, b.fsub(one, fraction))
    at_zero, at_end = (one, zero) if upper else (zero, one)
    whole = b.or_(
        b.and_(b.fcmp("oeq", a, zero), b.fcmp("ogt", x, zero)),
        b.and_(b.and_(good, b.fcmp("oeq", x, infinite)), b.fcmp("olt", a, infinite)),
    )
    edge = b.select(b.and_(good, b.fcmp("oeq", x, zero)), at_zero, b.select(whole, at_end, b.like(math.nan, a)))
    return b.select(near, small, b.select(far, large, edge))


@via_float64
def gammainc(b: Builder, a: Value, x: Value) -> Value:
    """1/Γ(a) ∫₀ˣ t^(a-1) e^-t dt."""
    return _regularised(b, a, x, upper=False)


@via_float64
def gammaincc(b: Builder, a: Value, x: Value) -> Value:
    """1 - gammainc(a, x), accurate where that is small."""
    return _regularised(b, a, x, upper=True)
