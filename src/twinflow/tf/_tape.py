"""GradientTape: derivatives of what is computed inside a `with` block."""

from __future__ import annotations

from typing import Any

from twinflow.autodiff import grad
from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError, GradientError
from twinflow.ops import zeros_like
from twinflow.tensor import Tensor, current_grad_fn, enable_grad, meta_of
from twinflow.tensor._tape import next_sequence


class GradientTape:
    """Gradients of results computed inside the block with respect to variables and watched tensors.

    Args:
        persistent: whether `gradient` may be called more than once.

    As in TensorFlow, what was computed before the block is a constant to the tape: a variable that reaches the loss only
    through it has the gradient None. Tapes may be nested for higher derivatives.

    >>> from twinflow import tf
    >>> x = tf.Variable(3.0)
    >>> with tf.GradientTape() as tape:
    ...     y = x * x
    >>> tape.gradient(y, x)
    tensor(6.)
    """

    _open = 0  # how many tapes record now

    def __init__(self, persistent: bool = False) -> None:
        self.persistent = persistent
        self._used = False
        self._recording = False
        self._mode: Any = None
        self._start = 0

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise ArgumentError("GradientTape: it is recording already; make another tape to nest them")
        self._mode = enable_grad()
        self._mode.__enter__()
        self._recording = True
        GradientTape._open += 1
        self._start = next_sequence()
        return self

    def __exit__(self, *exc: Any) -> None:
        GradientTape._open -= 1
        self._recording = False
        self._mode.__exit__(*exc)

    def watch(self, tensor: Any) -> None:
        """Record what is computed from a tensor (or several) that is no variable."""
        for t in tree_flatten(tensor)[0]:
            if not isinstance(t, Tensor) or not t.dtype.is_floating_point:
                raise ArgumentError(f"GradientTape.watch: a floating tensor is needed, not {t!r}")
            if not t.requires_grad:
                t.requires_grad_(True)

    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: str = "none"
    ) -> Any:
        """d(sum of the target) / d(source) for each source, in the structure of the sources; None where there is none.

        Raises: GradientError for a second call of a tape that is not persistent.
        """
        if self._used and not self.persistent:
            raise GradientError(
                "GradientTape.gradient: the tape was used already; write tf.GradientTape(persistent=True) to call it more than once"
            )
        self._used = True
        leaves, tree = tree_flatten(sources)
        for s in leaves:
            if not isinstance(s, Tensor):
                raise ArgumentError(f"GradientTape.gradient: a source is a variable or a watched tensor, not {s!r}")
        targets = [t for t in tree_flatten(target)[0] if isinstance(t, Tensor)]
        if not targets:
            raise ArgumentError(f"GradientTape.gradient: the target must be a tensor, not {target!r}")
        total: Tensor | None = None
        vectors = [None] * len(targets) if output_gradients is None else tree_flatten(output_gradients)[0]
        with enable_grad():
            for t, g in zip(targets, vectors):
                part = t.sum() if g is None else (t * g).sum()
                total = part if total is None else total + part
        reached, crossing = _reached(targets, self._start)
        found: dict[int, Any] = {}
        wanted = [s for s in leaves if id(s) in reached or _key(s) in reached]
        if wanted and total is not None and total.requires_grad:
            nested = GradientTape._open > 0
            keep = {_key(s) for s in wanted}
            for node, edges in crossing:  # what lies before the block is constant, unless it was asked for
                node.edges = [e if _inside(e, self._start) or _edge_key(e) in keep else None for e in edges]
            try:
                values = grad(
                    total, wanted, retain_graph=self.persistent or nested, create_graph=nested, allow_unused=True
                )
            finally:
                for node, edges in crossing:
                    node.edges = edges
            found = {id(s): g for s, g in zip(wanted, values)}
        result = [found.get(id(s)) for s in leaves]
        if unconnected_gradients == "zero":
            result = [zeros_like(s) if g is None else g for s, g in zip(leaves, result)]
        elif unconnected_gradients != "none":
            raise ArgumentError(
                f"GradientTape.gradient: unconnected_gradients is 'none' or 'zero', not {unconnected_gradients!r}"
            )
        return tree_unflatten(result, tree)


def _inside(edge: Any, start: int) -> bool:
    """Whether an edge leads to a leaf or to an operation of the block."""
    return edge is None or edge[1] == -1 or edge[0].seq < start


def _edge_key(edge: Any) -> Any:
    return id(edge[0]) if edge[1] == -1 else (id(edge[0]), edge[1])


def _reached(targets: list[Tensor], start: int) -> tuple[set[Any], list[tuple[Any, Any]]]:
    """What operations inside the block (numbered below `start`) computed a target from: leaves by id, and results of
    operations by (operation, number of the result). And the operations with edges that leave the block."""
    found: set[Any] = set()
    crossing: list[tuple[Any, Any]] = []
    stack: list[Any] = []
    for t in targets:
        fn = current_grad_fn(t)
        found.add(id(t))
        if fn is not None:
            stack.append(fn)
    seen: set[int] = set()
    while stack:
        node = stack.pop()
        if id(node) in seen or node.seq >= start:
            continue
        seen.add(id(node))
        for edge in node.edges:
            if edge is not None:
                found.add(_edge_key(edge))
                if edge[1] != -1:
                    stack.append(edge[0])
        if not all(_inside(e, start) for e in node.edges):
            crossing.append((node, node.edges))
    return found, crossing


def _key(t: Tensor) -> Any:
    fn = current_grad_fn(t)
    return id(t) if fn is None else (id(fn), meta_of(t).index)
