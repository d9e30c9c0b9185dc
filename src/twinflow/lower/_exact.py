"""Products of whole numbers and truth values on the kernels of floating-point ones, which are exact where sums stay below 2^53.

Wide integers are cut into digits: modulo 2^bits, a·b is the sum of all aᵢ·bⱼ·2^(d(i+j)), and those with d(i+j) ≥ bits vanish.
"""

from __future__ import annotations

from typing import Any

from twinflow.graph import Node
from twinflow.lower._site import Site

EXACT = ("conv", "conv_input", "conv_weight", "matmul")
_FRACTION_BITS = 53


def needs_digits(node: Node) -> bool:
    """Whether a node is a product that kernels do not take as it is: a convolution of whole numbers, or of truth values."""
    name = node.aval.dtype.name if node.op in EXACT else ""
    return name == "bool" or (name.startswith(("int", "uint")) and node.op != "matmul")


def exact_product(at: Site, node: Node, a: Node, b: Node) -> Node:
    """The product, in its operands' type; truth values are added as `or` adds them."""
    dtype = node.aval.dtype
    if dtype.name == "bool":
        return at.op("gt", at.op(node.op, at.cast(a, "float32"), at.cast(b, "float32"), **node.params), 0.0)
    bits = 8 * dtype.itemsize
    terms = min(a.aval.size, b.aval.size)  # a result adds up no more
    digit = (_FRACTION_BITS - int(terms).bit_length()) // 2
    if bits <= digit:
        return at.cast(
            at.cast(at.op(node.op, at.cast(a, "float64"), at.cast(b, "float64"), **node.params), "int64"), dtype.name
        )
    total: Any = None
    a_digits, b_digits = _digits(at, a, bits, digit), _digits(at, b, bits, digit)
    for i, x in enumerate(a_digits):
        for j, y in enumerate(b_digits[: len(b_digits) - i]):
            term = at.cast(at.op(node.op, x, y, **node.params), "uint64")
            moved = at.op("shift_left", term, digit * (i + j)) if i + j else term
            total = moved if total is None else at.op("add", total, moved)
    return at.cast(total, dtype.name)


def _digits(at: Site, x: Node, bits: int, digit: int) -> list[Node]:
    """The digits of `x` modulo 2^bits, the lowest first, as float64."""
    rest = at.cast(x, "uint64")
    found = []
    for start in range(0, bits, digit):
        part = at.op("shift_right", rest, start) if start else rest
        found.append(at.cast(at.op("bitwise_and", part, (1 << min(digit, bits - start)) - 1), "float64"))
    return found
