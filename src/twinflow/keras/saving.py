"""Saving: `keras.saving`."""

from twinflow.keras._registry import register_keras_serializable as register_keras_serializable
from twinflow.keras._saving import load_model as load_model
