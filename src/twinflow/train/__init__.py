"""Training without writing the loop."""

from twinflow.train._callbacks import Callback as Callback
from twinflow.train._callbacks import EarlyStopping as EarlyStopping
from twinflow.train._callbacks import LearningRateMonitor as LearningRateMonitor
from twinflow.train._callbacks import ModelCheckpoint as ModelCheckpoint
from twinflow.train._callbacks import ProgressBar as ProgressBar
from twinflow.train._check import check as check
from twinflow.train._check_report import CheckFinding as CheckFinding
from twinflow.train._check_report import CheckReport as CheckReport
from twinflow.train._loggers import CSVLogger as CSVLogger
from twinflow.train._loggers import Logger as Logger
from twinflow.train._loggers import TensorBoardLogger as TensorBoardLogger
from twinflow.train._module import TrainModule as TrainModule
from twinflow.train._nonfinite import first_nonfinite as first_nonfinite
from twinflow.train._trainer import Trainer as Trainer
