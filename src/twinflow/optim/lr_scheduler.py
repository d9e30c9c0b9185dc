"""Schedules of the learning rate. Call `scheduler.step()` after each epoch (or each batch, for some) of `optimizer.step()`.

`step()` may stand inside a compiled step: it then happens at the end of each call, and the new rate is an input of the
next. Each schedule multiplies what the optimizer has, so several can act on one optimizer.
"""

from twinflow.optim._composed_schedules import ChainedScheduler as ChainedScheduler
from twinflow.optim._composed_schedules import ReduceLROnPlateau as ReduceLROnPlateau
from twinflow.optim._composed_schedules import SequentialLR as SequentialLR
from twinflow.optim._cyclic_schedules import CyclicLR as CyclicLR
from twinflow.optim._cyclic_schedules import OneCycleLR as OneCycleLR
from twinflow.optim._schedule import LRScheduler as LRScheduler
from twinflow.optim._schedules import ConstantLR as ConstantLR
from twinflow.optim._schedules import CosineAnnealingLR as CosineAnnealingLR
from twinflow.optim._schedules import CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts
from twinflow.optim._schedules import ExponentialLR as ExponentialLR
from twinflow.optim._schedules import LambdaLR as LambdaLR
from twinflow.optim._schedules import LinearLR as LinearLR
from twinflow.optim._schedules import MultiplicativeLR as MultiplicativeLR
from twinflow.optim._schedules import MultiStepLR as MultiStepLR
from twinflow.optim._schedules import PolynomialLR as PolynomialLR
from twinflow.optim._schedules import StepLR as StepLR

_LRScheduler = LRScheduler  # the name that older programs subclass
