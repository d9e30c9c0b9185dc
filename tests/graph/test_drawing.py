"""Graphs as pictures: well formed, whole, and laid out without boxes over one another."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twinflow as tf
from twinflow.core.errors import ArgumentError
from twinflow.graph import from_text
from twinflow.graph._layout import GAP_X, LONG, lay_out, nearest_places
from twinflow.graph.drawing import to_dot, to_html, to_svg

TEXT = """graph f(%0: float32[2] "x<1>", %1: float32[2])
  %2: float32[2] = mul(%0, 2.0)
  %3: float32[2] = add(%2, %1)
  return %3, 1.0
  write %1 <- %2"""


def looping():
    compiled = tf.compile(lambda x: tf.cond(x.sum() > 0, lambda: tf.fori_loop(0, 3, lambda i, v: v * 2, x), lambda: x))
    compiled(tf.ones(3))
    return compiled.graph


def test_every_node_and_result_has_a_box_with_its_type_and_line():
    picture = ET.fromstring(to_svg(from_text(TEXT)))
    texts = [t.text for t in picture.iter("{http://www.w3.org/2000/svg}text")]
    for expected in ("%0 x<1>", "%2 mul 2.0", "float32[2]", "return 0", "return 1 1.0", "write %1"):
        assert expected in texts
    here = looping()
    assert "test_drawing.py" in to_svg(here)


def test_loops_and_branches_have_panels_of_their_own():
    svg = to_svg(looping())
    assert len(re.findall(r'class="title"', svg)) >= 4  # the graph, both branches, the loop's body
    assert to_dot(looping()).count("subgraph") == len(re.findall(r'class="title"', svg))


def test_graphviz_text_names_every_edge():
    dot = to_dot(from_text(TEXT))
    assert '"0/0" -> "0/2"' in dot
    assert '"0/2" -> "0/write %1"' in dot
    assert dot.count("{") == dot.count("}")


def test_a_page_holds_everything_it_shows():
    page = to_html(from_text(TEXT))
    assert "<svg" in page
    assert "&lt;1&gt;" in page
    assert not re.search(r"(src|href)=.http", page)


def test_the_ending_of_the_file_decides(tmp_path):
    graph = from_text(TEXT)
    for name, start in (("a.svg", "<svg"), ("a.html", "<!doctype"), ("a.dot", "digraph")):
        graph.draw(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    with pytest.raises(ArgumentError, match=r"write \.svg or \.html"):
        graph.draw(tmp_path / "a.png")


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(1, 200)), max_size=12))
def test_neighbours_keep_their_distance(boxes):
    wanted, widths = [b[0] for b in boxes], [b[1] for b in boxes]
    places = nearest_places(wanted, widths)
    for k in range(1, len(places)):
        assert places[k] - places[k - 1] >= (widths[k] + widths[k - 1]) / 2 + GAP_X - 1e-6
    assert sum(places) == pytest.approx(sum(wanted), abs=1e-6)  # pools keep their means


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 1000), max_size=3), min_size=1, max_size=40))
def test_edges_lead_down_and_no_boxes_overlap(sources):
    edges = [(s % k, k) for k, row in enumerate(sources) for s in row if k]
    layout = lay_out({k: (30.0 + k, 20.0) for k in range(len(sources))}, edges)
    boxes = list(layout.boxes.values())
    for a, b in edges:
        assert layout.boxes[a].y + layout.boxes[a].height < layout.boxes[b].y
    for i, a in enumerate(boxes):
        assert -1e-6 <= a.x - a.width / 2
        assert a.x + a.width / 2 <= layout.width + 1e-6
        for b in boxes[:i]:
            assert a.layer != b.layer or abs(a.x - b.x) >= (a.width + b.width) / 2
    drawn = len(layout.lines) + len(layout.long)
    assert drawn == len(set(edges))
    assert all(layout.boxes[b].layer - layout.boxes[a].layer > LONG for a, b in layout.long)
