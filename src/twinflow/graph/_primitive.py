"""What a primitive is: one row that states everything the framework knows about one operation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from twinflow.core import FROM_NUMPY, DType, Shape
from twinflow.core.errors import ArgumentError


class Aval(NamedTuple):
    """An abstract value: what is known of a tensor without its elements. Prints as `float32[32, 784]`."""

    shape: Shape
    dtype: DType

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        n = 1
        for s in self.shape:
            n *= s
        return n

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"


class Sample(NamedTuple):
    """Arguments of one call of a primitive, for the generated tests: arrays (or numbers) and static parameters."""

    args: tuple[Any, ...]
    params: dict[str, Any]


Rule = Callable[..., Any]


class Primitive:
    """One operation. Rows are declared in `twinflow.ops`; everything else reads them.

    Args:
        name: the name in graphs.
        out: (*avals, **params) -> Aval, or a tuple of them; raises the error that a wrong use gets. A Python number
            among the operands is passed as it is.
        ref: (*arrays, **params) -> array(s): the meaning of the operation, in NumPy.
        vjp: one rule per operand, (g, y, *operands, **params) -> gradient or None; or a single rule that returns the
            tuple of all. None: not differentiable (the reason stands in `why`). Rules are written in twinflow operations. A rule's parameter whose
            name starts with an underscore is not kept for the backward pass: the rule receives its Aval instead.
        jvp: "elementwise" (derived from vjp), "linear" (the operation itself, in all tensor operands jointly),
            "multilinear" (one operand at a time), or (tangents, y, *operands, **params) -> tangent.
        batch: "elementwise", or (args, axes, **params) -> (result, axis): how it acts on operands with one more axis.
        lower: how the compiler sees it (see `twinflow.graph.lowering`).
        view: (base, value, **params) -> base': writes `value` where the view looks. Present if the result shares
            memory with the first operand.
        samples: (rng) -> list of Sample, for the generated tests; bad: the same, for calls that must fail.
        ulp: how far the compiled result may lie from the reference, in units of the last place.
        doc: what it computes.
    """

    __slots__ = (
        "bad",
        "batch",
        "doc",
        "elementwise",
        "jvp",
        "keeps",
        "keeps_out",
        "lower",
        "n_out",
        "name",
        "out",
        "ref",
        "run",
        "samples",
        "ulp",
        "view",
        "vjp",
        "why",
    )

    def __init__(
        self,
        name: str,
        *,
        out: Rule,
        ref: Rule,
        vjp: Rule | tuple[Rule | None, ...] | None,
        doc: str,
        jvp: Any = None,
        batch: Any = None,
        lower: Any = None,
        view: Rule | None = None,
        samples: Rule | None = None,
        bad: Rule | None = None,
        elementwise: bool = False,
        n_out: int = 1,
        ulp: float = 4,
        why: str = "",
    ) -> None:
        self.name = name
        self.out = out
        self.ref = ref
        self.run = ref  # what eager calls; the compiler may put something faster here
        self.vjp = vjp
        self.jvp = jvp
        self.batch = batch
        self.lower = lower
        self.view = view
        self.samples = samples
        self.bad = bad
        self.elementwise = elementwise
        self.n_out = n_out
        self.ulp = ulp
        self.doc = doc
        self.why = why
        if vjp is None and not why:
            raise ArgumentError(f"primitive {name}: without a derivative it must say why")
        self.keeps, self.keeps_out = _what_is_kept(vjp)
        if name in PRIMITIVES:
            raise ArgumentError(f"primitive {name} is declared twice")
        PRIMITIVES[name] = self

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return find_primitive, (self.name,)


PRIMITIVES: dict[str, Primitive] = {}


def find_primitive(name: str) -> Primitive:
    """The primitive with this name. Raises: ArgumentError if there is none."""
    try:
        return PRIMITIVES[name]
    except KeyError:
        raise ArgumentError(f"there is no primitive named {name!r}") from None


def _positional(rule: Rule) -> list[str]:
    return [p.name for p in inspect.signature(rule).parameters.values() if p.kind in (0, 1, 2)]


def _what_is_kept(vjp: Any) -> tuple[Any, bool]:
    """Which operands the backward pass needs: True (all), or one flag per operand; and whether it needs the output."""
    if vjp is None:
        return (), False
    rules = [r for r in vjp if r is not None] if isinstance(vjp, tuple) else [vjp]
    keeps: list[bool] = []
    keeps_out = False
    for rule in rules:
        names = _positional(rule)
        keeps_out |= not names[1].startswith("_")
        operands = names[2:]
        if any(p.kind == inspect.Parameter.VAR_POSITIONAL for p in inspect.signature(rule).parameters.values()):
            if not operands[-1].startswith("_"):
                return True, keeps_out
            operands = operands[:-1]
        flags = [not n.startswith("_") for n in operands]
        keeps += [False] * (len(flags) - len(keeps))
        for i, f in enumerate(flags):
            keeps[i] |= f
    return tuple(keeps), keeps_out


def aval_of(value: Any) -> Any:
    """The Aval of a NumPy array; a Python number stays itself."""
    return Aval(value.shape, FROM_NUMPY[value.dtype]) if isinstance(value, np.ndarray) else value
