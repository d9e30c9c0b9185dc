"""The rules a loop kernel keeps to, beyond what its parts check when they are made."""

from collections.abc import Sequence

from twinflow.compiler.loops._ir import Axis, Coordinate, Expr, Kernel, Load, Reduce, walk


def verify(kernel: Kernel) -> None:
    """Check that every axis and reduction is used where it has a value.

    Raises: ValueError naming the kernel and the fault.
    """
    rows = set(kernel.axes)
    for store in kernel.stores:
        inside = rows | set(store.axes)
        free = free_axes(store.operands)
        used: set[Axis] = {a for a, _ in store.index.terms}
        for o in store.operands:
            used |= free[id(o)]
        if used - inside:
            names = ", ".join(sorted(a.name for a in used - inside))
            raise ValueError(f"kernel {kernel.name}: the store to {store.buffer.name} uses {names} outside its loop")
        for e in walk(store.operands):
            if isinstance(e, Reduce) and free[id(e)] - rows:
                names = ", ".join(sorted(a.name for a in free[id(e)] - rows))
                raise ValueError(f"kernel {kernel.name}: a {e.op} depends on {names}, which is not an outer axis")
    if set(kernel.serial) - rows:
        raise ValueError(f"kernel {kernel.name}: a serial axis is not one of its outer axes")


def free_axes(roots: Sequence[Expr]) -> dict[int, frozenset[Axis]]:
    """For each expression below the roots, by id: the axes it varies along."""
    free: dict[int, frozenset[Axis]] = {}
    for e in walk(roots):
        axes: frozenset[Axis] = frozenset().union(*(free[id(o)] for o in e.operands))
        if isinstance(e, Load):
            axes |= {a for a, _ in e.index.terms}
        elif isinstance(e, Coordinate):
            axes |= {e.axis}
        elif isinstance(e, Reduce):
            axes -= set(e.axes)
        free[id(e)] = axes
    return free
