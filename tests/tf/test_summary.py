"""Event files, read back by TensorBoard's own reader."""

import struct

import numpy as np
import pytest

from twinflow import tf
from twinflow.core.errors import ArgumentError, ShapeError, TraceError
from twinflow.tf.compat import v1

pytest.importorskip("tensorboard")


def read(folder):
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    (path,) = folder.glob("events.*")
    events = [Event.FromString(raw) for raw in RawEventFileLoader(str(path)).Load()]
    values = [(e.step, v) for e in events for v in e.summary.value]
    return events, values


def test_scalars_histograms_pictures_and_text(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(step=3):
        assert tf.summary.scalar("loss", tf.constant(0.5))
        tf.summary.histogram("weights", tf.constant([0.0, 1.0, 1.0, 2.0]), step=4, buckets=2)
        tf.summary.image("picture", np.full((2, 4, 5, 3), 0.5, np.float32), max_outputs=2)
        tf.summary.text("note", "hello")
    writer.close()
    assert not tf.summary.scalar("loss", 1.0, step=0)  # nobody writes now
    _, values = read(tmp_path)
    found = {v.tag: (step, v) for step, v in values}
    assert found["loss"][0] == 3 and found["loss"][1].simple_value == 0.5
    histogram = found["weights"][1].histo
    assert found["weights"][0] == 4 and histogram.num == 4 and list(histogram.bucket) == [1, 3] and histogram.max == 2
    picture = found["picture/image/1"][1].image
    assert (picture.height, picture.width, picture.colorspace) == (4, 5, 3)
    data = picture.encoded_image_string
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", data[16:24]) == (5, 4)
    assert found["note"][1].tensor.string_val[0] == b"hello"


def test_graphs_of_functions(tmp_path):
    f = tf.function(lambda x: tf.exp(x) * 2.0)
    f(tf.constant([1.0]))
    with tf.summary.create_file_writer(str(tmp_path)).as_default() as writer:
        tf.summary.graph(f)
        writer.close()
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    (definition,) = [GraphDef.FromString(e.graph_def) for e in read(tmp_path)[0] if e.graph_def]
    assert [n.op for n in definition.node] == ["input", "exp", "mul"]
    assert definition.node[2].input == [definition.node[1].name]


def test_mistakes_are_named(tmp_path):
    with tf.summary.create_file_writer(str(tmp_path)) as _:
        with pytest.raises(ArgumentError, match="'loss' has no step"):
            tf.summary.scalar("loss", 1.0)
        with pytest.raises(ShapeError, match=r"'loss' has the shape \(2,\); a scalar is one number"):
            tf.summary.scalar("loss", [1.0, 2.0], step=1)
        with pytest.raises(ShapeError, match=r"pictures \[N, H, W, C\]"):
            tf.summary.image("p", np.zeros((4, 4)), step=1)
        with pytest.raises(TraceError, match="write it outside"):
            tf.function(lambda x: tf.summary.scalar("y", x, step=1))(tf.constant(1.0))


def test_summaries_of_sessions(tmp_path):
    v1.reset_default_graph()
    x = v1.placeholder(v1.float32, [None], name="x")
    mean = v1.reduce_mean(x)
    v1.summary.scalar("mean", mean)
    v1.summary.histogram("values", x)
    merged = v1.summary.merge_all()
    with v1.Session() as session, v1.summary.FileWriter(str(tmp_path), session.graph) as writer:
        for step in range(2):
            summary, value = session.run([merged, mean], {x: [step, step + 2.0]})
            assert value == step + 1
            writer.add_summary(summary, step)
        with pytest.raises(ArgumentError, match=r"bytes that session\.run\(merged\) returns"):
            writer.add_summary(value, 0)
    events, values = read(tmp_path)
    assert [(s, v.tag, v.simple_value) for s, v in values if v.tag == "mean"] == [(0, "mean", 1.0), (1, "mean", 2.0)]
    assert any(e.graph_def for e in events)
