"""Distributions against PyTorch's (recorded by tools/distribution_goldens.py), samples against their own moments."""

import json
import pathlib

import numpy as np
import pytest

import twinflow as tf
from twinflow import distributions as D
from twinflow.core.errors import ArgumentError, ShapeError, TwinflowError

ROWS = json.loads((pathlib.Path(__file__).parent / "torch_goldens.json").read_text(encoding="utf-8"))["rows"]
NAMES = [f"{k}-{row['name']}" for k, row in enumerate(ROWS)]


def made(name, parameters):
    values = {
        k: v if k == "total_count" and isinstance(v, int) else tf.tensor(v, dtype="float64")
        for k, v in parameters.items()
    }
    return getattr(D, name)(**values)


def close(got, want, **bounds):
    np.testing.assert_allclose(got.numpy(), np.array(want), **({"rtol": 1e-6, "atol": 1e-9} | bounds))


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
@pytest.mark.parametrize("run", [lambda f: f, tf.compile], ids=["eager", "compiled"])
def test_densities_moments_and_divergences_are_pytorchs(row, run):
    d = made(row["name"], row["parameters"])
    x = tf.tensor(row["value"])
    x = x if isinstance(row["value"][0], int) else tf.tensor(row["value"], dtype="float64")
    close(run(d.log_prob)(x), row["log_prob"])
    for what in ("mean", "variance"):
        if what in row and row["name"] != "RelaxedOneHotCategorical":
            close(getattr(d, what), row[what])
    if "entropy" in row and row["name"] not in ("Binomial", "Multinomial"):
        close(d.entropy(), row["entropy"])
    if "cdf" in row:
        close(d.cdf(x), row["cdf"])
    if "icdf" in row:
        close(d.icdf(tf.tensor([0.2, 0.5, 0.85], dtype="float64")), row["icdf"])
    if "kl" in row:
        close(D.kl_divergence(d, made(row["name"], row["others"])), row["kl"])


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_samples_have_the_mean_and_the_shape(row):
    tf.manual_seed(0)
    d = made(row["name"], row["parameters"])
    x = d.sample((20000,))
    assert x.shape == (20000, *d.batch_shape, *d.event_shape)
    assert not x.requires_grad
    assert d.sample().shape == (*d.batch_shape, *d.event_shape)
    if row["name"] == "Categorical":
        share = tf.nn.functional.one_hot(x, 3).double().mean(0)
        close(share, d.probs.tolist(), rtol=0, atol=0.02)
    elif row["name"] not in ("Cauchy", "RelaxedOneHotCategorical"):  # one has no mean, the other none in closed form
        m, v = d.mean.numpy(), d.variance.numpy()
        known = np.isfinite(m) & np.isfinite(v)
        bound = 6 * np.sqrt(v[known] / 20000) + 1e-9
        assert (np.abs(x.numpy().mean(0)[known] - m[known]) < bound).all()


@pytest.mark.parametrize("name", [r["name"] for r in ROWS if getattr(D, r["name"]).has_rsample])
def test_gradients_flow_through_rsample(name):
    row = next(r for r in ROWS if r["name"] == name)
    leaves = {
        k: tf.tensor(v, dtype="float64", requires_grad=True) for k, v in row["parameters"].items() if k != "temperature"
    }
    extra = {"temperature": 0.7} if "temperature" in row["parameters"] else {}
    tf.manual_seed(1)
    getattr(D, name)(**leaves, **extra).rsample((5,)).square().sum().backward()
    assert all(t.grad is not None and t.grad.isfinite().all() for t in leaves.values())


def test_the_gradient_of_a_normal_sample_is_that_of_its_formula():
    loc, scale = tf.tensor(1.0, requires_grad=True), tf.tensor(2.0, requires_grad=True)
    tf.manual_seed(3)
    x = D.Normal(loc, scale).rsample()
    x.backward()
    assert loc.grad.item() == 1
    assert scale.grad.item() == pytest.approx((x.item() - 1) / 2, rel=1e-5)


def test_sampling_inside_a_compiled_step_moves_on():
    step = tf.compile(lambda m: D.Normal(m, 1.0).rsample((3,)))
    a, b = step(tf.zeros(())), step(tf.zeros(()))
    assert not a.equal(b)


def test_independent_and_transformed():
    base = D.Normal(tf.zeros(4, 3), tf.ones(4, 3))
    d = D.Independent(base, 1)
    assert (d.batch_shape, d.event_shape) == ((4,), (3,))
    close(d.log_prob(tf.zeros(4, 3)), [3 * -0.9189385] * 4)
    assert D.kl_divergence(d, D.Independent(D.Normal(tf.ones(4, 3), 1.0), 1)).tolist() == [1.5] * 4
    T = D.transforms
    for last, want in ((T.ExpTransform(), -1.0153), (T.SigmoidTransform(), -0.4780), (T.TanhTransform(), -1.5774)):
        y = D.TransformedDistribution(D.Normal(0.0, 1.0), [T.AffineTransform(1.0, 2.0), last])
        close(y.log_prob(0.3), want, atol=1e-4)  # PyTorch 2.13
        x = y.sample((7,))
        close(y._all(y._all.inv(x)), x.tolist(), rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: D.Normal(0.0, -1.0), ArgumentError, "scale must be positive"),
        (lambda: D.Bernoulli(probs=1.5), ArgumentError, "between 0 and 1"),
        (lambda: D.Bernoulli(probs=0.5, logits=0.0), ArgumentError, "either probs or logits"),
        (lambda: D.Categorical(probs=tf.tensor([0.5, -0.5])), ArgumentError, "not negative"),
        (lambda: D.Uniform(2.0, 1.0), ArgumentError, "low must be less than high"),
        (lambda: D.Gamma(1.0, 1.0).rsample(), TwinflowError, "no differentiable sample"),
        (
            lambda: D.Cauchy(tf.zeros(3), 1.0).log_prob(tf.zeros(2)),
            ShapeError,
            r"shape \(2,\) does not fit batch shape \(3,\)",
        ),
        (lambda: D.kl_divergence(D.Normal(0.0, 1.0), D.Gamma(1.0, 1.0)), TwinflowError, "register_kl"),
        (lambda: D.MultivariateNormal(tf.zeros(2)), ArgumentError, "exactly one"),
        (lambda: D.Independent(D.Normal(0.0, 1.0), 1), ArgumentError, "no 1 axes"),
    ],
)
def test_wrong_calls_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_mixtures():
    weights = D.Categorical(tf.tensor([[0.25, 0.75], [0.5, 0.5]]))
    mix = D.MixtureSameFamily(
        weights, D.Normal(tf.tensor([[-1.0, 1.0], [0.0, 2.0]]), tf.tensor([[1.0, 0.5], [2.0, 1.0]]))
    )
    close(mix.mean, [0.5, 1.0])
    close(mix.variance, [1.1875, 3.5])  # w (σ² + μ²) - mean²
    close(mix.log_prob(tf.tensor([0.3, -0.7])), [-1.3189, -2.3124], atol=1e-4)  # PyTorch 2.13
    close(mix.cdf(tf.tensor([0.3, -0.7])), [0.2864, 0.1833], atol=1e-4)
    tf.manual_seed(0)
    close(mix.sample((20000,)).mean(0), [0.5, 1.0], atol=0.05)
    vectors = D.MixtureSameFamily(D.Categorical(tf.ones(3)), D.Independent(D.Normal(tf.zeros(3, 2), 1.0), 1))
    assert (vectors.event_shape, vectors.sample((5,)).shape) == ((2,), (5, 2))
    close(vectors.log_prob(tf.zeros(4, 2)), [-1.8379] * 4, atol=1e-4)


def test_a_cached_transform_gives_back_the_very_value():
    tanh = D.transforms.TanhTransform(cache_size=1)
    x = tf.tensor([20.0], requires_grad=True)
    y = tanh(x)
    assert y.item() == 1.0
    assert tanh.inv(y) is x
    assert tf.isinf(D.transforms.TanhTransform().inv(y)).all()
    squashed = D.TransformedDistribution(D.Normal(tf.full((3,), 15.0), 1.0), [D.transforms.TanhTransform(cache_size=1)])
    assert squashed.log_prob(squashed.sample()).isfinite().all()


@pytest.mark.parametrize(
    ("transform", "y", "slope"),
    [(D.transforms.PowerTransform(2.0), 4.0, 1.3863), (D.transforms.SoftplusTransform(), 2.1269, -0.1269)],
)
def test_transforms_of_positive_values(transform, y, slope):
    x = tf.tensor(2.0)
    close(transform(x), y, atol=1e-4)
    close(transform.inv(transform(x)), 2.0, rtol=1e-5)
    close(transform.log_abs_det_jacobian(x, transform(x)), slope, atol=1e-4)


def test_distributions_print_their_parameters():
    assert repr(D.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
    assert repr(D.Normal(tf.zeros(2), 1.0)) == "Normal(loc: twinflow.Size([2]), scale: twinflow.Size([2]))"
