"""Mixed precision: which operations cast, what a step leaves behind, and how the scale moves."""

import numpy as np
import pytest

import twinflow as tf
from twinflow import nn
from twinflow.core.errors import ArgumentError, GradientError
from twinflow.nn import functional as F
from twinflow.utils.checkpoint import checkpoint

BF16, F32 = tf.bfloat16, tf.float32
x = tf.linspace(-1.0, 1.0, 16).reshape(4, 4)
image = tf.linspace(-1.0, 1.0, 50).reshape(1, 2, 5, 5)


# Types as PyTorch 2.13 gives them on the CPU, of float32 operands.
@pytest.mark.parametrize(
    ("call", "dtype"),
    [
        (lambda: x @ x, BF16), (lambda: tf.mm(x, x), BF16), (lambda: tf.bmm(x[None], x[None]), BF16), (lambda: tf.addmm(x, x, x), BF16),
        (lambda: tf.baddbmm(x[None], x[None], x[None]), BF16), (lambda: tf.addbmm(x, x[None], x[None]), BF16), (lambda: tf.einsum("ij,kj", x, x), BF16),
        (lambda: tf.tensordot(x, x, 1), BF16), (lambda: F.linear(x, x, x[0]), BF16), (lambda: F.conv2d(image, tf.ones(3, 2, 3, 3), tf.ones(3)), BF16),
        (lambda: F.conv_transpose2d(image, tf.ones(2, 3, 3, 3)), BF16), (lambda: F.prelu(x, tf.ones(1)), BF16),
        (lambda: F.scaled_dot_product_attention(x[None], x[None], x[None], tf.zeros(4, 4)), BF16),
        (lambda: nn.MultiheadAttention(4, 2)(x[:, None], x[:, None], x[:, None])[0], BF16), (lambda: nn.GRU(4, 3)(x[:, None])[0], F32),
        (lambda: x + x, F32), (lambda: tf.softmax(x, -1), F32), (lambda: x.exp().sum(), F32), (lambda: F.layer_norm(x, (4,)), F32), (lambda: tf.cat([x, x @ x]), F32),
        (lambda: x + x @ x, F32), (lambda: x.double() @ x.double(), tf.float64), (lambda: F.mse_loss(x @ x, x), F32), (lambda: F.cross_entropy(x @ x, tf.arange(4)), F32),
        (lambda: F.binary_cross_entropy_with_logits(x @ x, x.abs()), F32), (lambda: F.kl_div(x @ x, x.abs()), F32), (lambda: tf.cdist(x @ x, x @ x), F32),
        (lambda: (x @ x).prod(), F32), (lambda: tf.trace(x @ x), F32), (lambda: F.layer_norm(x @ x, (4,), tf.ones(4)), BF16),
        (lambda: nn.BatchNorm1d(4)(x @ x), BF16), (lambda: tf.softmax(x @ x, -1), BF16), (lambda: nn.LSTM(4, 3)((x @ x)[:, None])[0], F32),
    ],
)  # fmt: skip
def test_what_is_cast(call, dtype):
    with tf.autocast("cpu"):
        assert call().dtype is dtype
    assert tf.compile(tf.autocast("cpu", dtype=BF16)(call))().dtype is dtype


def test_the_context_nests_and_ends():
    assert not tf.is_autocast_enabled()
    with tf.autocast("cpu", dtype=tf.float16):
        assert (tf.is_autocast_enabled("cpu"), tf.get_autocast_dtype("cpu"), (x @ x).dtype) == (
            True,
            tf.float16,
            tf.float16,
        )
        with tf.amp.autocast("cpu", enabled=False):
            assert (x @ x).dtype is F32
        assert (x @ x).dtype is tf.float16
    assert (x @ x).dtype is F32
    with pytest.raises(ArgumentError, match="bfloat16 or float16, not float64"):
        tf.autocast("cpu", dtype=tf.float64)
    with pytest.warns(UserWarning, match="no device 'cuda'"), tf.autocast("cuda"):
        assert (x @ x).dtype is F32


def test_a_compiled_function_belongs_to_the_mode_in_which_it_is_called():
    f = tf.compile(lambda a: a @ a)
    for _ in range(3):
        assert f(x).dtype is F32
        with tf.autocast("cpu"):
            assert f(x).dtype is BF16


def _model():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3))
    with tf.no_grad():
        for p in model.parameters():
            p.copy_(tf.linspace(-0.7, 0.9, p.numel()).reshape(p.shape))
    return model, tf.optim.Adam(model.parameters(), lr=0.01)


def _amp_step(model, optimizer, scaler, dtype):
    def step(inputs, labels, factor):
        optimizer.zero_grad()
        with tf.autocast("cpu", dtype=dtype):
            loss = F.cross_entropy(model(inputs), labels) * factor
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return loss

    return step


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_steps_leave_out_what_overflowed_compiled_or_not(dtype):
    seen = []
    for compiled in (False, True):
        model, optimizer = _model()
        scaler = tf.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        step = _amp_step(model, optimizer, scaler, dtype)
        step = tf.compile(step) if compiled else step
        rows = []
        for factor in (1.0, float("inf"), 1.0, 1.0):
            before = [p.detach().clone() for p in model.parameters()]
            step(x, tf.tensor([0, 1, 2, 0]), tf.tensor(factor))
            same = all(tf.equal(a, b) for a, b in zip(before, model.parameters()))
            rows.append(
                (
                    scaler.get_scale(),
                    same,
                    optimizer.state_dict()["state"].get(0, {}).get("step", tf.tensor(0.0)).item(),
                )
            )
        assert all(p.dtype is F32 and p.grad.dtype is F32 for p in model.parameters())
        seen.append((rows, [p.detach().numpy() for p in model.parameters()]))
    assert seen[0][0] == [(8.0, False, 1.0), (4.0, True, 1.0), (4.0, False, 2.0), (8.0, False, 3.0)] == seen[1][0]
    for a, b in zip(seen[0][1], seen[1][1]):
        np.testing.assert_allclose(a, b, atol=2e-2)


def test_the_first_step_may_overflow():
    for compiled in (False, True):
        model, optimizer = _model()
        scaler = tf.amp.GradScaler("cpu", init_scale=8.0)
        step = _amp_step(model, optimizer, scaler, BF16)
        before = [p.tolist() for p in model.parameters()]
        (tf.compile(step) if compiled else step)(x, tf.tensor([0, 1, 2, 0]), tf.tensor(float("nan")))
        assert [p.tolist() for p in model.parameters()] == before
        assert scaler.get_scale() == 4.0


def test_checkpointed_parts_are_repeated_with_the_same_casts():
    w = x.clone().requires_grad_()
    with tf.autocast("cpu"):
        y = checkpoint(lambda a: (a @ w).sin(), x)
    y.float().sum().backward()
    kept = w.grad
    w.grad = None
    with tf.autocast("cpu"):
        (x @ w).sin().float().sum().backward()
    np.testing.assert_array_equal(kept.numpy(), w.grad.numpy())


def test_scalers_are_saved_and_switched_off():
    scaler = tf.amp.GradScaler("cpu", init_scale=8.0, growth_interval=5)
    other = tf.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict() == {
        "scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 5, "_growth_tracker": 0,
    }  # fmt: skip
    off = tf.amp.GradScaler("cpu", enabled=False)
    assert (off.scale(x) is x, off.get_scale(), off.state_dict(), off.is_enabled()) == (True, 1.0, {}, False)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s, o: s.step(o), GradientError, "no parameter of the optimizer has a gradient"),
        (lambda s, o: s.update(), GradientError, r"no step\(\) or unscale_\(\)"),
        (lambda s, o: s.step(o, closure=lambda: None), ArgumentError, "closures are not supported"),
        (lambda s, o: tf.amp.GradScaler(growth_factor=1.0), ArgumentError, "growth_factor must be more than 1"),
        (lambda s, o: tf.amp.GradScaler(backoff_factor=2.0), ArgumentError, "between 0 and 1"),
        (lambda s, o: s.scale(3), ArgumentError, "losses are tensors, not int"),
        (lambda s, o: s.load_state_dict({}), ArgumentError, "not enabled"),
    ],
)
def test_wrong_uses_of_a_scaler(call, error, message):
    with pytest.raises(error, match=message):
        call(tf.amp.GradScaler("cpu"), _model()[1])
    model, optimizer = _model()
    scaler = tf.amp.GradScaler("cpu")
    scaler.scale(model(x).sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(GradientError, match="unscaled since the last update"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(GradientError, match="has stepped since the last update"):
        scaler.step(optimizer)
