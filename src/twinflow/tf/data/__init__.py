"""`tf.data`: input pipelines under TensorFlow's names."""

from twinflow.tf.data import experimental as experimental
from twinflow.tf.data._dataset import AUTOTUNE as AUTOTUNE
from twinflow.tf.data._dataset import INFINITE_CARDINALITY as INFINITE_CARDINALITY
from twinflow.tf.data._dataset import UNKNOWN_CARDINALITY as UNKNOWN_CARDINALITY
from twinflow.tf.data._dataset import Dataset as Dataset
from twinflow.tf.data._dataset import Iterator as Iterator
from twinflow.tf.data._files import TextLineDataset as TextLineDataset
