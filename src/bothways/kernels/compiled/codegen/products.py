"""Matrix products computed in tiles, of operands that `panels` packs."""

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils

from bothways.kernels.compiled.codegen.panels import (
    make_pack_plain,
    make_pack_rows,
    make_pack_transposed,
    make_packed_depth,
)
from bothways.kernels.compiled.codegen.tiles import make_tile, tile_function
from bothways.kernels.compiled.codegen.vectors import FLOAT_POINTER, INT64, offset, pointer
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import compiled, intrinsic
from bothways.kernels.compiled.structs import FLOAT_BYTES

# Rows of the left-hand matrix that are multiplied by all panels before the next rows; together with
# one panel, they fit into the second-level cache.
BLOCK_ROWS = 64


class Products(NamedTuple):
    """The matrix products for one instruction set.

    packed_depth(depth)
        Number of rows of a panel that `depth` rows of the right-hand matrix occupy.
    multiply(left, left_step, panels, panel_step, addend, addend_step, result, result_step,
             rows, columns, depth, descending)
        result = addend + left @ right, with `right` in panels `panel_step` floats apart. If
        `descending`, the last panel is read first, except for the last few rows.
    multiply_transposed(left, left_step, right, right_step, addend, addend_step, result,
                        result_step, rows, columns, depth)
        result = addend + left^T @ right, with `left` from `pack_rows` and `right` unpacked.
    pack_rows(packed, source, step, rows, depth)
        Pack the first `rows` columns of a matrix for `multiply_transposed`, in tiles that are
        `TILE_GAP` floats longer than their values.
    pack_transposed(panels, weight, rows, depth, first, last)
        Pack panels [first, last) of the transpose of `weight` (rows, depth).
    pack_plain(panels, weight, depth, columns, first, last)
        Pack panels [first, last) of `weight` (depth, columns).
    """

    packed_depth: Callable[[int], int]
    multiply: Callable[..., None]
    multiply_transposed: Callable[..., None]
    pack_rows: Callable[..., None]
    pack_transposed: Callable[..., None]
    pack_plain: Callable[..., None]


def make_products(instructions: InstructionSet) -> Products:
    """Return the products of float32 matrices, or of matrices that consist of pairs already."""
    return Products(
        make_packed_depth(instructions),
        _make_multiply(instructions),
        _make_multiply_transposed(instructions),
        make_pack_rows(instructions),
        make_pack_transposed(instructions),
        make_pack_plain(instructions),
    )


def _make_sweep(
    instructions: InstructionSet, vectors: int, *, packed: bool, masked: bool
) -> Callable[..., None]:
    """Return the product of rows with a panel of `vectors` vectors, callable from compiled code.

    sweep(left, left_step, next_tile, next_row, right, right_step, addend, addend_step, result,
          result_step, rows, depth, active, next_panel)

    It is LLVM IR: Numba would take a second longer to compile the same loops in Python. The
    arguments are those of a tile, and:

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


def _make_multiply(instructions: InstructionSet) -> Callable[..., None]:
    sweep = _make_sweep(instructions, instructions.vectors, packed=False, masked=False)
    # A tile has two vectors at most: the last columns are one and a part of another, or a part.
    sweep_wide_edge = _make_sweep(instructions, 2, packed=False, masked=True)
    sweep_edge = _make_sweep(instructions, 1, packed=False, masked=True)
    width, lanes = instructions.columns, instructions.lanes
    height, tall, low, lowest = instructions.rows
    two_panels = 2 * instructions.vectors
    low_tile = make_tile(instructions, low, two_panels, packed=False, masked=False)
    lowest_tile = make_tile(instructions, lowest, two_panels, packed=False, masked=False)

    @compiled
    def multiply_rows(
        left: int,
        left_step: int,
        panels: int,
        panel_step: int,
        addend: int,
        addend_step: int,
        result: int,
        result_step: int,
        rows: int,
        first_column: int,
        columns: int,
        depth: int,
        descending: int,
    ) -> None:
        next_panel = -panel_step if descending else panel_step
        count = (columns - first_column + width - 1) // width
        for n in range(count):
            column = first_column + width * (count - 1 - n if descending else n)
            panel = panels + FLOAT_BYTES * (column // width) * panel_step
            tile_addend = addend + FLOAT_BYTES * column
            tile_result = result + FLOAT_BYTES * column
            active = columns - column
            if active >= width:
                sweep(
                    left, left_step, height * left_step, left_step, panel, width,
                    tile_addend, addend_step, tile_result, result_step,
                    rows, depth, lanes, next_panel,
                )  # fmt: skip
            elif active > lanes:
                sweep_wide_edge(
                    left, left_step, height * left_step, left_step, panel, width,
                    tile_addend, addend_step, tile_result, result_step,
                    rows, depth, active - lanes, next_panel,
                )  # fmt: skip
            else:
                sweep_edge(
                    left, left_step, height * left_step, left_step, panel, width,
                    tile_addend, addend_step, tile_result, result_step,
                    rows, depth, active, next_panel,
                )  # fmt: skip

    @compiled
    def multiply(
        left: int,
        left_step: int,
        panels: int,
        panel_step: int,
        addend: int,
        addend_step: int,
        result: int,
        result_step: int,
        rows: int,
        columns: int,
        depth: int,
        descending: int,
    ) -> None:
        # The last rows, fewer than the second tile has, are multiplied by two panels at once: a low
        # tile of one panel has so few sums that it waits for the latency of the multiply-adds.
        few = rows % height % tall
        for top in range(0, rows - few, BLOCK_ROWS):
            multiply_rows(
                left + FLOAT_BYTES * top * left_step, left_step, panels, panel_step,
                addend + FLOAT_BYTES * top * addend_step, addend_step,
                result + FLOAT_BYTES * top * result_step, result_step,
                min(BLOCK_ROWS, rows - few - top), 0, columns, depth, descending,
            )  # fmt: skip
        if few == 0:
            return
        left += FLOAT_BYTES * (rows - few) * left_step
        addend += FLOAT_BYTES * (rows - few) * addend_step
        result += FLOAT_BYTES * (rows - few) * result_step
        column = 0
        while column + 2 * width <= columns:
            panel = panels + FLOAT_BYTES * (column // width) * panel_step
            row = 0
            if few >= low:
                low_tile(
                    left, left_step, panel, width, addend + FLOAT_BYTES * column, addend_step,
                    result + FLOAT_BYTES * column, result_step, depth, lanes, panel_step,
                )  # fmt: skip
                row = low
            if row < few:
                lowest_tile(
                    left + FLOAT_BYTES * row * left_step, left_step, panel, width,
                    addend + FLOAT_BYTES * (row * addend_step + column), addend_step,
                    result + FLOAT_BYTES * (row * result_step + column), result_step,
                    depth, lanes, panel_step,
                )  # fmt: skip
            column += 2 * width
        multiply_rows(
            left, left_step, panels, panel_step, addend, addend_step, result, result_step,
            few, column, columns, depth, 0,
        )  # fmt: skip

    return multiply


def _make_multiply_transposed(instructions: InstructionSet) -> Callable[..., None]:
    sweep = _make_sweep(instructions, instructions.vectors, packed=True, masked=False)
    sweep_wide_edge = _make_sweep(instructions, 2, packed=True, masked=True)
    sweep_edge = _make_sweep(instructions, 1, packed=True, masked=True)
    width, lanes, height = instructions.columns, instructions.lanes, instructions.rows[0]

    @compiled
    def multiply_transposed(
        left: int,
        left_step: int,
        right: int,
        right_step: int,
        addend: int,
        addend_step: int,
        result: int,
        result_step: int,
        rows: int,
        columns: int,
        depth: int,
    ) -> None:
        for column in range(0, columns, width):
            active = columns - column
            shift = FLOAT_BYTES * column
            if active >= width:
                sweep(
                    left, height, left_step, 1, right + shift, right_step,
                    addend + shift, addend_step, result + shift, result_step,
                    rows, depth, lanes, width,
                )  # fmt: skip
            elif active > lanes:
                sweep_wide_edge(
                    left, height, left_step, 1, right + shift, right_step,
                    addend + shift, addend_step, result + shift, result_step,
                    rows, depth, active - lanes, width,
                )  # fmt: skip
            else:
                sweep_edge(
                    left, height, left_step, 1, right + shift, right_step,
                    addend + shift, addend_step, result + shift, result_step,
                    rows, depth, active, width,
                )  # fmt: skip

    return multiply_transposed
