"""What the comparison with PyTorch's recorded results shares: inputs, evaluation, and the form in which results are kept.

A case is a line of `torch_cases.txt`: an expression over `T` (the framework) and the inputs below, with flags before a bar.
    D  the shape of the result depends on values, or the case is about eager memory: it is not traced
    N  no gradient is compared
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
GOLDENS = HERE / "torch_goldens.json"


class Case(NamedTuple):
    flags: str
    expr: str


def cases() -> list[Case]:
    out = []
    for line in (HERE / "torch_cases.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            flags, bar, expr = line.partition("| ")
            out.append(Case(flags.strip(), expr) if bar and len(flags) < 6 else Case("", line))
    return out


def inputs() -> dict[str, np.ndarray]:
    r = np.random.RandomState(7)
    spd = r.uniform(-1, 1, (4, 4))
    tri = np.tril(r.uniform(0.5, 1.5, (4, 4)))
    return {
        "x": r.uniform(-2, 2, (3, 4)),
        "y": r.uniform(-2, 2, (3, 4)),
        "p": r.uniform(0.2, 2, (3, 4)),
        "q": r.uniform(0.2, 2, (3, 4)),
        "u": r.uniform(0.05, 0.95, (3, 4)),
        "v": r.uniform(-2, 2, (4,)),
        "w": r.uniform(-2, 2, (4,)),
        "v3": r.uniform(-2, 2, (3,)),
        "t": r.uniform(-2, 2, (2, 3, 4)),
        "k": r.uniform(-2, 2, (2, 4, 3)),
        "s": r.uniform(-2, 2, (4, 4)),
        "m": r.uniform(-2, 2, (4, 3)),
        "sb": r.uniform(-2, 2, (2, 3, 3)),
        "spd": spd @ spd.T + np.eye(4),
        "tri": tri,
        "i": r.randint(-5, 9, (3, 4)),
        "j": r.randint(1, 9, (3, 4)),
        "d": np.array([3, 1, 2, 1, 3, 3, 0]),
        "g": r.randint(0, 3, (2, 4)),
        "b": r.uniform(0, 1, (3, 4)) > 0.5,
        "b2": r.uniform(0, 1, (3, 4)) > 0.3,
        "c": r.uniform(-2, 2, (3, 4)) + 1j * r.uniform(-2, 2, (3, 4)),
        "cs": r.uniform(-2, 2, (3, 3)) + 1j * r.uniform(-2, 2, (3, 3)),
        "cv": r.uniform(-2, 2, (4,)) + 1j * r.uniform(-2, 2, (4,)),
        "n": np.array([np.nan, 1.0, np.inf, -np.inf, -2.5, 0.0]),
        "o": np.array([0.5, -1.5, 3.25, 1e-3, 40.0, -40.0]),
    }


def weighted(T: Any, y: Any) -> Any:
    """A scalar in which every element of a result counts differently."""
    size = int(np.prod(tuple(y.shape)))
    weights = T.tensor(np.linspace(0.5, 1.5, size).reshape(tuple(y.shape)))
    if y.is_complex():
        return (y.real * weights).sum() + 0.5 * (y.imag * weights).sum()
    return (y.double() * weights).sum()


def flat(result: Any, tensor_type: type) -> list[Any]:
    if isinstance(result, (tuple, list)):
        return [leaf for r in result for leaf in flat(r, tensor_type)]
    return [result]


def evaluate(T: Any, case: Case, run: Any = lambda f: f) -> dict[str, Any]:
    """The results of a case and the gradients of its inputs, as plain data."""
    made = inputs()
    names = [n for n in made if n in compile_names(case.expr)]
    tensors = [T.tensor(made[n]) for n in names]
    differentiate = "N" not in case.flags
    if differentiate:
        for tensor in tensors:
            if tensor.is_floating_point() or tensor.is_complex():
                tensor.requires_grad_()
    code = compile(case.expr, "<case>", "eval")

    def program(*args: Any) -> Any:
        return eval(code, {"T": T}, dict(zip(names, args)))

    leaves = flat(run(program)(*tensors), T.Tensor)
    kept = [plain(x, T) for x in leaves]
    grads = {}
    if differentiate:
        # a result that is a result of the traced call has no tape: the gradient is taken inside
        def total(*args: Any) -> Any:
            parts = [
                weighted(T, x)
                for x in flat(program(*args), T.Tensor)
                if isinstance(x, T.Tensor) and x.requires_grad and x.numel()
            ]
            if not parts:
                return []
            wanted = [a for a in args if a.requires_grad]
            return list(_grad_of(T)(sum(parts[1:], parts[0]), wanted, allow_unused=True))

        found = run(total)(*tensors)
        wanted = [n for n, t in zip(names, tensors) if t.requires_grad]
        grads = {n: plain(v, T) for n, v in zip(wanted, found) if v is not None}
    return {"out": kept, "grad": grads}


def compile_names(expr: str) -> set[str]:
    return set(compile(expr, "<case>", "eval").co_names)


def plain(x: Any, T: Any) -> Any:
    if not isinstance(x, T.Tensor):
        if isinstance(x, (bool, int, float, str)) or x is None:
            return x
        return str(x).replace("torch.", "").replace("twinflow.", "")
    dtype = str(x.dtype).split(".")[-1]
    y = x.detach()
    if dtype == "bfloat16":
        y = y.to(T.float32)
    a = y.resolve_conj().resolve_neg().numpy() if hasattr(y, "resolve_conj") else y.numpy()
    shape = list(a.shape)
    if a.dtype.kind == "c":
        a = np.stack([a.real, a.imag], -1)
    if a.dtype.kind == "f":
        values = [float(f"{v:.10g}") for v in a.astype(np.float64).reshape(-1)]
    else:
        values = a.reshape(-1).tolist()
    return {"dtype": dtype, "shape": shape, "data": values}


_RTOL = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 2e-5, "complex64": 2e-5}


def compare(have: Any, want: Any, where: str) -> None:
    if not isinstance(want, dict):
        assert have == want or (isinstance(want, float) and abs(have - want) < 1e-7), f"{where}: {have!r} != {want!r}"
        return
    assert isinstance(have, dict), f"{where}: {have!r} is not a tensor"
    assert (have["dtype"], have["shape"]) == (want["dtype"], want["shape"]), (
        f"{where}: {have['dtype']}{have['shape']} instead of {want['dtype']}{want['shape']}"
    )
    rtol = _RTOL.get(want["dtype"], 1e-7)
    np.testing.assert_allclose(
        np.array(have["data"], np.float64), np.array(want["data"], np.float64), rtol=rtol, atol=rtol, err_msg=where
    )


def compare_all(have: dict[str, Any], want: dict[str, Any]) -> None:
    assert len(have["out"]) == len(want["out"]), f"{len(have['out'])} results instead of {len(want['out'])}"
    for k, (a, b) in enumerate(zip(have["out"], want["out"])):
        compare(a, b, f"result {k}")
    for name, b in want["grad"].items():
        zero = {**b, "data": [0.0] * len(b["data"])}
        compare(have["grad"].get(name, zero), b, f"gradient of {name}")


def load() -> dict[str, Any]:
    return json.loads(GOLDENS.read_text())


def _grad_of(T: Any) -> Any:
    return T.autograd.grad if hasattr(T, "autograd") else T.autodiff.grad
