"""Optimizers: each update rule is written once, and runs eagerly or inside a compiled step."""

from twinflow.optim import lr_scheduler as lr_scheduler
from twinflow.optim import swa_utils as swa_utils
from twinflow.optim._adam import Adam as Adam
from twinflow.optim._adam import Adamax as Adamax
from twinflow.optim._adam import AdamW as AdamW
from twinflow.optim._adam import NAdam as NAdam
from twinflow.optim._adam import RAdam as RAdam
from twinflow.optim._adaptive import Adadelta as Adadelta
from twinflow.optim._adaptive import Adagrad as Adagrad
from twinflow.optim._adaptive import RMSprop as RMSprop
from twinflow.optim._factored import Adafactor as Adafactor
from twinflow.optim._layerwise import LAMB as LAMB
from twinflow.optim._layerwise import Lion as Lion
from twinflow.optim._layerwise import Muon as Muon
from twinflow.optim._lbfgs import LBFGS as LBFGS
from twinflow.optim._optimizer import Optimizer as Optimizer
from twinflow.optim._sgd import ASGD as ASGD
from twinflow.optim._sgd import SGD as SGD
from twinflow.optim._sgd import Rprop as Rprop
