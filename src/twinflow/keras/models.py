"""Models: `keras.models`."""

from twinflow.keras._model import Model as Model
from twinflow.keras._model import Sequential as Sequential
from twinflow.keras._model import clone_model as clone_model
from twinflow.keras._model import model_from_json as model_from_json
from twinflow.keras._saving import load_model as load_model
from twinflow.keras._saving import save_model as save_model
