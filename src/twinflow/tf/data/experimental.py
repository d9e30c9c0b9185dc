"""`tf.data.experimental`: what TensorFlow keeps under this name."""

from twinflow.tf.data._dataset import AUTOTUNE as AUTOTUNE
from twinflow.tf.data._dataset import INFINITE_CARDINALITY as INFINITE_CARDINALITY
from twinflow.tf.data._dataset import UNKNOWN_CARDINALITY as UNKNOWN_CARDINALITY
from twinflow.tf.data._dataset import Dataset as _Dataset
from twinflow.tf.data._files import CsvDataset as CsvDataset


def cardinality(dataset: _Dataset) -> int:
    """The number of elements, INFINITE_CARDINALITY or UNKNOWN_CARDINALITY."""
    return dataset.cardinality()
