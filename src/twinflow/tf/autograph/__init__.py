"""Python's control flow in `tf.function`: `tf.autograph`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.autograph import convert, rewritten_source
from twinflow.tf.autograph import experimental as experimental


def to_graph(entity: Callable[..., Any], recursive: bool = True) -> Callable[..., Any]:
    """The function with its control flow rewritten, as `tf.function` traces it.

    >>> from twinflow import tf
    >>> def f(x):
    ...     return x if x > 0 else -x
    >>> tf.function(tf.autograph.to_graph(f), autograph=False)(tf.constant(-3.0))
    tensor(3.)
    """
    return convert(getattr(entity, "python_function", entity))


def to_code(entity: Callable[..., Any], recursive: bool = True) -> str:
    """The rewritten function as text."""
    return rewritten_source(getattr(entity, "python_function", entity))
