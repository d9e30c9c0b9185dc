"""Rewritten functions: what a traced function computes equals what Python computes, and errors name the user's line."""

import numpy as np
import pytest

import twinflow as t
from twinflow.autograph import convert, do_not_convert, rewritten_source, set_loop_options
from twinflow.core.errors import CheckError, ShapeError, TraceError

T = t.tensor


def numbers(result):
    leaves = result if isinstance(result, tuple) else (result,)
    return [np.asarray(x.tolist() if isinstance(x, t.Tensor) else x) for x in leaves]


def assigned(x):
    if x > 0:
        y = x * 2
    elif x == 0:
        y = 5.0
    else:
        y = -x
    return y


def returned(x):
    if x > 0:
        return x * 2
    return -x


def nested_returns(x):
    if x > 0:
        if x > 5:
            return 0.0
        x = x + 1
    if x < -5:
        return x * 10
    return x


def counted(x):
    i, s = 0, 0.0
    while s < x:
        s += i
        i += 1
    return s, i


def skipped_and_left(x):
    s = 0
    for v in x:
        if v < 0:
            continue
        if v > 5:
            break
        s += v
    return s


def found(x):
    for v in x:
        if v > 2:
            return v * 10
    return x.sum()


def doubled(n):
    total = 1
    for _ in range(n):
        total *= 2
    return total


def logical(x, y):
    if (x > 0 and y > 0) or not x < 5:
        return x + y
    return y if -3 < x <= 0 else x * y


def left_by_break(x):
    while True:
        x = x * 2
        if x > 100:
            break
    else:
        x = x * 0
    return x


def left_by_return(x):
    k = 0
    while True:
        x = x * 2
        k += 1
        if x > 100:
            return x, k


def loop_in_a_loop(x):
    for i, v in enumerate(x):
        for w in x:
            if w > v:
                break
        else:
            return v, i
    return x[0], 0


def in_a_closure(x):
    slope = 0.1
    leaky = lambda v: v if v > 0 else v * slope  # noqa: E731

    def add_one(v):
        nonlocal x
        x = x + 1
        if v > 1:
            return v
        return leaky(v)

    return add_one(x), x


def lists_of_python(x):
    parts = []
    for k in range(3):
        if k == 1:
            continue
        parts.append(x * k)
    return parts[0] + parts[1]


def last_of_steps(x):
    for v in x:
        y = v * 2
    return y


def containers(x):
    pair = {"a": x, "b": (x, 1.0)}
    while pair["a"] < 10:
        pair = {"a": pair["a"] * 2, "b": (pair["a"], 2.0)}
    return pair["a"], pair["b"][0], pair["b"][1]


def several(a, b):
    s = 0.0
    for x, y in zip(a, b):
        s += x * y
    return s


def protected(x):
    try:
        if x > 0:
            return x
    finally:
        x = x + 1
    return -x


CASES = [
    (assigned, [(1.0,), (0.0,), (-1.0,)]),
    (returned, [(1.0,), (-1.0,)]),
    (nested_returns, [(1.0,), (9.0,), (-9.0,), (-1.0,)]),
    (counted, [(10.0,), (-1.0,)]),
    (skipped_and_left, [([1.0, -2, 3, 9, 4],), ([1.0, 2, 3, 3, 3],)]),
    (found, [([1.0, 2, 3],), ([1.0, 2, 1],)]),
    (doubled, [(3,), (0,)]),
    (logical, [(1.0, 2.0), (-1.0, 3.0), (-4.0, 1.0), (7.0, -1.0), (1.0, -1.0)]),
    (left_by_break, [(1.0,)]),
    (left_by_return, [(1.0,), (60.0,)]),
    (loop_in_a_loop, [([1.0, 4.0, 2.0],)]),
    (in_a_closure, [(1.0,), (-1.0,), (5.0,)]),
    (lists_of_python, [(1.5,)]),
    (last_of_steps, [([1.0, 2.0],)]),
    (containers, [(1.0,), (11.0,)]),
    (several, [([1.0, 2.0], [3.0, 4.0])]),
    (protected, [(1.0,), (-1.0,)]),
]


@pytest.mark.parametrize(("fn", "calls"), CASES, ids=[f.__name__ for f, _ in CASES])
def test_the_graph_computes_what_python_computes(fn, calls):
    compiled = t.compile(convert(fn))
    for call in calls:
        args = [T(a) for a in call]
        for got, want in zip(numbers(compiled(*args)), numbers(fn(*args)), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6)


class Counter:
    def __init__(self):
        self.__step = 2.0
        self.last = 0.0

    def __twice(self, x):
        return x * self.__step if x > 0 else x

    def go(self, x):
        last = self.last
        if x > 0:
            last = self.__twice(x)
        return last


def test_methods_and_private_names():
    go = t.compile(convert(Counter().go))
    assert float(go(T(3.0))) == 6 and float(go(T(-3.0))) == 0


def test_gradients_of_branches_and_loops():
    def f(x):
        y = x
        for k in range(4):
            if y < 8:
                y = y * x
            else:
                y = y + k
        return y

    def g(x):
        for v in t.arange(3.0):
            x = x * x if v < 2 else x + v
        return x

    assert float(t.compile(t.func.grad(convert(f)))(T(2.0))) == 12  # x³ + 5
    assert float(t.compile(t.func.grad(convert(g)))(T(2.0))) == 32  # x⁴ + 2


def test_a_bound_gives_a_while_gradients():
    def f(x):
        y = x
        while y < 100:
            set_loop_options(maximum_iterations=12)
            y = y * x
        return y

    assert float(t.compile(t.func.grad(convert(f)))(T(2.0))) == 7 * 2**6
    with pytest.raises(ShapeError, match="keep their shapes"):
        set_loop_options(shape_invariants=[(1, 2)])


def test_plain_values_stay_pythons():
    def f(x, mode):
        if mode == "double" and x is not None:
            return x * 2
        return [x for _ in range(2)]

    converted = convert(f)
    assert float(t.compile(converted)(T(1.0), "double")) == 2
    assert len(t.compile(converted)(T(1.0), "other")) == 2
    assert converted(T(3.0), "double") == 6  # outside a trace it is the same function


def test_prints_and_checks_run_with_the_graph(capsys):
    def f(x):
        print("x is", x)
        assert x > 0, "x must be positive"
        if x > 5:
            print("large")
            print(x, 1, sep=", ")
        return x

    compiled = t.compile(convert(f))
    compiled(T(1.0))
    capsys.readouterr()
    compiled(T(2.0))
    assert capsys.readouterr().out == "x is 2\n"
    compiled(T(6.0))
    assert capsys.readouterr().out == "x is 6\n6, 1\n"  # text without tensors is printed while tracing
    with pytest.raises(CheckError, match="x must be positive"):
        compiled(T(-1.0))


def one_sided(x):
    if x > 0:
        y = x
    return y


def none_elsewhere(x):
    if x > 0:
        return x


def two_types(x):
    if x > 0:
        y = x
    else:
        y = t.tensor(1)
    return y


def growing(x):
    while x.sum() < 10:
        x = t.concat([x, x])
    return x


def only_in_steps(x):
    while x < 10:
        y = x
        x = x + 1
    return y


def object_in_steps(x):
    name = None
    for v in x:
        if name is not None:
            x = x + v
        name = "seen"
    return x


@pytest.mark.parametrize(
    ("fn", "arg", "error", "message"),
    [
        (one_sided, 1.0, TraceError, r"'y' has a value only where the condition holds(.|\n)*return y"),
        (none_elsewhere, 1.0, TraceError, r"the function returns float32\[\] where the condition holds and None elsewhere"),
        (two_types, 1.0, TraceError, r"'y' is float32\[\] where the condition holds and int64\[\] elsewhere"),
        (growing, [1.0], ShapeError, r"'x' is float32\[1\] before the loop and float32\[2\] after a step(.|\n)*while x\.sum"),
        (only_in_steps, 20.0, CheckError, r"had no step, so 'y' has no value; give it one of the same shape and type before the loop"),
        (object_in_steps, [1.0], ShapeError, r"'name' is None before the loop and 'seen' after a step"),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)  # fmt: skip
def test_errors_name_the_variable_and_the_line(fn, arg, error, message):
    with pytest.raises(error, match=message):
        t.compile(convert(fn))(T(arg))


def test_what_is_left_as_it_is():
    def generator(x):
        yield x

    @do_not_convert
    def plain(x):
        return x if x > 0 else -x

    def caller(x):
        return plain(x)

    assert convert(generator) is generator and convert(plain) is plain and convert(len) is len
    with pytest.raises(TraceError, match="branching on a tensor"):
        t.compile(convert(caller))(T(1.0))
    assert convert(convert(returned)).__code__ is convert(returned).__code__
    assert "if_stmt" in rewritten_source(returned)


def test_a_variable_without_a_value_is_pythons_error():
    def f(x):
        if x is None:
            y = 1
        return y

    with pytest.raises(UnboundLocalError, match="local variable 'y'"):
        convert(f)(T(1.0))
