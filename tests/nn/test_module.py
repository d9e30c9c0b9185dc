"""Module: registration, walking, state, hooks, modes, errors that name the path, printing."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import twinflow
from twinflow import nn
from twinflow.core.errors import ArgumentError, CheckpointError, DeviceError, GradientError, IndexOutOfRange, ShapeError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(3, 2, bias=False)
        self.scale = nn.Parameter(twinflow.ones(1))
        self.register_buffer("seen", twinflow.tensor(0))
        self.register_buffer("cache", twinflow.zeros(2), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.head(self.encoder(x)) * self.scale


def names(pairs: Any) -> list[str]:
    return [name for name, _ in pairs]


def test_registration_and_walking() -> None:
    net = Net()
    assert names(net.named_parameters()) == ["scale", "encoder.0.weight", "encoder.0.bias", "head.weight"]
    assert names(net.named_buffers()) == ["seen", "cache"]
    assert names(net.named_modules()) == ["", "encoder", "encoder.0", "encoder.1", "encoder.2", "head"]
    assert names(net.named_children()) == ["encoder", "head"]
    assert net.get_submodule("encoder.0") is net.encoder[0]
    assert net.get_parameter("head.weight") is net.head.weight
    assert net.get_buffer("seen") is net.seen
    assert names(net.named_parameters(recurse=False)) == ["scale"]
    assert "encoder" in dir(net) and "scale" in dir(net)
    with pytest.raises(ArgumentError, match=r"'encoder' has no module '7'; it has 0, 1, 2"):
        net.get_submodule("encoder.7")
    with pytest.raises(ArgumentError, match="no parameter 'bias'; it has weight"):
        net.get_parameter("head.bias")
    with pytest.raises(AttributeError, match="nothing"):
        _ = net.nothing


def test_shared_parameters_appear_once() -> None:
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    b.weight = a.weight
    both = nn.ModuleList([a, b])
    assert names(both.named_parameters()) == ["0.weight", "0.bias", "1.bias"]
    assert len(names(both.named_parameters(remove_duplicate=False))) == 4
    assert list(both.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_assignment_rules() -> None:
    net = Net()
    with pytest.raises(ArgumentError, match=r"scale is a parameter and cannot become a float; wrap"):
        net.scale = 3.0
    with pytest.raises(ArgumentError, match="is a module"):
        net.head = 3
    with pytest.raises(ArgumentError, match="is a buffer"):
        net.seen = "x"
    net.seen = twinflow.tensor(4)
    assert int(net.get_buffer("seen")) == 4
    net.scale = None
    assert "scale" not in net.state_dict()
    del net.head
    assert "head" not in net._modules
    net.extra = twinflow.zeros(2)  # a plain tensor is a plain attribute
    assert "extra" not in net.state_dict()
    net.extra = nn.Buffer(twinflow.zeros(2))
    assert "extra" in net.state_dict()
    with pytest.raises(ArgumentError, match="without dots"):
        net.register_buffer("a.b", None)
    with pytest.raises(ArgumentError, match="already has"):
        net.register_buffer("forward", twinflow.zeros(1))
    with pytest.raises(ArgumentError, match="use register_buffer"):
        net.register_parameter("w", twinflow.zeros(1))  # type: ignore[arg-type]


def test_forgotten_init_is_named() -> None:
    class Bad(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(2, 2)

    class Bad2(nn.Module):
        def __init__(self) -> None:
            self.w = nn.Parameter(twinflow.zeros(2))

    for cls in (Bad, Bad2):
        with pytest.raises(ArgumentError, match=r"call super\(\).__init__\(\) in Bad"):
            cls()
    with pytest.raises(ArgumentError, match="no forward method"):
        nn.Module()(1)
    with pytest.raises(ArgumentError, match="takes no arguments"):
        nn.Module(3)


def test_errors_name_the_module_and_its_input() -> None:
    net = Net()
    with pytest.raises(ShapeError) as caught:
        net(twinflow.zeros(2, 5))
    text = str(caught.value)
    assert "input.shape[-1] == weight.shape[-1] does not hold (5 != 4)" in text
    assert "input of Linear 'encoder.0': float32[2, 5]" in text
    assert "test_module.py" in text


def test_modes_follow_into_a_compiled_function() -> None:
    net = Net()
    assert net.training and net.encoder[2].training
    f = twinflow.compile(lambda x: net(x))
    x = twinflow.randn(3, 4)
    net.eval()
    assert not net.encoder[2].training
    np.testing.assert_allclose(f(x).detach().numpy(), net(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    net.encoder[2].p = 1.0
    net.train()
    assert not f(x).detach().numpy().any()  # dropout of everything
    net.eval()
    assert f(x).detach().numpy().any()
    with pytest.raises(ArgumentError, match="True or False"):
        net.train("yes")  # type: ignore[arg-type]


def test_state_dict_round_trip_and_memory() -> None:
    a, b = Net(), Net()
    state = a.state_dict()
    assert list(state) == ["scale", "seen", "encoder.0.weight", "encoder.0.bias", "head.weight"]
    assert not any(t.requires_grad for t in state.values())
    assert state["scale"].numpy() is a.scale.detach().numpy()
    result = b.load_state_dict(state)
    assert repr(result) == "<All keys matched successfully>"
    for k, v in b.state_dict().items():
        np.testing.assert_array_equal(v.numpy(), state[k].numpy())
    arrays = {k: v.numpy() + 1 for k, v in state.items()}
    b.load_state_dict(arrays)
    np.testing.assert_array_equal(b.scale.detach().numpy(), [2.0])
    assert b.load_state_dict({"scale": np.zeros(1)}, strict=False).missing_keys[0] == "seen"
    before = b.head.weight
    b.load_state_dict(state, assign=True)
    assert b.head.weight is before and b.head.weight.detach().numpy() is a.head.weight.detach().numpy()


def test_a_foreign_state_dict_loads_through_arrays() -> None:
    class Foreign:  # what tensors of other frameworks look like
        def __init__(self, array: Any) -> None:
            self.array = array

        def detach(self) -> Any:
            return self

        def cpu(self) -> Any:
            return self

        def numpy(self) -> Any:
            return self.array

    layer = nn.Linear(2, 2)
    layer.load_state_dict({"weight": Foreign(np.eye(2)), "bias": Foreign(np.ones(2))})
    np.testing.assert_array_equal(layer(twinflow.tensor([[1.0, 2.0]])).detach().numpy(), [[2.0, 3.0]])


def test_mismatches_are_reported_together_and_nothing_is_loaded() -> None:
    net = Net()
    before = net.scale.item()
    state = net.state_dict()
    state["scale"] = twinflow.zeros(1)
    state["head.weights"] = state.pop("head.weight")
    state["encoder.0.bias"] = twinflow.zeros(7)
    with pytest.raises(CheckpointError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert "encoder.0.bias: the model has float32[3], the state_dict float32[7]" in text
    assert "head.weight  (similar: head.weights)" in text
    assert "not in the model:\n    head.weights" in text
    assert "nothing was loaded" in text and net.scale.item() == before
    with pytest.raises(CheckpointError, match="a dict of tensors is needed, not list"):
        net.load_state_dict([1])
    with pytest.raises(CheckpointError, match="'scale' is a str, not a tensor"):
        net.load_state_dict({**net.state_dict(), "scale": "x"})


def test_extra_state() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = 3

        def get_extra_state(self) -> Any:
            return {"count": self.count}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    a, b = nn.Sequential(Counter()), nn.Sequential(Counter())
    b[0].count = 0
    assert list(a.state_dict()) == ["0._extra_state"]
    b.load_state_dict(a.state_dict())
    assert b[0].count == 3


def test_conversion_keeps_the_parameters_identity() -> None:
    net = Net()
    p = net.head.weight
    net(twinflow.ones(1, 4)).sum().backward()
    assert net.double() is net
    assert net.head.weight is p and p.dtype is twinflow.float64 and p.requires_grad
    assert p.grad.dtype is twinflow.float64
    assert net.seen.dtype is twinflow.int64
    assert net.to("float32").scale.dtype is twinflow.float32
    assert net.half().scale.dtype is twinflow.float16 and net.bfloat16().scale.dtype is twinflow.bfloat16
    assert net.float().to("cpu").cpu() is net
    with pytest.raises(DeviceError, match="cuda"):
        net.to("cuda:0")
    with pytest.raises(ArgumentError, match="int32"):
        net.to(twinflow.int32)


def test_grads_can_be_cleared_and_frozen() -> None:
    net = Net()
    net(twinflow.ones(2, 4)).sum().backward()
    assert net.head.weight.grad is not None
    net.zero_grad(set_to_none=False)
    assert not net.head.weight.grad.numpy().any()
    net.zero_grad()
    assert net.head.weight.grad is None
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_apply_reaches_children_first() -> None:
    seen: list[str] = []
    Net().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Dropout", "Sequential", "Linear", "Net"]


def test_forward_hooks() -> None:
    layer = nn.Linear(2, 2)
    log: list[Any] = []
    pre = layer.register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    post = layer.register_forward_hook(lambda m, args, out: log.append(tuple(out.shape)) or out + 1)
    bias = layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(twinflow.ones(1, 2)).detach().numpy()[0], bias + 1, rtol=1e-6)
    assert log == [(1, 2)]
    pre.remove()
    post.remove()
    post.remove()
    assert not np.allclose(layer(twinflow.ones(1, 2)).detach().numpy()[0], bias + 1)
    with layer.register_forward_hook(lambda m, a, kw, out: out * kw["factor"], with_kwargs=True):
        layer.forward = lambda x, factor: x  # type: ignore[method-assign, misc, assignment]
        assert layer(twinflow.ones(1), factor=3).item() == 3
    count = []
    with nn.register_module_forward_hook(lambda m, a, out: count.append(type(m).__name__)):
        nn.Sequential(nn.ReLU())(twinflow.ones(1))
    assert count == ["ReLU", "Sequential"]


def test_always_called_hooks_see_failures() -> None:
    layer = nn.Linear(2, 2)
    seen = []
    layer.register_forward_hook(lambda m, a, out: seen.append(out), always_call=True)
    with pytest.raises(ShapeError):
        layer(twinflow.ones(1, 3))
    assert seen == [None]


def test_full_backward_hooks_see_and_replace_gradients() -> None:
    layer = nn.Linear(3, 2)
    seen: dict[str, Any] = {}

    def hook(module: Any, grad_input: Any, grad_output: Any) -> Any:
        seen["in"], seen["out"] = grad_input, grad_output
        return (grad_input[0] * 10,)

    handle = layer.register_full_backward_hook(hook)
    x = twinflow.ones(1, 3, requires_grad=True)
    layer(x).sum().backward()
    column = layer.weight.detach().numpy().sum(0)
    np.testing.assert_allclose(seen["in"][0].numpy()[0], column, rtol=1e-6)
    np.testing.assert_array_equal(seen["out"][0].numpy(), [[1.0, 1.0]])
    np.testing.assert_allclose(x.grad.numpy()[0], column * 10, rtol=1e-6)
    handle.remove()
    layer.register_full_backward_pre_hook(lambda m, g: (g[0] * 2,))
    x.grad = None
    layer(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy()[0], column * 2, rtol=1e-6)


def test_backward_hooks_replace_several_gradients() -> None:
    class Product(nn.Module):
        def forward(self, a: Any, b: Any, count: Any) -> Any:
            return {"product": a * b, "sum": a + b, "count": count + 1}

    def run(hook: Any, pre: Any = None) -> list[Any]:
        layer = Product()
        layer.register_full_backward_hook(hook)
        if pre is not None:
            layer.register_full_backward_pre_hook(pre)
        a, b = twinflow.tensor([2.0], requires_grad=True), twinflow.tensor([3.0], requires_grad=True)
        out = layer(a, b, twinflow.tensor([1]))
        assert out["count"].tolist() == [2]
        (out["product"] + out["sum"]).sum().backward()
        return [a.grad.item(), b.grad.item()]

    assert run(lambda m, gi, go: None) == [4.0, 3.0]
    assert run(lambda m, gi, go: (gi[0] * 10, gi[1] * 100, None)) == [40.0, 300.0]
    assert run(lambda m, gi, go: None, lambda m, go: (go[0], go[1] * 0, go[2])) == [3.0, 2.0]
    with pytest.raises(GradientError, match="returned 1 gradients for 3 tensors"):
        run(lambda m, gi, go: (gi[0],))


def test_state_dict_hooks() -> None:
    net = nn.Linear(2, 2)
    net.register_state_dict_post_hook(lambda m, state, prefix, meta: state.pop(prefix + "bias"))
    assert list(net.state_dict()) == ["weight"]

    def rename(module: Any, state: Any, prefix: str, *rest: Any) -> None:
        state[prefix + "bias"] = state.pop(prefix + "old_bias")

    net.register_load_state_dict_pre_hook(rename)
    net.load_state_dict({"weight": twinflow.zeros(2, 2), "old_bias": twinflow.ones(2)})
    np.testing.assert_array_equal(net.bias.detach().numpy(), [1, 1])


def test_copying_and_pickling_keep_parameters() -> None:
    net = Net()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert isinstance(twin.head.weight, nn.Parameter) and twin.head.weight is not net.head.weight
        assert twin.head.weight.requires_grad
        np.testing.assert_array_equal(twin.head.weight.detach().numpy(), net.head.weight.detach().numpy())
        x = twinflow.ones(1, 4)
        np.testing.assert_array_equal(twin.eval()(x).detach().numpy(), net.eval()(x).detach().numpy())
    shared = nn.ModuleList([nn.Linear(2, 2)])
    shared.append(shared[0])
    twin = copy.deepcopy(shared)
    assert twin[0] is twin[1]


def test_repr() -> None:
    net = nn.ModuleList([*(nn.Linear(2, 2) for _ in range(3)), nn.ReLU()])
    assert repr(net) == ("ModuleList(\n  (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)\n  (3): ReLU()\n)")
    assert repr(nn.Parameter(twinflow.zeros(1))).startswith("Parameter containing:\ntensor(")


def test_parameter_arguments() -> None:
    with pytest.raises(ArgumentError, match="must be a tensor, not list"):
        nn.Parameter([1.0])  # type: ignore[arg-type]
    with pytest.raises(GradientError, match="floating"):
        nn.Parameter(twinflow.tensor([1]))
    assert not nn.Parameter(twinflow.tensor([1]), requires_grad=False).requires_grad
    assert nn.Parameter().numel() == 0


def test_compile_method() -> None:
    net = Net().eval()
    x = twinflow.ones(2, 4)
    want = net(x).detach().numpy()
    net.compile()
    np.testing.assert_allclose(net(x).detach().numpy(), want, rtol=1e-5)


# -- containers -------------------------------------------------------------------------------------------------


def test_sequential() -> None:
    s = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    s.append(nn.Linear(3, 1))
    assert len(s) == 3 and isinstance(s[-1], nn.Linear) and len(s[:2]) == 2
    s.insert(1, nn.Tanh())
    assert [type(m).__name__ for m in s] == ["Linear", "Tanh", "ReLU", "Linear"]
    assert list(s._modules) == ["0", "1", "2", "3"]
    del s[1]
    s[1] = nn.Sigmoid()
    assert isinstance(s.pop(), nn.Linear) and isinstance(s[1], nn.Sigmoid)
    named = nn.Sequential({"a": nn.Linear(2, 3), "b": nn.ReLU()})
    assert named.a is named[0] and list(named[1:]._modules) == ["b"]
    assert len(s + named) == 4
    with pytest.raises(ArgumentError, match=r"call it, as in ReLU\(\)"):
        nn.Sequential(nn.ReLU)
    with pytest.raises(ArgumentError, match=r"unpack it, as in Sequential\(\*layers\)"):
        nn.Sequential([nn.ReLU()])
    with pytest.raises(IndexOutOfRange, match="index 9 is outside a container of 2"):
        _ = s[9]


def test_batch_norms_count_may_be_missing_from_a_state_dict() -> None:
    norm = nn.BatchNorm1d(2)
    norm(twinflow.tensor([[1.0, 2.0], [3.0, 5.0]]))
    saved = {k: v + 1 for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    assert repr(norm.load_state_dict(saved)) == "<All keys matched successfully>"
    assert norm.num_batches_tracked.item() == 1 and norm.weight.tolist() == [2.0, 2.0]
    del saved["running_var"]
    with pytest.raises(CheckpointError, match="missing in the state_dict:\n    running_var"):
        norm.load_state_dict(saved)


def test_module_list_and_dict() -> None:
    ms = nn.ModuleList([nn.Linear(1, 1)])
    ms += [nn.ReLU()]
    assert len(ms) == 2 and len(ms + nn.ModuleList([nn.Tanh()])) == 3 and len(list(ms.parameters())) == 2
    d = nn.ModuleDict({"x": nn.ReLU()})
    d["y"] = nn.Linear(1, 1)
    assert list(d) == ["x", "y"] and "x" in d and len(d) == 2 and list(d.keys()) == ["x", "y"]
    assert isinstance(d.pop("x"), nn.ReLU) and [k for k, _ in d.items()] == ["y"]
    d.clear()
    assert not len(d)
    with pytest.raises(IndexOutOfRange, match="there is no 'z'"):
        _ = d["z"]
    with pytest.raises(ArgumentError, match="not a Module"):
        nn.ModuleList([3])  # type: ignore[list-item]


def test_parameter_list_and_dict() -> None:
    ps = nn.ParameterList([twinflow.zeros(2), nn.Parameter(twinflow.ones(1))])
    ps += [twinflow.ones(3)]
    ps[0] = twinflow.ones(2)
    assert len(ps) == 3 and all(isinstance(p, nn.Parameter) for p in ps) and list(ps.state_dict()) == ["0", "1", "2"]
    assert len(ps[1:]) == 2 and "(0): Parameter of float32[2]" in repr(ps)
    d = nn.ParameterDict({"a": twinflow.zeros(2)})
    d["b"] = twinflow.ones(1)
    assert list(d) == ["a", "b"] and d.get("z") is None and d.pop("a").numel() == 2 and "b" in d and len(d) == 1
    with pytest.raises(ArgumentError, match="cannot be called"):
        d()
    with pytest.raises(ArgumentError, match="floating or complex"):
        nn.ParameterList([twinflow.tensor([1])])


def test_data_parallel_is_the_module() -> None:
    layer = nn.Linear(3, 2)
    parallel = nn.DataParallel(layer)
    x = twinflow.ones(4, 3)
    np.testing.assert_array_equal(parallel(x).detach().numpy(), layer(x).detach().numpy())
    assert list(parallel.state_dict()) == ["module.weight", "module.bias"]
    assert parallel.module is layer
    with pytest.raises(DeviceError, match=r"device_ids=\[0, 1\]"):
        nn.DataParallel(layer, device_ids=[0, 1])
