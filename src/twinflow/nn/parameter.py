"""Parameters and buffers under the names of `torch.nn.parameter`."""

from twinflow.nn._parameter import Buffer as Buffer
from twinflow.nn._parameter import Parameter as Parameter
from twinflow.nn._parameter import UninitializedBuffer as UninitializedBuffer
from twinflow.nn._parameter import UninitializedParameter as UninitializedParameter
