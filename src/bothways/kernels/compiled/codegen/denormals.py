"""Treat denormal numbers as zero while compiled code runs.

Gradients that fade over many time steps become denormal (below 1.2e-38). Intel processors need over
a hundred cycles for an operation on one of them.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from bothways.kernels.compiled.codegen.vectors import INT32, INT64
from bothways.kernels.compiled.instruction_sets import AVX2, AVX512, AVX512_BF16, InstructionSet
from bothways.kernels.compiled.jit import intrinsic

_FLUSH_TO_ZERO, _DENORMALS_ARE_ZERO = 0x8000, 0x0040  # bits of the register MXCSR
_BYTES = ir.IntType(8).as_pointer()


def make_flush_denormals(
    instructions: InstructionSet,
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return flush_denormals() and restore_control(control).

    The first one makes this thread treat denormal numbers as zero, and returns what the second one
    needs to restore its former behavior. They do nothing on other processors than x86.
    """
    is_x86 = instructions in (AVX512, AVX512_BF16, AVX2)

    @intrinsic
    def flush_denormals(context: Any) -> Any:
        def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            if not is_x86:
                return INT64(0)
            place = builder.alloca(INT32)
            _access(builder, "stmxcsr", place)
            control = builder.load(place)
            flushing = builder.or_(control, INT32(_FLUSH_TO_ZERO | _DENORMALS_ARE_ZERO))
            builder.store(flushing, place)
            _access(builder, "ldmxcsr", place)
            return builder.zext(control, INT64)

        return types.int64(), emit

    @intrinsic
    def restore_control(context: Any, control: Any) -> Any:
        def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            if is_x86:
                place = builder.alloca(INT32)
                builder.store(builder.trunc(arguments[0], INT32), place)
                _access(builder, "ldmxcsr", place)
            return arguments[0]

        return types.int64(types.int64), emit

    return flush_denormals, restore_control


def _access(builder: ir.IRBuilder, instruction: str, place: Any) -> None:
    """Store the control register to memory (stmxcsr), or load it (ldmxcsr)."""
    function = builder.module.declare_intrinsic(
        f"llvm.x86.sse.{instruction}", (), ir.FunctionType(ir.VoidType(), [_BYTES])
    )
    builder.call(function, [builder.bitcast(place, _BYTES)])
