"""Recurrent layers and cells: the equations in NumPy, the forms that differ from PyTorch's, packed sequences, wrong use.

Values and gradients of PyTorch's forms are in test_golden.py.
"""

from __future__ import annotations

import numpy as np
import pytest

import twinflow as tf
from twinflow import nn
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError, TraceError
from twinflow.nn.utils import rnn

RNG = np.random.default_rng(7)


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_reference(layer, x, h, reset_after, update_gate):
    """The equations of GRU's docstring, step by step."""
    w_ih, w_hh = (getattr(layer, f"weight_{k}_l0").detach().numpy() for k in ("ih", "hh"))
    b_ih, b_hh = (getattr(layer, f"bias_{k}_l0").detach().numpy() for k in ("ih", "hh"))
    ir, iz, in_ = np.split(w_ih, 3)
    hr, hz, hn = np.split(w_hh, 3)
    br, bz, bn = np.split(b_ih, 3)
    cr, cz, cn = np.split(b_hh, 3)
    ys = []
    for step in x:
        r = sigmoid(step @ ir.T + br + h @ hr.T + cr)
        z = sigmoid(step @ iz.T + bz + h @ hz.T + cz)
        inner = r * (h @ hn.T + cn) if reset_after else (r * h) @ hn.T + cn
        n = np.tanh(step @ in_.T + bn + inner)
        h = (1 - z) * n + z * h if update_gate == "keep" else (1 - z) * h + z * n
        ys.append(h)
    return np.stack(ys)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("update_gate", ["keep", "replace"])
@pytest.mark.parametrize("reset_after", [True, False])
def test_the_published_forms_of_the_gru(reset_after, update_gate, compiled):
    layer = nn.GRU(3, 4, reset_after=reset_after, update_gate=update_gate)
    x, h = draw(5, 2, 3), draw(1, 2, 4)
    run = tf.compile(layer.forward) if compiled else layer
    y, last = run(tf.tensor(x), tf.tensor(h))
    want = gru_reference(layer, x, h[0], reset_after, update_gate)
    np.testing.assert_allclose(y.detach().numpy(), want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(last.detach().numpy()[0], want[-1], rtol=1e-5, atol=1e-6)


def test_a_cell_repeated_is_the_layer():
    layer = nn.GRU(3, 4, reset_after=False, update_gate="replace")
    cell = nn.GRUCell(3, 4, reset_after=False, update_gate="replace")
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x = tf.tensor(draw(5, 2, 3))
    h = None
    for t in range(5):
        h = cell(x[t], h)
    np.testing.assert_allclose(h.tolist(), layer(x)[1][0].tolist(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_a_packed_batch_equals_its_sequences_one_by_one(kind):
    layer = kind(3, 4, num_layers=2, bidirectional=True)
    sequences = [tf.tensor(draw(n, 3)) for n in (2, 5, 3)]
    packed, state = layer(rnn.pack_sequence(sequences, enforce_sorted=False))
    together = rnn.unpack_sequence(packed)
    for i, s in enumerate(sequences):
        y, alone = layer(s)
        np.testing.assert_allclose(together[i].tolist(), y.tolist(), rtol=1e-5, atol=1e-6)
        pairs = zip(state, alone) if kind is nn.LSTM else [(state, alone)]
        for a, b in pairs:
            np.testing.assert_allclose(a[:, i].tolist(), b.tolist(), rtol=1e-5, atol=1e-6)


def test_the_graph_of_a_layer_does_not_grow_with_the_sequence():
    layer = nn.LSTM(3, 4, bidirectional=True)

    def size(n_steps):
        step = tf.compile(lambda x: layer(x)[0].sum())
        step(tf.zeros(n_steps, 2, 3))
        return len(step.graph.nodes)

    assert size(3) == size(30)


def test_a_compiled_training_step_with_packed_sequences_equals_the_eager_one():
    x = tf.tensor(draw(2, 5, 3))
    results = []
    for wrap in (lambda f: f, tf.compile):
        tf.manual_seed(0)
        layer = nn.GRU(3, 4, batch_first=True)
        optimizer = tf.optim.SGD(layer.parameters(), lr=0.1)

        def step(packed, layer=layer, optimizer=optimizer):
            optimizer.zero_grad()
            y, _ = layer(packed)
            loss = (y.data**2).mean()
            loss.backward()
            optimizer.step()
            return loss

        run = wrap(step)
        losses = [run(rnn.pack_padded_sequence(x, [5, 2], batch_first=True)).item() for _ in range(4)]
        results.append((losses, layer.weight_hh_l0.tolist()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-4, atol=1e-6)
    assert results[0][0][-1] < results[0][0][0]


def test_dropout_acts_between_layers_in_training_only():
    tf.manual_seed(0)
    layer = nn.RNN(3, 4, num_layers=2, dropout=0.5)
    x = tf.tensor(draw(5, 2, 3))
    assert layer(x)[0].tolist() != layer(x)[0].tolist()
    layer.eval()
    assert layer(x)[0].tolist() == layer(x)[0].tolist()
    nothing = nn.RNN(3, 4, num_layers=2, dropout=1.0)
    np.testing.assert_array_equal(nothing(x)[0].tolist(), nn.functional.tanh(zero_input(nothing, x.shape[:2])).tolist())


def zero_input(layer, lead):
    """What the second layer of `layer` computes from zeros, before the activation, step by step."""
    bias = layer.bias_ih_l1 + layer.bias_hh_l1
    h, rows = tf.zeros(lead[1], 4), []
    for _ in range(lead[0]):
        pre = bias + h @ layer.weight_hh_l1.mT
        rows.append(pre)
        h = pre.tanh()
    return tf.stack(rows)


def test_printed_forms_and_weights():
    layer = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    assert repr(layer) == "LSTM(3, 4, proj_size=2, num_layers=2, bidirectional=True)"
    assert repr(nn.GRUCell(3, 4, bias=False)) == "GRUCell(3, 4, bias=False)"
    assert [len(w) for w in layer.all_weights] == [5] * 4
    assert layer.weight_ih_l1_reverse.shape == (16, 4)
    assert layer.flatten_parameters() is layer
    bound = 1 / np.sqrt(4)
    assert all(p.abs().max().item() <= bound for p in layer.parameters())
    before = layer.weight_hh_l0.tolist()
    layer.reset_parameters()
    assert layer.weight_hh_l0.tolist() != before


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.LSTM(3, 4)(tf.zeros(5, 2, 7)), ShapeError, "must have 3 features"),
        (lambda: nn.LSTM(3, 4)(tf.zeros(3)), ShapeError, "3 axes"),
        (lambda: nn.LSTM(3, 4)(tf.zeros(0, 2, 3)), ShapeError, "no steps"),
        (lambda: nn.GRU(3, 4)(tf.zeros(5, 2, 3), tf.zeros(2, 4)), ShapeError, r"must have shape \(1, 2, 4\)"),
        (lambda: nn.GRU(3, 4)(tf.zeros(5, 3), tf.zeros(1, 2, 4)), ShapeError, r"must have shape \(1, 4\)"),
        (lambda: nn.LSTM(3, 4)(tf.zeros(5, 2, 3), tf.zeros(1, 2, 4)), ArgumentError, "pair"),
        (lambda: nn.LSTM(3, 4)(tf.zeros(5, 2, 3), (tf.zeros(1, 2, 4), 0)), DTypeError, "must be a tensor"),
        (lambda: nn.GRU(3, 4)(tf.zeros(5, 2, 3, dtype=tf.float64)), DTypeError, "float64"),
        (lambda: nn.GRU(3, 4)(tf.zeros(5, 2, 3), tf.zeros(1, 2, 4, dtype=tf.float64)), DTypeError, "state is float64"),
        (lambda: nn.GRU(3, 4)([[1.0]]), DTypeError, "must be a tensor"),
        (lambda: nn.LSTMCell(3, 4)(tf.zeros(2, 3), tf.zeros(2, 4)), ArgumentError, "pair"),
        (lambda: nn.LSTMCell(3, 4)(tf.zeros(2, 3), (tf.zeros(2, 4), tf.zeros(2, 5))), ShapeError, "state"),
        (lambda: nn.RNNCell(3, 4)(tf.zeros(1, 2, 3)), ShapeError, r"\[N, features\]"),
        (lambda: nn.RNN(3, 4, nonlinearity="gelu"), ArgumentError, "'tanh' or 'relu'"),
        (lambda: nn.GRU(3, 4, update_gate="both"), ArgumentError, "'keep' or 'replace'"),
        (lambda: nn.RNN(3, 0), ArgumentError, "hidden_size"),
        (lambda: nn.RNN(3, 4, dropout=1.5), ArgumentError, "dropout"),
        (lambda: nn.LSTM(3, 4, proj_size=4), ArgumentError, "proj_size"),
        (lambda: rnn.pack_padded_sequence(tf.zeros(5, 2, 3), [5, 0]), ArgumentError, "length of sequence 1 is 0"),
        (lambda: rnn.pack_padded_sequence(tf.zeros(5, 2, 3), [6, 2]), ArgumentError, "only 5 steps"),
        (lambda: rnn.pack_padded_sequence(tf.zeros(5, 2, 3), [2, 5]), ArgumentError, "enforce_sorted=False"),
        (lambda: rnn.pack_padded_sequence(tf.zeros(5, 2, 3), [5]), ArgumentError, "1 lengths for 2 sequences"),
        (lambda: rnn.pack_padded_sequence(tf.zeros(5, 2, 3), [5.5, 2]), ArgumentError, "whole number"),
        (lambda: rnn.pack_padded_sequence(tf.zeros(5, 2), tf.ones(2)), DTypeError, "whole numbers"),
        (lambda: rnn.pack_padded_sequence(tf.zeros(5), [5]), ShapeError, "T, N"),
        (lambda: rnn.pad_sequence([]), ArgumentError, "at least one"),
        (lambda: rnn.pad_sequence([tf.zeros(2, 3), tf.zeros(2, 4)]), ShapeError, "first axis only"),
        (lambda: rnn.pad_sequence([tf.zeros(2)], padding_side="top"), ArgumentError, "padding_side"),
        (lambda: rnn.unpad_sequence(tf.zeros(5, 2), [6, 1], batch_first=False), ArgumentError, "from 0 to 5"),
        (lambda: rnn.pad_packed_sequence(tf.zeros(2)), DTypeError, "PackedSequence"),
        (lambda: rnn.pad_packed_sequence(rnn.pack_sequence([tf.zeros(3)]), total_length=2), ArgumentError, "total_length"),
        (lambda: rnn.PackedSequence(tf.zeros(3), [1, 2]), ArgumentError, "never grow"),
        (lambda: rnn.PackedSequence(tf.zeros(4), [2, 1]), ShapeError, "3 in all"),
        (lambda: rnn.PackedSequence(tf.zeros(3), [2, 1], [0, 0]), ArgumentError, "once"),
    ],
)  # fmt: skip
def test_wrong_use(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_dropout_without_a_second_layer_warns():
    with pytest.warns(UserWarning, match="does nothing"):
        nn.GRU(3, 4, dropout=0.5)


def test_a_packed_sequence_unpacks_like_pytorchs():
    packed = rnn.pack_padded_sequence(tf.arange(10).reshape(5, 2), tf.tensor([2, 4]), enforce_sorted=False)
    data, batch_sizes, order, inverse = packed
    assert data.tolist() == [1, 0, 3, 2, 5, 7]
    assert batch_sizes.tolist() == [2, 2, 1, 1] and packed.lengths == [2, 4]
    assert order.tolist() == [1, 0] and inverse.tolist() == rnn.invert_permutation(order).tolist()
    assert packed.to(tf.float32).data.dtype is tf.float32
    assert [s.tolist() for s in rnn.unpad_sequence(tf.arange(6).reshape(3, 2), [1, 3])] == [[0], [1, 3, 5]]


@pytest.mark.parametrize("batch", [8, 32])
def test_the_published_gru_trains_the_same_compiled(batch):
    """A product whose readers are all computed anew where they are used has no kernel to be fused with."""
    tf.manual_seed(0)
    layer = nn.GRU(24, 96, batch_first=True, reset_after=False, update_gate="replace")
    x = tf.randn(batch, 5, 24)

    def gradients(x):
        layer.zero_grad()
        (layer(x)[0] ** 2).mean().backward()
        return [p.grad for p in layer.parameters()]

    for a, b in zip(gradients(x), tf.compile(gradients)(x)):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_lengths_that_are_an_argument_are_data(kind):
    layer = kind(3, 4, batch_first=True, bidirectional=True, num_layers=2)
    traces = []

    def step(x, lengths):
        traces.append(1)
        layer.zero_grad()
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        assert isinstance(packed, rnn.PackedSequence)
        y, state = layer(packed)
        padded, counts = rnn.pad_packed_sequence(y, batch_first=True, total_length=6, padding_value=-2.0)
        last = state[0] if kind is nn.LSTM else state
        ((padded * padded).mean() + last.sum()).backward()
        return padded, counts, last, layer.weight_hh_l0.grad, layer.weight_ih_l0_reverse.grad

    run = tf.compile(step)
    for counts in ([6, 2, 4], [1, 1, 6], [3, 5, 2], [6, 6, 6]):
        x = tf.tensor(draw(3, 6, 3))
        got = run(x, tf.tensor(counts))
        want = step(x, tf.tensor(counts))
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), rtol=1e-4, atol=1e-6)
    assert len(traces) == 1 + 4


def test_a_packed_sequence_whose_lengths_are_data_says_what_it_lacks():
    def shape_from_values(x, lengths):
        return rnn.pack_padded_sequence(x, lengths).data

    with pytest.raises(TraceError, match=r"data cannot be read .* pad_packed_sequence, or give the lengths as a list"):
        tf.compile(shape_from_values)(tf.ones(4, 2), tf.tensor([4, 2]))
    with pytest.raises(
        ShapeError, match=r"lengths are 2 whole numbers, one for each sequence, not float32 of shape \(3,\)"
    ):
        tf.compile(shape_from_values)(tf.ones(4, 2), tf.ones(3))

    def counted(x, lengths):
        packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False).to(tf.float64)
        padded, counts = rnn.pad_packed_sequence(packed)
        return packed.batch_sizes, padded, counts

    sizes, padded, counts = tf.compile(counted)(tf.ones(4, 2), tf.tensor([1, 3]))
    assert sizes.tolist() == [2, 1, 1, 0] and padded.tolist() == [[1, 1], [0, 1], [0, 1], [0, 0]]
    assert counts.tolist() == [1, 3] and padded.dtype is tf.float64
