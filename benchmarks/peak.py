"""Measure the peak rate of float32 fused multiply-adds on registers.

python benchmarks/peak.py 2    # GFLOP/s on two threads at once
"""

import ctypes
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

CHAINS = 12  # independent accumulators; more than latency times throughput of the widest units
ROUNDS = 200_000  # a few milliseconds
REPEATS = 60


def peak_gflops(threads: int) -> float:
    """Return the peak of all threads together, the best of many short repeats."""
    llvm: Any = import_module("llvmlite.binding")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    lanes = 16 if features.get("avx512f") else 8
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=3
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_kernel(lanes)), machine)
    engine.finalize_object()
    signature = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)  # runs without the GIL
    kernel = signature(engine.get_function_address("kernel"))
    results = [(ctypes.c_float * lanes)() for _ in range(threads)]

    def run(thread: int) -> None:
        kernel(ROUNDS, ctypes.addressof(results[thread]))

    flops = 2.0 * lanes * CHAINS * ROUNDS * threads
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(REPEATS):
            started = time.perf_counter()
            list(pool.map(run, range(threads)))
            best = max(best, flops / (time.perf_counter() - started) / 1e9)
    return best


def _kernel(lanes: int) -> str:
    """Return the LLVM IR of `void kernel(int64 rounds, float *result)`: x = x * a + b."""
    vector, chains = f"<{lanes} x float>", range(CHAINS)

    def constant(value: float) -> str:
        return "<" + ", ".join([f"float {value:e}"] * lanes) + ">"

    fma = f"@llvm.fma.v{lanes}f32"
    scale, offset = constant(0.5), constant(1.0)
    carried = [
        f"%x{n} = phi {vector} [{constant(float(n))}, %entry], [%y{n}, %loop]" for n in chains
    ]
    stepped = [
        f"%y{n} = call {vector} {fma}({vector} %x{n}, {vector} {scale}, {vector} {offset})"
        for n in chains
    ]
    sums = [f"%s{n} = fadd {vector} %{'s' if n > 1 else 'y'}{n - 1}, %y{n}" for n in chains[1:]]
    return "\n".join(
        [
            f"declare {vector} {fma}({vector}, {vector}, {vector})",
            "define void @kernel(i64 %rounds, ptr %result) {",
            "entry:",
            "br label %loop",
            "loop:",
            "%i = phi i64 [0, %entry], [%next, %loop]",
            *carried,
            *stepped,
            "%next = add i64 %i, 1",
            "%more = icmp slt i64 %next, %rounds",
            "br i1 %more, label %loop, label %done",
            "done:",
            *sums,
            f"store {vector} %s{CHAINS - 1}, ptr %result, align 4",
            "ret void",
            "}",
        ]
    )


if __name__ == "__main__":
    print(peak_gflops(int(sys.argv[1])))
