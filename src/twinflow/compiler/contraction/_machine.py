"""What the emitters need to know of a processor."""

from __future__ import annotations

from dataclasses import dataclass

from twinflow.compiler.contraction._text import NBYTES
from twinflow.runtime import Processor, cache_nbytes


@dataclass(frozen=True)
class Machine:
    """The processor that kernels are emitted for.

    Args:
        vector_nbytes: width of a vector register: 64 with AVX-512, 32 with AVX2, 16 with SSE2 and NEON.
        registers: how many vector registers there are.
        fma: whether multiply-add is one instruction.
        memory_operands: whether an instruction can broadcast a number from memory (AVX-512), so that the
            broadcast needs no register.
        half: whether float16 converts to float32 in hardware (F16C, NEON).
        amx: whether tiles of bfloat16 are multiplied in hardware, and the system lets this process use them.
        l1_nbytes, l2_nbytes: sizes of a core's own caches.

    >>> Machine(vector_nbytes=32, registers=16).lanes("float")
    8
    """

    vector_nbytes: int = 64
    registers: int = 32
    fma: bool = True
    memory_operands: bool = True
    half: bool = True
    amx: bool = False
    l1_nbytes: int = 32 * 1024
    l2_nbytes: int = 1024 * 1024

    @classmethod
    def of(cls, processor: Processor) -> Machine:
        """What a processor of the runtime offers."""
        return cls(
            vector_nbytes=processor.vector_nbytes,
            registers=processor.vector_registers,
            fma=processor.has_fma,
            memory_operands=processor.has_avx512,
            half=processor.has("f16c") or processor.has_neon,
            amx=processor.has_amx_bf16,
            l1_nbytes=cache_nbytes(1),
            l2_nbytes=cache_nbytes(2),
        )

    def lanes(self, scalar: str) -> int:
        """How many elements of a type a vector register holds."""
        return self.vector_nbytes // NBYTES[scalar]

    def fits(self, rows: int, vectors: int) -> bool:
        """Whether a register tile with its operands fits into the registers."""
        spare = 1 if self.fma else 2  # without multiply-add the product needs a register too
        return rows * vectors + vectors + spare <= self.registers - (1 if self.memory_operands else 0)


AVX512 = Machine()
AVX2 = Machine(vector_nbytes=32, registers=16, memory_operands=False)
SSE2 = Machine(vector_nbytes=16, registers=16, fma=False, memory_operands=False, half=False)
