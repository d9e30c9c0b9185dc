"""`tf.math`, `tf.linalg`, `tf.image`, `tf.random` and others of static graphs: TensorFlow 2's modules, their functions deferred.

A function is made when it is first asked for, so importing makes none of them.
"""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Any

from twinflow.tf import bitwise as _bitwise
from twinflow.tf import image as _image
from twinflow.tf import linalg as _linalg
from twinflow.tf import math as _math
from twinflow.tf import random as _random
from twinflow.tf import signal as _signal
from twinflow.tf.compat.v1 import _functions, _further, _images
from twinflow.tf.compat.v1._deferred import deferred

_BEFORE = {
    "set_seed": "set_random_seed",
    "normal": "random_normal",
    "uniform": "random_uniform",
    "shuffle": "random_shuffle",
}


class Space(ModuleType):
    """The functions of a module, each added to the graph instead of run."""

    def __init__(self, source: ModuleType, random: bool = False, older: ModuleType | None = None) -> None:
        super().__init__(source.__name__.replace("twinflow.tf.", "twinflow.tf.compat.v1."), source.__doc__)
        self._source, self._random, self._older = source, random, older

    def __getattr__(self, name: str) -> Any:
        before = _BEFORE.get(name, name) if self._random else name
        known = getattr(_functions, before, None) or getattr(_further, before, None)
        fn = getattr(self._older, name, None) or getattr(
            self._source, name
        )  # an AttributeError of the module itself says what is missing
        if name.startswith("_") or not isinstance(fn, FunctionType):
            return fn
        if known is None or not callable(known):
            path = f"{self._source.__name__.rpartition('.')[2]}.{name}"
            known = deferred(fn, name, name=path, host=not self._random)
        self.__dict__[name] = known
        return known

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._source), *(n for n in dir(self._older) if n.startswith("resize_"))})


bitwise = Space(_bitwise)
image = Space(_image, older=_images)
linalg = Space(_linalg)
math = Space(_math)
random = Space(_random, random=True)
signal = Space(_signal)
SPACES = {"bitwise": bitwise, "image": image, "linalg": linalg, "math": math, "random": random, "signal": signal}


def find(path: str) -> None:
    """Make the function of a saved graph, such as "math.segment_sum", if it is one of these."""
    space, _, name = path.partition(".")
    if space in SPACES and hasattr(SPACES[space], name):
        getattr(SPACES[space], name)
