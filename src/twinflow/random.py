"""The state of the default generator, under the names of `torch.random`."""

from twinflow.ops import fork_rng as fork_rng
from twinflow.ops import get_rng_state as get_rng_state
from twinflow.ops import initial_seed as initial_seed
from twinflow.ops import manual_seed as manual_seed
from twinflow.ops import seed as seed
from twinflow.ops import set_rng_state as set_rng_state
