"""Operations that initialise variables."""

from __future__ import annotations

from typing import Any

from twinflow.tf.compat.v1._control import group
from twinflow.tf.compat.v1._graph import get_default_graph
from twinflow.tf.compat.v1._operations import Operation
from twinflow.tf.compat.v1._variables import global_variables, local_variables


def variables_initializer(var_list: Any, name: str = "init") -> Operation:
    """The operation that gives these variables their initial values."""
    return group(*[v.initializer for v in var_list], name=name)


def global_variables_initializer() -> Operation:
    """The operation that gives all variables made so far their initial values."""
    return variables_initializer(global_variables())


initialize_all_variables = global_variables_initializer


def local_variables_initializer() -> Operation:
    """The same for local variables, such as the counts of metrics."""
    return variables_initializer(local_variables(), "init_local")


def is_variable_initialized(variable: Any, session: Any = None) -> bool:
    """Whether a variable has a value in a session, the default one if none is named."""
    found = get_default_graph().session_for(session, "is_variable_initialized")
    return bool(found.is_initialised(variable))
