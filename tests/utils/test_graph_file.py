"""Graphs as files: read back whole, refused when damaged."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import CheckpointError
from twinflow.graph import PRIMITIVES, Aval, Graph, interpret
from twinflow.utils import load_graph, save_graph


def step():
    weights = tf.tensor(np.arange(100.0, dtype=np.float32))
    compiled = tf.compile(
        lambda x: tf.cond(x.sum() > 0, lambda: x * 2, lambda: x - 1) + (tf.tensor(list(range(100))) * weights).sum()
    )
    compiled(tf.randn(3))
    return compiled.graph


def test_a_graph_is_saved_and_runs_after_loading(tmp_path):
    graph = step()
    save_graph(graph, tmp_path / "step.graph")
    loaded = load_graph(tmp_path / "step.graph")
    assert [p.name for p in tmp_path.iterdir()] == ["step.graph"]
    for x in (np.ones(3, np.float32), -np.ones(3, np.float32)):
        values = [x, np.arange(100.0, dtype=np.float32)]
        np.testing.assert_array_equal(interpret(graph, values)[0], interpret(loaded, values)[0])


def test_damaged_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "step.graph"
    save_graph(step(), path)
    whole = path.read_bytes()
    for cut in (0, 7, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(CheckpointError, match="truncated or damaged"):
            load_graph(path)
    tf.save({"w": tf.ones(2)}, path)
    with pytest.raises(CheckpointError, match="holds no graph"):
        load_graph(path)
    tf.save({"graph": "graph f(%0: float32[2])\n  %1: float32[2] = launch(%0)", "constants": {}}, path)
    with pytest.raises(CheckpointError, match="launch"):
        load_graph(path)


def test_a_parameter_that_is_not_data_is_not_written(tmp_path):
    graph = Graph("g")
    x = graph.add_input(Aval((2,), tf.float32))
    graph.outputs = [graph.add(PRIMITIVES["neg"], (x,), {"how": object()}, aval=x.aval)]
    with pytest.raises(CheckpointError, match="cannot be written as data"):
        save_graph(graph, tmp_path / "g.graph")
    assert not list(tmp_path.iterdir())
