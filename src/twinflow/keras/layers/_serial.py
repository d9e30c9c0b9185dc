"""`keras.layers.deserialize`."""

from twinflow.keras._layer import LAYERS
from twinflow.keras._registry import deserializer

deserialize = deserializer(LAYERS)
