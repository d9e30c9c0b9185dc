"""Infinities and NaN are values: no operation warns of them, whatever its user's own NumPy settings are."""

import threading
import warnings

import numpy as np
import pytest

import twinflow as tf
from twinflow import nn


def backward(fn):
    def run(x):
        x = x.clone().requires_grad_()
        fn(x).sum().backward()
        return x.grad

    return run


CASES = {
    "log": lambda x: x.log(),
    "exp": lambda x: (x * 1e4).exp(),
    "divide": lambda x: x / 0.0,
    "divide tensors": lambda x: x / (x * 0),
    "number": lambda x: 1.0 / x,
    "large number": lambda x: x * 1e300,
    "sqrt": lambda x: (x - 1e9).sqrt(),
    "pow": lambda x: x**-2.0,
    "float16": lambda x: (x * 1e9).to(dtype=tf.float16) * 100.0,
    "cast": lambda x: (x / 0.0).to(dtype=tf.int32),
    "sum": lambda x: (x.to(dtype=tf.float64) * 1e308 * 1e308).sum(0) - tf.inf,
    "sum of one type": lambda x: (x * 3e38).sum(),
    "mean of nothing": lambda x: x[:0].mean(),
    "var of one": lambda x: x[:1, :1].var(),
    "matmul": lambda x: (x * 3e38) @ (x * 3e38).T - (x * tf.inf) @ x.T,
    "linear": lambda x: nn.functional.linear(x * 3e38, x * 3e38, (x * 3e38)[:, 0]),
    "softmax": lambda x: (x * tf.inf).softmax(-1),
    "log_softmax": lambda x: (x / 0.0).log_softmax(-1),
    "logsumexp": lambda x: (x * -tf.inf).logsumexp(-1),
    "sigmoid": lambda x: (x * -1e9).sigmoid(),
    "remainder": lambda x: x % 0.0,
    "integer division": lambda x: x.to(dtype=tf.int64) // (x.to(dtype=tf.int64) * 0),
    "cumprod": lambda x: (x * 3e38).cumprod(-1),
    "norm": lambda x: tf.linalg.norm(x * 3e38),
    "in place": lambda x: (x * 3e38).mul_(x * 3e38).div_(0.0).add_(1e300),
    "item": lambda x: x.clone().__setitem__((0, 0), 1e300),
    "masked": lambda x: tf.where(x > 0, 1 / x, 0.0),
    "comparison": lambda x: (x / 0.0) < (x * tf.nan),
    "tensor": lambda x: tf.tensor([1e300, tf.nan], dtype=tf.float32),
    "full": lambda x: tf.full((2,), 1e300, dtype=tf.float32),
    "from array": lambda x: tf.tensor(np.array([1e300]), dtype=tf.float32),
    "gradient of log": backward(lambda x: x.log()),
    "gradient of sqrt": backward(lambda x: x.sqrt()),
    "gradient of a broadcast": backward(lambda x: ((x * 3e38)[:, None] * (x * 3e38)).sum((0, 1))),
    "gradient of softmax": backward(lambda x: (x * 3e38).softmax(-1) * 3e38),
    "cross entropy": backward(lambda x: nn.functional.cross_entropy(x / 0.0, tf.arange(x.shape[0]) % 2)),
    "layer norm": backward(lambda x: nn.functional.layer_norm(x * 3e38, (x.shape[-1],), eps=0.0)),
    "median": lambda x: (x / 0.0).median(),
    "gamma": lambda x: tf.lgamma(x * 0) + tf.digamma(x * 0) + tf.special.zeta(x, x * 0),
    "histogram": lambda x: tf.histc(x, 4),
    "printing": lambda x: tf.tensor(len(repr(x / 0.0))),
}


def run_all(fn):
    """On small operands, and on large ones, which compiled kernels take."""
    for x in (tf.arange(6.0).reshape(2, 3), tf.arange(20000.0).reshape(100, 200)):
        fn(x)


@pytest.fixture(params=["warnings are errors", "NumPy raises"])
def strict(request):
    with warnings.catch_warnings(), np.errstate():
        if request.param == "NumPy raises":
            np.seterr(all="raise")
        else:
            warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("name", CASES)
def test_nothing_warns(name, strict):
    before = np.geterr()
    run_all(CASES[name])
    assert np.geterr() == before


TRACED = [n for n in CASES if n not in ("printing", "item", "histogram") and "gradient" not in n]


@pytest.mark.parametrize("name", TRACED)
def test_nothing_warns_in_compiled_functions(name, strict):
    tf.compile(CASES[name])(tf.arange(6.0).reshape(2, 3))


def test_optimizers_and_schedules_do_not_warn(strict):
    for make in (tf.optim.SGD, tf.optim.Adam, tf.optim.AdamW, tf.optim.RMSprop, tf.optim.Adagrad):
        w = tf.tensor([0.0, 3e38, -3e38], requires_grad=True)
        optimizer = make([w], lr=1e30)
        for _ in range(3):
            optimizer.zero_grad()
            (w * w * 1e9).sum().backward()
            optimizer.step()


def test_users_own_numpy_code_keeps_its_settings():
    tf.zeros(3).log()
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        np.log(np.zeros(3))
    with np.errstate(divide="raise"):
        tf.zeros(3).log()
        with pytest.raises(FloatingPointError):
            np.log(np.zeros(3))


def test_nothing_warns_in_worker_threads():
    """Several at once: those that find another one at work, too."""
    failed = []

    def work():
        try:
            np.seterr(all="raise")
            for _ in range(20):
                for n in (10, 300_000):
                    assert bool(tf.isinf(tf.zeros(n).log()).all())
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed


def test_operations_inside_operations_do_not_warn(strict):
    """A primitive that runs others while it runs, as control flow does."""
    got = tf.scan(lambda c, x: (c / x, x.log()), tf.ones(2), tf.zeros(3, 2))
    assert bool(tf.isinf(got[1]).all())
