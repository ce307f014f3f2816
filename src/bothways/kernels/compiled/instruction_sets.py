"""Vector instruction sets, and the size of the register tiles that each of them uses.

A tile is a block of a matrix product that stays in registers. It is as large as possible beside one
broadcast value and one row of the right-hand matrix. Larger tiles spill registers; smaller ones
wait for the latency of multiply-adds. Measured: AVX-512 8x32 and AVX2 6x16 reach 97 to 100 % of
peak; 12 rows (AVX-512) and 4x24 (AVX2) spill.
"""

import os
from dataclasses import dataclass, replace
from functools import cache, cached_property


@dataclass(frozen=True)
class InstructionSet:
    """A vector instruction set and its tile sizes.

    Parameters
    ----------
    name : str
    lanes : int
        float32 values in a vector register.
    rows : tuple of four int
        Heights of the tiles, in descending order. A product uses as many tiles of the first height
        as fit, then at most one of each other height.
    vectors : int
        Width of a tile in vectors.
    precision : float32 or bfloat16
        Number format of the factors of all matrix products. Sums are float32.
    """

    name: str
    lanes: int
    rows: tuple[int, int, int, int]
    vectors: int
    precision: str = "float32"

    @property
    def columns(self) -> int:
        """Width of a tile in floats, and of a panel of packed weights."""
        return self.lanes * self.vectors

    @property
    def factors(self) -> int:
        """Number of factors in each 32-bit element of a packed matrix."""
        return 2 if self.precision == "bfloat16" else 1

    def packed_depth(self, depth: int) -> int:
        """Return the number of elements that `depth` factors occupy."""
        return -(-depth // self.factors)


AVX512 = InstructionSet("AVX-512", lanes=16, rows=(8, 4, 2, 1), vectors=2)
AVX512_BF16 = replace(AVX512, name="AVX-512 with bfloat16", precision="bfloat16")
AVX2 = InstructionSet("AVX2", lanes=8, rows=(6, 4, 2, 1), vectors=2)
NEON = InstructionSet("NEON", lanes=4, rows=(8, 4, 2, 1), vectors=2)
GENERIC = InstructionSet("generic", lanes=4, rows=(4, 3, 2, 1), vectors=2)


@dataclass(frozen=True)
class Target:
    """A processor to compile for, in the terms of LLVM, and the precision of products on it."""

    triple: str
    cpu: str
    features: str
    precision: str = "float32"

    @property
    def has_bfloat16(self) -> bool:
        """Whether this processor multiplies pairs of bfloat16 numbers (AVX512_BF16)."""
        return "+avx512bf16" in self.features.split(",")

    @cached_property
    def instruction_set(self) -> InstructionSet:
        """The best instruction set that this processor supports.

        Raises
        ------
        ValueError
            If the precision is bfloat16 and the processor does not support it.
        """
        features = set(self.features.split(","))
        if self.precision == "bfloat16":
            if not self.has_bfloat16:
                raise ValueError(f"{self.cpu} has no instructions for bfloat16")
            return AVX512_BF16
        if self.triple.startswith(("aarch64", "arm64")):
            return NEON
        if "+avx512f" in features:
            return AVX512
        if {"+avx2", "+fma"} <= features:
            return AVX2
        return GENERIC


@cache
def host_target(precision: str = "float32") -> Target:
    """Return this machine as a target.

    NUMBA_CPU_NAME and NUMBA_CPU_FEATURES override the name and the features, as in Numba. A name
    without features keeps the features of this machine.
    """
    import llvmlite.binding as llvm

    return Target(
        triple=llvm.get_process_triple(),
        cpu=os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name(),
        features=os.environ.get("NUMBA_CPU_FEATURES") or llvm.get_host_cpu_features().flatten(),
        precision=precision,
    )
