"""What a processor's vector instructions offer, and the tile that keeps them busy.

A tile is the block of a matrix product that stays in registers. It is as large as the registers
hold beside one broadcast and one row of the right-hand matrix: larger ones spill, smaller ones
wait for the latency of a multiply-add. Measured: AVX-512 8x32 and AVX2 6x16 reach 97 to 100 % of
the peak; 12 rows (AVX-512) and 4x24 (AVX2) spill.
"""

import os
from dataclasses import dataclass
from functools import cache, cached_property


@dataclass(frozen=True)
class InstructionSet:
    """One row of the table.

    Parameters
    ----------
    name : str
    lanes : int
        float32 values in a vector register.
    rows : tuple of four int
        Heights of the tiles, tallest first; any number of rows is a run of the first and at most
        one of each other.
    vectors : int
        Vectors across a tile.
    """

    name: str
    lanes: int
    rows: tuple[int, int, int, int]
    vectors: int

    @property
    def columns(self) -> int:
        """Width of a tile, and of a panel of packed weights."""
        return self.lanes * self.vectors


AVX512 = InstructionSet("AVX-512", lanes=16, rows=(8, 4, 2, 1), vectors=2)
AVX2 = InstructionSet("AVX2", lanes=8, rows=(6, 4, 2, 1), vectors=2)
NEON = InstructionSet("NEON", lanes=4, rows=(8, 4, 2, 1), vectors=2)
GENERIC = InstructionSet("generic", lanes=4, rows=(4, 3, 2, 1), vectors=2)


@dataclass(frozen=True)
class Target:
    """The processor that is compiled for, in LLVM's words."""

    triple: str
    cpu: str
    features: str

    @cached_property
    def instruction_set(self) -> InstructionSet:
        """The best row of the table that this processor has."""
        features = set(self.features.split(","))
        if self.triple.startswith(("aarch64", "arm64")):
            return NEON
        if "+avx512f" in features:
            return AVX512
        if {"+avx2", "+fma"} <= features:
            return AVX2
        return GENERIC


@cache
def host_target() -> Target:
    """Return this machine as a target, or what NUMBA_CPU_NAME and NUMBA_CPU_FEATURES make of it.

    Both variables are Numba's own; a name without features keeps the host's features, as there.
    """
    import llvmlite.binding as llvm

    return Target(
        triple=llvm.get_process_triple(),
        cpu=os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name(),
        features=os.environ.get("NUMBA_CPU_FEATURES") or llvm.get_host_cpu_features().flatten(),
    )
