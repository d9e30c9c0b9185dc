"""compile: attributes of modules that a compiled call binds anew."""

import pytest

import twinflow as tf
from twinflow import nn
from twinflow.nn.utils import prune, weight_norm


class Keeps(nn.Module):
    """Rebinds a buffer, an attribute that is None at first, and one that is not there at first."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("queue", tf.arange(4.0))
        self.hidden = None

    def forward(self, x):
        self.queue = self.queue.roll(1)
        self.weights = tf.softmax(x, -1)
        self.hidden = x if self.hidden is None else self.hidden * 0.5 + x
        return self.hidden.sum() + self.queue[0]


@pytest.mark.parametrize("reset_at", [None, 3])
def test_attributes_are_what_plain_calls_would_have_left(reset_at):
    seen = []
    for compiled in (False, True):
        model = Keeps()
        call = tf.compile(model) if compiled else model
        queues, rows = [], []
        for i in range(5):
            if i == reset_at:
                model.hidden = None
            y = call(tf.full((2, 3), float(i)))
            queues.append(model.queue)
            rows.append((y.item(), model.hidden.tolist(), model.weights.tolist(), model.state_dict()["queue"].tolist()))
        seen.append((rows, [q.tolist() for q in queues]))  # an earlier buffer keeps its elements
    assert seen[0] == seen[1]


def test_an_attribute_that_becomes_none_is_none_after_the_call():
    model = Keeps()
    model.hidden = tf.ones(2)

    @tf.compile
    def step(x):
        y = model.hidden + x
        model.hidden = None
        return y

    assert step(tf.ones(2)).tolist() == [2.0, 2.0]
    assert model.hidden is None
    with pytest.raises(TypeError):
        step(tf.ones(2))


@pytest.mark.parametrize("wrap", [weight_norm, lambda layer: prune.l1_unstructured(layer, "weight", 0.5)])
def test_a_weight_that_a_hook_makes_can_be_read_after_a_compiled_step(wrap):
    weights = []
    for compiled in (False, True):
        layer = nn.Linear(3, 2, bias=False)
        with tf.no_grad():
            layer.weight.copy_(tf.arange(6.0).reshape(2, 3) / 6 + 0.1)
        wrap(layer)
        optimizer = tf.optim.SGD(layer.parameters(), 0.1)

        def step(x, layer=layer, optimizer=optimizer):
            optimizer.zero_grad()
            layer(x).pow(2).sum().backward()
            optimizer.step()

        run = tf.compile(step) if compiled else step
        for _ in range(3):
            run(tf.tensor([[1.0, -2.0, 0.5]]))
        weights.append(layer.weight.detach())
    tf.testing.assert_close(weights[0], weights[1])
