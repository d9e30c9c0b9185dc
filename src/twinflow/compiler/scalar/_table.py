"""The table of scalar functions: for each its name, arguments, result and emitter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from twinflow.compiler._builder import FLOATS, INTEGERS, ITEMSIZE, Builder, Value
from twinflow.compiler.scalar import _basic, _exp_log, _gamma, _random, _special, _trig
from twinflow.compiler.scalar._cast import cast

NUMBERS = FLOATS + INTEGERS
ANY = ("bool", *NUMBERS)
WHOLE = ("bool", *INTEGERS)


@dataclass(frozen=True)
class Function:
    """One scalar function.

    Args:
        arity: number of arguments, all of one dtype unless `mixed`.
        dtypes: dtypes it takes.
        emit: writes it, given a builder and the arguments, for any number of lanes.
        result: dtype of the result; None: that of the arguments.
        heavy: expands to so many instructions that a loop should not compute several vectors at once.
    """

    arity: int
    dtypes: tuple[str, ...]
    emit: Callable[..., Value]
    result: str | None = None
    heavy: bool = False


def _heavy(emit: Callable[..., Value], arity: int = 1) -> Function:
    return Function(arity, FLOATS, emit, heavy=True)


def _pow(b: Builder, x: Value, y: Value) -> Value:
    return _exp_log.pow_(b, x, y) if x.dtype in FLOATS else _basic.power(b, x, y)


FUNCTIONS: dict[str, Function] = {
    "add": Function(2, ANY, _basic.add),
    "sub": Function(2, NUMBERS, _basic.sub),
    "mul": Function(2, ANY, _basic.mul),
    "div": Function(2, FLOATS, _basic.div),
    "floor_div": Function(2, NUMBERS, _basic.floor_div, heavy=True),
    "remainder": Function(2, NUMBERS, _basic.remainder, heavy=True),
    "fmod": Function(2, NUMBERS, _basic.fmod, heavy=True),
    "neg": Function(1, NUMBERS, _basic.neg),
    "abs": Function(1, NUMBERS, _basic.abs_),
    "sign": Function(1, ANY, _basic.sign),
    "floor": Function(1, NUMBERS, _basic.floor),
    "ceil": Function(1, NUMBERS, _basic.ceil),
    "trunc": Function(1, NUMBERS, _basic.trunc),
    "round": Function(1, NUMBERS, _basic.round_),
    "sqrt": Function(1, FLOATS, _basic.sqrt),
    "rsqrt": Function(1, FLOATS, _basic.rsqrt),
    "reciprocal": Function(1, FLOATS, _basic.reciprocal),
    "max": Function(2, ANY, _basic.maximum),
    "min": Function(2, ANY, _basic.minimum),
    "and": Function(2, WHOLE, Builder.and_),
    "or": Function(2, WHOLE, Builder.or_),
    "xor": Function(2, WHOLE, Builder.xor),
    "not": Function(1, WHOLE, Builder.not_),
    "shift_left": Function(2, INTEGERS, _basic.shift_left),
    "shift_right": Function(2, INTEGERS, _basic.shift_right),
    "isnan": Function(1, NUMBERS, _basic.isnan, "bool"),
    "isinf": Function(1, NUMBERS, _basic.isinf, "bool"),
    "isfinite": Function(1, NUMBERS, _basic.isfinite, "bool"),
    "signbit": Function(1, FLOATS, _basic.signbit, "bool"),
    "nextafter": Function(2, FLOATS, _basic.nextafter),
    "order": Function(1, ("float64",), _basic.order, "uint64"),
    "gcd": Function(2, INTEGERS, _basic.gcd, heavy=True),
    "exp": _heavy(_exp_log.exp),
    "exp2": _heavy(_exp_log.exp2),
    "expm1": _heavy(_exp_log.expm1),
    "log": _heavy(_exp_log.log),
    "log2": _heavy(_exp_log.log2),
    "log10": _heavy(_exp_log.log10),
    "log1p": _heavy(_exp_log.log1p),
    "sigmoid": _heavy(_exp_log.sigmoid),
    "tanh": _heavy(_exp_log.tanh),
    "sinh": _heavy(_exp_log.sinh),
    "cosh": _heavy(_exp_log.cosh),
    "asinh": _heavy(_exp_log.asinh),
    "acosh": _heavy(_exp_log.acosh),
    "atanh": _heavy(_exp_log.atanh),
    "pow": Function(2, NUMBERS, _pow, heavy=True),
    "sin": _heavy(_trig.sin),
    "cos": _heavy(_trig.cos),
    "tan": _heavy(_trig.tan),
    "asin": _heavy(_trig.asin),
    "acos": _heavy(_trig.acos),
    "atan": _heavy(_trig.atan),
    "atan2": _heavy(_trig.atan2, 2),
    "erf": _heavy(_special.erf),
    "gelu": _heavy(_special.gelu),
    "gelu_slope": _heavy(_special.gelu_slope),
    "silu": _heavy(_special.silu),
    "silu_slope": _heavy(_special.silu_slope),
    "erfc": _heavy(_special.erfc),
    "erfinv": _heavy(_special.erfinv),
    "lgamma": _heavy(_special.lgamma),
    "digamma": _heavy(_special.digamma),
    "gammainc": _heavy(_gamma.gammainc, 2),
    "gammaincc": _heavy(_gamma.gammaincc, 2),
    "random_bits": Function(3, ("uint64",), _random.random_bits, "uint32", heavy=True),  # key, stream, element
    "select": Function(3, ANY, _basic.select),  # the first argument is bool
    "cast": Function(1, ANY, cast),  # to the dtype given beside it
}
FUNCTIONS |= {
    relation: Function(2, ANY, partial(lambda relation, b, x, y: _basic.compare(b, relation, x, y), relation), "bool")
    for relation in ("eq", "ne", "lt", "le", "gt", "ge")
}


def result_dtype(name: str, dtypes: Sequence[str], to: str | None = None) -> str:
    """The dtype of a function's result, after checking its arguments' dtypes.

    >>> result_dtype("lt", ["float32", "float32"])
    'bool'
    """
    function = FUNCTIONS[name]
    if len(dtypes) != function.arity:
        raise ValueError(f"{name} takes {function.arity} arguments, not {len(dtypes)}")
    if name == "cast":
        if to not in ITEMSIZE:
            raise ValueError(f"cast: no such dtype {to!r}; one of {', '.join(ITEMSIZE)}")
        return "float32" if to in ("float16", "bfloat16") else to
    if to is not None:
        raise ValueError(f"{name}: only cast takes a dtype to convert to")
    same = dtypes
    if name == "select":
        if dtypes[0] != "bool":
            raise ValueError(f"select: the condition is {dtypes[0]}, not bool")
        same = dtypes[1:]
    if any(d != same[0] for d in same):
        raise ValueError(f"{name}: arguments of one dtype are needed, not {', '.join(same)}; cast them first")
    if same[0] not in function.dtypes:
        raise ValueError(f"{name} does not take {same[0]}; it takes {', '.join(function.dtypes)}")
    return function.result or same[0]


def apply(b: Builder, name: str, args: Sequence[Value], to: str | None = None) -> Value:
    """Emit a function of the table; all arguments have the same number of lanes."""
    function = FUNCTIONS[name]
    return function.emit(b, *args, to) if to is not None else function.emit(b, *args)
