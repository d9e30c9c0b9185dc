"""Training static graphs: `tf.train`."""

from twinflow.tf.compat.v1._graph_def import import_meta_graph as import_meta_graph
from twinflow.tf.compat.v1._graph_def import write_graph as write_graph
from twinflow.tf.compat.v1._optimizers import AdadeltaOptimizer as AdadeltaOptimizer
from twinflow.tf.compat.v1._optimizers import AdagradOptimizer as AdagradOptimizer
from twinflow.tf.compat.v1._optimizers import AdamOptimizer as AdamOptimizer
from twinflow.tf.compat.v1._optimizers import FtrlOptimizer as FtrlOptimizer
from twinflow.tf.compat.v1._optimizers import GradientDescentOptimizer as GradientDescentOptimizer
from twinflow.tf.compat.v1._optimizers import MomentumOptimizer as MomentumOptimizer
from twinflow.tf.compat.v1._optimizers import Optimizer as Optimizer
from twinflow.tf.compat.v1._optimizers import RMSPropOptimizer as RMSPropOptimizer
from twinflow.tf.compat.v1._saver import Saver as Saver
from twinflow.tf.compat.v1._saver import checkpoint_exists as checkpoint_exists
from twinflow.tf.compat.v1._saver import latest_checkpoint as latest_checkpoint
from twinflow.tf.compat.v1._schedules import ExponentialMovingAverage as ExponentialMovingAverage
from twinflow.tf.compat.v1._schedules import cosine_decay as cosine_decay
from twinflow.tf.compat.v1._schedules import create_global_step as create_global_step
from twinflow.tf.compat.v1._schedules import exponential_decay as exponential_decay
from twinflow.tf.compat.v1._schedules import get_global_step as get_global_step
from twinflow.tf.compat.v1._schedules import get_or_create_global_step as get_or_create_global_step
from twinflow.tf.compat.v1._schedules import global_step as global_step
from twinflow.tf.compat.v1._schedules import inverse_time_decay as inverse_time_decay
from twinflow.tf.compat.v1._schedules import natural_exp_decay as natural_exp_decay
from twinflow.tf.compat.v1._schedules import piecewise_constant as piecewise_constant
from twinflow.tf.compat.v1._schedules import piecewise_constant_decay as piecewise_constant_decay
from twinflow.tf.compat.v1._schedules import polynomial_decay as polynomial_decay
