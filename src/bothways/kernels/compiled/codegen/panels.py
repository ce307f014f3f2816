"""The packing of the operands of matrix products, so that a tile reads contiguous memory.

Weights are packed into panels as wide as a tile: panel p contains columns [p * width, (p + 1) *
width) of the right-hand matrix, row by row. The last panel is padded with zeros. The functions that
are made here are described in `products.Products`.
"""

from collections.abc import Callable

from bothways.kernels.compiled.codegen.memory import (
    make_copy,
    make_transpose,
    read_float,
    write_float,
)
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.structs import FLOAT_BYTES, TILE_GAP


def make_packed_depth(instructions: InstructionSet) -> Callable[[int], int]:
    """Return packed_depth(depth), as described in `Products`."""
    factors = instructions.factors

    @compiled
    def packed_depth(depth: int) -> int:
        return (depth + factors - 1) // factors

    return packed_depth


def make_pack_step(instructions: InstructionSet) -> Callable[..., None]:
    """Return pack_step(packed, line, rows, strip), which packs one line for a packed left matrix.

    Groups of as many elements as a tile has rows are `strip` elements apart.
    """
    height = instructions.rows[0]
    copy = make_copy(height)

    @compiled
    def pack_step(packed: int, line: int, rows: int, strip: int) -> None:
        whole = rows // height * height
        for row in range(0, whole, height):
            copy(packed, line + FLOAT_BYTES * row)
            packed += FLOAT_BYTES * strip
        for row in range(whole, rows):
            write_float(packed, row - whole, read_float(line, row))

    return pack_step


def make_pack_rows(instructions: InstructionSet) -> Callable[..., None]:
    """Return pack_rows(packed, source, step, rows, depth)."""
    height = instructions.rows[0]
    pack_step = make_pack_step(instructions)

    @compiled
    def pack_rows(packed: int, source: int, step: int, rows: int, depth: int) -> None:
        for k in range(depth):
            place = packed + FLOAT_BYTES * k * height
            pack_step(place, source + FLOAT_BYTES * k * step, rows, depth * height + TILE_GAP)

    return pack_rows


def make_pack_strip(instructions: InstructionSet) -> Callable[..., None]:
    """Return pack_strip(target, source, step, rows, depth), which transposes rows into a panel.

    These are as many rows as a vector has lanes, or the first `rows` of them.
    """
    width, lanes = instructions.columns, instructions.lanes
    transpose = make_transpose(lanes)

    @compiled
    def pack_strip(target: int, source: int, step: int, rows: int, depth: int) -> None:
        whole = depth // lanes * lanes if rows >= lanes else 0
        for k in range(0, whole, lanes):
            transpose(target + FLOAT_BYTES * k * width, width, source + FLOAT_BYTES * k, step)
        for k in range(whole, depth):
            for lane in range(lanes):
                value = read_float(source, lane * step + k) if lane < rows else 0.0
                write_float(target, k * width + lane, value)

    return pack_strip


def make_pack_transposed(instructions: InstructionSet) -> Callable[..., None]:
    """Return pack_transposed(panels, weight, rows, depth, first, last)."""
    width, lanes = instructions.columns, instructions.lanes
    pack_strip = make_pack_strip(instructions)

    @compiled
    def pack_transposed(
        panels: int, weight: int, rows: int, depth: int, first: int, last: int
    ) -> None:
        for strip in range(first * width, last * width, lanes):
            target = panels + FLOAT_BYTES * ((strip // width) * width * depth + strip % width)
            pack_strip(target, weight + FLOAT_BYTES * strip * depth, depth, rows - strip, depth)

    return pack_transposed


def make_pack_plain(instructions: InstructionSet) -> Callable[..., None]:
    """Return pack_plain(panels, weight, depth, columns, first, last)."""
    width = instructions.columns
    copy = make_copy(width)

    @compiled
    def pack_plain(
        panels: int, weight: int, depth: int, columns: int, first: int, last: int
    ) -> None:
        for panel in range(first, last):
            column = panel * width
            for k in range(depth):
                target = panels + FLOAT_BYTES * (panel * depth + k) * width
                if column + width <= columns:
                    copy(target, weight + FLOAT_BYTES * (k * columns + column))
                else:
                    for n in range(width):
                        inside = column + n < columns
                        value = read_float(weight, k * columns + column + n) if inside else 0.0
                        write_float(target, n, value)

    return pack_plain
