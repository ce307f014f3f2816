"""Functions that read, write, copy and transpose memory by address, for compiled code."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from bothways.kernels.compiled.codegen.vectors import (
    FLOAT,
    FLOAT_POINTER,
    INT32,
    INT64,
    Vectors,
    offset,
    pointer,
)
from bothways.kernels.compiled.jit import compiled_type, intrinsic
from bothways.kernels.compiled.structs import FLOAT_BYTES, dtype_of


def make_record_at(record_class: type) -> Callable[..., Any]:
    """Return record_at(address, index), a view of one record of an array."""
    record = compiled_type(record_class)
    size = INT64(dtype_of(record_class).itemsize)

    @intrinsic
    def record_at(context: Any, address: Any, index: Any) -> Any:
        def emit(target: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            address, index = arguments
            place = builder.add(address, builder.mul(index, size))
            return builder.inttoptr(place, target.get_value_type(record))

        return record(types.int64, types.int64), emit

    return record_at


@intrinsic
def read_integer(context: Any, address: Any, index: Any) -> Any:
    """Return the int64 at `index` of an array."""

    def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        array = builder.inttoptr(arguments[0], INT64.as_pointer())
        return builder.load(builder.gep(array, [arguments[1]]))

    return types.int64(types.int64, types.int64), emit


@intrinsic
def atomic_add(context: Any, counter: Any, number: Any) -> Any:
    """Add `number` to the int64 at an address atomically; return the old value.

    A thread that reads the new value also sees all writes before the addition.
    """

    def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], INT64.as_pointer())
        return builder.atomic_rmw("add", place, arguments[1], "acq_rel")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def atomic_load(context: Any, counter: Any) -> Any:
    """Return the int64 at an address, read atomically."""

    def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], INT64.as_pointer())
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(types.int64), emit


@intrinsic
def atomic_claim(context: Any, counter: Any, expected: Any) -> Any:
    """Increment the int64 at an address atomically if it is `expected`; return whether it was."""

    def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        address, expected = arguments
        place = builder.inttoptr(address, INT64.as_pointer())
        raised = builder.add(expected, INT64(1))
        outcome = builder.cmpxchg(place, expected, raised, "acq_rel", "acquire")
        return builder.zext(builder.extract_value(outcome, 1), INT64)

    return types.int64(types.int64, types.int64), emit


@intrinsic
def read_float(context: Any, address: Any, index: Any) -> Any:
    """Return the float32 at `index` of an array."""

    def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.load(offset(builder, pointer(builder, arguments[0]), arguments[1]))

    return types.float32(types.int64, types.int64), emit


@intrinsic
def write_float(context: Any, address: Any, index: Any, value: Any) -> Any:
    """Set the float32 at `index` of an array."""

    def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        address, index, value = arguments
        builder.store(value, offset(builder, pointer(builder, address), index))

    return types.void(types.int64, types.int64, types.float32), emit


@intrinsic
def copy_floats(context: Any, result: Any, source: Any, count: Any) -> Any:
    """Copy `count` floats."""

    def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        result, source, count = arguments
        size = builder.mul(count, INT64(FLOAT_BYTES))
        cgutils.raw_memcpy(builder, pointer(builder, result), pointer(builder, source), size, 1)

    return types.void(types.int64, types.int64, types.int64), emit


@intrinsic
def zero_floats(context: Any, result: Any, count: Any) -> Any:
    """Set `count` floats to 0."""

    def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        result, count = arguments
        size = builder.mul(count, INT64(FLOAT_BYTES))
        cgutils.memset(builder, pointer(builder, result), size, 0)

    return types.void(types.int64, types.int64), emit


def make_copy(width: int) -> Callable[..., None]:
    """Return copy(result, source), which copies `width` floats."""

    @intrinsic
    def copy(context: Any, result: Any, source: Any) -> Any:
        def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            vector = Vectors(builder, width)
            result, source = (pointer(builder, address) for address in arguments)
            vector.store(vector.load(source), result)

        return types.void(types.int64, types.int64), emit

    return copy


def make_buffer(floats: int) -> Callable[[], int]:
    """Return buffer(), the address of `floats` uninitialized floats on the stack of the caller."""

    @intrinsic
    def buffer(context: Any) -> Any:
        def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            with builder.goto_entry_block():  # allocated once, also in a loop
                place = builder.alloca(ir.ArrayType(FLOAT, floats))
            place.align = 64  # a cache line
            return builder.ptrtoint(place, INT64)

        return types.int64(), emit

    return buffer


def make_transpose(lanes: int) -> Callable[..., None]:
    """Return transpose(result, step, source, source_step) of a square of `lanes` by `lanes` floats.

    Interleaving the two halves of the rows, log2(lanes) times, is a transpose.
    """
    name = f"bothways_transpose_{lanes}"

    def function_in(module: ir.Module) -> ir.Function:
        if name in module.globals:
            return module.globals[name]
        signature = ir.FunctionType(ir.VoidType(), [FLOAT_POINTER, INT64] * 2)
        function = ir.Function(module, signature, name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block())
        result, result_step, source, source_step = function.args
        vector = Vectors(builder, lanes)

        def row(matrix: Any, step: Any, n: int) -> Any:
            return offset(builder, matrix, builder.mul(step, INT64(n)))

        rows = [vector.load(row(source, source_step, n)) for n in range(lanes)]
        half = lanes // 2
        shuffles = [
            ir.Constant(
                ir.VectorType(INT32, lanes),
                [lane for n in range(start, start + half) for lane in (n, n + lanes)],
            )
            for start in (0, half)
        ]
        for _ in range(lanes.bit_length() - 1):
            rows = [
                builder.shuffle_vector(rows[n], rows[n + half], order)
                for n in range(half)
                for order in shuffles
            ]
        for n in range(lanes):
            vector.store(rows[n], row(result, result_step, n))
        builder.ret_void()
        return function

    @intrinsic
    def transpose(
        context: Any, result: Any, result_step: Any, source: Any, source_step: Any
    ) -> Any:
        def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            result, result_step, source, source_step = arguments
            builder.call(
                function_in(builder.module),
                [pointer(builder, result), result_step, pointer(builder, source), source_step],
            )

        return types.void(*[types.int64] * 4), emit

    return transpose


def make_all_finite(lanes: int) -> Callable[..., Any]:
    """Return all_finite(values, count), which is 1 if no float is NaN or infinite, else 0."""
    chains = 4
    name = f"bothways_all_finite_{lanes}"

    def function_in(module: ir.Module) -> ir.Function:
        if name in module.globals:
            return module.globals[name]
        function = ir.Function(module, ir.FunctionType(INT64, [FLOAT_POINTER, INT64]), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block())
        values, count = function.args
        simd = Vectors(builder, lanes)
        zero = simd.constant(0.0)
        sums = [builder.alloca(simd.type) for _ in range(chains)]
        for place in sums:
            builder.store(zero, place)

        def add(
            load: Vectors, k: Any, place: Any
        ) -> None:  # finite * 0 is 0; NaN * 0 and infinity * 0 are NaN
            product = load.fma(load.load(offset(builder, values, k)), zero, builder.load(place))
            builder.store(product, place)

        whole = builder.and_(count, INT64(-chains * lanes))
        step = INT64(chains * lanes)
        with cgutils.for_range_slice(builder, INT64(0), whole, step) as (k, _):
            for n, place in enumerate(sums):
                add(simd, builder.add(k, INT64(n * lanes)), place)
        with cgutils.for_range_slice(builder, whole, count, INT64(lanes)) as (k, _):
            add(Vectors(builder, lanes, builder.sub(count, k)), k, sums[0])
        total = builder.load(sums[0])
        for place in sums[1:]:
            total = simd.add(total, builder.load(place))
        bits = ir.IntType(lanes)
        numbers = builder.bitcast(builder.fcmp_ordered("ord", total, total), bits)
        finite = builder.icmp_unsigned("==", numbers, bits(2**lanes - 1))
        builder.ret(builder.zext(finite, INT64))
        return function

    @intrinsic
    def all_finite(context: Any, values: Any, count: Any) -> Any:
        def emit(_: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            values, count = arguments
            return builder.call(function_in(builder.module), [pointer(builder, values), count])

        return types.int64(types.int64, types.int64), emit

    return all_finite
