"""The inner loops of the matrix products, which keep their sums in registers.

A tile is a block of the product of two matrices, at least one of them packed:

    result[r, n] = addend[r, n] + sum over k of left[r, k] * right[k, n]

Dots are dot products of a vector with rows of an unpacked weight:

    result[n] = addend[n] + sum over k of weight[n, k] * vector[k]

`addend` is the result itself (to add to it), a bias (with row step 0), or zeros. With precision
bfloat16, an element of `left` or `right` in a tile is a pair of numbers, see `pairs`.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from bothways.kernels.compiled.codegen.pairs import multiply_add as multiply_add_elements
from bothways.kernels.compiled.codegen.vectors import (
    FLOAT_POINTER,
    INT32,
    INT64,
    Vectors,
    offset,
    pointer,
)
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import intrinsic
from bothways.kernels.compiled.structs import LINE_FLOATS

_UNROLL = 2
_ROWS_OF_DOTS = 4
_READ, _SECOND_LEVEL, _DATA = 0, 2, 1  # arguments of llvm.prefetch


def make_tile(
    instructions: InstructionSet, rows: int, vectors: int, *, packed: bool, masked: bool
) -> Callable[..., None]:
    """Return the tile of `rows` by `vectors` vectors, callable from compiled code.

    Parameters
    ----------
    instructions : InstructionSet
    rows, vectors : int
        If there are more vectors than in a panel, the others are from the next panel, which starts
        `panel_step` floats after the first. Otherwise, the next panel is prefetched.
    packed : bool
        Whether left[r, k] is at k * left_step + r; otherwise it is at r * left_step + k.
    masked : bool
        Whether only the first `active` lanes of the last vector exist in `addend` and `result`.
    """

    @intrinsic
    def tile(
        context: Any,
        left: Any,
        left_step: Any,
        right: Any,
        right_step: Any,
        addend: Any,
        addend_step: Any,
        result: Any,
        result_step: Any,
        depth: Any,
        active: Any,
        panel_step: Any,
    ) -> Any:
        def call(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            function = tile_function(
                builder.module, instructions, rows, vectors, packed=packed, masked=masked
            )
            addresses = {0, 2, 4, 6}
            builder.call(
                function,
                [pointer(builder, a) if n in addresses else a for n, a in enumerate(arguments)],
            )

        return types.void(*[types.int64] * 11), call

    return tile


def tile_function(
    module: ir.Module,
    instructions: InstructionSet,
    rows: int,
    vectors: int,
    *,
    packed: bool,
    masked: bool,
) -> ir.Function:
    """Return the function of a tile in `module`; generate it at the first use."""
    kind = ("packed" if packed else "rows") + ("_masked" if masked else "")
    name = f"bothways_tile_{rows}x{vectors * instructions.lanes}_{kind}"
    if name in module.globals:
        return module.globals[name]
    arguments = [FLOAT_POINTER, INT64] * 4 + [INT64] * 3
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    left, left_step, right, right_step, addend, addend_step, result, result_step, *sizes = (
        function.args
    )
    depth, active, panel_step = sizes
    lanes = instructions.lanes
    for operand in (left, right):
        operand.add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block())
    simd = Vectors(builder, lanes)
    last = Vectors(builder, lanes, active if masked else None)

    def at(matrix: Any, step: Any, row: int, vector: int) -> Any:
        start = builder.add(builder.mul(step, INT64(row)), INT64(vector * lanes))
        return offset(builder, matrix, start)

    def edge(vector: int) -> Vectors:
        return last if vector == vectors - 1 else simd

    # Each element has one sum in tiles of any height, so that a row's result has the same bits in
    # all of them.
    sums = {(r, v): builder.alloca(simd.type) for r in range(rows) for v in range(vectors)}
    for (row, vector), total in sums.items():
        builder.store(edge(vector).load(at(addend, addend_step, row, vector)), total)

    def multiply_add(k: Any) -> None:
        right_row = offset(builder, right, builder.mul(k, right_step))
        across = []
        for vector in range(vectors):
            panel, column = divmod(vector, instructions.vectors)
            start = builder.mul(panel_step, INT64(panel))
            across.append(
                simd.load(offset(builder, offset(builder, right_row, start), column * lanes))
            )
        if vectors <= instructions.vectors:
            # A processor prefetches no farther than the first rows of the next panel, and the third
            # level of the cache is too slow for the tile that is the first to read a panel.
            _prefetch(builder, offset(builder, right_row, panel_step), vectors * lanes)
        for row in range(rows):
            if packed:
                place = builder.add(builder.mul(k, left_step), INT64(row))
            else:
                place = builder.add(builder.mul(left_step, INT64(row)), k)
            down = simd.broadcast(offset(builder, left, place))
            for vector in range(vectors):
                total = sums[row, vector]
                added = multiply_add_elements(
                    instructions, simd, down, across[vector], builder.load(total)
                )
                builder.store(added, total)

    unroll = 1 if masked and vectors > 1 else _UNROLL  # rare tiles, which take time to compile
    whole = builder.sub(depth, builder.srem(depth, INT64(unroll)))
    with cgutils.for_range_slice(builder, INT64(0), whole, INT64(unroll)) as (k, _):
        for n in range(unroll):
            multiply_add(builder.add(k, INT64(n)))
    if unroll > 1:
        with cgutils.for_range_slice(builder, whole, depth, INT64(1)) as (k, _):
            multiply_add(k)

    for (row, vector), total in sums.items():
        edge(vector).store(builder.load(total), at(result, result_step, row, vector))
    builder.ret_void()
    return function


def _prefetch(builder: ir.IRBuilder, address: Any, floats: int) -> None:
    """Start loading `floats` floats into the second-level cache; any address is allowed."""
    byte = ir.IntType(8).as_pointer()
    signature = ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0")
    for start in range(0, floats, LINE_FLOATS):
        place = builder.bitcast(offset(builder, address, start), byte)
        builder.call(function, [place, *map(INT32, (_READ, _SECOND_LEVEL, _DATA))])


def make_dots(lanes: int) -> Callable[..., None]:
    """Return dots(weight, step, vector, addend, result, depth, active), for compiled code.

    `weight` has `active` rows, at most `lanes`, `step` floats apart.
    """
    name = f"bothways_dots_{lanes}"

    @intrinsic
    def dots(
        context: Any,
        weight: Any,
        step: Any,
        vector: Any,
        addend: Any,
        result: Any,
        depth: Any,
        active: Any,
    ) -> Any:
        def call(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            addresses = {0, 2, 3, 4}
            builder.call(
                _dots(builder.module, name, lanes),
                [pointer(builder, a) if n in addresses else a for n, a in enumerate(arguments)],
            )

        return types.void(*[types.int64] * 7), call

    return dots


def _dots(module: ir.Module, name: str, lanes: int) -> ir.Function:
    """Return the function of `make_dots` in `module`; generate it at the first use."""
    if name in module.globals:
        return module.globals[name]
    arguments = [FLOAT_POINTER, INT64, *[FLOAT_POINTER] * 3, INT64, INT64]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    weight, step, vector, addend, result, depth, active = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    simd = Vectors(builder, lanes)
    whole = builder.and_(depth, INT64(-lanes))
    pairs = builder.and_(depth, INT64(-2 * lanes))
    last_row = builder.sub(active, INT64(1))

    def sums_of(rows: range) -> list[Any]:
        """Return one vector for each row; the sum of its lanes is the dot product of the row."""
        starts = []
        for n in rows:  # rows after the last one repeat it and are not stored
            row = builder.select(builder.icmp_signed("<", INT64(n), active), INT64(n), last_row)
            starts.append(offset(builder, weight, builder.mul(row, step)))
        sums = [(builder.alloca(simd.type), builder.alloca(simd.type)) for _ in rows]
        for chains in sums:
            for place in chains:
                builder.store(simd.constant(0.0), place)

        def multiply_add(load: Vectors, k: Any, chain: int) -> None:
            across = load.load(offset(builder, vector, k))
            for start, chains in zip(starts, sums, strict=True):
                product = load.fma(
                    load.load(offset(builder, start, k)), across, builder.load(chains[chain])
                )
                builder.store(product, chains[chain])

        with cgutils.for_range_slice(builder, INT64(0), pairs, INT64(2 * lanes)) as (k, _):
            multiply_add(simd, k, 0)
            multiply_add(simd, builder.add(k, INT64(lanes)), 1)
        with cgutils.for_range_slice(builder, pairs, whole, INT64(lanes)) as (k, _):
            multiply_add(simd, k, 0)
        with builder.if_then(builder.icmp_signed("<", whole, depth)):
            multiply_add(Vectors(builder, lanes, builder.sub(depth, whole)), whole, 0)
        return [simd.add(*(builder.load(place) for place in chains)) for chains in sums]

    rows = [
        total
        for first in range(0, lanes, _ROWS_OF_DOTS)
        for total in sums_of(range(first, first + _ROWS_OF_DOTS))
    ]
    # Adding adjacent lanes of two vectors, log2(lanes) times, puts one row's sum into each lane.
    even, odd = (
        ir.Constant(ir.VectorType(INT32, lanes), list(range(start, 2 * lanes, 2)))
        for start in (0, 1)
    )
    while len(rows) > 1:
        rows = [
            simd.add(
                builder.shuffle_vector(first, second, even),
                builder.shuffle_vector(first, second, odd),
            )
            for first, second in zip(rows[::2], rows[1::2], strict=True)
        ]
    edge = Vectors(builder, lanes, active)
    edge.store(simd.add(rows[0], edge.load(addend)), result)
    builder.ret_void()
    return function
