"""Convolutions and pooling in native programs against their references."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.graph import PRIMITIVES, Graph, aval_of, interpret
from twinflow.jit import interpreted
from twinflow.lower import compile_graph
from twinflow.ops import call

WINDOWS = ["conv", "conv_input", "conv_weight", "max_pool", "max_pool_input", "window_sum"]


def single(prim, arrays, params):
    """The graph of one primitive."""
    graph = Graph()
    inputs = tuple(graph.add_input(aval_of(a)) for a in arrays)
    node = graph.add(prim, inputs, params)
    if prim.n_out == 1:
        graph.outputs = [node]
    else:
        graph.outputs = [graph.add(PRIMITIVES["pick"], (node,), {"index": i}) for i in range(prim.n_out)]
    return graph


def agree(prim, arrays, params):
    graph = single(prim, arrays, params)
    native = compile_graph(graph)
    got = native(list(arrays))
    for want, value in zip(interpret(graph, arrays), got):
        np.testing.assert_allclose(value, want, rtol=1e-4, atol=1e-5)
    assert not any(s.interpreted for s in native.steps), native.describe()


@pytest.mark.parametrize("name", WINDOWS)
def test_every_sample_runs_on_kernels(name):
    prim = PRIMITIVES[name]
    for sample in prim.samples(np.random.default_rng(3)):
        if all(a.size for a in sample.args):
            agree(prim, sample.args, sample.params)


@pytest.mark.parametrize("name", ["conv", "conv_input", "conv_weight"])
@pytest.mark.parametrize("seed", range(4))
def test_random_convolutions(name, seed):
    rng = np.random.default_rng(seed)
    axes = int(rng.integers(1, 4))
    groups = int(rng.choice([1, 1, 2, 4]))
    per = 1 if rng.random() < 0.3 else int(rng.integers(1, 5))
    n, o = int(rng.integers(1, 4)), groups * int(rng.integers(1, 20))
    kernel, stride, dilation = (tuple(int(v) for v in rng.integers(1, hi, axes)) for hi in (4, 4, 3))
    padding = tuple((int(a), int(b)) for a, b in rng.integers(-1, 3, (axes, 2)))
    size = tuple(int(v) + 6 for v in rng.integers(0, 5, axes))
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x = rng.normal(size=(n, groups * per, *size)).astype(np.float32)
    w = rng.normal(size=(o, per, *kernel)).astype(np.float32)
    y = PRIMITIVES["conv"].ref(x, w, **params)
    g = rng.normal(size=y.shape).astype(np.float32)
    if name == "conv":
        agree(PRIMITIVES[name], (x, w), params)
    elif name == "conv_input":
        agree(PRIMITIVES[name], (g, w), params | {"shape": size})
    else:
        agree(PRIMITIVES[name], (x, g), params | {"shape": kernel})


@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
@pytest.mark.parametrize("stride", [2, 3])
def test_the_largest_element_and_its_place_with_nan_ties_and_infinities(padding, stride):
    x = np.random.default_rng(0).integers(-2, 2, (2, 3, 9, 9)).astype(np.float32)
    x[0, 0, 2, 2] = np.nan
    x[0, 0, 3, 3] = np.nan
    x[1, 1] = -np.inf
    window = {"kernel": (3, 3), "stride": (stride,) * 2, "padding": (padding,) * 2, "dilation": (1, 1)}
    agree(PRIMITIVES["max_pool"], (x,), window)


def network(x, w1, b1, w2, scale, out):
    """Convolution, relu, pooling, convolution, normalisation over the batch, mean over the image, product."""
    window = {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0),) * 2, "dilation": (1, 1)}
    conv = {"stride": (1, 1), "padding": ((1, 1),) * 2, "dilation": (1, 1), "groups": 1}
    h = tf.relu(call("conv", x, w1, **conv) + b1.reshape(-1, 1, 1))
    h, _ = call("max_pool", h, **window)
    h = call("conv", h, w2, **conv)
    mean = h.mean((0, 2, 3), keepdim=True)
    var = ((h - mean) ** 2).mean((0, 2, 3), keepdim=True)
    h = tf.relu((h - mean) * tf.rsqrt(var + 1e-5) * scale.reshape(1, -1, 1, 1))
    h, _ = call("max_pool", h, **window)
    return (tf.flatten(h, 1) @ out).square().mean()


def test_a_network_and_its_gradients_without_a_permute_between_layers():
    rng = np.random.default_rng(1)
    shapes = [(3, 2, 8, 8), (5, 2, 3, 3), (5,), (6, 5, 3, 3), (6,), (24, 4)]
    arrays = [rng.normal(size=s).astype(np.float32) for s in shapes]

    def step(*args):
        return tf.func.value_and_grad(network, argnums=(1, 2, 3, 4, 5))(*args)

    compiled = tf.compile(step, backend=interpreted)
    compiled(*[tf.tensor(a) for a in arrays])
    native = compile_graph(compiled.graph)
    for want, got in zip(interpret(compiled.graph, arrays), native(arrays)):
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=1e-5)
    assert not any(s.interpreted for s in native.steps), native.describe()
    # the image, flattening forth and back; filters are rearranged by the kernels
    moved = [n for n in native.graph.nodes if n.op == "permute" and n.aval.ndim == 4]
    assert len(moved) <= 3, native.describe()


def test_filters_kept_with_the_channels_first_are_read_as_they_are():
    rng = np.random.default_rng(1)
    x, w = (rng.normal(size=s).astype(np.float32) for s in ((2, 8, 8, 3), (3, 3, 3, 5)))
    params = {"stride": (1, 1), "padding": ((1, 1),) * 2, "dilation": (1, 1), "groups": 1}

    def loss(w, x):
        return call("conv", x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1), **params).square().sum()

    compiled = tf.compile(tf.func.value_and_grad(loss), backend=interpreted)
    compiled(tf.tensor(w), tf.tensor(x))
    native = compile_graph(compiled.graph)
    for want, got in zip(interpret(compiled.graph, [w, x]), native([w, x])):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=1e-5)
    assert not [n for n in native.graph.nodes if n.op == "permute"], native.describe()


@pytest.mark.parametrize("filters_first", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_bias_residual_and_relu_run_in_the_convolution(dtype, filters_first):
    rng = np.random.default_rng(2)
    of = aval_of(tf.zeros(1, dtype=getattr(tf, dtype)).numpy()).dtype.np
    x, w, b, r = (
        rng.normal(size=s).astype(np.float32).astype(of) for s in ((2, 6, 6, 4), (8, 4, 3, 3), (8,), (2, 6, 6, 8))
    )
    w = w if filters_first else np.ascontiguousarray(w.transpose(2, 3, 1, 0))
    params = {"stride": (1, 1), "padding": ((1, 1),) * 2, "dilation": (1, 1), "groups": 1}
    params["filters_first"] = filters_first

    def f(x, w, b, r):
        y = call("conv_last", x, w, **params)
        return tf.relu(y + b) + r

    compiled = tf.compile(f, backend=interpreted)
    compiled(*[tf.from_numpy(a) for a in (x, w, b, r)])
    native = compile_graph(compiled.graph)
    (want,), (got,) = interpret(compiled.graph, [x, w, b, r]), native([x, w, b, r])
    tolerance = 0.1 if dtype == "bfloat16" else 1e-4
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=tolerance, atol=tolerance)
    assert len(native.steps) == 1, native.describe()


@pytest.mark.parametrize("name", ["conv", "conv_input", "conv_weight"])
def test_a_profile_counts_the_arithmetic_of_convolutions(name):
    rng = np.random.default_rng(0)
    params = {"stride": (1, 1), "padding": ((1, 1),) * 2, "dilation": (1, 1), "groups": 1}
    shapes = {"x": (2, 3, 6, 6), "w": (5, 3, 3, 3), "y": (2, 5, 6, 6)}
    of = {"conv": "xw", "conv_input": "yw", "conv_weight": "xy"}[name]
    arrays = [tf.tensor(rng.normal(size=shapes[k]).astype(np.float32)) for k in of]
    extra = {"conv": {}, "conv_input": {"shape": (6, 6)}, "conv_weight": {"shape": (3, 3)}}[name]
    compiled = tf.compile(lambda a, b: call(name, a, b, **params, **extra))
    compiled(*arrays)
    with tf.profile() as p:
        compiled(*arrays)
    flops = 2 * (2 * 5 * 6 * 6) * (3 * 3 * 3)
    assert flops in [k.flops for k in p.kernels]
