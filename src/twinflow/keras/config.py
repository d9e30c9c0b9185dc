"""`keras.config`: the settings of the one backend."""

from twinflow.keras.backend import backend as backend
from twinflow.keras.backend import epsilon as epsilon
from twinflow.keras.backend import floatx as floatx
from twinflow.keras.backend import image_data_format as image_data_format
from twinflow.keras.backend import set_epsilon as set_epsilon
from twinflow.keras.backend import set_floatx as set_floatx
from twinflow.keras.backend import set_image_data_format as set_image_data_format
from twinflow.keras.dtype_policies import dtype_policy as dtype_policy
from twinflow.keras.dtype_policies import set_dtype_policy as set_dtype_policy
