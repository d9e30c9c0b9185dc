"""The processor code is generated for: its name, its features, and what follows from them.

`TWINFLOW_CPU` replaces what is detected, to test and to make portable objects. It is a base, then feature switches:
`native` (the default), `generic` (the least of the architecture), `x86-64`, `x86-64-v2`, `x86-64-v3`, `x86-64-v4`; then
for example `generic,+avx2,+fma` or `native,-avx512f`. Asking for more than the machine has is an error, not a crash.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from twinflow.core.errors import ArgumentError

# The psABI's micro-architecture levels, each with what it adds to the one before.
_X86_64_LEVELS = (
    ("x86-64", ("64bit", "cmov", "cx8", "fxsr", "mmx", "sse", "sse2")),
    ("x86-64-v2", ("cx16", "popcnt", "sse3", "ssse3", "sse4.1", "sse4.2")),
    ("x86-64-v3", ("avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")),
    ("x86-64-v4", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")),
)

# What a feature rests on. Switching one on brings these along; switching one of these off takes it along, as in LLVM.
_NEEDS = {
    "sse4.1": ("ssse3", "sse3"),
    "sse4.2": ("sse4.1",),
    "avx": ("sse4.2",),
    "avx2": ("avx",),
    "fma": ("avx",),
    "f16c": ("avx",),
    "vaes": ("avx2",),
    "vpclmulqdq": ("avx",),
    "avx512f": ("avx2", "fma", "f16c"),
    "avx512bf16": ("avx512bw",),
    "avx512fp16": ("avx512bw", "avx512dq", "avx512vl"),
}
_NEEDS_BY_PREFIX = (("avx512", ("avx512f",)), ("avx10", ("avx512f",)), ("avx", ("avx2",)), ("amx-", ("amx-tile",)))


@dataclass(frozen=True, slots=True)
class Processor:
    """What code is generated for.

    Attributes:
        triple: LLVM's target triple, for example `x86_64-unknown-linux-gnu`.
        name: LLVM's processor name, for example `emeraldrapids`.
        features: LLVM's feature string: comma-separated `+feature` and `-feature`.
    """

    triple: str
    name: str
    features: str

    def has(self, feature: str) -> bool:
        """Whether the processor has an LLVM feature, for example `avx2`, `fma`, `amx-bf16`, `neon`."""
        return f"+{feature}" in self.features.split(",")

    @property
    def arch(self) -> str:
        """The architecture, the first word of the triple: `x86_64`, `aarch64`..."""
        return self.triple.split("-", 1)[0]

    @property
    def vector_nbytes(self) -> int:
        """Bytes in the widest vector register worth using: 64 with AVX-512, 32 with AVX2, else 16."""
        if self.has("avx512f") and self.has("avx512vl"):
            return 64
        return 32 if self.has("avx2") else 16

    @property
    def vector_registers(self) -> int:
        """How many vector registers there are."""
        return 32 if self.has("avx512f") or self.has("neon") else 16

    @property
    def has_fma(self) -> bool:
        """Whether a fused multiply-add is one instruction (else `llvm.fma` becomes a slow call: use `fmuladd`)."""
        return self.has("fma") or self.has("neon")

    @property
    def has_avx512(self) -> bool:
        """AVX-512 with the parts float kernels use: F, BW, DQ and VL."""
        return all(self.has(f) for f in ("avx512f", "avx512bw", "avx512dq", "avx512vl"))

    @property
    def has_avx512_bf16(self) -> bool:
        """AVX-512 dot products of bfloat16."""
        return self.has("avx512bf16")

    @property
    def has_neon(self) -> bool:
        """Advanced SIMD of 64-bit ARM."""
        return self.has("neon")

    @property
    def has_amx_bf16(self) -> bool:
        """Bfloat16 tiles, on a system that lets this process use them (asks it, on the first call)."""
        return self.has("amx-bf16") and _request_amx()


def host_processor() -> Processor:
    """The processor of this machine, restricted to what `TWINFLOW_CPU` names.

    Raises: ArgumentError if `TWINFLOW_CPU` names an unknown processor or feature, or one that this machine lacks.
    """
    return _describe(os.environ.get("TWINFLOW_CPU", "").strip() or "native")


@functools.cache
def _describe(request: str) -> Processor:
    import llvmlite.binding as llvm

    triple = str(llvm.get_process_triple())
    host = {name: bool(on) for name, on in llvm.get_host_cpu_features().items()}
    if not host and triple.startswith("aarch64"):
        host = {"neon": True}  # LLVM lists nothing on some systems; Advanced SIMD is part of the architecture
    base, *switches = [word.strip() for word in request.split(",")]
    levels = [level for level, _ in _X86_64_LEVELS] if triple.startswith("x86_64") else []
    if base == "native":
        name, present = str(llvm.get_host_cpu_name()), {f for f, on in host.items() if on}
    elif base == "generic" or base in levels:
        name = base if base in levels else "x86-64" if levels else "generic"
        above = levels.index(name) + 1 if levels else 0
        present = {f for _, added in _X86_64_LEVELS[:above] for f in added}
        present |= {"neon"} & set(host)
    else:
        raise ArgumentError(
            f"TWINFLOW_CPU: unknown processor {base!r} in {request!r}; "
            f"use one of {', '.join(['native', 'generic', *levels])}"
        )
    for switch in switches:
        sign, feature = switch[:1], switch[1:]
        if sign not in ("+", "-") or feature not in host:
            raise ArgumentError(
                f"TWINFLOW_CPU: {switch!r} in {request!r} is not +feature or -feature with a feature of {triple}"
            )
        present = (
            present | _with_needs(feature) if sign == "+" else {f for f in present if feature not in _with_needs(f)}
        )
    if missing := sorted(f for f in present if not host.get(f, False)):
        raise ArgumentError(
            f"TWINFLOW_CPU={request}: this machine ({llvm.get_host_cpu_name()}) lacks {', '.join(missing)}"
        )
    # Every feature is spelt out, on or off, so that nothing hides in the name. LLVM prefers 256-bit vectors on some
    # AVX-512 processors whose clock once fell with 512-bit ones; the kernels choose their own width.
    spelt = [f"+{f}" if f in present else f"-{f}" for f in sorted(host)]
    return Processor(triple, name, ",".join([*spelt, "-prefer-256-bit"] if levels else spelt))


def _with_needs(feature: str) -> set[str]:
    found, waiting = set(), [feature]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting.extend(_needs(current))
    return found


def _needs(feature: str) -> tuple[str, ...]:
    if feature in _NEEDS:
        return _NEEDS[feature]
    return next(
        (needs for prefix, needs in _NEEDS_BY_PREFIX if feature.startswith(prefix) and feature not in needs), ()
    )


@functools.cache
def cache_nbytes(level: int) -> int:
    """Bytes of a core's data cache of level 1, 2 or 3 (the last is shared); a usual size if the system does not say.

    >>> cache_nbytes(1) <= cache_nbytes(2)
    True
    """
    usual = {1: 32 * 2**10, 2: 1024 * 2**10, 3: 32 * 2**20}
    if level not in usual:
        raise ArgumentError(f"cache_nbytes: level is {level}, but processors have levels 1 to 3")
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        with contextlib.suppress(OSError, ValueError):
            kind, at, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
            if kind != "Instruction" and int(at) == level and size.endswith("K"):
                return int(size[:-1]) * 2**10
    return usual[level]


@functools.cache
def _request_amx() -> bool:
    """Ask Linux to let this process use the tile registers, which it saves only for those that asked."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    arch_prctl, arch_req_xcomp_perm, xfeature_xtiledata = 158, 0x1023, 18  # Documentation/arch/x86/xstate.rst
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(arch_prctl, arch_req_xcomp_perm, xfeature_xtiledata) == 0)
