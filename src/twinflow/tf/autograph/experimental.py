"""`tf.autograph.experimental`."""

from twinflow.autograph import do_not_convert as do_not_convert
from twinflow.autograph import set_loop_options as set_loop_options
