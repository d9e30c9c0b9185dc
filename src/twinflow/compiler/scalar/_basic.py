"""Arithmetic, comparison, rounding, selection and bits: functions whose result is exact or rounded once."""

from twinflow.compiler._builder import FLOATS, ITEMSIZE, SIGNED, Builder, Value

BITS_OF = {"float32": "int32", "float64": "int64"}
FRACTION_BITS = {"float32": 23, "float64": 52}


def is_float(x: Value) -> bool:
    """Whether a value is computed with as floating point."""
    return x.dtype in FLOATS


def add(b: Builder, x: Value, y: Value) -> Value:
    """x + y; logical or for bool."""
    if x.dtype == "bool":
        return b.or_(x, y)
    return b.fadd(x, y) if is_float(x) else b.add(x, y)


def sub(b: Builder, x: Value, y: Value) -> Value:
    """x - y."""
    return b.fsub(x, y) if is_float(x) else b.sub(x, y)


def mul(b: Builder, x: Value, y: Value) -> Value:
    """x · y; logical and for bool."""
    if x.dtype == "bool":
        return b.and_(x, y)
    return b.fmul(x, y) if is_float(x) else b.mul(x, y)


def div(b: Builder, x: Value, y: Value) -> Value:
    """x / y of floats."""
    return b.fdiv(x, y)


def neg(b: Builder, x: Value) -> Value:
    """-x."""
    return b.fneg(x) if is_float(x) else b.sub(b.like(0, x), x)


def abs_(b: Builder, x: Value) -> Value:
    """|x|."""
    if is_float(x):
        return b.fabs(x)
    if x.dtype not in SIGNED:
        return x
    return b.select(b.icmp("slt", x, b.like(0, x)), b.sub(b.like(0, x), x), x)


def sign(b: Builder, x: Value) -> Value:
    """-1, 0 or 1; NaN for NaN."""
    if x.dtype == "bool":
        return x
    if is_float(x):
        one = b.copysign(b.like(1, x), x)
        return b.select(b.fcmp("one", x, b.like(0, x)), one, b.fadd(x, b.like(0, x)))
    positive = b.convert("zext", b.icmp("sgt" if x.dtype in SIGNED else "ugt", x, b.like(0, x)), x.dtype)
    if x.dtype not in SIGNED:
        return positive
    return b.sub(positive, b.convert("zext", b.icmp("slt", x, b.like(0, x)), x.dtype))


def _rounding(b: Builder, x: Value, intrinsic: str) -> Value:
    """rint, floor, ceil or trunc, also where the processor has no instruction for it."""
    if not is_float(x):
        return x
    if b.target.rounding:
        return b.intrinsic(intrinsic, x, x)
    size = b.fabs(x)
    shift = b.like(float(1 << FRACTION_BITS[x.dtype]), x)  # adding it pushes the fraction out of the significand
    even = b.copysign(b.fsub(b.fadd(size, shift), shift), x)
    one, zero = b.like(1, x), b.like(0, x)
    if intrinsic == "floor":
        even = b.fsub(even, b.select(b.fcmp("ogt", even, x), one, zero))
    elif intrinsic == "ceil":
        even = b.fadd(even, b.select(b.fcmp("olt", even, x), one, zero))
    elif intrinsic == "trunc":
        even = b.fsub(even, b.select(b.fcmp("ogt", b.fabs(even), size), b.copysign(one, x), zero))
    return b.select(b.fcmp("olt", size, shift), b.copysign(even, x), x)  # large, inf and NaN are left alone


def floor(b: Builder, x: Value) -> Value:
    """⌊x⌋."""
    return _rounding(b, x, "floor")


def ceil(b: Builder, x: Value) -> Value:
    """⌈x⌉."""
    return _rounding(b, x, "ceil")


def trunc(b: Builder, x: Value) -> Value:
    """x without its fraction."""
    return _rounding(b, x, "trunc")


def round_(b: Builder, x: Value) -> Value:
    """The nearest integer, halves to even."""
    return _rounding(b, x, "rint")


def sqrt(b: Builder, x: Value) -> Value:
    """√x, correctly rounded."""
    return b.sqrt(x)


def rsqrt(b: Builder, x: Value) -> Value:
    """1/√x."""
    return b.fdiv(b.like(1, x), b.sqrt(x))


def reciprocal(b: Builder, x: Value) -> Value:
    """1/x."""
    return b.fdiv(b.like(1, x), x)


def _integer_division(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """Floor quotient and remainder of integers. By zero both are 0, and nothing traps."""
    zero, one = b.like(0, x), b.like(1, x)
    by_zero = b.icmp("eq", y, zero)
    if x.dtype not in SIGNED:
        safe = b.select(by_zero, one, y)
        q, r = b.binary("udiv", x, safe), b.binary("urem", x, safe)
        return b.select(by_zero, zero, q), b.select(by_zero, zero, r)
    minus = b.icmp("eq", y, b.like(-1, x))  # least / -1 would trap: it is a negation, modulo 2^bits
    safe = b.select(b.or_(by_zero, minus), one, y)
    q, r = b.binary("sdiv", x, safe), b.binary("srem", x, safe)
    differ = b.icmp("slt", b.xor(r, y), zero)
    adjust = b.and_(differ, b.icmp("ne", r, zero))
    q = b.select(adjust, b.sub(q, one), q)
    r = b.select(adjust, b.add(r, y), r)
    q = b.select(minus, b.sub(zero, x), q)
    either = b.or_(by_zero, minus)
    return b.select(by_zero, zero, q), b.select(either, zero, r)


def _fmod_function(b: Builder, dtype: str) -> str:
    """A function of two positive scalars, their remainder by binary long division: exact, slow, for the rare lane."""

    def body(f: Builder) -> None:
        x, y = Value("%x", dtype), Value("%y", dtype)
        half = f.const(0.5, dtype)
        doubled = Value("%doubled", dtype)
        divisor, rest = Value("%divisor", dtype), Value("%rest", dtype)
        f.jump("double")  # the largest y·2^k with y·2^k <= x
        f.label("double")
        f.do(f"%doubled = phi {y.type} [{y.text}, %entry], [%twice, %double]")
        f.do(f"%twice = fadd {y.type} {doubled.text}, {doubled.text}")
        fits = f.fcmp("ole", doubled, f.fmul(x, half))
        f.branch(fits, "double", "subtract")
        f.label("subtract")
        f.do(f"%divisor = phi {y.type} [{doubled.text}, %double], [%halved, %subtract]")
        f.do(f"%rest = phi {y.type} [{x.text}, %double], [%left, %subtract]")
        less = f.fsub(rest, divisor)
        left = f.select(f.fcmp("oge", rest, divisor), less, rest)
        f.do(f"%left = fadd {y.type} {left.text}, {f.const(-0.0, dtype).text}")
        f.do(f"%halved = fmul {y.type} {divisor.text}, {half.text}")
        f.branch(f.fcmp("ogt", divisor, y), "subtract", "done")
        f.label("done")
        f.do(f"ret {y.type} %left")

    type_ = Value("", dtype).type
    return b.module.define(f"tf.fmod.{dtype}", f"{type_} %x, {type_} %y", body, returns=type_, internal=True)


def replace_lanes(b: Builder, wanted: Value, result: Value, function: str, *args: Value) -> Value:
    """Where `wanted` holds, the lanes of a scalar function in place of those of `result`; skipped if none does."""
    name = b.fresh("rare")
    before = b.block
    b.branch(b.any(wanted), name, f"{name}.done")
    b.label(name)
    if result.lanes == 1:
        fixed = b.call(function, result.dtype, 1, *args)
    else:
        fixed = b.call(_lane_loop(b, function, result, *args), result.dtype, result.lanes, wanted, result, *args)
    b.jump(f"{name}.done")
    b.label(f"{name}.done")
    text = f"phi {result.type} [{result.text}, %{before}], [{fixed.text}, %{name}]"
    return b.emit(text, result.dtype, result.lanes)


def _lane_loop(b: Builder, function: str, result: Value, *args: Value) -> str:
    """A function of vectors that calls a scalar one for the lanes wanted: out of line, as it is rarely needed."""
    mask = Value("%wanted", "bool", result.lanes)
    start = Value("%result", result.dtype, result.lanes)
    given = [Value(f"%x{k}", a.dtype, a.lanes) for k, a in enumerate(args)]

    def body(f: Builder) -> None:
        def one_lane(i: Value, carried: list[Value]) -> list[Value]:
            here, name = f.block, f.fresh("lane")
            f.branch(f.extract(mask, i), name, f"{name}.done")
            f.label(name)
            value = f.call(function, result.dtype, 1, *[f.extract(x, i) for x in given])
            text = f"insertelement {start.type} {carried[0].text}, {value.type} {value.text}, i64 {i.text}"
            changed = f.emit(text, result.dtype, result.lanes)
            f.jump(f"{name}.done")
            f.label(f"{name}.done")
            text = f"phi {start.type} [{carried[0].text}, %{here}], [{changed.text}, %{name}]"
            return [f.emit(text, result.dtype, result.lanes)]

        zero, end = f.const(0, "int64"), f.const(result.lanes, "int64")
        (final,) = f.loop(zero, end, 1, [start], one_lane, runs=True)
        f.do(f"ret {final.type} {final.text}")

    parameters = ", ".join(f"{v.type} {v.text}" for v in (mask, start, *given))
    name = f"{function}.x{result.lanes}"
    return b.module.define(name, parameters, body, returns=start.type, internal=True)


def fmod(b: Builder, x: Value, y: Value) -> Value:
    """x - y·trunc(x / y), exactly; the sign of x. NaN if x is infinite or y is 0."""
    if not is_float(x):
        safe = b.select(b.icmp("eq", y, b.like(0, x)), b.like(1, x), y)
        if x.dtype not in SIGNED:
            return b.binary("urem", x, safe)
        safe = b.select(b.icmp("eq", y, b.like(-1, x)), b.like(1, x), safe)
        return b.binary("srem", x, safe)
    a, d = b.fabs(x), b.fabs(y)
    zero, inf = b.like(0, x), b.like(float("inf"), x)
    if x.dtype == "float32":  # a product of 24 and 29 bits is exact in float64
        wide_a, wide_d = b.convert("fpext", a, "float64"), b.convert("fpext", d, "float64")
        q = trunc(b, b.fdiv(wide_a, wide_d))
        rest = b.fsub(wide_a, b.fmul(q, wide_d))
        rest = b.select(b.fcmp("olt", rest, b.like(0, rest)), b.fadd(rest, wide_d), rest)
        rest = b.convert("fptrunc", rest, "float32")
        large = b.fcmp("oge", q, b.like(2.0**28, q))
    else:
        q = trunc(b, b.fdiv(a, d))
        rest = b.fma(b.fneg(q), d, a)
        rest = b.select(b.fcmp("olt", rest, zero), b.fadd(rest, d), rest)
        large = b.fcmp("oge", q, b.like(2.0**52 if b.target.fma else 1.0, q))
    regular = b.and_(b.fcmp("olt", a, inf), b.fcmp("ogt", d, zero))
    rest = replace_lanes(b, b.and_(large, regular), rest, _fmod_function(b, x.dtype), a, d)
    rest = b.select(b.fcmp("olt", a, d), a, rest)  # also finite by infinite
    invalid = b.or_(b.fcmp("ueq", a, inf), b.fcmp("ueq", d, zero))
    return b.copysign(b.select(invalid, b.like(float("nan"), x), rest), x)


def remainder(b: Builder, x: Value, y: Value) -> Value:
    """x - y·⌊x / y⌋: the sign of y, as in Python. An integer by 0 is 0."""
    if not is_float(x):
        return _integer_division(b, x, y)[1]
    return _float_division(b, x, y)[1]


def floor_div(b: Builder, x: Value, y: Value) -> Value:
    """⌊x / y⌋, as in Python. An integer by 0 is 0."""
    if not is_float(x):
        return _integer_division(b, x, y)[0]
    return _float_division(b, x, y)[0]


def _float_division(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """Floor quotient and remainder as NumPy has them: the quotient is that of x - remainder, made an integer."""
    zero, one = b.like(0, x), b.like(1, x)
    rest = fmod(b, x, y)
    quotient = b.fdiv(b.fsub(x, rest), y)
    differ = b.and_(b.fcmp("one", rest, zero), b.xor(b.fcmp("olt", y, zero), b.fcmp("olt", rest, zero)))
    quotient = b.select(differ, b.fsub(quotient, one), quotient)
    rest = b.select(differ, b.fadd(rest, y), rest)
    rest = b.select(b.fcmp("oeq", rest, zero), b.copysign(zero, y), rest)
    whole = floor(b, quotient)
    whole = b.select(b.fcmp("ogt", b.fsub(quotient, whole), b.like(0.5, x)), b.fadd(whole, one), whole)
    whole = b.select(b.fcmp("oeq", quotient, zero), b.copysign(zero, b.fdiv(x, y)), whole)
    return b.select(b.fcmp("oeq", y, zero), b.fdiv(x, y), whole), rest


def maximum(b: Builder, x: Value, y: Value) -> Value:
    """The greater; NaN if either is NaN."""
    if not is_float(x):
        if x.dtype == "bool":
            return b.or_(x, y)
        return b.intrinsic("smax" if x.dtype in SIGNED else "umax", x, x, y)
    return _extreme(b, x, y, "ogt")


def minimum(b: Builder, x: Value, y: Value) -> Value:
    """The lesser; NaN if either is NaN."""
    if not is_float(x):
        if x.dtype == "bool":
            return b.and_(x, y)
        return b.intrinsic("smin" if x.dtype in SIGNED else "umin", x, x, y)
    return _extreme(b, x, y, "olt")


def _extreme(b: Builder, x: Value, y: Value, predicate: str) -> Value:
    # select(x > y, x, y) is one instruction, which gives y whenever either is NaN: only NaN in x must be put right.
    if not x.text.startswith("%") and "0x7FF8" not in x.text:
        return b.select(b.fcmp(predicate, x, y), x, y)
    if not y.text.startswith("%") and "0x7FF8" not in y.text:
        return b.select(b.fcmp(predicate, y, x), y, x)
    return b.select(b.fcmp("uno", x, x), x, b.select(b.fcmp(predicate, x, y), x, y))


_UNSIGNED_PREDICATE = {"lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge", "eq": "eq", "ne": "ne"}
_SIGNED_PREDICATE = {"lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge", "eq": "eq", "ne": "ne"}


def compare(b: Builder, relation: str, x: Value, y: Value) -> Value:
    """x lt, le, gt, ge, eq or ne y; comparisons with NaN are false, but ne is true."""
    if is_float(x):
        return b.fcmp("une" if relation == "ne" else "o" + relation, x, y)
    return b.icmp((_SIGNED_PREDICATE if x.dtype in SIGNED else _UNSIGNED_PREDICATE)[relation], x, y)


def isnan(b: Builder, x: Value) -> Value:
    """Whether x is NaN."""
    return b.fcmp("uno", x, x) if is_float(x) else b.const(False, "bool", x.lanes)


def isinf(b: Builder, x: Value) -> Value:
    """Whether x is infinite."""
    return b.fcmp("oeq", b.fabs(x), b.like(float("inf"), x)) if is_float(x) else b.const(False, "bool", x.lanes)


def isfinite(b: Builder, x: Value) -> Value:
    """Whether x is neither infinite nor NaN."""
    return b.fcmp("olt", b.fabs(x), b.like(float("inf"), x)) if is_float(x) else b.const(True, "bool", x.lanes)


def shift_left(b: Builder, x: Value, y: Value) -> Value:
    """x << y; 0 if y is not below the number of bits."""
    return b.select(_shift_fits(b, x, y), b.shl(x, y), b.like(0, x))


def shift_right(b: Builder, x: Value, y: Value) -> Value:
    """x >> y, arithmetic for signed dtypes; all sign bits (or 0) if y is not below the number of bits."""
    if x.dtype not in SIGNED:
        return b.select(_shift_fits(b, x, y), b.lshr(x, y), b.like(0, x))
    most = b.like(8 * ITEMSIZE[x.dtype] - 1, x)
    return b.ashr(x, b.select(_shift_fits(b, x, y), y, most))


def _shift_fits(b: Builder, x: Value, y: Value) -> Value:
    return b.icmp("ult", y, b.like(8 * ITEMSIZE[x.dtype], y))


def select(b: Builder, condition: Value, x: Value, y: Value) -> Value:
    """x where the condition holds, else y."""
    return b.select(condition, x, y)


def signbit(b: Builder, x: Value) -> Value:
    """Whether the sign bit is set, also of zeros and NaN."""
    bits = b.convert("bitcast", x, BITS_OF[x.dtype])
    return b.icmp("slt", bits, b.like(0, bits))


def nextafter(b: Builder, x: Value, y: Value) -> Value:
    """The next representable number after x towards y; y where they are equal, NaN if either is."""
    bits = b.convert("bitcast", x, BITS_OF[x.dtype])
    one = b.like(1, bits)
    away = b.icmp("eq", b.fcmp("olt", x, y), b.fcmp("ogt", x, b.like(0, x)))  # the magnitude grows
    moved = b.convert("bitcast", b.select(away, b.add(bits, one), b.sub(bits, one)), x.dtype)
    least = b.copysign(b.convert("bitcast", one, x.dtype), y)
    moved = b.select(b.fcmp("oeq", x, b.like(0, x)), least, moved)
    moved = b.select(b.fcmp("oeq", x, y), y, moved)
    return b.select(b.fcmp("uno", x, y), b.fadd(x, y), moved)


def order(b: Builder, x: Value) -> Value:
    """A uint64 in the order of float64 values: zeros are equal, and NaN, of which all are equal, comes last."""
    bits = b.convert("bitcast", b.fadd(x, b.like(0, x)), "int64")
    key = b.select(b.icmp("slt", bits, b.like(0, bits)), b.not_(bits), b.xor(bits, b.like(-(1 << 63), bits)))
    return Value(b.select(b.fcmp("uno", x, x), b.like(-1, bits), key).text, "uint64", x.lanes)


def power(b: Builder, x: Value, n: Value) -> Value:
    """x to the n-th power of integers, n >= 0, modulo 2^bits: by repeated squaring."""
    result, square = b.like(1, x), x
    bits = 8 * ITEMSIZE[x.dtype]
    known = None if "%" in n.text else int(n.text.rstrip(")").split()[-1])
    for k in range(bits if known is None else known.bit_length()):
        if known is None:
            odd = b.icmp("ne", b.and_(n, b.like(1 << k if k < bits - 1 else -(1 << k), n)), b.like(0, n))
            result = b.select(odd, b.mul(result, square), result)
        elif known >> k & 1:
            result = b.mul(result, square)
        square = b.mul(square, square)
    return result


def gcd(b: Builder, x: Value, y: Value) -> Value:
    """The greatest common divisor of |x| and |y|, by Euclid's algorithm."""
    x, y = abs_(b, x), abs_(b, y)
    name, before = b.fresh("gcd"), b.block
    some = b.any(b.icmp("ne", y, b.like(0, y)))
    b.branch(some, name, f"{name}.done")
    b.label(name)
    u, v = Value(f"%{name}.u", x.dtype, x.lanes), Value(f"%{name}.v", x.dtype, x.lanes)
    at = len(b.lines)
    b.lines.extend(["", ""])
    zero = b.icmp("eq", v, b.like(0, v))
    rest = b.binary("urem", u, b.select(zero, b.like(1, v), v))
    u_next, v_next = b.select(zero, u, v), b.select(zero, v, rest)
    again = b.any(b.icmp("ne", v_next, b.like(0, v)))
    b.lines[at] = f"  {u.text} = phi {u.type} [{x.text}, %{before}], [{u_next.text}, %{name}]"
    b.lines[at + 1] = f"  {v.text} = phi {v.type} [{y.text}, %{before}], [{v_next.text}, %{name}]"
    b.branch(again, name, f"{name}.done")
    b.label(f"{name}.done")
    return b.emit(f"phi {x.type} [{x.text}, %{before}], [{u_next.text}, %{name}]", x.dtype, x.lanes)
