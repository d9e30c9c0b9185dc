"""Training static graphs: `tf.train`."""

from twinflow.tf.compat.v1._optimizers import AdadeltaOptimizer as AdadeltaOptimizer
from twinflow.tf.compat.v1._optimizers import AdagradOptimizer as AdagradOptimizer
from twinflow.tf.compat.v1._optimizers import AdamOptimizer as AdamOptimizer
from twinflow.tf.compat.v1._optimizers import GradientDescentOptimizer as GradientDescentOptimizer
from twinflow.tf.compat.v1._optimizers import MomentumOptimizer as MomentumOptimizer
from twinflow.tf.compat.v1._optimizers import Optimizer as Optimizer
from twinflow.tf.compat.v1._optimizers import RMSPropOptimizer as RMSPropOptimizer
