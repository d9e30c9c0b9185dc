"""Saving and loading: `keras.saving`."""

from twinflow.keras._objects import CustomObjectScope as CustomObjectScope
from twinflow.keras._objects import custom_object_scope as custom_object_scope
from twinflow.keras._objects import deserialize_keras_object as deserialize_keras_object
from twinflow.keras._objects import get_custom_objects as get_custom_objects
from twinflow.keras._objects import get_registered_name as get_registered_name
from twinflow.keras._objects import get_registered_object as get_registered_object
from twinflow.keras._objects import serialize_keras_object as serialize_keras_object
from twinflow.keras._registry import register_keras_serializable as register_keras_serializable
from twinflow.keras._saving import load_model as load_model
from twinflow.keras._saving import load_weights as load_weights
from twinflow.keras._saving import save_model as save_model
from twinflow.keras._saving import save_weights as save_weights
