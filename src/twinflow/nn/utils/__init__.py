"""Tools around layers: `nn.utils`."""

from twinflow.nn.utils import rnn as rnn
