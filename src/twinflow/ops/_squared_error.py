"""The mean (or sum) of squared differences: composed of primitives, and in plain evaluation one operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.graph import Aval
from twinflow.ops._composite import Composite
from twinflow.ops._math import square
from twinflow.ops._native import Native
from twinflow.ops._reductions import mean
from twinflow.ops._reductions import sum as sum_
from twinflow.tensor import Tensor

_LARGE = 1 << 14  # elements from which on one compiled pass beats NumPy's several
_add_reduce: Any = np.add.reduce


def _compose(x: Tensor, t: Tensor, *, average: bool) -> Tensor:
    d = square(x - t)
    return mean(d) if average else sum_(d)


def _np_compose(x: Any, t: Any, *, average: bool) -> Any:
    d = x - t
    d *= d
    total = _add_reduce(d, None)
    return total / d.size if average else total


def _rule(x: Tensor, t: Tensor, g: Tensor, *, average: bool) -> Any:
    return (x - t) * (g * (2.0 / x._data.size if average else 2.0))


def _np_rule(x: Any, t: Any, g: Any, *, average: bool) -> Any:
    d = x - t
    d *= g * (2.0 / x.size if average else 2.0)
    return d


_native_rule = Native("squared_error_backward", _np_rule, _rule, _LARGE, batched=2)


def _back(wanted: Any, g: Any, _y: Any, x: Any, t: Any, *, average: bool) -> Any:
    d = _native_rule(x, t, g, average=average)
    return d if wanted[0] else None, -d if wanted[1] else None


_squared_error = Composite(
    "mse_loss",
    _compose,
    _LARGE,
    reference=_np_compose,
    out=lambda x, t, *, average: Aval((), x.dtype),
    batched=2,
    vjp=(
        lambda g, _y, x, t, *, average: _rule(x, t, g, average=average),
        lambda g, _y, x, t, *, average: -_rule(x, t, g, average=average),
    ),
    back=_back,
)


def squared_error(x: Tensor, t: Tensor, average: bool) -> Tensor:
    """Σ (x - t)², or its mean, of two tensors of one shape."""
    result: Tensor = _squared_error(x, t, average=average)
    return result
