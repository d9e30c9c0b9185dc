"""`keras.mixed_precision`: the older names of `keras.config.set_dtype_policy` and its kin."""

from twinflow.keras.dtype_policies import DTypePolicy as DTypePolicy
from twinflow.keras.dtype_policies import DTypePolicy as Policy
from twinflow.keras.dtype_policies import dtype_policy as dtype_policy
from twinflow.keras.dtype_policies import dtype_policy as global_policy
from twinflow.keras.dtype_policies import set_dtype_policy as set_dtype_policy
from twinflow.keras.dtype_policies import set_dtype_policy as set_global_policy

__all__ = ["DTypePolicy", "Policy", "dtype_policy", "global_policy", "set_dtype_policy", "set_global_policy"]
