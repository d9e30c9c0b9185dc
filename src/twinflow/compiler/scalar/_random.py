"""Counter-based random bits: Philox4x32 with 10 rounds.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from twinflow.compiler._builder import Builder, Value

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10


def _halves(b: Builder, x: Value) -> tuple[Value, Value]:
    """Low and high 32 bits of a 64-bit integer."""
    high = b.lshr(x, b.like(32, x))
    return b.convert("trunc", x, "uint32"), b.convert("trunc", high, "uint32")


def _multiply(b: Builder, x: Value, factor: int) -> tuple[Value, Value]:
    """Low and high 32 bits of x·factor."""
    wide = b.convert("zext", x, "uint64")
    return _halves(b, b.mul(wide, b.like(factor, wide)))


def philox_words(b: Builder, key: Value, counter: Value, stream: Value) -> tuple[Value, Value, Value, Value]:
    """The four 32-bit words of one block: 128-bit counter (counter, stream) of two uint64, 64-bit key."""
    (c0, c1), (c2, c3) = _halves(b, counter), _halves(b, stream)
    k0, k1 = _halves(b, key)
    for i in range(ROUNDS):
        low0, high0 = _multiply(b, c0, MULTIPLIERS[0])
        low1, high1 = _multiply(b, c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = b.xor(b.xor(high1, c1), k0), low1, b.xor(b.xor(high0, c3), k1), low0
        if i < ROUNDS - 1:
            k0, k1 = b.add(k0, b.like(KEY_STEPS[0], k0)), b.add(k1, b.like(KEY_STEPS[1], k1))
    return c0, c1, c2, c3


def random_bits(b: Builder, key: Value, stream: Value, element: Value) -> Value:
    """Word `element mod 4` of block `element // 4`, counter words (block, stream): the random uint32 of one element."""
    two = b.like(2, element)
    words = philox_words(b, key, b.lshr(element, two), stream)
    low = b.icmp("ne", b.and_(element, b.like(1, element)), b.like(0, element))
    high = b.icmp("ne", b.and_(element, two), b.like(0, element))
    return b.select(high, b.select(low, words[3], words[2]), b.select(low, words[1], words[0]))
