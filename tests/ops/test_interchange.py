"""Pickling, copying, DLPack and NumPy's universal functions."""

import copy
import pickle

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import DTypeError, GradientError

ALL = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


@pytest.mark.parametrize("dtype", ALL)
def test_pickling_keeps_everything(dtype):
    x = tf.tensor([[0, 1], [1, 0]]).to(dtype=getattr(tf, dtype if dtype != "bool" else "bool_"))
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), pickle.loads(pickle.dumps(x.T))):
        assert y.dtype is x.dtype and y.shape == x.shape
        assert y.tolist() == x.tolist()
    assert pickle.loads(pickle.dumps(tf.tensor(3.0))).shape == ()
    assert pickle.loads(pickle.dumps(x.dtype)) is x.dtype


def test_copies_have_their_own_memory_and_gradient():
    x = tf.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    y, shallow = copy.deepcopy(x), copy.copy(x)
    assert y.requires_grad and y.grad.tolist() == [3, 3] and y.grad is not x.grad
    with tf.no_grad():
        y.fill_(7)
    assert x.tolist() == [1, 1]
    assert np.shares_memory(shallow.detach().numpy(), x.detach().numpy())
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1]
    with pytest.raises(GradientError, match="leaf"):
        copy.deepcopy(x * 2)


def test_dlpack_shares_memory_both_ways():
    x = tf.arange(6).reshape(2, 3)
    view = np.from_dlpack(x)
    x[0, 0] = 9
    assert view[0, 0] == 9
    back = tf.from_dlpack(view.T)
    assert back.shape == (3, 2) and back[0, 0] == 9
    assert np.shares_memory(back.numpy(), x.numpy())
    assert not np.shares_memory(tf.from_dlpack(view, copy=True).numpy(), x.numpy())
    assert x.__dlpack_device__() == (1, 0)


def test_dlpack_refuses_what_it_cannot_carry():
    with pytest.raises(BufferError, match=r"detach\(\)"):
        np.from_dlpack(tf.ones(2, requires_grad=True))
    with pytest.raises(BufferError, match="bfloat16"):
        np.from_dlpack(tf.ones(2, dtype=tf.bfloat16))
    with pytest.raises(DTypeError, match="does not speak DLPack"):
        tf.from_dlpack([1, 2])
    with pytest.raises(DTypeError, match="cannot be taken over"):
        tf.from_dlpack(tf.ones(2, dtype=tf.bfloat16))


def test_universal_functions_give_tensors_through_which_gradients_flow():
    x = tf.tensor([0.5, 1.0], dtype=tf.float64, requires_grad=True)
    y = np.sin(x) * np.array([2.0, 3.0]) + np.multiply(np.array([1.0, 2.0]), x)
    assert isinstance(y, tf.Tensor)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos([0.5, 1.0]) * [2, 3] + [1, 2])
    for name, args in {
        "power": (2.0,),
        "arctan2": (1.5,),
        "maximum": (0.7,),
        "greater": (0.6,),
        "rint": (),
        "exp2": (),
    }.items():
        f = getattr(np, name)
        np.testing.assert_allclose(f(x.detach(), *args).numpy(), f(x.detach().numpy(), *args))


def test_universal_functions_that_have_no_counterpart_work_on_the_values():
    x = tf.tensor([1.0, 2.0, 4.0])
    assert np.add.reduce(x).item() == 7
    assert np.multiply.accumulate(x).tolist() == [1, 2, 8]
    assert np.fmin(x, 1.5).tolist() == [1, 1.5, 1.5]
    assert [part.tolist() for part in np.divmod(x, 3.0)] == [[0, 0, 1], [1, 2, 1]]
    with pytest.raises(GradientError, match="detach"):
        np.fmin(x.clone().requires_grad_(), 1.0)


def test_arrays_and_tensors_mix_in_place():
    a = np.ones(3)
    a += tf.tensor([1.0, 2.0, 3.0])
    assert a.tolist() == [2, 3, 4]
    t = tf.zeros(3, dtype=tf.float64)
    assert np.add(a, 1.0, out=t) is t and t.tolist() == [3, 4, 5]
    assert (a - t).tolist() == [-1, -1, -1] and isinstance(a - t, tf.Tensor)


def test_numpy_shares_memory():
    a = np.zeros(3, np.float32)
    t = tf.from_numpy(a)
    t += 1
    assert a.tolist() == [1, 1, 1] and t.numpy() is a
    assert tf.as_tensor(a).numpy() is a and tf.tensor(a).numpy() is not a
    assert np.asarray(t) is a and np.array(t, dtype=np.int8).tolist() == [1, 1, 1]
    with pytest.raises(DTypeError, match="byte order"):
        tf.from_numpy(np.zeros(2, ">f4"))
    with pytest.raises(DTypeError, match="no type"):
        tf.from_numpy(np.array(["a"]))
    with pytest.raises(DTypeError, match="NumPy array is needed"):
        tf.from_numpy([1])
