"""Functions of `keras.ops` inside models, and what wrong use says; their values are compared with Keras's in test_goldens."""

import numpy as np
import pytest

from twinflow import keras
from twinflow.core.errors import ArgumentError
from twinflow.keras import layers, ops


def test_functions_of_symbolic_tensors_become_parts_of_a_model_that_is_saved(tmp_path):
    x = keras.Input((4,))
    h = ops.concatenate([ops.relu(layers.Dense(3)(x)), ops.sin(x)], axis=-1)
    y = ops.mean(ops.expand_dims(h, 1) * 2.0, axis=-1)
    model = keras.Model(x, y)
    assert model.output_shape == (None, 1)
    data = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    w, b = model.get_weights()
    wanted = np.concatenate([np.maximum(data @ w + b, 0), np.sin(data)], -1).mean(-1, keepdims=True) * 2
    np.testing.assert_allclose(model.predict(data, verbose=0), wanted, rtol=1e-5)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: ops.split(np.ones(5), 2), "array_split"),
        (lambda: ops.squeeze(np.ones((2, 1)), 0), "has extent 2, not 1"),
        (lambda: ops.convert_to_tensor([1.0], sparse=True), "sparse"),
        (lambda: ops.scatter_update(np.ones(2), [[0]], [1.0], "mean"), "reduction is None"),
        (lambda: ops.unstack(np.ones((2, 1)), num=3), "extent 2"),
        (lambda: ops.correlate(np.ones(3), np.ones(2), mode="all"), "'valid', 'same' or 'full'"),
        (lambda: ops.switch(0, []), "no branches"),
        (lambda: ops.multi_hot(np.array([1])), "num_classes is needed"),
        (lambda: ops.layer_normalization(np.ones((2, 3)), axis=0), "last axes"),
    ],
)
def test_wrong_use_says_what_is_wrong(run, said):
    with pytest.raises(ArgumentError, match=said):
        run()
