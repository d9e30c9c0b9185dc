"""Splitting large reductions among threads: partial results of fixed blocks, and a kernel that puts them together.

    y[j] = f(sum[i < 100000] x[i, j])    becomes    part[b, j] = sum[r < block] x[block·b + r, j]
                                                    y[j] = f(sum[b] part[b, j])

The blocks depend on the shapes alone, so results do not depend on the number of threads; sums of sums are also more
accurate than one long sum.
"""

from dataclasses import dataclass, replace

from twinflow.compiler.loops._ir import Axis, Buffer, Expr, Index, Kernel, Load, Reduce, Rest, Store, Sym, walk
from twinflow.compiler.loops._rewrite import Substitution
from twinflow.compiler.loops._schedule import CHUNK_COST, merge_axes, product, static, vector_axis

SPLITTABLE = ("sum", "prod", "max", "min", "any", "all")
ENOUGH_ROWS = 16  # rows (or vectors of rows) that keep the threads busy by themselves
MOST_BLOCKS = 256
LANES = 64  # values of a vector axis that a chunk should have at least


@dataclass(frozen=True)
class Split:
    """A kernel as kernels to be run one after another, and the buffers that lie between them.

    Args:
        kernels: in order; only one if there was nothing to split.
        partial: number of elements of each buffer between them.
    """

    kernels: tuple[Kernel, ...]
    partial: dict[Buffer, int | Sym]


def split_reductions(kernel: Kernel) -> Split:
    """Split the reductions of a kernel that has too few rows for threads to share.

    A kernel whose rows, scatters or reductions (argmax, argmin) do not allow it comes back as it is.
    """
    whole = Split((kernel,), {})
    kernel = merge_axes(kernel)
    along = vector_axis(
        kernel, [e for e in walk([o for s in kernel.stores for o in s.operands]) if isinstance(e, Reduce)]
    )
    rows = product([a for a in kernel.axes if a is not along])
    if along is not None:
        rows *= -(-static(along.extent) // LANES)
    large = [e for e in _first_reductions(kernel) if product(e.axes) * product(kernel.axes) > 2 * CHUNK_COST]
    fixed = all(isinstance(a.extent, int) for a in kernel.axes)
    if rows >= ENOUGH_ROWS or kernel.serial or not fixed or any(e.op not in SPLITTABLE for e in large) or not large:
        return whole
    kernels: list[Kernel] = []
    partial: dict[Buffer, int | Sym] = {}
    joined: dict[int, Expr] = {}
    size = product(kernel.axes)
    strides = _row_major(kernel.axes)
    for axes in dict.fromkeys(e.axes for e in large):
        cut = max(axes, key=lambda a: static(a.extent))
        if isinstance(cut.extent, Rest):
            return whole
        block = _block(kernel, axes, cut)
        count = cut.extent.blocks(block) if isinstance(cut.extent, Sym) else -(-cut.extent // block)
        number, again = Axis("b", count), Axis("b", count)
        piece = Axis(cut.name, Rest(cut.extent, block, number))
        change = Substitution({cut: ((number, block), (piece, 1))}, {cut: piece})
        group = [e for e in large if e.axes == axes]
        made = change.apply(group)
        stores = []
        for e in group:
            buffer = Buffer(f"part{len(partial)}", e.dtype)
            partial[buffer] = count * size
            stores.append(Store(buffer, Index.of((number, size), *strides), made[id(e)]))
            joined[id(e)] = Reduce(e.op, Load(buffer, Index.of((again, size), *strides)), (again,))
        kernels.append(Kernel(f"{kernel.name}.part{len(kernels)}", (number, *kernel.axes), tuple(stores)))
    last = replace(Substitution(expressions=joined).kernel(kernel), name=f"{kernel.name}.join")
    return Split((*kernels, last), partial)


def _first_reductions(kernel: Kernel) -> list[Reduce]:
    """The reductions that use no other."""
    uses: dict[int, bool] = {}
    found: list[Reduce] = []
    for e in walk([o for s in kernel.stores for o in s.operands]):
        below = any(uses[id(o)] for o in e.operands)
        if isinstance(e, Reduce) and not below:
            found.append(e)
        uses[id(e)] = below or isinstance(e, Reduce)
    return found


def _block(kernel: Kernel, axes: tuple[Axis, ...], cut: Axis) -> int:
    """Values of the cut axis in a block: about one chunk's work, and not too many blocks."""
    others = product([a for a in axes if a is not cut]) * product(kernel.axes)
    least = -(-cut.extent // MOST_BLOCKS) if isinstance(cut.extent, int) else 1
    return max(1, CHUNK_COST // others, least)


def _row_major(axes: tuple[Axis, ...]) -> list[tuple[Axis, int | Sym]]:
    terms: list[tuple[Axis, int | Sym]] = []
    stride = 1
    for axis in reversed(axes):
        terms.append((axis, stride))
        stride *= static(axis.extent)
    return terms[::-1]
