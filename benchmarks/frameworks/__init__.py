"""How each framework runs a workload or an operation: one module per way of writing, chosen by the worker's name.

A program has `step(i)`, which starts one step on batch `i % 3`, `sync(result)`, which waits for it, and `check(i)`, the
numbers of step `i` that all frameworks must agree on.
"""

from importlib import import_module
from typing import Any

# Worker's name: module, title in the tables, PyPI name that a reader can look up.
FRAMEWORKS = {
    "twinflow": ("torch_style", "twinflow compile"),
    "twinflow-eager": ("torch_style", "twinflow eager"),
    "torch": ("torch_style", "PyTorch eager"),
    "torch-compile": ("torch_style", "torch.compile"),
    "jax": ("jax_style", "JAX jit"),
    "keras": ("keras_style", "Keras/TF"),
}


def is_ours(name: str) -> bool:
    return name.startswith("twinflow")


def start(name: str, threads: int) -> Any:
    """Import the framework, set its threads, and return the object that makes programs (`version`, `train`, ...)."""
    return import_module(f"{__name__}.{FRAMEWORKS[name][0]}").Framework(name, threads)
