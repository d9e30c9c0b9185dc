"""Tests that the registry writes: every primitive with samples, against its own row.

The reference is the oracle for plain and traced evaluation; numerical differences are the oracle for derivatives to
second order; a Python loop is the oracle for batching.
"""

import zlib

import numpy as np
import pytest

import twinflow as tf
from twinflow.core import FROM_NUMPY
from twinflow.core.errors import TwinflowError
from twinflow.graph import PRIMITIVES, Aval
from twinflow.tensor import apply, jvp_call, run_backward, vmap_call, wrap

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NaN and overflow are values here
SAMPLED = sorted(name for name, p in PRIMITIVES.items() if p.samples is not None)
NO_REVERSE = {"while_loop"}  # their rule raises: tested where they are declared
NO_BATCH = {
    "random_bits",
    "print",
    "check",
    "ensure",
}  # ensure: see test_ensure.py; conditions made by chance do not hold
EPS = 1e-5


def rng_of(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def samples_of(name):
    return PRIMITIVES[name].samples(rng_of(name))


def as_tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def arrays_of(result):
    return [t.detach()._data for t in as_tuple(result)]


def run(prim, args, params):
    return apply(prim, *[wrap(a) if isinstance(a, np.ndarray) else a for a in args], **params)


def checked(prim, args, params):
    """The shape rule, then plain evaluation: together they find every wrong use."""
    prim.out(*avals_of(args), **params)
    return run(prim, args, params)


def traced(prim, args, params):
    """The primitive inside a compiled function; the array operands are its arguments."""
    places = [k for k, a in enumerate(args) if isinstance(a, np.ndarray)]

    def fn(*tensors):
        full = list(args)
        for k, t in zip(places, tensors):
            full[k] = t
        return as_tuple(apply(prim, *full, **params))

    return tf.compile(fn)(*[wrap(args[k]) for k in places])


def assert_same(got, want, ulp=0.0):
    for g, w in zip(got, want, strict=True):
        assert g.shape == w.shape and g.dtype == w.dtype
        if w.dtype.kind in "fcV" and ulp:
            kind = w.dtype.kind
            wide = (np.complex128,) if kind == "c" else (np.float64,)
            eps = float(np.finfo(w.dtype).eps) if kind != "V" else 2.0**-8
            np.testing.assert_allclose(g.astype(*wide), w.astype(*wide), rtol=ulp * eps, atol=ulp * eps)
        else:
            np.testing.assert_array_equal(g, w)


def avals_of(args):
    return [Aval(a.shape, FROM_NUMPY[a.dtype]) if isinstance(a, np.ndarray) else a for a in args]


@pytest.mark.parametrize("name", SAMPLED)
def test_plain_and_traced_evaluation_equal_the_reference_and_the_shape_rule(name):
    prim = PRIMITIVES[name]
    for args, params in samples_of(name):
        avals = prim.out(*avals_of(args), **params)
        avals = (avals,) if prim.n_out == 1 else avals
        want = prim.ref(*args, **params)
        want = [np.asarray(w) for w in (want if prim.n_out != 1 else (want,))]
        assert [Aval(w.shape, FROM_NUMPY[w.dtype]) for w in want] == list(avals)
        assert_same(arrays_of(run(prim, args, params)), want, prim.ulp)
        assert_same(arrays_of(traced(prim, args, params)), want, prim.ulp)


def strided(a):
    """The same elements, each second one in memory, axes laid out backwards."""
    wide = np.empty((*a.shape[::-1], 2), a.dtype)
    wide[..., 0] = a.T
    wide[..., 1] = a.T
    return wide[..., 0].T


@pytest.mark.parametrize("name", SAMPLED)
def test_operands_that_are_not_contiguous(name):
    prim = PRIMITIVES[name]
    for args, params in samples_of(name):
        loose = [strided(a) if isinstance(a, np.ndarray) else a for a in args]
        want = arrays_of(run(prim, args, params))
        assert_same(arrays_of(run(prim, loose, params)), want, prim.ulp)
        assert_same(arrays_of(traced(prim, loose, params)), want, prim.ulp)


@pytest.mark.parametrize("name", [n for n in SAMPLED if PRIMITIVES[n].elementwise])
def test_nan_infinity_and_zero(name):
    prim = PRIMITIVES[name]
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, 1e30, -1.0])
    for args, params in samples_of(name):
        kinds = {a.dtype.name for a in args if isinstance(a, np.ndarray) and a.dtype.kind == "f"}
        if not kinds or any(isinstance(a, np.ndarray) and a.shape != (3, 4) for a in args):
            continue
        edge = [
            np.roll(np.resize(special, 12), k).reshape(3, 4).astype(a.dtype)
            if isinstance(a, np.ndarray) and a.dtype.kind == "f"
            else a
            for k, a in enumerate(args)
        ]
        with np.errstate(all="ignore"):
            want = [np.asarray(prim.ref(*edge, **params))]
            assert_same(arrays_of(run(prim, edge, params)), want, prim.ulp)
            assert_same(arrays_of(traced(prim, edge, params)), want, prim.ulp)


@pytest.mark.parametrize("name", [n for n in SAMPLED if PRIMITIVES[n].bad is not None])
def test_wrong_calls_are_refused(name):
    prim = PRIMITIVES[name]
    for args, params in prim.bad(rng_of(name)):
        with pytest.raises(TwinflowError):
            checked(prim, args, params)
        with pytest.raises(TwinflowError):
            traced(prim, args, params)


# -- derivatives ------------------------------------------------------------------------------------------------


def widened(name):
    """Samples in double precision whose result is too, with the places of the operands that have derivatives."""
    seen = set()
    for args, params in samples_of(name):
        kinds = [a.dtype.kind for a in args if isinstance(a, np.ndarray)]
        if not kinds or not any(k in "fcV" for k in kinds):
            continue
        if not all(np.all(np.isfinite(a.astype(np.complex128))) for a in args if isinstance(a, np.ndarray)):
            continue
        wide = [
            a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)
            if isinstance(a, np.ndarray) and a.dtype.kind in "fcV"
            else a
            for a in args
        ]
        key = (
            tuple(a.shape if isinstance(a, np.ndarray) else a for a in args),
            tuple(kinds) if "c" in kinds else (),
            repr(params),
        )
        if key in seen:
            continue
        seen.add(key)
        prim = PRIMITIVES[name]
        outs = prim.out(*avals_of(wide), **params)
        outs = (outs,) if prim.n_out == 1 else outs
        if any(o.dtype.name in ("float64", "complex128") for o in outs) and not any(
            o.dtype.name in ("float32", "complex64", "float16", "bfloat16") for o in outs
        ):
            yield wide, params, [k for k, a in enumerate(wide) if isinstance(a, np.ndarray) and a.dtype.kind in "fc"]


def draw(rng, a):
    x = rng.uniform(-1, 1, a.shape)
    return np.asarray(x + 1j * rng.uniform(-1, 1, a.shape) if a.dtype.kind == "c" else x)


def inner(a, b):
    return sum(float(np.sum((np.conj(x) * y).real)) for x, y in zip(a, b, strict=True))


def gradients(prim, args, params, places, cotangents, create_graph=False):
    """(leaves, gradients with respect to them) of <cotangents, prim(args)>."""
    full = [wrap(a) if isinstance(a, np.ndarray) else a for a in args]
    leaves = [full[k] for k in places]
    for t in leaves:
        t.requires_grad_(True)
    outs = as_tuple(apply(prim, *full, **params))
    roots = [(o, wrap(c)) for o, c in zip(outs, cotangents) if c is not None]
    grads = run_backward(
        [o for o, _ in roots],
        [c for _, c in roots],
        inputs=leaves,
        create_graph=create_graph,
        retain_graph=create_graph,
        accumulate=False,
    )
    return leaves, grads


def cotangents_for(rng, prim, args, params):
    outs = prim.ref(*args, **params)
    outs = outs if prim.n_out != 1 else (outs,)
    return [draw(rng, np.asarray(o)) if np.asarray(o).dtype.kind in "fc" else None for o in outs]


def moved(args, places, directions, step):
    out = list(args)
    for k, d in zip(places, directions):
        out[k] = np.asarray(args[k] + step * d)
    return out


def values(prim, args, params, us):
    outs = prim.ref(*args, **params)
    outs = outs if prim.n_out != 1 else (outs,)
    return [np.asarray(o) for o, u in zip(outs, us) if u is not None]


DIFFERENTIABLE = [n for n in SAMPLED if PRIMITIVES[n].vjp is not None and n not in NO_REVERSE]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_equal_numerical_differences(name):
    prim, rng = PRIMITIVES[name], rng_of(name + " vjp")
    for args, params, places in widened(name):
        us = cotangents_for(rng, prim, args, params)
        vs = [draw(rng, args[k]) for k in places]
        _, grads = gradients(prim, args, params, places, us)
        got = sum(inner([g._data], [v]) for g, v in zip(grads, vs) if g is not None)
        for g, k in zip(grads, places):
            assert g is None or (g.shape == args[k].shape and g._data.dtype == args[k].dtype)
        kept = [u for u in us if u is not None]
        plus = inner(kept, values(prim, moved(args, places, vs, EPS), params, us))
        minus = inner(kept, values(prim, moved(args, places, vs, -EPS), params, us))
        np.testing.assert_allclose(got, (plus - minus) / (2 * EPS), rtol=1e-5, atol=1e-6, err_msg=f"{params}")


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_second_derivatives_equal_numerical_differences(name):
    prim, rng = PRIMITIVES[name], rng_of(name + " second")
    for args, params, places in widened(name):
        us = cotangents_for(rng, prim, args, params)
        vs = [draw(rng, args[k]) for k in places]
        ws = [draw(rng, args[k]) for k in places]
        leaves, grads = gradients(prim, args, params, places, us, create_graph=True)
        roots = [(g, wrap(w)) for g, w in zip(grads, ws) if g is not None and g.requires_grad]
        got = 0.0
        if roots:
            second = run_backward([g for g, _ in roots], [w for _, w in roots], inputs=leaves, accumulate=False)
            got = sum(inner([s._data], [v]) for s, v in zip(second, vs) if s is not None)

        def first(step, args=args, params=params, places=places, us=us, vs=vs, ws=ws):
            _, at = gradients(prim, moved(args, places, vs, step), params, places, us)
            return sum(inner([w], [g._data]) for g, w in zip(at, ws) if g is not None)

        np.testing.assert_allclose(
            got, (first(EPS) - first(-EPS)) / (2 * EPS), rtol=1e-4, atol=1e-5, err_msg=f"{params}"
        )


@pytest.mark.parametrize("name", [n for n in SAMPLED if PRIMITIVES[n].vjp is not None])
def test_forward_mode_is_the_transpose_of_reverse_mode(name):
    prim, rng = PRIMITIVES[name], rng_of(name + " jvp")
    for args, params, places in widened(name):
        us = cotangents_for(rng, prim, args, params)
        for used in [places, *([k] for k in places if len(places) > 1)]:
            vs = [draw(rng, args[k]) for k in used]

            def program(*xs, args=args, params=params, used=used):
                full = [wrap(a) if isinstance(a, np.ndarray) else a for a in args]
                for k, x in zip(used, xs):
                    full[k] = x
                return list(as_tuple(apply(prim, *full, **params)))

            _, tangents = jvp_call(program, [wrap(args[k]) for k in used], [wrap(v) for v in vs])
            for t, u in zip(tangents, us, strict=True):
                assert t is None or (t._data.shape == u.shape and t._data.dtype == u.dtype)
            forward = (
                inner(*zip(*[(u, t._data) for u, t in zip(us, tangents) if t is not None]))
                if any(t is not None for t in tangents)
                else 0.0
            )
            if name in NO_REVERSE:
                kept = [u for u in us if u is not None]
                ends = [inner(kept, values(prim, moved(args, used, vs, s), params, us)) for s in (EPS, -EPS)]
                np.testing.assert_allclose(forward, (ends[0] - ends[1]) / (2 * EPS), rtol=1e-5, atol=1e-6)
                continue
            _, grads = gradients(prim, args, params, used, us)
            back = sum(inner([g._data], [v]) for g, v in zip(grads, vs) if g is not None)
            np.testing.assert_allclose(forward, back, rtol=1e-9, atol=1e-9, err_msg=f"{params}")


# -- batching ---------------------------------------------------------------------------------------------------


def variant(a, k):
    """The k-th example made from a sample's operand: of its type and within its range."""
    if a.dtype.kind in "fcV":
        return np.asarray(a * a.dtype.type(1 - 0.125 * k), a.dtype)
    if a.dtype.kind == "b":
        return np.asarray(a ^ np.bool_(k % 2))
    return np.roll(a, k, 0) if a.ndim else a


@pytest.mark.parametrize("name", [n for n in SAMPLED if n not in NO_BATCH])
def test_batching_equals_a_loop(name):
    prim = PRIMITIVES[name]
    seen = set()
    for args, params in samples_of(name):
        key = (tuple(a.shape if isinstance(a, np.ndarray) else a for a in args), repr(params))
        if key in seen or (name == "pow" and args[0].dtype.kind in "iu"):
            continue
        seen.add(key)
        places = [k for k, a in enumerate(args) if isinstance(a, np.ndarray)]
        if not places:
            continue
        for used in [places, *([k] for k in places if len(places) > 1)]:
            for last in (False, True):
                axes = [None] * len(args)
                stacked = [wrap(a) if isinstance(a, np.ndarray) else a for a in args]
                for k in used:
                    axes[k] = args[k].ndim if last else 0
                    stacked[k] = wrap(np.stack([variant(args[k], i) for i in range(3)], axes[k]))

                def program(*xs, args=args, params=params, places=places):
                    full = list(args)
                    for k, x in zip(places, xs):
                        full[k] = x
                    return as_tuple(apply(prim, *full, **params))

                outs, at = vmap_call(program, [stacked[k] for k in places], [axes[k] for k in places], 3)
                for i in range(3):
                    one = [variant(a, i) if k in used else a for k, a in enumerate(args)]
                    want = arrays_of(run(prim, one, params))
                    got = [o._data if a is None else np.take(o._data, i, a) for o, a in zip(outs, at)]
                    assert_same(got, want, max(prim.ulp, 64))
