"""How the compiler sees a primitive: the kinds of `lower=` that a row can name.

A row says *what kind of loop* it is; `twinflow.lower` turns each kind into kernels. Rows hold data only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Elementwise:
    """One scalar in each operand, one scalar out. `scalar` names a function of the compiler's scalar table, or is a
    function (s, *operands, **params) that composes them: `lambda s, x: s.mul(x, x)`."""

    scalar: Any


@dataclass(frozen=True)
class IndexMap:
    """Each result element is one element of an operand (or a fill value), found by index arithmetic: expand, permute,
    reshape, slice, pad, concat, iota, full, ... `kind` names which."""

    kind: str


@dataclass(frozen=True)
class Reduction:
    """A fold over axes: `combine` is sum, prod, max, min, argmax or argmin."""

    combine: str


@dataclass(frozen=True)
class Contraction:
    """Matrix products, batched."""


@dataclass(frozen=True)
class Convolution:
    """Convolution forward, by data or by weight."""

    kind: str


@dataclass(frozen=True)
class Window:
    """A fold over sliding windows: sum or max."""

    combine: str


@dataclass(frozen=True)
class Gather:
    """Elements found through an index operand; kind: gather, take, scatter, scatter_add."""

    kind: str


@dataclass(frozen=True)
class Cumulative:
    """A running fold along one axis: sum, prod, max, min."""

    combine: str


@dataclass(frozen=True)
class Control:
    """Nested graphs: scan, cond, while_loop."""

    kind: str


def dropout_rule(p: float) -> tuple[int, float]:
    """Dropout with probability `p`, from random bits: (what the top 24 bits of an element must reach for it to be kept, the factor
    that it is then multiplied with)."""
    return math.ceil(float(np.float32(p)) * 2**24), 1.0 / (1.0 - p) if p < 1 else 0.0


@dataclass(frozen=True)
class Named:
    """A kernel of its own: sorting, random bits, Fourier transforms, factorisations."""

    kernel: str
