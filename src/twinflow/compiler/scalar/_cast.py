"""Conversions among dtypes, and between what lies in memory and what is computed with.

In memory a bool is a byte and float16 and bfloat16 are 16-bit integers; in registers they are i1 and float32. Float to
integer truncates; what does not fit saturates and NaN is 0 (C and NumPy leave both open).
"""

from twinflow.compiler._builder import FLOATS, ITEMSIZE, SIGNED, Builder, Value

STORED = {"bool": "uint8", "float16": "uint16", "bfloat16": "uint16"}
"""The integer that lies in memory for dtypes which registers hold in another form."""


def widen(b: Builder, x: Value, dtype: str) -> Value:
    """What was loaded (see `STORED`) as a value to compute with."""
    match dtype:
        case "bool":
            return b.icmp("ne", x, b.like(0, x))
        case "bfloat16":
            high = b.shl(b.convert("zext", x, "uint32"), b.const(16, "uint32", x.lanes))
            return b.convert("bitcast", high, "float32")
        case "float16":
            return _from_half(b, x)
    return x


def narrow(b: Builder, x: Value, dtype: str) -> Value:
    """A value in the form in which a dtype lies in memory."""
    match dtype:
        case "bool":
            return b.convert("zext", x, "uint8")
        case "bfloat16":
            return _to_bfloat16(b, x)
        case "float16":
            return _to_half(b, x)
    return x


def _to_bfloat16(b: Builder, x: Value) -> Value:
    bits = b.convert("bitcast", x, "uint32")
    odd = b.and_(b.lshr(bits, b.like(16, bits)), b.like(1, bits))
    up = b.lshr(b.add(bits, b.add(odd, b.like(0x7FFF, bits))), b.like(16, bits))  # to nearest, ties to even
    quiet = b.or_(b.lshr(bits, b.like(16, bits)), b.like(0x40, bits))  # NaN stays NaN
    return b.convert("trunc", b.select(b.fcmp("uno", x, x), quiet, up), "uint16")


def _from_half(b: Builder, x: Value) -> Value:
    if b.target.half:
        return b.convert("fpext", b.convert("bitcast", x, "float16"), "float32")
    bits = b.convert("zext", x, "uint32")
    size = b.shl(b.and_(bits, b.like(0x7FFF, bits)), b.like(13, bits))
    # Read as float32 the exponent is 112 too small; a multiplication puts it right and normalises subnormals.
    value = b.fmul(b.convert("bitcast", size, "float32"), b.const(2.0**112, "float32", x.lanes))
    special = b.icmp("uge", size, b.like(0x7C00 << 13, bits))
    full = b.convert("bitcast", b.or_(size, b.like(0x7F800000, bits)), "float32")
    value = b.select(special, full, value)
    sign = b.shl(b.and_(bits, b.like(0x8000, bits)), b.like(16, bits))
    return b.convert("bitcast", b.or_(b.convert("bitcast", value, "uint32"), sign), "float32")


def _to_half(b: Builder, x: Value) -> Value:
    if b.target.half:
        return b.convert("bitcast", b.convert("fptrunc", x, "float16"), "uint16")
    bits = b.convert("bitcast", x, "uint32")
    size = b.and_(bits, b.like(0x7FFFFFFF, bits))
    odd = b.and_(b.lshr(size, b.like(13, bits)), b.like(1, bits))
    rounded = b.lshr(b.add(b.sub(size, b.like(0x38000000, bits)), b.add(odd, b.like(0xFFF, bits))), b.like(13, bits))
    rounded = b.select(b.icmp("uge", size, b.like(0x47800000, bits)), b.like(0x7C00, bits), rounded)
    # Below 2^-14 the unit is 2^-24: adding 0.5, whose unit in the last place is just that, rounds there.
    low = b.convert("bitcast", b.fadd(b.convert("bitcast", size, "float32"), b.like(0.5, x)), "uint32")
    low = b.sub(low, b.like(0x3F000000, bits))
    rounded = b.select(b.icmp("ult", size, b.like(0x38800000, bits)), low, rounded)
    rounded = b.select(b.icmp("ugt", size, b.like(0x7F800000, bits)), b.like(0x7E00, bits), rounded)
    sign = b.and_(b.lshr(bits, b.like(16, bits)), b.like(0x8000, bits))
    return b.convert("trunc", b.or_(rounded, sign), "uint16")


def cast(b: Builder, x: Value, dtype: str) -> Value:
    """x converted to a dtype; to float16 or bfloat16: rounded to its precision, still held as float32."""
    if dtype in ("float16", "bfloat16"):
        return widen(b, narrow(b, cast(b, x, "float32"), dtype), dtype)
    if x.dtype == dtype:
        return x
    if dtype == "bool":
        zero = b.like(0, x)
        return b.fcmp("une", x, zero) if x.dtype in FLOATS else b.icmp("ne", x, zero)
    if x.dtype == "bool":
        if dtype in FLOATS:
            return b.select(x, b.const(1, dtype, x.lanes), b.const(0, dtype, x.lanes))
        return b.convert("zext", x, dtype)
    if x.dtype in FLOATS and dtype in FLOATS:
        return b.convert("fpext" if dtype == "float64" else "fptrunc", x, dtype)
    if x.dtype in FLOATS:
        return _float_to_integer(b, x, dtype)
    if dtype in FLOATS:
        return b.convert("sitofp" if x.dtype in SIGNED else "uitofp", x, dtype)
    if ITEMSIZE[x.dtype] == ITEMSIZE[dtype]:
        return Value(x.text, dtype, x.lanes)
    if ITEMSIZE[x.dtype] > ITEMSIZE[dtype]:
        return b.convert("trunc", x, dtype)
    return b.convert("sext" if x.dtype in SIGNED else "zext", x, dtype)


def _float_to_integer(b: Builder, x: Value, dtype: str) -> Value:
    """Truncation that saturates. Small dtypes go through int32, whose conversion is the fastest instruction."""
    wide = dtype if ITEMSIZE[dtype] == 8 else "int64" if dtype == "uint32" else "int32"
    bits = 8 * ITEMSIZE[dtype]
    low = -(2 ** (bits - 1)) if dtype in SIGNED else 0
    high = 2 ** (bits - 1) - 1 if dtype in SIGNED else 2**bits - 1
    top = float(high + 1)  # a power of two: exact, and the first number that does not fit
    fits = b.and_(b.fcmp("oge", x, b.like(low, x)), b.fcmp("olt", x, b.like(top, x)))
    inside = b.select(fits, x, b.like(0, x))
    result = b.convert("fptosi" if wide in SIGNED else "fptoui", inside, wide)
    result = b.select(b.fcmp("oge", x, b.like(top, x)), b.like(high, result), result)
    result = b.select(b.fcmp("olt", x, b.like(low, x)), b.like(low, result), result)
    if wide == dtype:
        return result
    return (
        Value(result.text, dtype, x.lanes) if ITEMSIZE[wide] == ITEMSIZE[dtype] else b.convert("trunc", result, dtype)
    )
