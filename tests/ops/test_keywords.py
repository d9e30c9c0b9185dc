"""Keywords that functions have in common: `out=`, `axis=`, `keepdims=`; and PyTorch's names that are only other doors."""

import inspect
import pickle

import pytest

import twinflow
from twinflow.core.errors import ArgumentError, DeviceError, DTypeError, GradientError, ShapeError
from twinflow.tensor import Tensor


def test_out_takes_the_result_and_is_returned() -> None:
    out = twinflow.zeros(3)
    assert twinflow.add(twinflow.ones(3), 1, out=out) is out
    assert out.tolist() == [2.0, 2.0, 2.0]
    assert twinflow.exp(twinflow.zeros(3), out=out[:]).tolist() == out.tolist() == [1.0, 1.0, 1.0]


def test_out_of_several_results_is_a_tuple() -> None:
    values, indices = twinflow.zeros(2), twinflow.zeros(2, dtype=twinflow.int64)
    found = twinflow.max(twinflow.tensor([[1.0, 3.0], [4.0, 2.0]]), 1, out=(values, indices))
    assert found.values is values and found.indices is indices
    assert values.tolist() == [3.0, 4.0] and indices.tolist() == [1, 0]
    with pytest.raises(ArgumentError, match="a tuple of 2 tensors"):
        twinflow.max(twinflow.ones(2, 2), 1, out=values)


def test_an_empty_out_takes_any_shape() -> None:
    out = twinflow.empty(0)
    twinflow.matmul(twinflow.ones(2, 3), twinflow.ones(3, 4), out=out)
    assert out.tolist() == [[3.0] * 4] * 2


def test_out_is_written_in_compiled_functions() -> None:
    @twinflow.compile
    def step(x: Tensor, into: Tensor) -> Tensor:
        twinflow.mul(x, 2, out=into)
        return into + 1

    into = twinflow.zeros(2)
    assert step(twinflow.tensor([1.0, 2.0]), into).tolist() == [3.0, 5.0]
    assert into.tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: twinflow.add(twinflow.ones(2), 1, out=twinflow.ones(3)), ShapeError, r"out= has shape \(3,\).*\(2,\)"),
        (lambda: twinflow.exp(twinflow.ones(2), out=twinflow.ones(2).int()), DTypeError, "float32 result.*int32"),
        (lambda: twinflow.exp(twinflow.ones(2), out=[1, 2]), ArgumentError, "not list"),
        (
            lambda: twinflow.exp(twinflow.ones(2, requires_grad=True), out=twinflow.ones(2)),
            GradientError,
            "out= cannot be differentiated",
        ),
        (lambda: twinflow.sum(twinflow.ones(2), dim=0, axis=0), ArgumentError, "two names of one argument"),
    ],
)
def test_wrong_keywords_are_refused(call: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()  # type: ignore[operator]


def test_numpys_names_of_axes() -> None:
    x = twinflow.arange(6.0).reshape(2, 3)
    assert twinflow.sum(x, axis=1, keepdims=True).tolist() == [[3.0], [12.0]]
    assert x.mean(axis=0).tolist() == [1.5, 2.5, 3.5]
    assert x.argmax(axis=1).tolist() == [2, 2]
    assert twinflow.cat([x, x], axis=1).shape == (2, 6)
    assert twinflow.linalg.norm(x, dim=1).shape == (2,)


def test_wrapped_functions_keep_their_help_and_pickle() -> None:
    assert list(inspect.signature(twinflow.cumsum).parameters)[:2] == ["input", "dim"]
    assert "out=" in (twinflow.cumsum.__doc__ or "")
    assert pickle.loads(pickle.dumps(twinflow.relu)) is twinflow.relu


def test_in_place_methods_are_functions_too() -> None:
    x = twinflow.tensor([-1.0, 4.0])
    assert twinflow.relu_(x) is x and x.tolist() == [0.0, 4.0]
    assert twinflow.sqrt_(x).tolist() == [0.0, 2.0]


def test_first_constructors() -> None:
    assert twinflow.Tensor(2, 3).shape == (2, 3)
    assert twinflow.Tensor([1, 2]).dtype is twinflow.float32
    assert twinflow.LongTensor([1, 2]).dtype is twinflow.int64
    assert isinstance(twinflow.ones(1), twinflow.FloatTensor) and not isinstance(twinflow.ones(1), twinflow.LongTensor)
    assert twinflow.ones(2).type(twinflow.DoubleTensor).dtype is twinflow.float64
    assert twinflow.ones(2, dtype=twinflow.int64).new([1.5]).dtype is twinflow.int64
    with pytest.raises(ArgumentError, match=r"sizes, as Tensor\(2, 3\)"):
        twinflow.Tensor(1.5, 2)


def test_questions_about_other_devices_have_answers() -> None:
    assert twinflow.device("cuda" if twinflow.cuda.is_available() else "cpu").type == "cpu"
    assert twinflow.cuda.device_count() == 0 and not twinflow.backends.mps.is_available()
    for wrong in (lambda: twinflow.ones(1).cuda(), lambda: twinflow.cuda.Stream(), lambda: twinflow.ones(1).cuda(1)):
        with pytest.raises(DeviceError, match="cpu"):
            wrong()


def test_memory_formats_change_nothing_but_are_checked() -> None:
    x = twinflow.arange(24.0).reshape(1, 2, 3, 4)
    assert x.to(memory_format=twinflow.channels_last).tolist() == x.tolist()
    assert twinflow.nn.Linear(2, 2).to(memory_format=twinflow.channels_last).weight.shape == (2, 2)
    with pytest.raises(ArgumentError, match="memory_format"):
        x.contiguous(memory_format="channels_last")


def test_constants_and_settings() -> None:
    assert twinflow.pi > 3.14 and twinflow.inf > 0 and twinflow.nan != twinflow.nan and twinflow.newaxis is None
    twinflow.set_default_device("cpu")
    with pytest.raises(DeviceError, match="cuda"):
        twinflow.set_default_device("cuda")
    with pytest.raises(ArgumentError, match="highest"):
        twinflow.set_float32_matmul_precision("low")


def test_max_of_two_tensors_promotes() -> None:
    assert twinflow.max(twinflow.tensor([1, 5]), twinflow.tensor([2.5, 1.0])).tolist() == [2.5, 5.0]
    assert twinflow.ones(2).max(other=twinflow.zeros(2)).tolist() == [1.0, 1.0]


def test_kaiser_window() -> None:
    # SciPy 1.17: scipy.signal.windows.kaiser(5, 8.6, sym=True) and sym=False
    want = [0.0013325139979024, 0.340393622440189, 1.0, 0.340393622440189, 0.0013325139979024]
    assert twinflow.kaiser_window(5, periodic=False, beta=8.6).tolist() == pytest.approx(want, rel=1e-5)
    assert twinflow.kaiser_window(4, beta=8.6).tolist() == pytest.approx(want[:4], rel=1e-5)
    assert twinflow.kaiser_window(1).tolist() == [1.0] and twinflow.kaiser_window(0).tolist() == []


def test_random_numbers_go_on_after_fork_rng() -> None:
    twinflow.manual_seed(3)
    want = twinflow.rand(2).tolist()
    twinflow.manual_seed(3)
    with twinflow.random.fork_rng():
        assert twinflow.rand(2).tolist() == want
    assert twinflow.rand(2).tolist() == want
    with pytest.raises(ArgumentError, match="no other devices"), twinflow.random.fork_rng(devices=[0]):
        pass


def test_default_tensor_type() -> None:
    twinflow.set_default_tensor_type("torch.DoubleTensor")
    try:
        assert twinflow.ones(1).dtype is twinflow.float64
    finally:
        twinflow.set_default_tensor_type(twinflow.FloatTensor)
    with pytest.raises(ArgumentError, match="not LongTensor"):
        twinflow.set_default_tensor_type(twinflow.LongTensor)


def test_lu_factor_ex_names_the_pivot_that_is_zero() -> None:
    _, _, info = twinflow.linalg.lu_factor_ex(twinflow.tensor([[[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [2.0, 4.0]]]))
    assert info.tolist() == [0, 2]
    with pytest.raises(twinflow.linalg.LinAlgError, match="singular"):
        twinflow.linalg.lu_factor_ex(twinflow.ones(2, 2), check_errors=True)


@pytest.mark.parametrize("name", ["hub", "sparse"])
def test_what_is_absent_says_what_to_do(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"no attribute '{name}': .*from-pytorch"):
        getattr(twinflow, name)
    with pytest.raises(AttributeError, match=r"no attribute 'tenser'$"):
        _ = twinflow.tenser
    assert not hasattr(twinflow, name)
