"""Optimizers around others, and what callbacks send away."""

import http.server
import json
import threading
import urllib.parse

import numpy as np
import pytest

from twinflow import keras
from twinflow.core.errors import ArgumentError

X, Y = np.arange(8, dtype="f4")[:, None] / 8, np.arange(8, dtype="f4")[:, None]


def trained(optimizer, **options):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="head")])
    model.compile(optimizer, "mse", **options)
    model.fit(X, Y, batch_size=4, verbose=0)
    return model


def test_a_step_with_infinite_gradients_is_left_out_and_halves_the_scale():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1), dynamic_growth_steps=2)
    w = keras.Variable([1.0, 2.0])
    for g in ([np.inf, 1.0], [2.0**14, 0.0], [2.0**14, 0.0], [np.nan, 1.0]):
        optimizer.apply_gradients([(keras.ops.convert_to_tensor(np.float32(g)), w)])
    assert int(optimizer.iterations) == 2 and float(optimizer.dynamic_scale) == 2.0**14
    assert np.allclose(w.numpy(), [0.8, 2.0], atol=1e-5)
    assert float(optimizer.learning_rate) == 0.1


@pytest.mark.parametrize("eager", [False, True])
def test_wrapped_optimizers_keep_their_state_in_files(tmp_path, eager):
    o = keras.optimizers
    for optimizer in (
        o.LossScaleOptimizer(o.Adam(0.1), initial_scale=8.0, dynamic_growth_steps=1),
        o.MultiOptimizer(o.OptimizerMap(o.Adam(0.1), {"head/bias": o.SGD(0.1, momentum=0.9)})),
    ):
        model = trained(optimizer, run_eagerly=eager)
        path = tmp_path / f"{optimizer.name}.keras"
        model.save(path)
        again = keras.models.load_model(path)
        assert [int(v) for v in (again.optimizer.iterations, optimizer.iterations)] == [2, 2]
        for m in (model, again):
            m.fit(X, Y, batch_size=4, verbose=0, shuffle=False)
        assert all(np.allclose(a, b) for a, b in zip(model.get_weights(), again.get_weights()))


def test_a_function_chooses_the_optimizer_of_each_variable():
    sgd, adam = keras.optimizers.SGD(0.0), keras.optimizers.Adam(0.1)
    optimizer = keras.optimizers.MultiOptimizer(lambda v: adam if "kernel" in v.path else sgd)
    model = trained(optimizer)
    assert [o.name for o in optimizer.optimizers] == ["adam", "sgd"]
    assert float(model.layers[0].bias) == 0 and int(adam.iterations) == int(sgd.iterations) == 2
    with pytest.raises(AttributeError, match=r"each of its \.optimizers has its own"):
        _ = optimizer.learning_rate


def test_wrong_parts_are_named():
    o = keras.optimizers
    with pytest.raises(ArgumentError, match="the inner optimizer is one such as"):
        o.LossScaleOptimizer("adam")
    with pytest.raises(ArgumentError, match=r"OptimizerMap\['a'\] is an optimizer such as"):
        o.OptimizerMap(o.SGD(), {"a": "adam"})
    rules = o.OptimizerMap(o.SGD(), {"a.*": o.Adam(), ".*b": o.Adam()})
    with pytest.raises(ArgumentError, match=r"'ab' fits 'a\.\*' and '\.\*b'; make the patterns exclude each other"):
        _ = rules["ab"]
    with pytest.raises(ArgumentError, match="there is an optimizer for 'a"):
        rules["a.*"] = o.SGD()
    with pytest.raises(ArgumentError, match="what is given for head/kernel is an optimizer"):
        trained(o.MultiOptimizer(lambda v: None))
    with pytest.raises(ArgumentError, match="give an OptimizerMap, or a function"):
        o.MultiOptimizer(3)


def test_logs_are_sent_to_a_server():
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(
                (self.path, self.rfile.read(int(self.headers["Content-Length"])).decode(), self.headers["X-Key"])
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    root = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        for as_json in (False, True):
            monitor = keras.callbacks.RemoteMonitor(root, headers={"X-Key": "k"}, send_as_json=as_json)
            monitor.on_epoch_end(3, {"loss": np.float32(0.5)})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert [s[0] for s in seen] == ["/publish/epoch/end/"] * 2 and {s[2] for s in seen} == {"k"}
    sent = {"epoch": 3, "loss": 0.5}
    assert json.loads(urllib.parse.parse_qs(seen[0][1])["data"][0]) == json.loads(seen[1][1]) == sent
    with pytest.warns(UserWarning, match=f"the server at {root} does not answer"):
        monitor.on_epoch_end(4)
