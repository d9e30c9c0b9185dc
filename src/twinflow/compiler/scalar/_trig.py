"""Circular functions and their inverses.

Arguments are reduced by multiples of π/2: up to 2²⁰ by parts of π/2 whose products are exact (Cody and Waite 1980), and
beyond, lane by lane, with as many digits of 2/π as the argument needs (Payne and Hanek 1983).
"""

import math
from functools import cache

from twinflow.compiler._builder import Builder, Value
from twinflow.compiler.scalar import _coefficients as c
from twinflow.compiler.scalar._basic import replace_lanes
from twinflow.compiler.scalar._exp_log import estrin, nearest, via_float64

# π/2 in parts of 33 bits, whose products with integers below 2^20 are exact in float64, and the rest
PIO2_1 = float.fromhex("0x1.921fb544p0")
PIO2_2 = float.fromhex("0x1.0b4611a6p-34")
PIO2_3 = float.fromhex("0x1.3198a2ep-69")
PIO2_4 = float.fromhex("0x1.b839a252049c1p-104")
PIO2_LOW = float.fromhex("0x1.1a62633145c07p-54")  # π/2 less its nearest float64
LIMIT = 2.0**20

FRACTION = 190  # binary places of the quadrant that the long reduction keeps
DIGITS = 1280  # binary places of 2/π in the table: enough for the largest float64


@cache
def _two_over_pi() -> str:
    """The table of 2/π, least significant byte first, as an LLVM global."""

    def arctan_inverse(n: int, one: int) -> int:
        total, power, k = 0, one // n, 0
        while power:
            total += (power // (2 * k + 1)) * (-1) ** k
            power //= n * n
            k += 1
        return total

    one = 1 << (DIGITS + 128)
    pi = 4 * (4 * arctan_inverse(5, one) - arctan_inverse(239, one))  # Machin 1706
    number = (2 << (2 * DIGITS + 128)) // pi
    data = (number & ((1 << DIGITS) - 1)).to_bytes(DIGITS // 8, "little") + bytes(32)
    text = "".join(f"\\{byte:02X}" for byte in data)
    return f'@tf.two_over_pi = internal constant [{len(data)} x i8] c"{text}", align 8'


def _long_reduction(b: Builder, part: str) -> str:
    """A function of a float64 beyond LIMIT: its rest modulo π/2, or the quadrant (0 to 3) as a float64."""

    def body(f: Builder) -> None:
        f.module.globals.setdefault("tf.two_over_pi", _two_over_pi())
        lines = f.lines
        lines.append(
            f"""  %bits = bitcast double %x to i64
  %field = lshr i64 %bits, 52
  %biased = and i64 %field, 2047
  %fraction = and i64 %bits, {(1 << 52) - 1}
  %m = or i64 %fraction, {1 << 52}
  %shift = sub i64 {DIGITS - FRACTION + 1075}, %biased
  %byte = lshr i64 %shift, 3
  %bit = and i64 %shift, 7
  %at = getelementptr i8, ptr @tf.two_over_pi, i64 %byte
  %raw = load i256, ptr %at, align 1
  %wide = zext i64 %bit to i256
  %aligned = lshr i256 %raw, %wide
  %window = trunc i256 %aligned to i192
  %factor = zext i64 %m to i192
  %size = mul i192 %window, %factor
  %minus = sub i192 0, %size
  %below = icmp slt i64 %bits, 0
  %p = select i1 %below, i192 %minus, i192 %size
  %up = add i192 %p, {1 << (FRACTION - 1)}
  %n = lshr i192 %up, {FRACTION}"""
        )
        if part == "quadrant":
            lines.append("  %n64 = trunc i192 %n to i64\n  %out = sitofp i64 %n64 to double\n  ret double %out")
            return
        lines.append(
            f"""  %whole = shl i192 %n, {FRACTION}
  %rest = sub i192 %p, %whole
  %negative = icmp slt i192 %rest, 0
  %negated = sub i192 0, %rest
  %magnitude = select i1 %negative, i192 %negated, i192 %rest
  %zeros = call i192 @llvm.ctlz.i192(i192 %magnitude, i1 false)
  %top = shl i192 %magnitude, %zeros
  %high = lshr i192 %top, 128
  %digits = trunc i192 %high to i64
  %value = uitofp i64 %digits to double
  %zeros64 = trunc i192 %zeros to i64
  %exponent = sub i64 {1023 + 128 - FRACTION}, %zeros64
  %power = shl i64 %exponent, 52
  %two = bitcast i64 %power to double
  %scaled = fmul double %value, %two
  %angle = fmul double %scaled, {f.const(math.pi / 2, "float64").text}
  %opposite = fneg double %angle
  %out = select i1 %negative, double %opposite, double %angle
  ret double %out"""
        )
        f.module.declarations["llvm.ctlz.i192"] = "declare i192 @llvm.ctlz.i192(i192, i1)"

    return b.module.define(f"tf.long_{part}", "double %x", body, returns="double", internal=True)


def _reduce(b: Builder, x: Value) -> tuple[Value, Value]:
    """x = n·π/2 + r, |r| <= π/4, of a float64: r, and n modulo 4 in the low bits of an int64."""
    size = b.fabs(x)
    inf = b.like(math.inf, x)
    far = b.and_(b.fcmp("ogt", size, b.like(LIMIT, x)), b.fcmp("olt", size, inf))
    n, bits = nearest(b, b.fmul(x, b.like(2 / math.pi, x)))
    first = b.fma(n, b.like(-PIO2_1, x), x)
    second = b.fmul(n, b.like(PIO2_2, x))
    hi, lo = _difference(b, first, second)
    third = b.fmul(n, b.like(PIO2_3, x))
    hi, lower = _difference(b, hi, third)
    lo = b.fadd(lower, b.fma(n, b.like(-PIO2_4, x), lo))
    r = b.fadd(hi, lo)
    r = replace_lanes(b, far, r, _long_reduction(b, "rest"), x)
    quadrant = replace_lanes(b, far, n, _long_reduction(b, "quadrant"), x)
    # the integer behind a quadrant found the long way, and the one found above, by the same addition
    _, far_bits = nearest(b, b.select(far, quadrant, b.like(0, x)))
    return r, b.select(far, far_bits, bits)


def _reduce_float32(b: Builder, x: Value) -> tuple[Value, Value]:
    """The same of a float32, whose n and rest float64 holds with two parts of π/2: r as float32, n as an int32."""
    wide = b.convert("fpext", x, "float64")
    size = b.fabs(wide)
    far = b.and_(b.fcmp("ogt", size, b.like(LIMIT, wide)), b.fcmp("olt", size, b.like(math.inf, wide)))
    n, bits = nearest(b, b.fmul(wide, b.like(2 / math.pi, wide)))
    r = b.fma(n, b.like(-PIO2_1, wide), wide)
    r = b.fma(n, b.like(-(PIO2_2 + PIO2_3), wide), r)
    r = replace_lanes(b, far, r, _long_reduction(b, "rest"), wide)
    quadrant = replace_lanes(b, far, n, _long_reduction(b, "quadrant"), wide)
    _, far_bits = nearest(b, b.select(far, quadrant, b.like(0, wide)))
    bits = b.select(far, far_bits, bits)
    return b.convert("fptrunc", r, "float32"), b.convert("trunc", bits, "int32")


def _difference(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """x - y exactly, as a sum of two (Knuth)."""
    s = b.fsub(x, y)
    back = b.fsub(s, x)
    return s, b.fsub(b.fsub(x, b.fsub(s, back)), b.fadd(y, back))


def _sin_cos_small(b: Builder, r: Value) -> tuple[Value, Value]:
    """sin r and cos r for |r| <= π/4."""
    z = b.fmul(r, r)
    sin_table, cos_table = (c.SIN_32, c.COS_32) if r.dtype == "float32" else (c.SIN_64, c.COS_64)
    sin_r = b.fma(b.fmul(z, r), estrin(b, z, sin_table), r)
    half = b.fmul(z, b.like(0.5, r))
    w = b.fsub(b.like(1, r), half)
    lost = b.fsub(b.fsub(b.like(1, r), w), half)
    cos_r = b.fadd(w, b.fma(b.fmul(z, z), estrin(b, z, cos_table), lost))
    return sin_r, cos_r


def _circular(b: Builder, x: Value, quarter_turns: int) -> Value:
    """sin(x + quarter_turns·π/2)."""
    r, n = _reduce_float32(b, x) if x.dtype == "float32" else _reduce(b, x)
    if quarter_turns:
        n = b.add(n, b.like(quarter_turns, n))
    sin_r, cos_r = _sin_cos_small(b, r)
    odd = b.icmp("ne", b.and_(n, b.like(1, n)), b.like(0, n))
    lower = b.icmp("ne", b.and_(n, b.like(2, n)), b.like(0, n))
    value = b.select(odd, cos_r, sin_r)
    value = b.select(lower, b.fneg(value), value)
    value = b.select(b.fcmp("oeq", b.fabs(x), b.like(math.inf, x)), b.like(math.nan, x), value)
    # a zero or subnormal is its own sine, sign included
    return value if quarter_turns else b.select(b.fcmp("oeq", x, b.like(0, x)), x, value)


def sin(b: Builder, x: Value) -> Value:
    """Sine; NaN at infinity."""
    return _circular(b, x, 0)


def cos(b: Builder, x: Value) -> Value:
    """Cosine; NaN at infinity."""
    return _circular(b, x, 1)


@via_float64
def tan(b: Builder, x: Value) -> Value:
    """Tangent: sin/cos or -cos/sin of the reduced argument; NaN at infinity."""
    r, n = _reduce(b, x)
    sin_r, cos_r = _sin_cos_small(b, r)
    odd = b.icmp("ne", b.and_(n, b.like(1, n)), b.like(0, n))
    value = b.fdiv(b.select(odd, b.fneg(cos_r), sin_r), b.select(odd, sin_r, cos_r))
    value = b.select(b.fcmp("oeq", b.fabs(x), b.like(math.inf, x)), b.like(math.nan, x), value)
    return b.select(b.fcmp("oeq", x, b.like(0, x)), x, value)


def _asin_parts(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    """Whether |x| > ½; s = |x| or √((1-|x|)/2); and asin(s) - s."""
    size = b.fabs(x)
    large = b.fcmp("ogt", size, b.like(0.5, x))
    z = b.select(large, b.fmul(b.fsub(b.like(1, x), size), b.like(0.5, x)), b.fmul(size, size))
    s = b.select(large, b.sqrt(z), size)
    return large, s, b.fmul(b.fmul(s, z), estrin(b, z, c.ASIN_64))


@via_float64
def asin(b: Builder, x: Value) -> Value:
    """Inverse sine; NaN beyond 1."""
    large, s, tail = _asin_parts(b, x)
    small = b.fadd(s, tail)
    doubled = b.fsub(b.fadd(tail, tail), b.like(PIO2_LOW, x))
    value = b.fsub(b.like(math.pi / 2, x), b.fadd(b.fadd(s, s), doubled))
    return b.copysign(b.select(large, value, small), x)


@via_float64
def acos(b: Builder, x: Value) -> Value:
    """Inverse cosine; NaN beyond 1."""
    large, s, tail = _asin_parts(b, x)
    right = b.like(math.pi / 2, x)
    signed, signed_tail = b.copysign(s, x), b.copysign(tail, x)
    small = b.fsub(right, b.fsub(signed, b.fsub(b.like(PIO2_LOW, x), signed_tail)))
    near = b.fadd(s, tail)
    near = b.fadd(near, near)
    opposite = b.fsub(b.like(math.pi, x), b.fsub(near, b.like(2 * PIO2_LOW, x)))
    value = b.select(b.fcmp("olt", x, b.like(0, x)), opposite, near)
    return b.select(large, value, small)


def _atan_to_one(b: Builder, t: Value) -> tuple[Value, Value]:
    """atan t for 0 <= t <= 1 as a sum of two: a multiple of π/4 and a rest."""
    one = b.like(1, t)
    upper = b.fcmp("ogt", t, b.like(math.sqrt(2) - 1, t))
    u = b.select(upper, b.fdiv(b.fsub(t, one), b.fadd(t, one)), t)
    z = b.fmul(u, u)
    rest = b.fma(b.fmul(u, z), estrin(b, z, c.ATAN_64), u)
    zero = b.like(0, t)
    rest = b.fadd(rest, b.select(upper, b.like(PIO2_LOW / 2, t), zero))
    return b.select(upper, b.like(math.pi / 4, t), zero), rest


@via_float64
def atan(b: Builder, x: Value) -> Value:
    """Inverse tangent."""
    size = b.fabs(x)
    one = b.like(1, x)
    inverted = b.fcmp("ogt", size, one)
    base, rest = _atan_to_one(b, b.select(inverted, b.fdiv(one, size), size))
    right = b.like(math.pi / 2, x)
    value = b.select(inverted, b.fadd(b.fsub(right, base), b.fsub(b.like(PIO2_LOW, x), rest)), b.fadd(base, rest))
    return b.copysign(value, x)


@via_float64
def atan2(b: Builder, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), in (-π, π], signed zeros and infinities as in C."""
    across, up = b.fabs(x), b.fabs(y)
    steep = b.fcmp("ogt", up, across)
    least = b.select(steep, across, up)
    most = b.select(steep, up, across)
    inf = b.like(math.inf, x)
    t = b.fdiv(least, most)
    t = b.select(b.fcmp("oeq", most, b.like(0, x)), b.like(0, x), t)
    t = b.select(b.fcmp("oeq", least, inf), b.like(1, x), t)
    base, rest = _atan_to_one(b, t)
    low = b.like(PIO2_LOW, x)
    base = b.select(steep, b.fsub(b.like(math.pi / 2, x), base), base)
    rest = b.select(steep, b.fsub(low, rest), rest)
    word = b.convert("bitcast", x, "int64")
    left = b.icmp("slt", word, b.like(0, word))
    base = b.select(left, b.fsub(b.like(math.pi, x), base), base)
    rest = b.select(left, b.fsub(b.fadd(low, low), rest), rest)
    value = b.copysign(b.fadd(base, rest), y)
    return b.select(b.fcmp("uno", x, y), b.like(math.nan, x), value)
