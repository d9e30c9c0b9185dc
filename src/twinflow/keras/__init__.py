"""Keras's face: models that are compiled and fitted, with Keras 3's names and arguments."""

from twinflow.keras import activations as activations
from twinflow.keras import backend as backend
from twinflow.keras import callbacks as callbacks
from twinflow.keras import config as config
from twinflow.keras import constraints as constraints
from twinflow.keras import datasets as datasets
from twinflow.keras import dtype_policies as dtype_policies
from twinflow.keras import initializers as initializers
from twinflow.keras import layers as layers
from twinflow.keras import losses as losses
from twinflow.keras import metrics as metrics
from twinflow.keras import mixed_precision as mixed_precision
from twinflow.keras import models as models
from twinflow.keras import ops as ops
from twinflow.keras import optimizers as optimizers
from twinflow.keras import random as random
from twinflow.keras import regularizers as regularizers
from twinflow.keras import saving as saving
from twinflow.keras import utils as utils
from twinflow.keras._layer import Layer as Layer
from twinflow.keras._loss import Loss as Loss
from twinflow.keras._metric import Metric as Metric
from twinflow.keras._model import Model as Model
from twinflow.keras._model import Sequential as Sequential
from twinflow.keras._symbolic import Input as Input
from twinflow.keras._symbolic import KerasTensor as KerasTensor
from twinflow.keras._variable import Variable as Variable
from twinflow.keras.dtype_policies import DTypePolicy as DTypePolicy
from twinflow.keras.initializers import Initializer as Initializer
from twinflow.keras.optimizers import Optimizer as Optimizer
from twinflow.keras.regularizers import Regularizer as Regularizer

__version__ = "3.15.0"  # the version of Keras whose names and behaviour are followed


def version() -> str:
    """The version of Keras whose names and behaviour are followed."""
    return __version__
