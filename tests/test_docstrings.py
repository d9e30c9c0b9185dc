"""Docstrings: every example in them runs, and everything public has one."""

import doctest
import importlib
import inspect
import pkgutil
from typing import Any

import pytest

import twinflow

MODULES = [m.name for m in pkgutil.walk_packages(twinflow.__path__, "twinflow.") if not m.name.endswith("__main__")]
SPACES = [
    "", "nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.rnn", "nn.utils.parametrizations", "nn.utils.parametrize", "nn.utils.prune", "linalg",
    "special", "fft", "optim", "optim.lr_scheduler", "optim.swa_utils", "data", "data.transforms", "metrics", "train", "autograd", "autograd.functional",
    "autograd.graph", "func", "random", "cuda", "array_api", "keras", "keras.layers", "keras.losses", "keras.metrics", "keras.optimizers",
    "keras.callbacks", "keras.activations", "keras.initializers", "tf",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    state, dtype = twinflow.get_rng_state(), twinflow.get_default_dtype()
    try:
        failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    finally:
        twinflow.set_rng_state(state)
        twinflow.set_default_dtype(dtype)
    assert not failed


def without_docstring(space: str) -> list[str]:
    where = importlib.import_module(f"twinflow.{space}") if space else twinflow
    found = []
    for name, value in vars(where).items():
        home: Any = getattr(value, "__module__", None) or ""
        if name.startswith("_") or inspect.ismodule(value) or not callable(value) or not home.startswith("twinflow"):
            continue
        if not (value.__doc__ or "").strip():
            found.append(name)
        if not inspect.isclass(value):
            continue
        for member, raw in vars(value).items():
            is_method = inspect.isfunction(raw) or isinstance(raw, (property, classmethod, staticmethod))
            if is_method and not member.startswith("_") and not inspect.getdoc(getattr(value, member)):
                found.append(f"{name}.{member}")
    return found


@pytest.mark.parametrize("space", SPACES)
def test_everything_public_has_a_docstring(space: str) -> None:
    assert without_docstring(space) == []
