"""Layers beyond their numbers: initial values, running statistics, randomness, lazy shapes, wrong use, trained state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twinflow
from twinflow import nn
from twinflow.core.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from twinflow.nn import functional as F


def test_default_initial_values_have_the_documented_bounds() -> None:
    twinflow.manual_seed(0)
    for layer, fan_in in (
        (nn.Linear(50, 400), 50),
        (nn.Conv2d(8, 64, 3), 72),
        (nn.Conv2d(8, 64, 3, groups=4), 18),
        (nn.ConvTranspose2d(8, 64, 3), 64 * 9),
        (nn.Bilinear(50, 4, 6), 50),
    ):
        for p in (layer.weight, layer.bias):
            values = p.detach().numpy()
            bound = 1 / np.sqrt(fan_in)
            assert np.abs(values).max() <= bound
            if values.size > 300:
                np.testing.assert_allclose(values.std(), bound / np.sqrt(3), rtol=0.1)
    table = nn.Embedding(100, 50, padding_idx=3).weight.detach().numpy()
    assert not table[3].any() and abs(table.std() - 1) < 0.05


CASES: list[tuple[Any, float, float]] = [
    (lambda w: nn.init.uniform_(w, -2, 4), 1.0, 6 / np.sqrt(12)),
    (lambda w: nn.init.normal_(w, 3, 2), 3.0, 2.0),
    (lambda w: nn.init.xavier_uniform_(w, 2.0), 0.0, 2 * np.sqrt(2 / 500)),
    (lambda w: nn.init.xavier_normal_(w), 0.0, np.sqrt(2 / 500)),
    (lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"), 0.0, np.sqrt(2 / 300)),
    (lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="tanh"), 0.0, 5 / 3 / np.sqrt(200)),
    (lambda w: nn.init.trunc_normal_(w, 0, 1, -1, 1), 0.0, 0.5396),
    (lambda w: nn.init.constant_(w, 2.5), 2.5, 0.0),
    (nn.init.ones_, 1.0, 0.0),
    (nn.init.zeros_, 0.0, 0.0),
]


@pytest.mark.parametrize(("fill", "mean", "std"), CASES)
def test_initialisers(fill: Any, mean: float, std: float) -> None:
    twinflow.manual_seed(1)
    w = twinflow.empty(200, 300)
    assert fill(w) is w
    np.testing.assert_allclose(w.numpy().mean(), mean, atol=0.02 * max(std, 1e-9) + 1e-6)
    np.testing.assert_allclose(w.numpy().std(), std, rtol=0.02, atol=1e-7)


def test_structured_initialisers() -> None:
    for shape in ((4, 7), (7, 4), (3, 2, 5)):
        q = nn.init.orthogonal_(twinflow.empty(*shape), gain=2).numpy().reshape(shape[0], -1)
        small = q @ q.T if shape[0] <= q.shape[1] else q.T @ q
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)
    np.testing.assert_array_equal(nn.init.eye_(twinflow.empty(2, 3)).numpy(), np.eye(2, 3))
    x = twinflow.randn(1, 3, 5)
    w = nn.init.dirac_(twinflow.empty(3, 3, 3))
    np.testing.assert_allclose(F.conv1d(x, w, padding=1).numpy(), x.numpy(), rtol=1e-6)
    s = nn.init.sparse_(twinflow.empty(10, 6), 0.3).numpy()
    assert ((s == 0).sum(0) == 3).all()
    with pytest.raises(ShapeError, match="at least 2 axes"):
        nn.init.xavier_uniform_(twinflow.empty(3))
    with pytest.raises(ArgumentError, match="fan_in"):
        nn.init.kaiming_normal_(twinflow.empty(3, 3), mode="fan")
    with pytest.raises(ArgumentError, match="'swish' is not one of"):
        nn.init.calculate_gain("swish")
    assert nn.init.calculate_gain("leaky_relu", 1.0) == 1.0


def test_batch_norm_learns_statistics_eager_and_compiled() -> None:
    """Goldens: the formula itself, and the unbiased variance, in NumPy."""
    x = np.random.default_rng(0).normal(2, 3, (16, 4, 5)).astype(np.float32)
    for compiled in (False, True):
        for momentum in (0.1, None):
            layer = nn.BatchNorm1d(4, momentum=momentum)
            step = twinflow.compile(lambda x, layer=layer: layer(x)) if compiled else layer
            mean, var = np.zeros(4), np.ones(4)
            for k in range(1, 4):
                batch = x * k
                y = step(twinflow.from_numpy(batch)).detach().numpy()
                np.testing.assert_allclose(y.mean((0, 2)), 0, atol=1e-5)
                m = 0.1 if momentum else 1 / k
                mean += m * (batch.mean((0, 2)) - mean)
                var += m * (batch.var((0, 2)) * 80 / 79 - var)
                np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-4)
                np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-4)
            assert layer.num_batches_tracked.item() == 3
            layer.eval()
            want = (x - mean[:, None]) / np.sqrt(var[:, None] + 1e-5)
            np.testing.assert_allclose(step(twinflow.from_numpy(x)).detach().numpy(), want, rtol=1e-3, atol=1e-4)
            assert layer.num_batches_tracked.item() == 3


def test_norms_refuse_what_has_no_variance_or_other_channels() -> None:
    with pytest.raises(ArgumentError, match="one has no variance; use a larger batch, or eval"):
        nn.BatchNorm1d(3)(twinflow.ones(1, 3))
    with pytest.raises(ShapeError, match="channels stand last"):
        nn.BatchNorm2d(3)(twinflow.ones(2, 8, 8, 3))
    with pytest.raises(ShapeError, match=r"BatchNorm2d: input must be \[N, C, H, W\]"):
        nn.BatchNorm2d(3)(twinflow.ones(2, 3))
    with pytest.raises(ShapeError, match=r"the last axes of the input have the extents \(4,\)"):
        nn.LayerNorm(4)(twinflow.ones(2, 3))
    with pytest.raises(ArgumentError, match="2 groups do not divide 3 channels"):
        nn.GroupNorm(2, 3)
    with pytest.raises(DTypeError, match="floating"):
        nn.LayerNorm(3)(twinflow.ones(2, 3, dtype=twinflow.int64))
    with pytest.raises(ArgumentError, match="no variance"):
        nn.InstanceNorm1d(3)(twinflow.ones(2, 3, 1))


DROPOUTS = [
    (nn.Dropout(0.3), (400, 50)), (nn.Dropout1d(0.3), (400, 50, 3)), (nn.Dropout2d(0.3), (400, 50, 2, 2)), (nn.Dropout3d(0.3), (200, 50, 2, 2, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shape"), DROPOUTS, ids=lambda v: type(v).__name__)
def test_dropout_keeps_the_mean_and_follows_the_seed(layer: Any, shape: Any) -> None:
    x = twinflow.ones(*shape)
    f = twinflow.compile(lambda x: layer(x))
    twinflow.manual_seed(5)
    a = layer(x).numpy()
    twinflow.manual_seed(5)
    b, c = f(x).numpy(), f(x).numpy()
    np.testing.assert_allclose(a, b, rtol=1e-6)
    assert (b != c).any()
    assert set(np.unique(a)) == {np.float32(0), np.float32(1 / np.float32(0.7))}
    channels = a.reshape(shape[0], shape[1], -1)
    assert (channels == channels[:, :, :1]).all()
    np.testing.assert_allclose((a == 0).mean(), 0.3, atol=0.02)
    assert layer.eval()(x) is x
    layer.train()


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    twinflow.manual_seed(0)
    x = twinflow.randn(400, 300)
    for layer in (nn.AlphaDropout(0.2), nn.FeatureAlphaDropout(0.2)):
        y = layer(x).numpy()
        np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=0.02)
    with pytest.raises(ArgumentError, match=r"must lie in \[0, 1\], but 1.5"):
        nn.Dropout(1.5)
    assert not F.dropout(x, 1.0).numpy().any()
    y = twinflow.ones(50)
    assert F.dropout(y, 0.5, inplace=True) is y and (y.numpy() != 1).all()


LAZY = [
    (nn.LazyLinear(3), (2, 5), nn.Linear), (nn.LazyConv1d(4, 3), (2, 5, 8), nn.Conv1d), (nn.LazyConv2d(4, 3, groups=2), (2, 6, 8, 8), nn.Conv2d),
    (nn.LazyConv3d(4, 1, bias=False), (2, 6, 2, 2, 2), nn.Conv3d), (nn.LazyConvTranspose2d(4, 2, 2), (2, 6, 3, 3), nn.ConvTranspose2d),
    (nn.LazyBatchNorm1d(), (4, 5), nn.BatchNorm1d), (nn.LazyBatchNorm2d(affine=False), (2, 5, 3, 3), nn.BatchNorm2d),
    (nn.LazyInstanceNorm1d(affine=True), (2, 5, 4), nn.InstanceNorm1d),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shape", "cls"), LAZY, ids=lambda v: type(v).__name__)
def test_lazy_layers_take_shapes_from_the_first_input(layer: Any, shape: Any, cls: Any) -> None:
    x = twinflow.randn(*shape)
    assert "Uninitialized" in repr(list(layer.parameters())) or not list(layer.parameters())
    y = layer(x)
    assert type(layer) is cls
    channels = shape[-1] if cls is nn.Linear else shape[1]
    assert channels in (
        getattr(layer, "in_features", 0),
        getattr(layer, "in_channels", 0),
        getattr(layer, "num_features", 0),
    )
    assert all(p.numel() for p in layer.parameters())
    np.testing.assert_array_equal(layer.eval()(x).shape, y.shape)


def test_lazy_layers_load_a_state() -> None:
    layer = nn.LazyLinear(3)
    layer.load_state_dict(nn.Linear(5, 3).state_dict())
    assert layer(twinflow.ones(2, 5)).shape == (2, 3) and layer.in_features == 5


def test_in_place_activations_write_into_their_input() -> None:
    for layer in (
        nn.ReLU(True),
        nn.LeakyReLU(0.1, True),
        nn.Hardswish(True),
        nn.ELU(inplace=True),
        nn.Hardtanh(inplace=True),
    ):
        x = twinflow.tensor([-2.0, 0.5, 3.0])
        want = type(layer)()(x.clone()).numpy() if not isinstance(layer, nn.LeakyReLU) else np.float32([-0.2, 0.5, 3.0])
        assert layer(x) is x
        np.testing.assert_allclose(x.numpy(), want, rtol=1e-6)


def test_random_activations() -> None:
    twinflow.manual_seed(0)
    x = -twinflow.ones(2000)
    y = -nn.RReLU(0.1, 0.3)(x).numpy()
    assert y.min() >= 0.1 and y.max() < 0.3 and abs(y.mean() - 0.2) < 0.01
    logits = twinflow.log(twinflow.tensor([0.2, 0.3, 0.5])).expand(5000, 3).clone().requires_grad_()
    hard = F.gumbel_softmax(logits, hard=True)
    np.testing.assert_allclose(hard.detach().numpy().mean(0), [0.2, 0.3, 0.5], atol=0.03)
    assert set(np.unique(hard.detach().numpy().round(6))) == {0.0, 1.0}
    (hard[:, 0]).sum().backward()
    assert logits.grad.numpy().any()
    p = nn.FractionalMaxPool2d(2, output_ratio=0.6)(twinflow.randn(2, 3, 10, 10))
    assert p.shape == (2, 3, 6, 6)


def test_wrong_use_of_convolutions() -> None:
    conv = nn.Conv2d(3, 4, 3)
    with pytest.raises(ShapeError, match="channels stand last"):
        conv(twinflow.ones(2, 8, 8, 3))
    with pytest.raises(
        ShapeError, match=r"kernel fits into the padded input along spatial axis 0 \(3 taps into 2 \+ 0 \+ 0\)"
    ):
        conv(twinflow.ones(1, 3, 2, 8))
    with pytest.raises(ShapeError, match=r"must be \[N, C, H, W\] or \[C, H, W\]"):
        conv(twinflow.ones(3, 8))
    with pytest.raises(DTypeError, match="the input is float64, but the weight float32"):
        conv(twinflow.ones(1, 3, 8, 8, dtype=twinflow.float64))
    with pytest.raises(ArgumentError, match="groups 2 do not divide in_channels 3"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ArgumentError, match="padding_mode is one of"):
        nn.Conv2d(3, 4, 3, padding_mode="mirror")
    with pytest.raises(ArgumentError, match="'same' needs stride 1"):
        nn.Conv2d(3, 4, 3, stride=2, padding="same")
    with pytest.raises(ArgumentError, match="output_padding must be smaller"):
        nn.ConvTranspose1d(1, 1, 3, output_padding=1)(twinflow.ones(1, 1, 4))
    with pytest.raises(ArgumentError, match=r"is not reachable; it lies between \(7,\) and \(8,\)"):
        nn.ConvTranspose1d(1, 1, 3, stride=2, padding=1)(twinflow.ones(1, 1, 4), (9,))
    with pytest.raises(ArgumentError, match="kernel_size needs one number"):
        nn.Conv2d(1, 1, (3, 3, 3))
    with pytest.raises(ArgumentError, match="out_channels must be at least 1"):
        nn.Conv1d(1, 0, 1)


def test_wrong_use_of_the_rest() -> None:
    with pytest.raises(ArgumentError, match="padding must be at most half of the kernel"):
        nn.MaxPool2d(2, padding=2)(twinflow.ones(1, 4, 4))
    with pytest.raises(ShapeError, match="does not fit into 2 elements"):
        F.avg_pool1d(twinflow.ones(1, 1, 2), 3)
    with pytest.raises(ArgumentError, match="either output_size or output_ratio"):
        nn.FractionalMaxPool2d(2)
    with pytest.raises(IndexOutOfRange, match=r"index 9 is outside \[0, 4\].*enlarge num_embeddings"):
        nn.Embedding(5, 2)(twinflow.tensor([1, 9]))
    with pytest.raises(DTypeError, match=r"use input.long\(\)"):
        nn.Embedding(5, 2)(twinflow.tensor([1.0]))
    with pytest.raises(ArgumentError, match="needs offsets"):
        nn.EmbeddingBag(5, 2)(twinflow.tensor([1, 2]))
    with pytest.raises(ArgumentError, match="padding_idx 7 is outside"):
        nn.Embedding(5, 2, padding_idx=7)
    with pytest.raises(ShapeError, match="reflect padding of 4"):
        nn.ReflectionPad1d(4)(twinflow.ones(1, 1, 4))
    with pytest.raises(ArgumentError, match="mode 'bilinear' resizes 2 axes"):
        F.interpolate(twinflow.ones(1, 1, 4), 8, mode="bilinear")
    with pytest.raises(ArgumentError, match="antialias belongs to"):
        F.interpolate(twinflow.ones(1, 1, 4, 4), 8, mode="nearest", antialias=True)
    with pytest.raises(ShapeError, match="pixel_shuffle"):
        nn.PixelShuffle(2)(twinflow.ones(1, 3, 4, 4))
    with pytest.raises(ShapeError, match=r"weight has 4 elements.*has 3 channels"):
        nn.PReLU(4)(twinflow.ones(2, 3))
    with pytest.raises(ShapeError, match="halves"):
        nn.GLU()(twinflow.ones(2, 3))
    with pytest.raises(ArgumentError, match="name the axis"):
        nn.Softmax()(twinflow.ones(3))
    with pytest.raises(ArgumentError, match="approximate is"):
        nn.GELU("fast")(twinflow.ones(3))
    with pytest.raises(DTypeError, match="weight must be a tensor"):
        F.linear(twinflow.ones(3), [1.0])  # type: ignore[arg-type]


def test_pooling_indices_lead_back() -> None:
    x = twinflow.randn(2, 3, 6, 6)
    y, i = F.max_pool2d(x, 2, return_indices=True)
    flat = x.numpy().reshape(2, 3, -1)
    np.testing.assert_array_equal(np.take_along_axis(flat, i.numpy().reshape(2, 3, -1), 2).reshape(y.shape), y.numpy())
    back = nn.MaxUnpool2d(2)(y, i).numpy()
    np.testing.assert_array_equal(back[back != 0].sum(), y.numpy()[y.numpy() != 0].sum())


def test_max_pool_of_nan_and_infinity() -> None:
    x = twinflow.tensor([[1.0, float("nan"), -float("inf"), -float("inf")]])
    y, i = F.max_pool1d(x, 2, return_indices=True)
    assert np.isnan(y.numpy()[0, 0]) and y.numpy()[0, 1] == -np.inf and i.tolist() == [[1, 2]]
    y, i = F.max_pool1d(twinflow.full((1, 3), -float("inf")), 2, 1, 1, return_indices=True)
    assert i.tolist() == [[0, 0, 1, 2]]


def test_a_small_network_learns() -> None:
    """A ring against its middle: not linearly separable; eager and compiled steps give the same losses."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(256, 2)).astype(np.float32)
    labels = (np.hypot(*points.T) > 1.1).astype(np.int64)
    x, y = twinflow.from_numpy(points), twinflow.from_numpy(labels)

    def train(compiled: bool) -> list[float]:
        twinflow.manual_seed(3)
        model = nn.Sequential(nn.Linear(2, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
        optimizer = twinflow.optim.Adam(model.parameters(), lr=0.02)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            return loss

        run = twinflow.compile(step) if compiled else step
        return [run(x, y).item() for _ in range(60)]

    eager, compiled = train(False), train(True)
    assert eager[-1] < 0.2 < 0.5 < eager[0]
    np.testing.assert_allclose(eager, compiled, rtol=0.02, atol=2e-3)


def test_functions_with_an_underscore_write_into_their_input() -> None:
    x = twinflow.tensor([-2.0, 0.5])
    assert F.leaky_relu_(x, 0.1) is x and x.tolist() == [pytest.approx(-0.2), 0.5]
    assert F.relu_(x) is x and x.tolist() == [0.0, 0.5]
    assert F.threshold_(x, 0.2, 7.0).tolist() == [7.0, 0.5]


@pytest.mark.parametrize(
    ("layer", "shape", "hint"),
    [
        (
            lambda: nn.Conv2d(1, 2, 3),
            (4, 28, 28),
            r"one example with 4 channels, but the weight takes 1; .*unsqueeze\(1\)",
        ),
        (lambda: nn.Conv2d(3, 2, 3), (28, 28, 3), r"takes 3; the channels stand last: use input\.movedim\(-1, 0\)"),
        (lambda: nn.Conv1d(5, 2, 3), (4, 7), "one example with 4 channels, but the weight takes 5"),
    ],
)
def test_one_example_in_a_wrong_layout(layer: Any, shape: Any, hint: str) -> None:
    with pytest.raises(ShapeError, match=hint):
        layer()(twinflow.ones(*shape))


IN_PLACE = (
    F.relu,
    F.silu,
    F.mish,
    F.elu,
    F.leaky_relu,
    F.hardswish,
    F.hardsigmoid,
    F.selu,
    F.celu,
    F.relu6,
    F.hardtanh,
)


@pytest.mark.parametrize("activation", IN_PLACE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("compiled", [False, True])
def test_activations_in_place_have_the_same_gradient(activation, compiled):
    def gradient(x, inplace):
        (activation(x * 2.0, inplace=inplace) ** 2).sum().backward()
        g, x.grad = x.grad, None
        return g

    x = twinflow.tensor([-2.0, -0.5, 0.3, 1.7], requires_grad=True)
    got = twinflow.compile(lambda x: gradient(x, True))(x) if compiled else gradient(x, True)
    np.testing.assert_allclose(got.numpy(), gradient(x, False).numpy(), rtol=1e-5)
