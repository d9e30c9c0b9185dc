"""Random programs over the whole registry, with views, in-place updates, control flow and state: compiled equals eager.

How much rounding may differ is measured, not guessed: the program also runs eagerly with every result of floating
arithmetic disturbed by a few units in the last place, and the compiled results must lie within a few times what that
changes. Operations whose results jump (comparisons, sorting, factorisations) read only values that carry no rounding.

A few programs with fixed seeds by default; `TWINFLOW_FUZZ_S=3600` goes on with new seeds for an hour.
"""

import os
import time

import numpy as np
import pytest

import twinflow as tf
from twinflow.graph import PRIMITIVES
from twinflow.tensor import apply, wrap

BUDGET_S = float(os.environ.get("TWINFLOW_FUZZ_S", "0"))
FIRST_SEED = int(os.environ.get("TWINFLOW_FUZZ_FROM", "1000"))
NAMES = sorted(name for name, p in PRIMITIVES.items() if p.samples is not None)
JUMPS = {
    "argmax", "argmin", "bitcast", "cast", "ceil", "cholesky", "cond", "det", "eig", "eigh", "eq", "floor", "floor_divide", "fmod", "ge", "gt",
    "isinf", "isnan", "le", "lt", "lu", "max_pool", "ne", "nextafter", "pinv", "qr", "remainder", "round", "scan", "searchsorted", "sign",
    "signbit", "slogdet", "solve", "sort", "svd", "triangular_solve", "trunc", "while_loop",
}  # fmt: skip
OWN_OPERANDS = {  # whose operands are matrices of a kind, sorted, or bounded: only the row's samples are
    "cholesky", "det", "eig", "eigh", "erfinv", "gammainc", "gammaincc", "lu", "pinv", "qr", "searchsorted", "slogdet", "solve", "svd",
    "triangular_solve",
}  # fmt: skip
EXACT = {
    "abs", "amax", "amin", "argmax", "argmin", "cast", "ceil", "concat", "copy", "cummax", "cummin", "diagonal", "eq", "expand", "floor",
    "gather", "ge", "gt", "isinf", "isnan", "le", "lt", "maximum", "minimum", "ne", "neg", "pad", "permute", "relu", "reshape", "round",
    "scatter", "sign", "signbit", "slice", "slice_update", "sort", "stop_gradient", "take", "trunc", "unstack", "where",
}  # fmt: skip
EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52, "complex64": 2.0**-23, "complex128": 2.0**-52}  # fmt: skip


class Value:
    """What the maker knows of a value: an example, the memory it shares with others, and whether it may be written."""

    def __init__(self, tensor, memory, writable=True):
        self.tensor = tensor
        self.memory = memory  # {"exact": bool}, shared by all views of it
        self.writable = writable

    @property
    def exact(self):
        return self.memory["exact"]


class Maker:
    """Grows a program by running it: a list of (instruction, noisy), each a function of the values so far and of the state.

    `noisy` is True for one operation that rounds, "inside" for several.
    """

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.instructions = []
        self.inputs = [self.random(dtype) for dtype in ("float32", "float32", "float64")]
        self.state = [self.random("float32") for _ in range(2)]
        self.live = [wrap(s.copy()) for s in self.state]
        self.values = [Value(wrap(x.copy()), {"exact": True}) for x in self.inputs]
        kinds = (
            [self.primitive] * 6 + [self.view] * 3 + [self.write] * 2 + [self.control, self.gradient, self.use_state]
        )
        for _ in range(self.rng.integers(4, 14)):
            self.pick(kinds)()
        wanted = [k for k, v in enumerate(self.values) if v.tensor.numel() <= 20000]
        self.outputs = sorted({self.pick(wanted) for _ in range(4)} | {wanted[-1]})

    def pick(self, items):
        return items[int(self.rng.integers(len(items)))]

    def random(self, dtype):
        shape = tuple(int(self.pick([1, 2, 3, 4, 7, 16])) for _ in range(self.rng.integers(1, 4)))
        return self.rng.normal(size=shape).astype(dtype)

    def add(self, instruction, memory, *, noisy=False, writable=True):
        """Append an instruction that makes one value."""
        with np.errstate(all="ignore"):
            made = instruction([v.tensor for v in self.values], self.live)
        self.instructions.append((instruction, noisy))
        self.values.append(Value(made, memory, writable))

    def find(self, test):
        """The number of some value that passes, or None."""
        found = [k for k, v in enumerate(self.values) if test(v)]
        return self.pick(found) if found else None

    def primitive(self):
        prim = PRIMITIVES[self.pick(NAMES)]
        args, params = self.pick(list(prim.samples(np.random.default_rng(int(self.rng.integers(1000))))))
        exact, sources = True, {}
        for k, a in enumerate(args):
            if not (isinstance(a, np.ndarray) and a.dtype.kind == "f" and self.rng.random() < 0.7):
                continue
            source = self.find(
                lambda v, a=a: (
                    v.tensor.dtype.name == a.dtype.name
                    and (v.tensor.numel() or not a.size)
                    and (v.exact or prim.name not in JUMPS)
                )
            )
            if source is not None and prim.name not in OWN_OPERANDS:
                sources[k] = source
                exact &= self.values[source].exact
        which = int(self.rng.integers(prim.n_out)) if prim.n_out and prim.n_out > 1 else 0

        def run(values, state):
            full = [wrap(a) if isinstance(a, np.ndarray) else a for a in args]
            for k, source in sources.items():
                full[k] = fitted(values[source], args[k].shape)
                if prim.name == "reshape":  # of what does not lie in order it would be a copy, or not
                    full[k] = full[k].clone()
            made = apply(prim, *full, **params)
            return made[which] if isinstance(made, tuple) else made

        noisy = prim.name not in EXACT
        is_view = prim.view is not None and prim.name != "reshape"
        shared = [self.values[k].memory for k in sources.values()] if is_view else []
        memory = shared[0] if shared else {"exact": exact and not noisy}
        self.add(run, memory, noisy=noisy and not shared, writable=prim.view is None and prim.name != "unstack")

    def view(self):
        source = self.find(lambda v: v.tensor.ndim and v.tensor.numel())
        v = self.values[source]
        shape, axis = v.tensor.shape, int(self.rng.integers(v.tensor.ndim))
        start = int(self.rng.integers(shape[axis]))
        stop, step = int(self.rng.integers(start, shape[axis])) + 1, int(self.pick([1, 1, 2]))
        last = int(self.rng.integers(v.tensor.ndim))
        cut = (slice(None),) * axis + (slice(start, stop, step),)
        kind, how = self.pick([
            ("slice", lambda x: x[cut]),
            ("select", lambda x: x.select(axis, start)),
            ("transpose", lambda x: x.transpose(axis, last)),
            ("unsqueeze", lambda x: x.unsqueeze(axis)),
            ("reshape", lambda x: x.clone().reshape(-1)),  # of what does not lie in order it would be a copy, or not
            ("diagonal", lambda x: x.diagonal(0, axis, last) if axis != last else x[cut]),
            ("expand", lambda x: x.expand(2, *shape)),
        ])  # fmt: skip
        writable = v.writable and kind != "expand"  # whose elements overlap
        memory = {"exact": v.exact} if kind == "reshape" else v.memory
        self.add(lambda values, state: how(values[source]), memory, writable=writable)

    def write(self):
        target = self.find(lambda v: v.writable and v.tensor.dtype.name in ("float32", "float64") and v.tensor.numel())
        v = self.values[target]
        if target < len(self.inputs) and self.rng.random() < 0.7:
            self.add(lambda values, state: values[target].clone(), {"exact": v.exact})
            return
        source = self.find(lambda w: w.tensor.dtype == v.tensor.dtype and w.tensor.numel())
        half = max(1, v.tensor.shape[0] // 2) if v.tensor.ndim else 0

        def assign(x, y):
            x[:half] = y[:half]

        kind, how = self.pick([
            ("add", lambda x, y: x.add_(y)),
            ("mul", lambda x, y: x.mul_(y)),
            ("copy", lambda x, y: x.copy_(y)),
            ("fill", lambda x, y: x.fill_(0.5)),
            ("tanh", lambda x, y: x.tanh_()),
            *([("assign", assign)] if half else []),
        ])  # fmt: skip

        def run(values, state):
            how(values[target], fitted(values[source], v.tensor.shape).clone())
            return values[target]

        noisy = kind in ("add", "mul", "tanh")
        v.memory["exact"] &= not noisy and (kind == "fill" or self.values[source].exact)
        self.add(run, v.memory, noisy=noisy, writable=v.writable)

    def control(self):
        source = self.find(lambda v: v.tensor.dtype.name in ("float32", "float64") and v.tensor.numel())
        decider = self.find(lambda v: v.exact and v.tensor.dtype.name == "float32" and v.tensor.numel())
        kind = self.pick(["cond", "fori", "while", "scan"] if decider is not None else ["fori", "while", "scan"])
        if kind == "scan" and not self.values[source].tensor.ndim:
            kind = "fori"
        count = int(self.rng.integers(0, 5))

        def run(values, state):
            x = values[source]
            if kind == "cond":
                return tf.cond(values[decider].reshape(-1)[0] > 0, lambda: tf.sin(x) + 1, lambda: x * 0.5)
            if kind == "fori":
                return tf.fori_loop(0, count, lambda i, v: tf.tanh(v + i) * 0.7, x)
            if kind == "while":
                return tf.while_loop(lambda c: c[0] < count, lambda c: (c[0] + 1, tf.cos(c[1])), (tf.tensor(0), x))[1]
            return tf.scan(lambda c, row: (tf.tanh(c + row), c * row), tf.zeros_like(x[0]), x)[1]

        self.add(run, {"exact": False}, noisy="inside")

    def gradient(self):
        source = self.find(lambda v: v.tensor.dtype.name in ("float32", "float64"))
        other = self.find(lambda v: v.tensor.dtype == self.values[source].tensor.dtype and v.tensor.numel())
        how = self.pick([
            lambda x, y: (tf.sin(x) * y).sum(),
            lambda x, y: tf.softmax(x.reshape(1, -1), dim=-1)[:, :1].sum() + (x * x * y).sum(),
            lambda x, y: tf.logsumexp(x.reshape(-1), dim=0) if x.numel() else x.sum(),
            lambda x, y: (x.reshape(-1, 1) @ y.reshape(1, -1)).square().sum(),
        ])  # fmt: skip

        def run(values, state):
            x, y = values[source], fitted(values[other], self.values[source].tensor.shape)
            return tf.func.grad(lambda t: how(t, y))(x)

        self.add(run, {"exact": False}, noisy="inside")

    def use_state(self):
        slot = int(self.rng.integers(len(self.state)))
        source = self.find(lambda v: v.tensor.dtype.name == "float32" and v.tensor.numel())
        shape = self.state[slot].shape

        def run(values, state):
            state[slot].mul_(0.5).add_(tf.tanh(fitted(values[source], shape)))
            return state[slot] * 1.0

        self.add(run, {"exact": False}, noisy=True)


def fitted(x, shape):
    """x brought to a shape: as it is when it fits, else its elements again and again."""
    if x.shape == shape:
        return x
    n = int(np.prod(shape, dtype=int))
    return x.reshape(-1)[tf.arange(n) % max(1, x.numel())].reshape(shape)


def run(maker, inputs, state, noise=None):
    values = list(inputs)
    for instruction, noisy in maker.instructions:
        if noise is not None and noisy == "inside":  # several operations: what they read is disturbed too
            made = instruction([v if v.dtype.name not in EPS else wrap(jitter(v, noise)) for v in values], state)
        else:
            made = instruction(values, state)
        if noise is not None and noisy and made.dtype.name in EPS:
            made = disturbed(made, values, noise)
        values.append(made)
    return [values[k] for k in maker.outputs]


def disturbed(made, values, noise):
    """`made` with a few units in the last place of difference: in its memory where it shares it, else a copy."""
    if any(made is v for v in values):
        made._data[...] = jitter(made, noise)
        return made
    return wrap(jitter(made, noise))


def jitter(t, noise):
    array = t.detach()._data
    rng, units = noise
    return np.asarray(array * (1 + units * EPS[t.dtype.name] * rng.normal(size=array.shape)), array.dtype)


def arrays(tensors):
    return [np.array(t.detach()._data) for t in tensors]


def check(seed):
    with np.errstate(all="ignore"):
        maker = Maker(seed)

        def eager(noise=None):
            state = [wrap(s.copy()) for s in maker.state]
            calls = [arrays(run(maker, [wrap(x.copy()) for x in maker.inputs], state, noise)) for _ in range(2)]
            return [a for call in calls for a in call] + arrays(state)

        want = eager()
        noisy = [eager((np.random.default_rng(k), 8)) for k in range(3)] + [eager((np.random.default_rng(4), 1000))]
        state = [wrap(s.copy()) for s in maker.state]
        step = tf.compile(lambda *inputs: run(maker, inputs, state))
        got = [a for _ in range(2) for a in arrays(step(*[wrap(x.copy()) for x in maker.inputs]))] + arrays(state)
        for k, (a, b) in enumerate(zip(got, want, strict=True)):
            assert a.shape == b.shape, (seed, k)
            assert a.dtype == b.dtype, (seed, k)
            compare(a, b, [n[k] for n in noisy], f"seed {seed}, result {k}\n{step.graph}")


def compare(a, b, others, message):
    if b.dtype.name not in EPS:
        np.testing.assert_array_equal(a, b, err_msg=message)
        return
    eps, wide = EPS[b.dtype.name], np.complex128 if b.dtype.kind == "c" else np.float64
    a, b, others = a.astype(wide), b.astype(wide), [o.astype(wide) for o in others]
    known = np.isfinite(b)
    for o in others:
        known &= np.isfinite(o)
    spread = np.max([np.abs(np.where(known, o - b, 0)) for o in others[:-1]], axis=0, initial=0.0)
    scale = np.max(np.abs(np.where(known, b, 0)), initial=0.0)
    bound = 20 * spread + 50 * eps * (np.abs(b) + 0.1 * max(scale, 1.0))
    wrong = known & ~(np.abs(a - b) <= np.where(known, bound, np.inf))
    assert not wrong.any(), f"{message}\n{a[wrong][:5]} instead of {b[wrong][:5]} ± {bound[wrong][:5]}"
    steady = ~known  # not finite, whatever the rounding: the last of the others is disturbed most
    for o in others:
        steady &= ~np.isfinite(o)
    assert not np.isfinite(a[steady]).any(), f"{message}\nfinite where eager is not"


@pytest.mark.parametrize("block", range(10))
def test_random_programs(block):
    for seed in range(block * 6, block * 6 + 6):
        check(seed)


@pytest.mark.skipif(not BUDGET_S, reason="set TWINFLOW_FUZZ_S to the seconds to spend")
def test_random_programs_for_long():
    end, seed = time.monotonic() + BUDGET_S, FIRST_SEED
    while time.monotonic() < end:
        check(seed)
        seed += 1
