"""Products of any number of rows with one panel, made of the tiles of `tiles`.

This is LLVM IR: Numba would take a second longer to compile the same loops in Python.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from bothways.kernels.compiled.codegen.tiles import tile_function
from bothways.kernels.compiled.codegen.vectors import FLOAT_POINTER, INT64, offset, pointer
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import intrinsic


def make_sweep(
    instructions: InstructionSet, vectors: int, *, packed: bool, masked: bool
) -> Callable[..., None]:
    """Return the product of rows with a panel of `vectors` vectors, callable from compiled code.

    sweep(left, left_step, next_tile, next_row, right, right_step, addend, addend_step, result,
          result_step, rows, depth, active, next_panel)

    The arguments are those of a tile, and:

    next_tile, next_row : int
        Floats from a tile of the full height to the next in `left`, and from a row to the next.
    rows : int
    next_panel : int
        Floats from this panel to the one that is read next.
    """
    kind = ("packed" if packed else "rows") + ("_masked" if masked else "")
    name = f"bothways_sweep_{vectors}_{kind}"

    @intrinsic
    def sweep(
        context: Any,
        left: Any,
        left_step: Any,
        next_tile: Any,
        next_row: Any,
        right: Any,
        right_step: Any,
        addend: Any,
        addend_step: Any,
        result: Any,
        result_step: Any,
        rows: Any,
        depth: Any,
        active: Any,
        next_panel: Any,
    ) -> Any:
        def call(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            function = _sweep(builder.module, name, instructions, vectors, packed, masked)
            addresses = {0, 4, 6, 8}
            builder.call(
                function,
                [pointer(builder, a) if n in addresses else a for n, a in enumerate(arguments)],
            )

        return types.void(*[types.int64] * 14), call

    return sweep


def _sweep(
    module: ir.Module,
    name: str,
    instructions: InstructionSet,
    vectors: int,
    packed: bool,
    masked: bool,
) -> ir.Function:
    """Return the function of a sweep in `module`; generate it at the first use."""
    if name in module.globals:
        return module.globals[name]
    arguments = [FLOAT_POINTER, *[INT64] * 3, *[FLOAT_POINTER, INT64] * 3, *[INT64] * 4]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    left, left_step, next_tile, next_row, right, right_step, *others = function.args
    addend, addend_step, result, result_step, rows, depth, active, next_panel = others
    builder = ir.IRBuilder(function.append_basic_block())

    def at(matrix: Any, step: Any, number: Any) -> Any:
        return offset(builder, matrix, builder.mul(step, number))

    def left_at(row: Any) -> Any:
        tallest = INT64(instructions.rows[0])
        tile = at(left, next_tile, builder.sdiv(row, tallest))
        return at(tile, next_row, builder.srem(row, tallest))

    first = INT64(0)
    for height in instructions.rows:
        tile = tile_function(module, instructions, height, vectors, packed=packed, masked=masked)
        count = builder.sdiv(builder.sub(rows, first), INT64(height))
        end = builder.add(first, builder.mul(count, INT64(height)))
        with cgutils.for_range_slice(builder, first, end, INT64(height)) as (row, _):
            operands = left_at(row), left_step, right, right_step
            sums = at(addend, addend_step, row), addend_step, at(result, result_step, row)
            builder.call(tile, [*operands, *sums, result_step, depth, active, next_panel])
        first = end
    builder.ret_void()
    return function
