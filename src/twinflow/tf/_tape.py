"""GradientTape: derivatives of what is computed inside a `with` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twinflow.autodiff import grad
from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError, GradientError, ShapeError
from twinflow.nn import Parameter
from twinflow.ops import stack, zeros_like
from twinflow.tensor import Tensor, current_grad_fn, enable_grad, meta_of, no_grad
from twinflow.tensor._tape import next_sequence


class GradientTape:
    """Gradients of results computed inside the block with respect to variables and watched tensors.

    Args:
        persistent: whether `gradient` may be called more than once.
        watch_accessed_variables: whether every variable is watched; without it only those named to `watch`.

    As in TensorFlow, what was computed before the block is a constant to the tape: a variable that reaches the loss only
    through it has the gradient None. Tapes may be nested for higher derivatives, and several may record the same block.

    >>> from twinflow import tf
    >>> x = tf.Variable(3.0)
    >>> with tf.GradientTape() as tape:
    ...     y = x * x
    >>> tape.gradient(y, x)
    tensor(6.)
    """

    _open: list[GradientTape] = []  # noqa: RUF012  those that record now

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self.persistent = persistent
        self._every = watch_accessed_variables
        self._watched: dict[int, Tensor] = {}
        self._used = False
        self._recording = False
        self._shared = False  # whether another tape recorded operations of this one
        self._mode: Any = None
        self._start = 0

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise ArgumentError("GradientTape: it is recording already; make another tape to nest them")
        self._mode = enable_grad()
        self._mode.__enter__()
        self._recording = True
        tapes = GradientTape._open
        tapes.append(self)
        if len(tapes) > 1:
            for tape in tapes:
                tape._shared = True
        self._start = next_sequence()
        return self

    def __exit__(self, *exc: Any) -> None:
        GradientTape._open.remove(self)
        self._recording = False
        self._mode.__exit__(*exc)

    def watch(self, tensor: Any) -> None:
        """Record what is computed from a tensor (or several) that is no variable."""
        for t in tree_flatten(tensor)[0]:
            if not isinstance(t, Tensor) or not t.dtype.is_floating_point:
                raise ArgumentError(f"GradientTape.watch: a floating tensor is needed, not {t!r}")
            self._watched[id(t)] = t
            if not t.requires_grad:
                t.requires_grad_(True)
                meta_of(t).reads_plainly = True

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """What is computed inside is constant to the tape."""
        if not self._recording:
            raise ArgumentError(
                "GradientTape.stop_recording: the tape is not recording; use it inside its `with` block"
            )
        with no_grad():
            yield

    def reset(self) -> None:
        """Forget what was recorded so far."""
        self._start = next_sequence()
        self._used = False

    def watched_variables(self) -> tuple[Any, ...]:
        """The variables and tensors that were named to `watch`."""
        return tuple(self._watched.values())

    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: str = "none"
    ) -> Any:
        """d(sum of the target) / d(source) for each source, in the structure of the sources; None where there is none.

        Raises: GradientError for a second call of a tape that is not persistent.
        """
        self._use("gradient")
        leaves, tree = self._sources("gradient", sources)
        targets = [t for t in tree_flatten(target)[0] if isinstance(t, Tensor)]
        if not targets:
            raise ArgumentError(f"GradientTape.gradient: the target must be a tensor, not {target!r}")
        total: Tensor | None = None
        vectors = [None] * len(targets) if output_gradients is None else tree_flatten(output_gradients)[0]
        with enable_grad():
            for t, g in zip(targets, vectors):
                part = t.sum() if g is None else (t * g).sum()
                total = part if total is None else total + part
        result = self._derive(targets, total, leaves)
        if unconnected_gradients == "zero":
            result = [zeros_like(s) if g is None else g for s, g in zip(leaves, result)]
        elif unconnected_gradients != "none":
            raise ArgumentError(
                f"GradientTape.gradient: unconnected_gradients is 'none' or 'zero', not {unconnected_gradients!r}"
            )
        return tree_unflatten(result, tree)

    def jacobian(self, target: Any, sources: Any, unconnected_gradients: str = "none") -> Any:
        """d target[i] / d source[j] for all elements: [*target's shape, *source's shape], in the structure of the sources.

        It walks back once for each element of the target.
        """
        self._use("jacobian")
        leaves, tree = self._sources("jacobian", sources)
        if not isinstance(target, Tensor):
            raise ArgumentError(f"GradientTape.jacobian: the target must be a tensor, not {target!r}")
        with enable_grad():
            elements = list(target.reshape(-1).unbind(0))
        rows = [self._derive([target], e, leaves, again=True) for e in elements]
        result: list[Any] = []
        for k, s in enumerate(leaves):
            parts = [row[k] for row in rows]
            if all(p is None for p in parts):
                result.append(
                    None
                    if unconnected_gradients == "none"
                    else stack([zeros_like(s)] * len(rows)).reshape(*target.shape, *s.shape)
                )
            else:
                parts = [zeros_like(s) if p is None else p for p in parts]
                result.append(stack(parts).reshape(*target.shape, *s.shape))
        return tree_unflatten(result, tree)

    def batch_jacobian(self, target: Tensor, source: Tensor) -> Any:
        """d target[n, i] / d source[n, j] for each example n: [N, *target's shape, *source's shape] without their batch axes.

        Rows of the target must depend on the same rows of the source only. Raises: ShapeError if the batches differ.
        """
        self._use("batch_jacobian")
        leaves, _ = self._sources("batch_jacobian", [source])
        if not isinstance(target, Tensor) or not target.ndim or not source.ndim or target.shape[0] != source.shape[0]:
            raise ShapeError(
                f"GradientTape.batch_jacobian: target and source have one batch axis in common, not {tuple(getattr(target, 'shape', ()))} and "
                f"{tuple(source.shape)}"
            )
        n = int(target.shape[0])
        with enable_grad():
            columns = [c.sum() for c in target.reshape(n, -1).unbind(1)]
        parts = [self._derive([target], c, leaves, again=True)[0] for c in columns]
        if all(p is None for p in parts):
            return None
        filled = [zeros_like(source) if p is None else p for p in parts]
        return stack(filled, 1).reshape(n, *target.shape[1:], *source.shape[1:])

    # -- walking back --------------------------------------------------------------------------------------------

    def _use(self, op: str) -> None:
        if self._used and not self.persistent:
            raise GradientError(
                f"GradientTape.{op}: the tape was used already; write tf.GradientTape(persistent=True) to call it more than once"
            )
        self._used = True

    def _sources(self, op: str, sources: Any) -> tuple[list[Any], Any]:
        leaves, tree = tree_flatten(sources)
        for s in leaves:
            if not isinstance(s, Tensor):
                raise ArgumentError(f"GradientTape.{op}: a source is a variable or a watched tensor, not {s!r}")
        return leaves, tree

    def _derive(self, targets: list[Tensor], total: Any, leaves: list[Any], again: bool = False) -> list[Any]:
        """The gradient of one number for each leaf, None where the block did not lead from it to a target."""
        reached, crossing = _reached(targets, self._start)
        found: dict[int, Any] = {}
        wanted = [s for s in leaves if (id(s) in reached or _key(s) in reached) and self._is_watched(s)]
        if wanted and total is not None and total.requires_grad:
            nested = bool(GradientTape._open)
            keep = {_key(s) for s in wanted}
            for node, edges in crossing:  # what lies before the block is constant, unless it was asked for
                node.edges = [e if _inside(e, self._start) or _edge_key(e) in keep else None for e in edges]
            try:
                retain = self.persistent or self._shared or nested or again
                values = grad(total, wanted, retain_graph=retain, create_graph=nested, allow_unused=True)
            finally:
                for node, edges in crossing:
                    node.edges = edges
            found = {id(s): g for s, g in zip(wanted, values)}
        return [found.get(id(s)) for s in leaves]

    def _is_watched(self, t: Tensor) -> bool:
        return self._every or not isinstance(t, Parameter) or id(t) in self._watched


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
