"""Clipping, vectors, weight and spectral norm, parametrizations, summary."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import twinflow
from twinflow import nn
from twinflow.core.errors import ArgumentError, GradientError, ShapeError
from twinflow.nn.utils import parametrizations, parametrize


def with_grads(*grads: list[float]) -> list[Any]:
    out = []
    for g in grads:
        p = nn.Parameter(twinflow.zeros(len(g)))
        p.grad = twinflow.tensor(g)
        out.append(p)
    return out


@pytest.mark.parametrize(
    ("p", "norm"), [(2.0, 13.0), (1.0, 19.0), (float("inf"), 12.0), (3.0, (27 + 64 + 1728) ** (1 / 3))]
)
def test_clip_grad_norm(p: float, norm: float) -> None:
    for limit in (1.0, 100.0):
        params = with_grads([3.0, 4.0], [12.0])
        params.append(nn.Parameter(twinflow.zeros(2)))
        np.testing.assert_allclose(nn.utils.clip_grad_norm_(params, limit, p).item(), norm, rtol=1e-6)
        scale = min(1.0, limit / (norm + 1e-6))
        np.testing.assert_allclose(params[0].grad.numpy(), np.float32([3, 4]) * scale, rtol=1e-5)
        np.testing.assert_allclose(params[1].grad.numpy(), [12 * scale], rtol=1e-5)


def test_clipping_edges() -> None:
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0
    params = with_grads([float("nan")])
    with pytest.raises(GradientError, match="total norm of the gradients is nan"):
        nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    params = with_grads([-3.0, 0.5, 7.0])
    nn.utils.clip_grad_value_(params[0], 1.0)
    assert params[0].grad.tolist() == [-1.0, 0.5, 1.0]


def test_vectors() -> None:
    layer = nn.Linear(3, 2)
    v = nn.utils.parameters_to_vector(layer.parameters())
    assert v.shape == (8,)
    nn.utils.vector_to_parameters(twinflow.arange(8).float(), layer.parameters())
    assert layer.bias.tolist() == [6.0, 7.0]
    with pytest.raises(ShapeError, match="have 8 elements, but the vector has shape"):
        nn.utils.vector_to_parameters(twinflow.zeros(7), layer.parameters())
    with pytest.raises(ArgumentError, match="no parameters"):
        nn.utils.parameters_to_vector([])


@pytest.mark.parametrize("kind", ["hook", "parametrization"])
def test_weight_norm(kind: str) -> None:
    layer = nn.Linear(3, 2)
    weight = layer.weight.detach().numpy().copy()
    x = twinflow.randn(4, 3)
    want = layer(x).detach().numpy()
    if kind == "hook":
        assert nn.utils.weight_norm(layer) is layer
        names, size = {"weight_g", "weight_v", "bias"}, "weight_g"
    else:
        parametrizations.weight_norm(layer)
        names = {"parametrizations.weight.original0", "parametrizations.weight.original1", "bias"}
        size = "parametrizations.weight.original0"
    assert set(layer.state_dict()) == names
    np.testing.assert_allclose(
        layer.get_parameter(size).detach().numpy()[:, 0], np.linalg.norm(weight, axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(layer(x).detach().numpy(), want, rtol=1e-5, atol=1e-6)
    layer(x).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    with twinflow.no_grad():
        layer.get_parameter(size).mul_(2.0)
    np.testing.assert_allclose(
        twinflow.compile(lambda x: layer(x))(x).detach().numpy(), layer(x).detach().numpy(), rtol=1e-5
    )
    if kind == "hook":
        nn.utils.remove_weight_norm(layer)
        with pytest.raises(ArgumentError, match="no such normalisation"):
            nn.utils.remove_weight_norm(layer)
    else:
        parametrize.remove_parametrizations(layer, "weight")
    assert set(layer.state_dict()) == {"weight", "bias"}
    np.testing.assert_allclose(layer.weight.detach().numpy(), 2 * weight, rtol=1e-5)


@pytest.mark.parametrize("kind", ["hook", "parametrization"])
def test_spectral_norm(kind: str) -> None:
    layer = nn.Conv2d(3, 5, 2)
    weight = layer.weight.detach().numpy().reshape(5, -1).copy()
    (nn.utils if kind == "hook" else parametrizations).spectral_norm(layer)
    x = twinflow.randn(1, 3, 4, 4)
    for _ in range(60):
        layer(x)
    sigma = np.linalg.svd(weight, compute_uv=False)[0]
    layer.eval()
    layer(x)
    np.testing.assert_allclose(layer.weight.detach().numpy().reshape(5, -1), weight / sigma, rtol=1e-3, atol=1e-5)
    want = "weight_orig" if kind == "hook" else "parametrizations.weight.original"
    assert want in dict(layer.named_parameters())
    layer(x).sum().backward()
    assert layer.get_parameter(want).grad is not None
    if kind == "hook":
        nn.utils.remove_spectral_norm(layer)
        assert "weight" in dict(layer.named_parameters())
    with pytest.raises(ArgumentError, match="at least 1"):
        nn.utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
    with pytest.raises(ArgumentError, match="has no parameter 'w'; it has weight, bias"):
        nn.utils.weight_norm(nn.Linear(2, 2), "w")


def test_parametrizations() -> None:
    class Double(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

        def right_inverse(self, x: Any) -> Any:
            return x / 2

    layer = nn.Linear(2, 2)
    weight = layer.weight
    before = weight.detach().numpy().copy()
    parametrize.register_parametrization(layer, "weight", Double())
    assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    assert layer.parametrizations.weight.original is weight  # optimizers keep it
    np.testing.assert_allclose(layer.weight.detach().numpy(), before)
    layer.weight = twinflow.ones(2, 2)
    np.testing.assert_allclose(weight.detach().numpy(), 0.5)
    twin = copy.deepcopy(layer)
    np.testing.assert_allclose(twin.weight.detach().numpy(), 1.0)
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert type(layer) is nn.Linear and layer.weight is weight
    with pytest.raises(ArgumentError, match="is not parametrized"):
        parametrize.remove_parametrizations(layer, "weight")
    with pytest.raises(ArgumentError, match="no parameter 'u'"):
        parametrize.register_parametrization(layer, "u", Double())
    with pytest.raises(ShapeError, match="unsafe=True allows that"):
        parametrize.register_parametrization(layer, "weight", nn.Flatten(0))


def test_summary() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 3 * 3, 5)
    )
    net[0].requires_grad_(False)
    s = twinflow.summary(net, (2, 1, 8, 8))
    assert s.parameters == 40 + 8 + 185 and s.trainable == 8 + 185 and s.buffers == 9
    rows = {r.path: r for r in s.rows}
    assert rows["0"].output == "[2, 4, 6, 6]" and rows["5"].output == "[2, 5]"
    assert rows["0"].flops == 2 * 2 * 4 * 36 * 9 + 2 * 4 * 36  # products, and the bias
    assert rows["5"].flops == 2 * 2 * 36 * 5 + 10
    assert s.flops == rows[""].flops >= rows["0"].flops + rows["5"].flops
    assert net[1].num_batches_tracked.item() == 0 and net.training  # nothing ran
    assert "5: Linear" in str(s) and "parameters: 233 (193 trained)" in str(s)
    assert len(twinflow.summary(net, (1, 1, 8, 8), depth=0).rows) == 1
    words = nn.Sequential(nn.Embedding(10, 3), nn.Linear(3, 2))
    assert twinflow.summary(words, (4, 7), dtype="int64").rows[-1].output == "[4, 7, 2]"
    assert twinflow.summary(nn.Bilinear(2, 3, 4), [(5, 2), (5, 3)]).rows[0].output == "[5, 4]"
    assert twinflow.summary(nn.ReLU(), input_data=twinflow.ones(3)).flops == 3
    with pytest.raises(ShapeError, match="input of Linear '5'"):
        twinflow.summary(net, (2, 1, 9, 11))
