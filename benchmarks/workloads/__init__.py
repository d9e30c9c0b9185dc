"""The programs that are timed, by name."""

from . import cnn, factorisation, mlp, recurrent, transformer
from ._base import CHECK_STEPS as CHECK_STEPS
from ._base import Workload as Workload

WORKLOADS: dict[str, Workload] = {
    w.name: w for module in (mlp, cnn, recurrent, transformer, factorisation) for w in module.WORKLOADS
}
EVERY_WORKLOAD = WORKLOADS | {mlp.SCALAR.name: mlp.SCALAR}  # and one that only the eager table asks for
ONLY_TRAINED = (
    "linear-many",
    "mlp-sgd",
    "factorisation-adam",
)  # only how they train sets these apart from their neighbours
