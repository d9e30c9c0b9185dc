"""The package's order: imports only go down, and importing twinflow loads nothing that is not needed yet."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "twinflow"

# A package may import those of its own level and below. The reading order is from the smallest number up.
LEVEL = {
    "core": 0,
    "runtime": 1,
    "compiler": 1,
    "graph": 2,
    "lower": 3,
    "tensor": 3,
    "ops": 4,
    "autodiff": 5,
    "jit": 5,
    "amp": 6,
    "autograd": 6,
    "autograph": 6,
    "backends": 6,
    "cuda": 6,
    "data": 6,
    "fft": 6,
    "func": 6,
    "linalg": 6,
    "metrics": 6,
    "nn": 6,
    "optim": 6,
    "random": 6,
    "special": 6,
    "testing": 6,
    "utils": 6,
    "array_api": 7,
    "distributions": 7,
    "train": 7,
    "keras": 7,
    "tf": 8,
    "cli": 9,
}
FRONT_END = 6  # from this level up, nothing may reach into the compiler
ROOT = {"__init__.py", "__main__.py"}  # the package's own two faces see everything


def package_of(path: Path) -> str:
    """The package (or single module) directly below twinflow that a file belongs to."""
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def source_files() -> list[Path]:
    return [p for p in sorted(SRC.rglob("*.py")) if str(p.relative_to(SRC)) not in ROOT]


def packages_imported(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line and name of each package of twinflow that a file imports, wherever in the file the import stands.

    An import of a name from twinflow itself gives "" unless the name is one of its packages: the root sees everything,
    so whoever imports from it may get anything.
    """
    here = ("twinflow", *path.relative_to(SRC).with_suffix("").parts)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            modules = [(*base, alias.name) for alias in node.names] if base == ("twinflow",) else [base]
        else:
            continue
        for module in modules:
            if module[0] == "twinflow":
                name = module[1] if len(module) > 1 else ""
                yield node.lineno, name if (SRC / name).is_dir() or (SRC / f"{name}.py").is_file() else ""


def faults(path: Path, text: str) -> list[str]:
    """What is wrong with the imports of one file, a line each."""
    here = package_of(path)
    found = []
    for line, used in packages_imported(path, text):
        at = f"{path.relative_to(SRC)}:{line}"
        if not used:
            found.append(f"{at}: imports from twinflow itself; import from the package that defines the name")
        elif used not in LEVEL:
            found.append(f"{at}: imports {used}, which has no level in this test")
        elif LEVEL[used] > LEVEL[here]:
            found.append(
                f"{at}: {here} (level {LEVEL[here]}) imports {used} (level {LEVEL[used]}), which lies above it"
            )
        elif used == "compiler" and LEVEL[here] >= FRONT_END:
            found.append(f"{at}: {here} is a front end and must not know of the compiler")
    return found


def test_every_package_has_a_level() -> None:
    unknown = {package_of(p) for p in source_files()} - LEVEL.keys()
    assert not unknown, (
        f"give {', '.join(sorted(unknown))} a level in LEVEL of {__file__}, after CONTRIBUTING.md's table"
    )


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(SRC)))
def test_imports_only_go_down(path: Path) -> None:
    assert not faults(path, path.read_text())


def test_packages_do_not_import_each_other_in_a_circle() -> None:
    uses = {
        name: {used for p in source_files() if package_of(p) == name for _, used in packages_imported(p, p.read_text())}
        for name in LEVEL
    }
    waiting = {name: used - {name, ""} for name, used in uses.items()}
    while ready := [name for name, used in waiting.items() if not used & waiting.keys()]:
        for name in ready:
            del waiting[name]
    assert not waiting, f"these import one another in a circle: {waiting}"


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("core/_x.py", "from twinflow.graph import Graph", "which lies above it"),
        ("core/_x.py", "def f():\n    from ..nn import Linear", "which lies above it"),
        ("nn/_x.py", "import twinflow.compiler as c", "must not know of the compiler"),
        ("nn/_x.py", "from .. import compiler", "must not know of the compiler"),
        ("nn/_x.py", "from twinflow import Tensor", "imports from twinflow itself"),
        ("nn/_x.py", "import twinflow", "imports from twinflow itself"),
    ],
)
def test_a_wrong_import_is_found(
    file: str, text: str, fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in LEVEL:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sys.modules[__name__], "SRC", tmp_path)
    [said] = faults(tmp_path / file, text)
    assert fault in said


@pytest.mark.parametrize(
    "text", ["from ..core import errors", "from ._y import f", "import numpy", "from twinflow.ops import add"]
)
def test_a_right_import_is_left_alone(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in LEVEL:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sys.modules[__name__], "SRC", tmp_path)
    assert faults(tmp_path / "nn/_x.py", text) == []


def test_importing_twinflow_loads_no_compiler_and_no_extra() -> None:
    code = "import sys, twinflow; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    path = [str(SRC.parent), *(p for p in sys.path if p)]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    late = {"llvmlite", "rich", "sklearn", "scipy", "matplotlib", "PIL", "tensorboard", "torch", "jax", "tensorflow"}
    assert not late & set(done.stdout.split())


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(SRC)))
def test_what_a_subclass_must_define_is_named(path: Path) -> None:
    bare = [
        n.lineno
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Name) and n.exc.id == "NotImplementedError"
    ]
    assert not bare


def test_importing_twinflow_leaves_out_what_reads_files() -> None:
    code = "import sys, twinflow; print(*sorted(sys.modules))"
    path = [str(SRC.parent), *(p for p in sys.path if p)]
    program = f"import sys; sys.path[:0] = {path!r}; {code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "twinflow.nn" in loaded
    assert not {"twinflow.data", "twinflow.train", "twinflow.keras", "gzip", "zipfile", "csv", "tempfile"} & loaded
