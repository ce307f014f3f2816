"""Products of float32 matrices whose factors are rounded to bfloat16.

Every operand is converted to pairs before the tiles read it: weights when they are packed, all
other matrices block by block, in a buffer on the stack. The arguments are float32 matrices, as
those of the products in `products`; addends and results are float32 too.
"""

from collections.abc import Callable

from bothways.kernels.compiled.codegen.memory import make_buffer
from bothways.kernels.compiled.codegen.pairs import make_pair_rows, make_pair_values
from bothways.kernels.compiled.codegen.panels import make_pack_step, make_pack_strip
from bothways.kernels.compiled.codegen.products import BLOCK_ROWS, Products, make_products
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.structs import FLOAT_BYTES, GRADIENT_DEPTH, TILE_GAP

# Values of a row that are converted at once, and the stride of the buffer in pairs: a row and one
# more cache line, because rows at a stride of whole kilobytes would share few sets of the cache.
_BLOCK_DEPTH = 512
_ROW_STEP = _BLOCK_DEPTH // 2 + 16


def make_converted_products(instructions: InstructionSet) -> Products:
    """Return the products for an instruction set with precision bfloat16."""
    of_pairs = make_products(instructions)
    pack_panel = _make_pack_panel(instructions)
    return Products(
        of_pairs.packed_depth,
        _make_multiply(instructions, of_pairs),
        _make_multiply_transposed(instructions, of_pairs, pack_panel),
        _make_pack_rows(instructions, of_pairs.packed_depth),
        _make_pack_transposed(instructions, of_pairs.packed_depth),
        _make_pack_plain(instructions, of_pairs.packed_depth, pack_panel),
    )


def _make_convert(lanes: int) -> Callable[..., None]:
    """Return convert(pairs, source, step, rows, depth), for rows of at most _BLOCK_DEPTH floats."""
    pair_values = make_pair_values(lanes, masked=False)
    pair_edge = make_pair_values(lanes, masked=True)

    @compiled
    def convert(pairs: int, source: int, step: int, rows: int, depth: int) -> None:
        whole = depth // (2 * lanes) * (2 * lanes)
        for row in range(rows):
            line = source + FLOAT_BYTES * row * step
            target = pairs + FLOAT_BYTES * row * _ROW_STEP
            for k in range(0, whole, 2 * lanes):
                pair_values(target + FLOAT_BYTES * (k // 2), line + FLOAT_BYTES * k, 2 * lanes)
            if whole < depth:
                pair_edge(
                    target + FLOAT_BYTES * (whole // 2), line + FLOAT_BYTES * whole, depth - whole
                )

    return convert


def _make_multiply(instructions: InstructionSet, of_pairs: Products) -> Callable[..., None]:
    width = instructions.columns
    multiply_pairs, packed_depth = of_pairs.multiply, of_pairs.packed_depth
    convert = _make_convert(instructions.lanes)
    make_pairs = make_buffer(BLOCK_ROWS * _ROW_STEP)

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
        pairs = make_pairs()
        for top in range(0, rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, rows - top)
            block_result = result + FLOAT_BYTES * top * result_step
            block_addend, step = addend + FLOAT_BYTES * top * addend_step, addend_step
            for start in range(0, max(depth, 1), _BLOCK_DEPTH):
                size = min(_BLOCK_DEPTH, depth - start)
                source = left + FLOAT_BYTES * (top * left_step + start)
                convert(pairs, source, left_step, count, size)
                multiply_pairs(
                    pairs, _ROW_STEP,
                    panels + FLOAT_BYTES * packed_depth(start) * width, panel_step,
                    block_addend, step, block_result, result_step,
                    count, columns, packed_depth(size), descending,
                )  # fmt: skip
                block_addend, step = block_result, result_step

    return multiply


def _make_pack_panel(instructions: InstructionSet) -> Callable[..., None]:
    """Return pack_panel(panel, source, step, depth, columns), for up to one panel of columns."""
    width, lanes = instructions.columns, instructions.lanes
    pair_rows = make_pair_rows(lanes)

    @compiled
    def pack_panel(panel: int, source: int, step: int, depth: int, columns: int) -> None:
        for k in range(0, depth, 2):
            for column in range(0, width, lanes):
                pair_rows(
                    panel + FLOAT_BYTES * (k // 2 * width + column),
                    source + FLOAT_BYTES * (k * step + column), step,
                    depth - k, columns - column,
                )  # fmt: skip

    return pack_panel


def _make_multiply_transposed(
    instructions: InstructionSet, of_pairs: Products, pack_panel: Callable[..., None]
) -> Callable[..., None]:
    width = instructions.columns
    multiply_pairs, packed_depth = of_pairs.multiply_transposed, of_pairs.packed_depth
    make_panel = make_buffer(GRADIENT_DEPTH // 2 * width)

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
        panel = make_panel()
        for column in range(0, columns, width):
            active = min(width, columns - column)
            shift = FLOAT_BYTES * column
            pack_panel(panel, right + shift, right_step, depth, active)
            multiply_pairs(
                left, left_step, panel, width, addend + shift, addend_step,
                result + shift, result_step, rows, active, packed_depth(depth),
            )  # fmt: skip

    return multiply_transposed


def _make_pack_rows(
    instructions: InstructionSet, packed_depth: Callable[[int], int]
) -> Callable[..., None]:
    height, lanes = instructions.rows[0], instructions.lanes
    pair_rows, pack_step = make_pair_rows(lanes), make_pack_step(instructions)
    make_line = make_buffer(lanes)

    @compiled
    def pack_rows(packed: int, source: int, step: int, rows: int, depth: int) -> None:
        line = make_line()
        strip = packed_depth(depth) * height + TILE_GAP
        for k in range(0, depth, 2):
            for row in range(0, rows, lanes):
                active = min(lanes, rows - row)
                pair_rows(line, source + FLOAT_BYTES * (k * step + row), step, depth - k, active)
                place = packed + FLOAT_BYTES * (k // 2 * height + row // height * strip)
                pack_step(place, line, active, strip)

    return pack_rows


def _make_pack_transposed(
    instructions: InstructionSet, packed_depth: Callable[[int], int]
) -> Callable[..., None]:
    width, lanes = instructions.columns, instructions.lanes
    convert, pack_strip = _make_convert(lanes), make_pack_strip(instructions)
    make_pairs = make_buffer(lanes * _ROW_STEP)

    @compiled
    def pack_transposed(
        panels: int, weight: int, rows: int, depth: int, first: int, last: int
    ) -> None:
        pairs = make_pairs()
        for strip in range(first * width, last * width, lanes):
            active = min(lanes, rows - strip)
            panel = panels + FLOAT_BYTES * (strip // width * width * packed_depth(depth))
            for start in range(0, depth, _BLOCK_DEPTH):
                size = min(_BLOCK_DEPTH, depth - start)
                source = weight + FLOAT_BYTES * (strip * depth + start)
                convert(pairs, source, depth, active, size)
                target = panel + FLOAT_BYTES * (packed_depth(start) * width + strip % width)
                pack_strip(target, pairs, _ROW_STEP, active, packed_depth(size))

    return pack_transposed


def _make_pack_plain(
    instructions: InstructionSet,
    packed_depth: Callable[[int], int],
    pack_panel: Callable[..., None],
) -> Callable[..., None]:
    width = instructions.columns

    @compiled
    def pack_plain(
        panels: int, weight: int, depth: int, columns: int, first: int, last: int
    ) -> None:
        for panel in range(first, last):
            column = panel * width
            target = panels + FLOAT_BYTES * panel * packed_depth(depth) * width
            active = min(width, columns - column)
            pack_panel(target, weight + FLOAT_BYTES * column, columns, depth, active)

    return pack_plain
