"""Passes: plain functions from graph to graph, each small and named for what it does."""

import sys
from collections.abc import Callable

from twinflow.core import topics
from twinflow.graph._ir import Graph
from twinflow.graph._text import to_text
from twinflow.graph._verify import verify as _verify
from twinflow.graph.passes._bounds import bound_products as bound_products
from twinflow.graph.passes._centred import sum_centred as sum_centred
from twinflow.graph.passes._common import drop_dead as drop_dead
from twinflow.graph.passes._common import merge_common as merge_common
from twinflow.graph.passes._common import static_key as static_key
from twinflow.graph.passes._complex import split_complex as split_complex
from twinflow.graph.passes._fold import fold_constants as fold_constants
from twinflow.graph.passes._fold import splat as splat
from twinflow.graph.passes._indexing import gather_of_one as gather_of_one
from twinflow.graph.passes._indexing import scatter_of_one as scatter_of_one
from twinflow.graph.passes._layout import choose_layouts as choose_layouts
from twinflow.graph.passes._products import transpose_products as transpose_products
from twinflow.graph.passes._scan import hoist_from_scans as hoist_from_scans
from twinflow.graph.passes._simplify import RULES as RULES
from twinflow.graph.passes._simplify import simplify as simplify
from twinflow.graph.passes._sparse import look_up_rows as look_up_rows
from twinflow.graph.passes._sparse import update_rows as update_rows
from twinflow.graph.passes._windows import expand_windows as expand_windows

Pass = Callable[[Graph], Graph]
PASSES: list[Pass] = [
    split_complex, hoist_from_scans, fold_constants, simplify, merge_common, fold_constants, simplify, merge_common,
    sum_centred, look_up_rows, expand_windows, choose_layouts, fold_constants, simplify, merge_common, transpose_products, drop_dead,
]  # fmt: skip


def optimize(graph: Graph, passes: list[Pass] | None = None, *, verify: bool = False) -> Graph:
    """The graph after all passes. TWINFLOW_DUMP names passes to print before and after; `verify` checks each result."""
    dump = topics("TWINFLOW_DUMP")
    for run in PASSES if passes is None else passes:
        before = to_text(graph) if dump else ""
        graph = run(graph)
        if verify:
            _verify(graph)
        if dump and ({run.__name__, "all"} & dump):
            sys.stderr.write(f"-- {run.__name__}: before\n{before}\n-- {run.__name__}: after\n{to_text(graph)}\n")
    return graph
