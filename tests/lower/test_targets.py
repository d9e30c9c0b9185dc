"""Kernels of whole training steps compile for processors that are not this one."""

import pytest

import twinflow as tf
from twinflow import nn
from twinflow.compiler.contraction import Machine
from twinflow.compiler.loops import Target
from twinflow.lower import _code
from twinflow.runtime import Processor, compile_object
from twinflow.runtime._driver import driver_ir

ARM = Processor("aarch64-unknown-linux-gnu", "generic", "+neon")
APPLE = Processor("arm64-apple-macosx", "generic", "+neon")
RISC = Processor("riscv64-unknown-linux-gnu", "generic-rv64", "+m,+a,+f,+d")
WINDOWS = Processor("x86_64-pc-windows-msvc", "x86-64-v3", "+avx2,+fma,+f16c")
OLD = Processor("x86_64-unknown-linux-gnu", "x86-64", "")
EVERY = [ARM, APPLE, RISC, WINDOWS, OLD]


def convolutional():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Linear(72, 4),
    ), tf.randn(2, 3, 8, 8)


class Characters(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.rnn = nn.LSTM(16, 8, batch_first=True)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.rnn(self.block(self.embedding(x)))[0][:, -1])


def characters():
    return Characters(), tf.randint(0, 11, (2, 6))


@pytest.fixture(scope="module", params=[convolutional, characters])
def step(request):
    """A training step; its kernels are written anew for whatever processor they are asked for."""
    tf.manual_seed(0)
    model, x = request.param()
    optimizer = tf.optim.AdamW(model.parameters())

    @tf.compile
    def run(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss, tf.sort(model(x)[0].half()).values, model(x).bfloat16() @ tf.ones(4, 20).bfloat16()

    run(x, tf.zeros(2, dtype=tf.int64))
    return run


@pytest.mark.parametrize("processor", EVERY, ids=lambda p: p.triple)
def test_the_kernels_of_a_step_compile_for(processor, step, monkeypatch):
    target = Target.from_features(processor.features, processor.arch), Machine.of(processor)
    monkeypatch.setattr(_code, "_host", lambda: target)
    code = step._native("kernels").code
    for part in code.symbols:  # those that run in chunks, and those that run whole
        assert compile_object(code._text(part), processor)


@pytest.mark.parametrize("processor", EVERY, ids=lambda p: p.triple)
def test_the_driver_compiles_for(processor):
    assert compile_object(driver_ir(processor.arch), processor)
