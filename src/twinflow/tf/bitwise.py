"""Bits of whole numbers: `tf.bitwise`."""

from twinflow import ops
from twinflow.tf._functions import binary, unary

bitwise_and = binary(ops.bitwise_and, "The bits that both have.")
bitwise_or = binary(ops.bitwise_or, "The bits that either has.")
bitwise_xor = binary(ops.bitwise_xor, "The bits that exactly one has.")
invert = unary(ops.bitwise_not, "All bits turned around.", "invert")
left_shift = binary(ops.bitwise_left_shift, "x · 2^y.", "left_shift")
right_shift = binary(ops.bitwise_right_shift, "x / 2^y, rounded downwards.", "right_shift")
