"""The array API standard: every function of 2023.12 is there, and agrees with NumPy's implementation of it."""

import math

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError

xp = tf.ones(1).__array_namespace__()

STANDARD = """
abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor ceil clip conj copysign
cos cosh divide equal exp expm1 floor floor_divide greater greater_equal hypot imag isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp
logical_and logical_not logical_or logical_xor maximum minimum multiply negative not_equal positive pow real remainder round sign signbit sin sinh sqrt square
subtract tan tanh trunc
arange asarray empty empty_like eye from_dlpack full full_like linspace meshgrid ones ones_like tril triu zeros zeros_like
astype broadcast_arrays broadcast_to can_cast finfo iinfo isdtype result_type
matmul matrix_transpose tensordot vecdot
concat expand_dims flip moveaxis permute_dims repeat reshape roll squeeze stack tile unstack
argmax argmin nonzero searchsorted where take unique_all unique_counts unique_inverse unique_values argsort sort
cumulative_sum max mean min prod std sum var all any
bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128 e inf nan newaxis pi __array_namespace_info__ __array_api_version__
""".split()
LINALG = """cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank matrix_transpose outer pinv qr slogdet solve svd svdvals
tensordot trace vecdot vector_norm""".split()
FFT = "fft ifft fftn ifftn rfft irfft rfftn irfftn hfft ihfft fftfreq rfftfreq fftshift ifftshift".split()


def test_every_name_of_the_standard_is_there():
    assert [n for n in STANDARD if not hasattr(xp, n)] == []
    assert [n for n in LINALG if not hasattr(xp.linalg, n)] == []
    assert [n for n in FFT if not hasattr(xp.fft, n)] == []


RNG = np.random.default_rng(1)
A = {
    "x": RNG.uniform(-2, 2, (3, 4)),
    "y": RNG.uniform(-2, 2, (3, 4)),
    "p": RNG.uniform(0.1, 0.9, (3, 4)),
    "s": RNG.uniform(-2, 2, (3, 3)) + 3 * np.eye(3),
    "i": RNG.integers(-5, 9, (3, 4)),
    "j": RNG.integers(1, 5, (3, 4)),
    "u": RNG.integers(0, 9, (3, 4)).astype(np.uint8),
    "b": RNG.uniform(0, 1, (3, 4)) > 0.5,
    "c": RNG.uniform(-2, 2, (3, 4)) + 1j * RNG.uniform(-2, 2, (3, 4)),
    "v": RNG.uniform(-2, 2, 4),
    "d": np.array([3, 1, 2, 1, 3]),
}
ONE = """abs acosh:x*0+2 acos:p asin:p asinh:x atan:x atanh:p ceil:x cos:x cosh:x exp:x expm1:x floor:x floor:i log:p log10:p log1p:p log2:p negative:x positive:x
round:x round:c sign:x sign:c signbit:x sin:x sinh:x sqrt:p square:x tan:x tanh:c trunc:x isfinite:x isinf:i isnan:c conj:c real:c imag:c logical_not:b
bitwise_invert:i abs:c abs:i ceil:i trunc:i""".split()
TWO = """add:x,y add:i,j subtract:x,y multiply:u,u divide:x,y floor_divide:i,j remainder:i,j remainder:x,y pow:p,x pow:j,j atan2:x,y hypot:x,y copysign:x,y
logaddexp:x,y maximum:x,y minimum:i,j bitwise_and:i,j bitwise_or:b,b bitwise_xor:u,u bitwise_left_shift:j,j bitwise_right_shift:i,j equal:i,j not_equal:x,y
less:x,y less_equal:i,j greater:x,y greater_equal:i,j logical_and:b,b logical_or:b,b logical_xor:b,b""".split()
CALLS = (
    [f"xp.{n}({a or 'x'})" for n, _, a in (w.partition(":") for w in ONE + TWO)]
    + """
xp.clip(x, -1, 1)
xp.clip(x)
xp.arange(5)
xp.arange(1, 8, 3)
xp.arange(3, 1)
xp.arange(0, 1, 0.25)
xp.asarray([1.5, 2])
xp.eye(3, 4, k=1, dtype=xp.float64)
xp.full((2, 2), 7)
xp.full_like(x, 2)
xp.linspace(0, 1, 5, dtype=xp.float64)
xp.linspace(0, 1, 4, endpoint=False, dtype=xp.float64)
xp.meshgrid(v, d)
xp.meshgrid(v, d, indexing="ij")
xp.ones((2, 3), dtype=xp.int32)
xp.zeros_like(u)
xp.tril(x, k=-1)
xp.triu(x, k=1)
xp.astype(x, xp.int32)
xp.broadcast_arrays(x, v)
xp.broadcast_to(v, (2, 4))
xp.concat((x, y), axis=1)
xp.concat((x, v), axis=None)
xp.expand_dims(x, axis=1)
xp.flip(x)
xp.flip(x, axis=1)
xp.moveaxis(x, 0, 1)
xp.permute_dims(x, (1, 0))
xp.repeat(x, 2)
xp.repeat(x, 2, axis=1)
xp.reshape(x, (4, -1))
xp.roll(x, 1)
xp.roll(x, (1, 2), axis=(0, 1))
xp.squeeze(x[:1], axis=0)
xp.stack((x, y), axis=1)
xp.tile(x, (2, 1, 2))
xp.unstack(x, axis=1)
xp.argmax(x)
xp.argmax(x, axis=1, keepdims=True)
xp.argmin(i, axis=0)
xp.nonzero(b)
xp.searchsorted(xp.sort(v), y[0, :])
xp.searchsorted(v, y[0, :], side="right", sorter=xp.argsort(v))
xp.where(b, x, y)
xp.take(x, d, axis=1)
xp.take(v, xp.asarray([0, -1]))
xp.unique_counts(d)
xp.unique_inverse(d)
xp.sort(xp.unique_values(d))
xp.unique_all(d)
xp.argsort(d, stable=True)
xp.sort(x, axis=0)
xp.cumulative_sum(v)
xp.cumulative_sum(i, axis=1)
xp.cumulative_sum(x, axis=0, include_initial=True)
xp.max(x, axis=1)
xp.min(x)
xp.mean(x, axis=0, keepdims=True)
xp.prod(x, axis=1)
xp.sum(x)
xp.sum(i, axis=(0, 1))
xp.sum(u)
xp.std(x, axis=1)
xp.var(x, correction=1)
xp.all(b, axis=0)
xp.any(i)
xp.matmul(x, xp.matrix_transpose(y))
xp.tensordot(x, y, axes=((1,), (1,)))
xp.vecdot(c, c)
xp.isdtype(x.dtype, "real floating")
xp.isdtype(i.dtype, ("bool", "unsigned integer"))
xp.isdtype(u.dtype, xp.uint8)
xp.can_cast(xp.int32, xp.int64)
xp.can_cast(xp.float64, xp.float32)
xp.finfo(xp.float32).eps
xp.iinfo(xp.int16).max
xp.linalg.cholesky(s @ xp.matrix_transpose(s))
xp.linalg.cross(x[:, :3], y[:, :3])
xp.linalg.det(s)
xp.linalg.diagonal(x, offset=1)
xp.linalg.eigvalsh(s + xp.matrix_transpose(s))
xp.linalg.inv(s)
xp.linalg.matrix_norm(x)
xp.linalg.matrix_norm(x, ord=2, keepdims=True)
xp.linalg.matrix_power(s, -2)
xp.linalg.matrix_rank(x)
xp.linalg.outer(v, v)
xp.linalg.pinv(x)
xp.linalg.slogdet(s)
xp.linalg.solve(s, x)
xp.linalg.solve(s, x[:, 0])
xp.linalg.svdvals(x)
xp.linalg.trace(x)
xp.linalg.vector_norm(x, axis=1, ord=3)
xp.linalg.vector_norm(x)
xp.fft.fft(c)
xp.fft.ifft(c, n=3, norm="ortho")
xp.fft.rfft(x, axis=0)
xp.fft.irfft(c)
xp.fft.fftn(c)
xp.fft.ifftn(c, axes=(0,))
xp.fft.rfftn(x)
xp.fft.irfftn(c, s=(3, 5), axes=(0, 1))
xp.fft.hfft(c)
xp.fft.ihfft(x)
xp.astype(xp.fft.fftfreq(5), xp.float32)
xp.astype(xp.fft.rfftfreq(6, d=0.5), xp.float32)
xp.fft.fftshift(x)
xp.fft.ifftshift(x, axes=1)
x.mT
x.T
xp.result_type(i, xp.int8)
xp.result_type(u, 1)
""".strip().splitlines()
)


def flat(x):
    return [leaf for part in x for leaf in flat(part)] if isinstance(x, (tuple, list)) else [x]


@pytest.mark.parametrize("call", CALLS)
def test_equals_numpy(call):
    want = flat(eval(call, {"xp": np, **A}))
    have = flat(eval(call, {"xp": xp, **{n: xp.asarray(a) for n, a in A.items()}}))
    assert len(have) == len(want)
    for h, w in zip(have, want):
        if isinstance(h, tf.Tensor):
            w = np.asarray(w)
            assert h.shape == w.shape
            assert (
                h.dtype.name == w.dtype.name
                or (w.dtype.name == "float64" and "asarray([" in call)
                or "arange(0, 1" in call
            )
            np.testing.assert_allclose(h.numpy(), w, rtol=1e-10 if h.dtype is not tf.float32 else 1e-6, atol=1e-12)
        elif isinstance(h, tf.DType):
            assert h.name == np.dtype(w).name
        else:
            assert h == pytest.approx(w)


def test_inspection():
    info = xp.__array_namespace_info__()
    assert info.capabilities()["boolean indexing"] is True
    assert info.default_device() in info.devices()
    assert info.default_dtypes()["integral"] is xp.int64
    assert set(info.dtypes(kind="signed integer")) == {"int8", "int16", "int32", "int64"}
    assert len(info.dtypes()) == 13


def test_the_array_object():
    x = xp.ones((2, 3))
    assert x.ndim == 2 and x.shape == (2, 3) and x.device == x.to_device("cpu").device
    assert bool(xp.all(x[None, 0, ...] == 1)) and math.prod(x.shape) == 6
    y = xp.from_dlpack(x)
    y[0, 0] = 5
    assert x[0, 0] == 5
    assert int(xp.asarray(3)) == 3 and float(xp.asarray(1.5)) == 1.5 and complex(xp.asarray(1j)) == 1j
    assert x.__array_namespace__(api_version="2023.12") is tf.array_api


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: tf.ones(1).__array_namespace__(api_version="1999.01"), "not supported"),
        (lambda: xp.squeeze(xp.ones((2, 3)), axis=0), "extent 2"),
        (lambda: xp.take(xp.ones((2, 3)), xp.asarray([0])), "name the axis"),
        (lambda: xp.cumulative_sum(xp.ones((2, 3))), "name the axis"),
        (lambda: xp.asarray([1, 2], copy=False), "without a copy"),
        (lambda: xp.asarray(xp.ones(2), dtype=xp.int32, copy=False), "without a copy"),
        (lambda: xp.isdtype(xp.int8, "real"), "kind is"),
        (lambda: xp.nonzero(xp.asarray(1)), "at least 1 axis"),
        (lambda: xp.matrix_transpose(xp.ones(2)), "at least 2 axes"),
    ],
)
def test_wrong_use_says_what_is_wrong(call, says):
    with pytest.raises(ArgumentError, match=says):
        call()
