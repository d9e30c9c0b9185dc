"""Static graphs printed, drawn, saved, frozen, loaded and run elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest

from twinflow.core.errors import CheckpointError
from twinflow.tf.compat import v1 as tf


@pytest.fixture(autouse=True)
def fresh_graph():
    tf.reset_default_graph()
    tf.set_random_seed(0)


def model():
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    w = tf.Variable(tf.random_normal([2, 3]), name="w")
    y = tf.nn.softmax(tf.matmul(x, w), name="y")
    loss = tf.reduce_mean(tf.square(y), name="loss")
    step = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss, name="step")
    return x, w, y, loss, step


DATA = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]], np.float32)


def test_a_graph_prints_and_draws():
    model()
    text = str(tf.get_default_graph())
    assert "x = Placeholder(): float32(?, 2)" in text
    assert "y = softmax(MatMul:0): float32(?, 3)" in text
    dot = tf.get_default_graph().as_graph_def().to_dot()
    assert dot.startswith("digraph {") and '"MatMul" -> "y"' in dot


def test_the_lowered_graph_is_the_common_ir():
    x, _, y, _, _ = model()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        graph = session.lowered(y, {x: DATA})
    assert "matmul(" in str(graph) and graph.inputs[0].name == "arg0"
    assert all(
        node.line[0].endswith("test_v1_graphs.py") for node in graph.nodes
    )  # each blames the line that defined it


def test_a_graph_is_loaded_and_trains_on():
    x, w, y, loss, step = model()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        start = session.run(w)
        for _ in range(3):
            session.run(step, {x: DATA})
        want = session.run([w, y, loss], {x: DATA})
    data = tf.get_default_graph().as_graph_def().SerializeToString()
    with tf.Graph().as_default() as graph:
        loaded = tf.GraphDef()
        loaded.ParseFromString(data)
        tf.import_graph_def(loaded, name="")
        (v,) = tf.trainable_variables()
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            v.load(start, session)
            for _ in range(3):
                session.run("step", {"x:0": DATA})
            got = session.run(["w:0", "y:0", "loss:0"], {"x:0": DATA})
        assert graph.get_operation_by_name("loss").type == "Mean"
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_control_flow_survives_saving():
    x = tf.placeholder(tf.float32, [], name="x")
    tf.cond(x > 0, lambda: x * 2.0, lambda: -x, name="c")
    tf.while_loop(lambda v: v < 100.0, lambda v: v * 2.0, [x], name="w")
    definition = tf.get_default_graph().as_graph_def()
    with tf.Graph().as_default():
        outs = tf.import_graph_def(definition, return_elements=["c:0", "w:0"], name="in")
        with tf.Session() as session:
            assert session.run(outs, {"in/x:0": 3.0}) == [6, 192]
            assert session.run(outs[0], {"in/x:0": -3.0}) == 3


def test_a_frozen_graph_holds_the_values(tmp_path):
    x, _, y, _, _ = model()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        want = session.run(y, {x: DATA})
        frozen = tf.graph_util.convert_variables_to_constants(session, tf.get_default_graph().as_graph_def(), ["y"])
    path = tf.train.write_graph(frozen, str(tmp_path), "frozen.json")
    assert {n.name for n in frozen.node} == {"x", "w", "MatMul", "y"}
    with tf.Graph().as_default():
        loaded = tf.GraphDef()
        loaded.ParseFromString(Path(path).read_bytes())
        replaced = tf.constant(DATA[:1])
        (out,) = tf.import_graph_def(loaded, input_map={"x": replaced}, return_elements=["y:0"])
        with tf.Session() as session:
            np.testing.assert_allclose(session.run(out), want[:1], rtol=1e-6)


def test_damaged_and_newer_graphs_are_named():
    definition = tf.GraphDef()
    with pytest.raises(CheckpointError, match="no graph that twinflow wrote"):
        definition.ParseFromString(b"nonsense")
    with pytest.raises(CheckpointError, match="newer twinflow"):
        definition.ParseFromString(json.dumps({"version": 99, "nodes": []}).encode())
    row = {"name": "a", "op": "unheard_of", "inputs": [], "waits": [], "params": {}, "outputs": []}
    definition.ParseFromString(json.dumps({"version": 1, "nodes": [row]}).encode())
    with pytest.raises(CheckpointError, match="no operation 'unheard_of'"):
        tf.import_graph_def(definition)


# -- Saver ---------------------------------------------------------------------------------------------------------------


def test_saver_keeps_the_latest_and_restores(tmp_path):
    w = tf.Variable([1.0, 2.0], name="w")
    saver = tf.train.Saver(max_to_keep=2)
    prefix = str(tmp_path / "model")
    with tf.Session() as session:
        session.run(w.initializer)
        for step in (1, 2, 3):
            session.run(tf.assign(w, [step, step]))
            saver.save(session, prefix, global_step=step)
    assert sorted(p.name for p in tmp_path.glob("*.safetensors")) == ["model-2.safetensors", "model-3.safetensors"]
    assert tf.train.latest_checkpoint(str(tmp_path)) == f"{prefix}-3"
    with tf.Session() as session:
        saver.restore(session, f"{prefix}-2")  # in the place of an initializer
        np.testing.assert_allclose(session.run(w), [2, 2])


def test_a_saved_model_is_restored_with_its_graph(tmp_path):
    x, _, y, _, step = model()
    prefix = str(tmp_path / "model")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(step, {x: DATA})
        tf.train.Saver().save(session, prefix)
        want = session.run(y, {x: DATA})
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.import_meta_graph(prefix + ".meta").restore(session, prefix)
        np.testing.assert_allclose(session.run("y:0", {"x:0": DATA}), want, rtol=1e-6)


def test_what_a_checkpoint_lacks_is_named(tmp_path):
    w = tf.Variable([1.0], name="w")
    prefix = str(tmp_path / "model")
    with tf.Session() as session:
        session.run(w.initializer)
        tf.train.Saver().save(session, prefix)
        other = tf.Variable([1.0, 2.0], name="other")
        with pytest.raises(CheckpointError, match="has no variable 'other'; it has w"):
            tf.train.Saver().restore(session, prefix)
        with pytest.raises(CheckpointError, match=r"saved with shape \(1,\), but the variable has \(2,\)"):
            tf.train.Saver({"w": other}).restore(session, prefix)
        with pytest.raises(CheckpointError, match="no file"):
            tf.train.Saver([w]).restore(session, prefix + "-9")
        with pytest.raises(CheckpointError, match="found no checkpoint"):
            tf.train.Saver([w]).restore(session, tf.train.latest_checkpoint(str(tmp_path / "empty")))


def test_operations_have_tensorflows_types():
    with tf.Graph().as_default():
        a, w = tf.placeholder(tf.float32, [2, 2]), tf.get_variable("w", [2, 2])
        made = [
            a,
            w,
            a + w,
            a - w,
            a * w,
            a / w,
            a @ w,
            tf.concat([a, w], 0),
            tf.nn.relu(a),
            tf.reduce_sum(a),
            tf.argmax(a),
            tf.transpose(a),
        ]
    types = "Placeholder VariableV2 AddV2 Sub Mul RealDiv MatMul ConcatV2 Relu Sum ArgMax Transpose"
    assert [x.op.type for x in made] == types.split()
