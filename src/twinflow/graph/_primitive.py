"""What a primitive is: one row that states everything the framework knows about one operation."""

from __future__ import annotations

import functools
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
        back: (wanted, g, y, *arrays, **params) -> array or None per operand: the same derivative on arrays, all operands at
            once, for plain evaluation where that is quicker than the rules' operations. `wanted` says for which operands;
            what the rules do not keep comes as a shape and type. Arrays may be changed in place if `back` made them.
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
        "back",
        "bad",
        "batch",
        "doc",
        "elementwise",
        "jvp",
        "kept",
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
        back: Rule | None = None,
    ) -> None:
        self.name = name
        self.back = back
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
        self.kept: dict[int, tuple[tuple[bool, ...], bool]] = {}
        if name in PRIMITIVES:
            raise ArgumentError(f"primitive {name} is declared twice")
        PRIMITIVES[name] = self

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return find_primitive, (self.name,)

    def keep_for(self, wanted: int, n: int) -> tuple[tuple[bool, ...], bool]:
        """Which of `n` operands a backward pass needs, and whether it needs the result, to compute the gradients of the
        operands whose bits are set in `wanted`. Answers stay in `self.kept`, where the tape looks first.
        """
        if isinstance(self.vjp, tuple):
            rules = [rule for i, rule in enumerate(self.vjp) if wanted >> i & 1 and rule is not None]
        else:
            rules = [] if self.vjp is None else [self.vjp]
        flags = [False] * n
        result = False
        for rule in rules:
            operands, every, y = _what_a_rule_needs(rule)
            result |= y
            for i in range(n):
                flags[i] |= operands[i] if i < len(operands) else every
        answer = tuple(flags), result
        if len(self.kept) < 64:  # an operation of many operands has many combinations
            self.kept[wanted | 1 << n] = answer
        return answer


PRIMITIVES: dict[str, Primitive] = {}


def find_primitive(name: str) -> Primitive:
    """The primitive with this name. Raises: ArgumentError if there is none."""
    try:
        return PRIMITIVES[name]
    except KeyError:
        raise ArgumentError(f"there is no primitive named {name!r}") from None


@functools.cache
def _what_a_rule_needs(rule: Rule) -> tuple[tuple[bool, ...], bool, bool]:
    """Of a derivative rule (g, y, *operands, **params): whether it reads each operand, all further ones, and y."""
    parameters = inspect.signature(rule).parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    needs = tuple(not name.startswith("_") for name in names[2:])
    return needs, bool(rest) and not rest[0].startswith("_"), not names[1].startswith("_")


def aval_of(value: Any) -> Any:
    """The Aval of a NumPy array; a Python number stays itself."""
    return Aval(value.shape, FROM_NUMPY[value.dtype]) if isinstance(value, np.ndarray) else value
