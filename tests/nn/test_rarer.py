"""What people use less often: adaptive softmax, pruning, orthogonal weights, fused layers. Constants are PyTorch 2.13's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twinflow
from twinflow import nn
from twinflow.core.errors import ArgumentError, IndexOutOfRange, ShapeError
from twinflow.nn.utils import parametrizations, parametrize, prune


def filled(module: Any) -> Any:
    with twinflow.no_grad():
        for i, p in enumerate(module.parameters()):
            values = np.sin(np.arange(p.numel()) * 1.3 + i).reshape(tuple(p.shape))
            p.copy_(twinflow.from_numpy(values))
    return module


X = twinflow.from_numpy(np.cos(np.arange(12) * 0.7).reshape(3, 4)).float()


def test_adaptive_log_softmax() -> None:
    layer = filled(nn.AdaptiveLogSoftmaxWithLoss(4, 9, [3, 6], div_value=2.0, head_bias=True))
    labels = twinflow.tensor([1, 4, 8])
    want = [-2.362720251083374, -4.191611289978027, -5.169028282165527]
    for run in (layer, twinflow.compile(layer)):
        output, loss = run(X, labels)
        np.testing.assert_allclose(output.tolist(), want, rtol=1e-5)
        np.testing.assert_allclose(loss.item(), 3.9077866077423096, rtol=1e-5)
    assert layer.predict(X).tolist() == [0, 2, 0]
    np.testing.assert_allclose(layer.log_prob(X).exp().sum(-1).tolist(), [1.0, 1.0, 1.0], rtol=1e-5)
    with pytest.raises(IndexOutOfRange, match="label 9 is outside"):
        layer(X, twinflow.tensor([1, 4, 9]))
    with pytest.raises(ShapeError, match=r"must be \[N, 4\]"):
        layer(X[:, :3], labels)
    with pytest.raises(ArgumentError, match="cutoffs are whole numbers that rise"):
        nn.AdaptiveLogSoftmaxWithLoss(4, 9, [6, 3])


def test_synchronised_batch_norm_of_one_process_is_batch_norm() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    x = twinflow.randn(4, 1, 5, 5)
    want = plain(x)
    made = nn.SyncBatchNorm.convert_sync_batchnorm(plain)
    assert isinstance(made[1], nn.SyncBatchNorm)
    np.testing.assert_allclose(made(x).detach().numpy(), want.detach().numpy(), rtol=1e-6)
    with pytest.raises(ArgumentError, match="one process"):
        nn.SyncBatchNorm(3, process_group=object())


def test_pruning_keeps_zeros_through_training() -> None:
    layer = filled(nn.Linear(4, 3))
    prune.ln_structured(layer, "weight", 1, 2, 0)
    prune.l1_unstructured(layer, "weight", 0.5)
    mask = [[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]]
    assert layer.weight_mask.tolist() == mask
    want = [0.8414709568023682, 0.031970083713531494, -1.76851487159729]
    np.testing.assert_allclose(layer(X)[0].tolist(), want, rtol=1e-5)
    optimizer = twinflow.optim.SGD(layer.parameters(), lr=0.1)

    @twinflow.compile
    def step() -> Any:
        optimizer.zero_grad()
        loss = (layer(X) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    losses = [step().item() for _ in range(3)]
    assert losses[2] < losses[0]
    layer(X)
    assert (layer.weight != 0).float().tolist() == mask
    assert prune.is_pruned(layer) and sorted(layer.state_dict()) == ["bias", "weight_mask", "weight_orig"]
    prune.remove(layer, "weight")
    assert not prune.is_pruned(layer) and isinstance(layer.weight, nn.Parameter)
    assert (layer.weight != 0).float().tolist() == mask


def test_pruning_several_parameters_as_one() -> None:
    model = filled(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))
    together = np.abs(np.concatenate([p.detach().numpy().ravel() for p in (model[0].weight, model[1].weight)]))
    prune.global_unstructured([(model[0], "weight"), (model[1], "weight")], prune.L1Unstructured, amount=6)
    kept = np.concatenate([m.weight_mask.numpy().ravel() for m in model])
    assert kept.sum() == 12
    assert set(np.flatnonzero(kept == 0)) == set(np.argsort(together)[:6])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda m: prune.l1_unstructured(m, "wieght", 0.5),
            ArgumentError,
            "no parameter 'wieght'; it has weight, bias",
        ),
        (lambda m: prune.l1_unstructured(m, "weight", 1.5), ArgumentError, "at most 1.0"),
        (lambda m: prune.l1_unstructured(m, "weight", 13), ArgumentError, "more than the 12"),
        (lambda m: prune.ln_structured(m, "bias", 0.5, 2, 0), ShapeError, "at least 2 axes"),
        (lambda m: prune.custom_from_mask(m, "weight", twinflow.ones(2)), ShapeError, "the mask has shape"),
        (lambda m: prune.remove(m, "weight"), ArgumentError, "is not pruned"),
        (lambda m: prune.BasePruningMethod.apply(m, "weight"), NotImplementedError, "must define compute_mask"),
        (
            lambda m: prune.global_unstructured([(m, "weight")], prune.RandomStructured, amount=1),
            ArgumentError,
            "whole slices",
        ),
    ],
)
def test_wrong_prunings_are_refused(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(nn.Linear(4, 3))


ORTHOGONAL = {
    "matrix_exp": [[0.886904212, 0.070132683, 0.410304036], [0.274187062, 0.684387551, -0.670926489],
                   [0.015967981, 0.244860282, 0.362599161], [0.371439628, -0.683182647, -0.500030092]],
    "cayley": [[0.91061513, 0.03814457, 0.356847571], [0.233907246, 0.750603901, -0.605100687],
               [-0.020044126, 0.268459854, 0.496354421], [0.340096631, -0.602551311, -0.510044369]],
    "householder": [[0.577499154, 0.709590342, 0.3851938], [0.222616693, 0.257819242, -0.575452261],
                    [-0.440777712, 0.562310921, -0.521396588], [0.650116562, -0.337368068, -0.498624136]],
}  # fmt: skip


@pytest.mark.parametrize("way", ORTHOGONAL)
def test_orthogonal_weights(way: str) -> None:
    layer = parametrizations.orthogonal(nn.Linear(3, 4).double(), orthogonal_map=way)
    with twinflow.no_grad():
        change = twinflow.from_numpy(np.sin(np.arange(12.0)).reshape(4, 3)).tril(-1)
        layer.parametrizations.weight.original.add_(change)
        layer.parametrizations.weight[0].base.copy_(twinflow.eye(4))
    np.testing.assert_allclose(layer.weight.tolist(), ORTHOGONAL[way], atol=1e-8)


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)])
def test_orthogonal_weights_stay_orthogonal(shape: tuple[int, int]) -> None:
    layer = parametrizations.orthogonal(nn.Linear(*shape).double())
    before = layer.weight.detach()
    start = layer.weight.detach().clone()
    optimizer = twinflow.optim.SGD(layer.parameters(), lr=0.3)
    (layer.weight * twinflow.arange(15 if shape != (3, 3) else 9).reshape(tuple(before.shape))).sum().backward()
    optimizer.step()
    w = layer.weight.detach().numpy()
    w = w if w.shape[0] >= w.shape[1] else w.T
    np.testing.assert_allclose(w.T @ w, np.eye(w.shape[1]), atol=1e-10)
    assert not np.allclose(layer.weight.detach().numpy(), start.numpy())
    layer.weight = start
    np.testing.assert_allclose(layer.weight.detach().numpy(), start.numpy(), atol=1e-10)


def test_orthogonal_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ArgumentError, match="'matrix_exp', 'cayley' or 'householder'"):
        parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr")
    with pytest.raises(ShapeError, match="a matrix is needed"):
        parametrizations.orthogonal(nn.Linear(2, 2), "bias")


def test_parametrizations_are_computed_once_within_cached() -> None:
    layer = parametrizations.weight_norm(nn.Linear(3, 2))
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    other = parametrize.transfer_parametrizations_and_params(layer, nn.Linear(3, 2))
    np.testing.assert_allclose(other.weight.detach().numpy(), layer.weight.detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize("turned", [False, True])
def test_convolution_and_batch_norm_as_one_layer(turned: bool) -> None:
    conv = (nn.ConvTranspose2d if turned else nn.Conv2d)(3, 4, 3)
    bn = nn.BatchNorm2d(4)
    x = twinflow.randn(2, 3, 8, 8)
    bn(conv(x))
    with pytest.raises(ArgumentError, match=r"call \.eval\(\) first"):
        nn.utils.fuse_conv_bn_eval(conv, bn, turned)
    conv.eval(), bn.eval()
    one = nn.utils.fuse_conv_bn_eval(conv, bn, turned)
    np.testing.assert_allclose(one(x).detach().numpy(), bn(conv(x)).detach().numpy(), atol=1e-5)


def test_linear_and_batch_norm_as_one_layer() -> None:
    linear, bn = nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4)
    bn(linear(twinflow.randn(9, 3)))
    linear.eval(), bn.eval()
    x = twinflow.randn(2, 3)
    one = nn.utils.fuse_linear_bn_eval(linear, bn)
    np.testing.assert_allclose(one(x).detach().numpy(), bn(linear(x)).detach().numpy(), atol=1e-5)
    assert nn.utils.skip_init(nn.Linear, 2, 2).weight.tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    "make",
    [
        lambda **o: nn.BatchNorm2d(4, **o),
        lambda **o: nn.SyncBatchNorm(4, **o),
        lambda **o: nn.InstanceNorm2d(4, affine=True, **o),
        lambda **o: nn.GroupNorm(2, 4, **o),
    ],
)
def test_normalisation_without_bias(make: Any) -> None:
    layer = make(bias=False)
    assert layer.bias is None and "bias" not in layer.state_dict()
    x = twinflow.randn(3, 4, 5, 5)
    with twinflow.no_grad():
        layer.weight.fill_(2.0)
    other = make()
    np.testing.assert_allclose(layer(x).detach().numpy(), 2 * other(x).detach().numpy(), rtol=1e-5, atol=1e-6)
