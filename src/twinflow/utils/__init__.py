"""Saving and loading (tensors, graphs), `utils.data` and `utils.checkpoint`."""

from twinflow.utils import checkpoint as checkpoint
from twinflow.utils import data as data
from twinflow.utils._graph_file import load_graph as load_graph
from twinflow.utils._graph_file import save_graph as save_graph
from twinflow.utils._save import load as load
from twinflow.utils._save import save as save
from twinflow.utils._save import write_atomically as write_atomically
