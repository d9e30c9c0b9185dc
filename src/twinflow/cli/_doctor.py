"""`twinflow doctor`: what this installation has and lacks."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys

from twinflow.runtime import default_cache_dir, get_num_threads, host_processor
from twinflow.runtime._c_api import can_call_python
from twinflow.runtime._library import find_loop

_EXTRAS = {
    "scikit-learn": ("digits", "the digits data set and `twinflow demo`"),
    "matplotlib": ("plot", "pictures of learning curves and predictions"),
    "pillow": ("images", "reading pictures from files"),
    "tensorboard": ("tensorboard", "event files for TensorBoard"),
}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _row(name: str, value: str) -> None:
    print(f"  {name:<14} {value}")


def doctor() -> None:
    """Print the report."""
    print("twinflow")
    _row("version", _version("twinflow") or "run from source, not installed")
    _row("python", f"{platform.python_version()} ({sys.executable})")
    _row("system", f"{platform.system()} {platform.release()}, {platform.machine()}")
    for package in ("numpy", "llvmlite", "ml-dtypes", "safetensors", "rich"):
        _row(package, _version(package) or f"MISSING, and needed: pip install {package}")

    print("processor")
    processor = host_processor()
    _row("name", processor.name)
    _row("target", processor.triple)
    _row("vectors", f"{processor.vector_nbytes * 8} bits, {processor.vector_registers} registers")
    found = {
        "FMA": processor.has_fma,
        "AVX-512": processor.has_avx512,
        "AVX-512 BF16": processor.has_avx512_bf16,
        "AMX BF16": processor.has_amx_bf16,
        "NEON": processor.has_neon,
    }
    _row("features", ", ".join(name for name, has in found.items() if has) or "none of " + ", ".join(found))
    _row(
        "threads",
        f"{get_num_threads()} used of {os.cpu_count()} (TWINFLOW_NUM_THREADS or twinflow.set_num_threads changes it)",
    )
    _row("devices", "cpu")
    _row(
        "factorisations",
        "native" if find_loop("linalg.solve:dd->d") else "in Python: this NumPy keeps its loops elsewhere",
    )
    _row("small steps", "native" if can_call_python() else "in Python: native only with CPython on Linux, x86-64")

    print("kernel cache")
    folder = default_cache_dir()
    if folder is None:
        _row("folder", "none: every run compiles anew (set TWINFLOW_CACHE to a folder that can be written)")
    else:
        files = [p for p in folder.rglob("*") if p.is_file()] if folder.is_dir() else []
        nbytes = sum(p.stat().st_size for p in files)
        existing = next(p for p in (folder, *folder.parents) if p.exists())
        writable = os.access(existing, os.W_OK)
        _row("folder", f"{folder}" + ("" if writable else "  NOT WRITABLE: kernels are compiled anew in every run"))
        _row(
            "holds",
            f"{len(files)} files, {nbytes / 2**20:.1f} MB; {shutil.disk_usage(existing).free / 2**30:.0f} GB free",
        )

    print("optional")
    for package, (extra, use) in _EXTRAS.items():
        version = _version(package)
        _row(package, version if version else f"missing: {use}; pip install 'twinflow[{extra}]'")
