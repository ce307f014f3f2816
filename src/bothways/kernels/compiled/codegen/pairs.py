"""Pairs of bfloat16 numbers, which are multiplied and added at once.

A pair contains two factors that are adjacent along the depth of a product, the first one in its low
half. It occupies 32 bits, and is loaded, broadcast and stored like a float32 value. The conversion
rounds to the nearest bfloat16 number, ties to even, and denormal numbers to zero.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, VDPBF16PS, VCVTNE2PS2BF16.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from bothways.kernels.compiled.codegen.vectors import INT32, INT64, Vectors, offset, pointer
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import intrinsic

_INT16 = ir.IntType(16)
# llvmlite has no type for bfloat16. LLVM upgrades these names with integer types, their former
# signature, to the present one.
_DOT_PRODUCTS = "llvm.x86.avx512bf16.dpbf16ps.512"
_CONVERSION = "llvm.x86.avx512bf16.cvtne2ps2bf16.512"


def multiply_add(instructions: InstructionSet, simd: Vectors, a: Any, b: Any, c: Any) -> Any:
    """Return the products of the elements of `a` and `b`, added to float32 vector `c`.

    Elements are float32 values or, with precision bfloat16, pairs: both products are added to the
    same sum, in a fixed order.
    """
    if instructions.precision == "float32":
        return simd.fma(a, b, c)
    elements = ir.VectorType(INT32, simd.lanes)
    factors = [simd.builder.bitcast(factor, elements) for factor in (a, b)]
    return _call(simd, _DOT_PRODUCTS, simd.type, c, *factors)


def make_pair_values(lanes: int, *, masked: bool) -> Callable[..., None]:
    """Return pair_values(result, source, count), which makes pairs of adjacent floats.

    It makes as many pairs as a vector has lanes. If `masked`, only the first `count` floats exist,
    and the others count as 0.
    """

    @intrinsic
    def pair_values(context: Any, result: Any, source: Any, count: Any) -> Any:
        def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            result, source, count = arguments
            halves = []
            for first in (0, lanes):
                active = builder.sub(count, INT64(first)) if masked else None
                place = offset(builder, pointer(builder, source), first)
                halves.append(Vectors(builder, lanes, active).load(place))
            simd = Vectors(builder, lanes)
            simd.store(_as_floats(simd, _converted(simd, *halves)), pointer(builder, result))

        return types.void(*[types.int64] * 3), emit

    return pair_values


def make_pair_rows(lanes: int) -> Callable[..., None]:
    """Return pair_rows(result, source, step, rows, active), which makes pairs of two rows.

    Pair n contains element n of the row at `source`, and element n of the next row, `step` floats
    further. If `rows` is 1, there is no next row. Elements from `active` on do not exist either.
    All of these count as 0.
    """

    @intrinsic
    def pair_rows(context: Any, result: Any, source: Any, step: Any, rows: Any, active: Any) -> Any:
        def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            result, source, step, rows, active = arguments
            first = pointer(builder, source)
            has_second = builder.icmp_signed(">", rows, INT64(1))
            second_active = builder.select(has_second, active, INT64(0))
            low = Vectors(builder, lanes, active).load(first)
            high = Vectors(builder, lanes, second_active).load(offset(builder, first, step))
            simd = Vectors(builder, lanes)
            numbers = _converted(simd, low, high)
            order = [number for lane in range(lanes) for number in (lane, lanes + lane)]
            interleaved = builder.shuffle_vector(
                numbers, numbers, ir.Constant(ir.VectorType(INT32, 2 * lanes), order)
            )
            simd.store(_as_floats(simd, interleaved), pointer(builder, result))

        return types.void(*[types.int64] * 5), emit

    return pair_rows


def _converted(simd: Vectors, first: Any, second: Any) -> Any:
    """Return the bfloat16 numbers of two float32 vectors, one after the other."""
    return _call(simd, _CONVERSION, ir.VectorType(_INT16, 2 * simd.lanes), second, first)


def _as_floats(simd: Vectors, numbers: Any) -> Any:
    return simd.builder.bitcast(numbers, simd.type)


def _call(simd: Vectors, name: str, result: Any, *arguments: Any) -> Any:
    signature = ir.FunctionType(result, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(simd.builder.module, signature, name)
    return simd.builder.call(function, arguments)
