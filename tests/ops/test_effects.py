"""Printing and checking values inside compiled functions."""

import sys

import numpy as np
import pytest

import twinflow as t
from twinflow.core.errors import ArgumentError


def test_effects_keep_their_order_and_follow_loops(capsys):
    @t.compile
    def f(x):
        t.print_values(["begin", x], sep=":")

        def step(c, v):
            t.print_values([v], end=";")
            return c + v, None

        total = t.scan(step, x, t.arange(3.0))[0]
        t.print_values(["end", total])
        return total

    for _ in range(2):
        assert float(f(t.tensor(1.0))) == 4
        assert capsys.readouterr().out == "begin:1\n0;1;2;end 4\n"


def test_what_is_shown():
    assert t.shown(t.arange(20.0)) == "[0 1 2 ... 17 18 19]"
    assert t.shown(np.arange(5), -1) == "[0 1 2 3 4]" and t.shown("text") == "text"
    t.print_values(["fine"], file=sys.stderr)
    with pytest.raises(ArgumentError, match=r"sys\.stdout or sys\.stderr"):
        t.print_values(["x"], file=object())
