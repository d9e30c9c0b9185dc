"""Sequences of different lengths: `torch.nn.utils.rnn`'s functions."""

from twinflow.nn._recurrent_packed import PackedSequence as PackedSequence
from twinflow.nn._recurrent_packed import invert_permutation as invert_permutation
from twinflow.nn._recurrent_packed import pack_padded_sequence as pack_padded_sequence
from twinflow.nn._recurrent_packed import pack_sequence as pack_sequence
from twinflow.nn._recurrent_packed import pad_packed_sequence as pad_packed_sequence
from twinflow.nn._recurrent_packed import pad_sequence as pad_sequence
from twinflow.nn._recurrent_packed import unpack_sequence as unpack_sequence
from twinflow.nn._recurrent_packed import unpad_sequence as unpad_sequence
