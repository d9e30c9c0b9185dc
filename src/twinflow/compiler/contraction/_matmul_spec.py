"""What a matrix product is: extents, strides, types."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from twinflow.compiler.contraction._kernel import SCALAR
from twinflow.compiler.contraction._plan import WHOLE_DEPTH
from twinflow.core.errors import ArgumentError, DTypeError


@dataclass(frozen=True)
class MatmulSpec:
    """C[…, i, j] = epilogue( Σ_k A[…, i, k] · B[…, k, j] (+ C[…, i, j]) ).

    Args:
        m, n, k: extents; None: read from the context at run time.
        a_strides, b_strides, c_strides: steps of (i, k), (k, j) and (i, j) in elements. 0 repeats an operand.
        batch: extents in front, outermost first; the outermost may be None.
        a_batch, b_batch, c_batch: steps of the batch axes; 0 broadcasts.
        dtype: element type of A and B: float32, float64, bfloat16 or float16.
        out_dtype: element type of C, by default that of A and B.
        accumulate: add to what C holds.

    Sums are kept in float32, those of float64 in float64. `MatmulSpec.of` fills in the strides of contiguous arrays.
    """

    m: int | None
    n: int | None
    k: int | None
    a_strides: tuple[int, int]
    b_strides: tuple[int, int]
    c_strides: tuple[int, int]
    batch: tuple[int | None, ...] = ()
    a_batch: tuple[int, ...] = ()
    b_batch: tuple[int, ...] = ()
    c_batch: tuple[int, ...] = ()
    dtype: str = "float32"
    out_dtype: str | None = None
    accumulate: bool = False

    def __post_init__(self) -> None:
        for name, value in (("dtype", self.dtype), ("out_dtype", self.out_dtype or self.dtype)):
            if value not in SCALAR:
                raise DTypeError(f"matmul: {name} must be one of {', '.join(SCALAR)}, got {value!r}")
        if (self.dtype == "float64") != ((self.out_dtype or self.dtype) == "float64"):
            raise DTypeError(f"matmul: cannot give {self.out_dtype} from {self.dtype}; cast the operands first")
        for name in ("a_batch", "b_batch", "c_batch"):
            given = len(getattr(self, name))
            if given != len(self.batch):
                raise ArgumentError(
                    f"matmul: {name} has {given} strides for {len(self.batch)} batch axes; give one each"
                )
        if None in self.batch[1:]:
            raise ArgumentError(f"matmul: only the outermost batch axis may be open, got batch={self.batch}")
        if any(x is not None and x < 0 for x in (self.m, self.n, self.k, *self.batch)):
            raise ArgumentError(
                f"matmul: extents must not be negative, got {(self.m, self.n, self.k)}, batch {self.batch}"
            )

    @classmethod
    def of(
        cls, m: int | None, n: int | None, k: int | None, *, transpose_a: bool = False, transpose_b: bool = False,
        dtype: str = "float32", out_dtype: str | None = None, accumulate: bool = False,
    ) -> MatmulSpec:  # fmt: skip
        """The product of contiguous matrices, each stored as written or transposed.

        An open extent may not be the step of another axis: m may be open unless A is transposed, k where A and B
        are stored [k, …].

        >>> MatmulSpec.of(2, 3, 4, transpose_b=True).b_strides
        (1, 4)
        """
        steps = {"m": m if transpose_a else 0, "n": n, "k": k if (not transpose_a or transpose_b) else 0}
        for name, value in steps.items():
            if value is None:
                raise ArgumentError(
                    f"matmul: {name} is the step between rows of a contiguous operand and cannot be open"
                )
        rows, cols, deep = m or 0, n or 0, k or 0
        return cls(
            m, n, k,
            (1, rows) if transpose_a else (deep, 1),
            (1, deep) if transpose_b else (cols, 1),
            (cols, 1),
            dtype=dtype, out_dtype=out_dtype, accumulate=accumulate,
        )  # fmt: skip

    @property
    def stores_once(self) -> bool:
        """Whether C is written only when its sums are whole, so that the epilogue may read what was there before."""
        return self.k is not None and self.k <= WHOLE_DEPTH and not self.accumulate

    @property
    def flops(self) -> int | None:
        """2·batch·m·n·k, or None when an extent is open."""
        extents = (self.m, self.n, self.k, *self.batch)
        return None if None in extents else 2 * prod(x for x in extents if x is not None)
