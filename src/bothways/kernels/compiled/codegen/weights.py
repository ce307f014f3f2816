"""Packing of the weights and biases, and the weight gradients."""

from collections.abc import Callable

import numpy as np

from bothways.kernels.cells import GRU, Cell
from bothways.kernels.compiled.codegen.access import scan_of, weights_of
from bothways.kernels.compiled.codegen.memory import (
    make_all_finite,
    read_float,
    read_integer,
    write_float,
    zero_floats,
)
from bothways.kernels.compiled.codegen.products import Products
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.structs import (
    FLOAT_BYTES,
    GRADIENT_DEPTH,
    PACKING_TASKS,
    PREPARE_FORWARD,
    TILE_GAP,
    Job,
    Weights,
)


def make_fill_addends(cell: Cell) -> Callable[..., None]:
    """Return fill_addends(job, weights, first, last), which prepares the addends of the products.

    These are the biases of the pre-activations [first, last), both summed except for a GRU.
    """
    is_gru = cell == GRU

    @compiled
    def fill_addends(job: Job, weights: Weights, first: int, last: int) -> None:
        for n in range(first, last):
            from_inputs = from_hidden = np.float32(0.0)
            if weights.bias_ih:
                from_inputs = read_float(weights.bias_ih, n)
                from_hidden = read_float(weights.bias_hh, n)
            write_float(weights.addend_hh, n, from_hidden)
            write_float(weights.addend_ih, n, from_inputs if is_gru else from_inputs + from_hidden)

    return fill_addends


def make_prepare(
    cell: Cell, instructions: InstructionSet, products: Products
) -> Callable[..., None]:
    """Return prepare(job, task), which packs a share of one weight matrix."""
    width = instructions.columns
    num_gates = len(cell.gates)
    fill_addends = make_fill_addends(cell)
    all_finite = make_all_finite(instructions.lanes)
    pack_transposed, pack_plain = products.pack_transposed, products.pack_plain

    @compiled
    def prepare(job: Job, task: int) -> None:
        """Pack a share of one weight matrix, for the forward or the backward pass."""
        share, matrix = task % PACKING_TASKS, task // PACKING_TASKS
        on_inputs = matrix % 2 == 0
        layer, direction = matrix // 2 // job.num_directions, matrix // 2 % job.num_directions
        weights = weights_of(job, layer, direction)
        gates_size = num_gates * job.hidden_size
        if on_inputs:
            weight, panels, columns = weights.weight_ih, weights.panels_ih, weights.input_size
        else:
            weight, panels, columns = weights.weight_hh, weights.panels_hh, job.hidden_size
        forward = job.phase == PREPARE_FORWARD
        number = ((gates_size if forward else columns) + width - 1) // width
        first, last = number * share // PACKING_TASKS, number * (share + 1) // PACKING_TASKS
        if forward:
            if on_inputs and share == 0:
                fill_addends(job, weights, 0, gates_size)
            if not on_inputs and share == 0 and not all_finite(weight, gates_size * columns):
                job.initial = 1  # products with zeros are not zero: NaN * 0 is NaN
            pack_transposed(panels, weight, gates_size, columns, first, last)
        elif layer > 0 or not on_inputs or job.d_inputs:
            pack_plain(panels, weight, gates_size, columns, first, last)

    return prepare


def make_weight_gradient(
    cell: Cell, instructions: InstructionSet, products: Products
) -> Callable[..., None]:
    """Return weight_gradient(job, task, worker), which computes a block of rows."""
    is_gru = cell == GRU
    num_gates = len(cell.gates)
    height, factors = instructions.rows[0], instructions.factors
    all_finite = make_all_finite(instructions.lanes)
    multiply_transposed, pack_rows = products.multiply_transposed, products.pack_rows
    packed_depth = products.packed_depth

    @compiled
    def sum_of_bias(job: Job, layer: int, direction: int, n: int) -> float:
        """Return element `n` of the bias gradient, summed over all parts."""
        total = 0.0
        for number in range(job.num_parts):
            scan = scan_of(job, number, layer, direction)
            gate, unit = n // job.hidden_size, n % job.hidden_size
            total += read_float(scan.d_bias, gate * scan.bias_step + unit)
        return total

    @compiled
    def weight_gradient(job: Job, task: int, worker: int) -> None:
        """Compute a block of rows of the gradients of both weights and biases, over all parts."""
        hidden_size = job.hidden_size
        index = task // job.num_blocks
        layer, direction = index // job.num_directions, index % job.num_directions
        weights = weights_of(job, layer, direction)
        block = task % job.num_blocks
        first = read_integer(job.blocks, block)
        rows = read_integer(job.blocks, block + 1) - first
        packed = job.packed_rows + FLOAT_BYTES * worker * job.packed_rows_step
        # The hidden side of a GRU's new gate has a separate gradient.
        from_memory = is_gru and first >= 2 * hidden_size
        columns = weights.input_size
        d_weight_ih = weights.d_weight_ih + FLOAT_BYTES * first * columns
        d_weight_hh = weights.d_weight_hh + FLOAT_BYTES * first * hidden_size
        begun = False
        begun_hidden = False
        for number in range(job.num_parts):
            scan = scan_of(job, number, layer, direction)
            # Steps that start from zeros do not contribute to d_weight_hh, unless a gradient is not
            # finite: NaN * 0 is NaN.
            low, high = 0, scan.total
            sums_of_gradients = (num_gates + 1) * scan.bias_step
            if not job.initial and all_finite(scan.d_bias, sums_of_gradients):
                if scan.is_reverse:
                    high = read_integer(scan.offsets, scan.steps - 1)
                else:
                    low = read_integer(scan.offsets, 1)
                    low -= low % factors  # do not split a pair; the state of its first step is zero
            for start in range(0, scan.total, GRADIENT_DEPTH):
                depth = min(GRADIENT_DEPTH, scan.total - start)
                gates = scan.gates + FLOAT_BYTES * (start * scan.gates_width + first)
                pack_rows(packed, gates, scan.gates_width, rows, depth)
                multiply_transposed(
                    packed, packed_depth(depth) * height + TILE_GAP,
                    scan.inputs + FLOAT_BYTES * start * scan.inputs_width, scan.inputs_width,
                    d_weight_ih if begun else job.zeros, columns if begun else 0,
                    d_weight_ih, columns, rows, columns, depth,
                )  # fmt: skip
                begun = True
                begin, end = max(start, low), min(start + depth, high)
                if begin >= end:
                    continue
                skipped = begin - start
                if from_memory:
                    memory = scan.memory + FLOAT_BYTES * (
                        start * scan.state_width + first - 2 * hidden_size
                    )
                    pack_rows(packed, memory, scan.state_width, rows, depth)
                multiply_transposed(
                    packed + FLOAT_BYTES * packed_depth(skipped) * height,
                    packed_depth(depth) * height + TILE_GAP,
                    scan.before + FLOAT_BYTES * begin * scan.state_width, scan.state_width,
                    d_weight_hh if begun_hidden else job.zeros, hidden_size if begun_hidden else 0,
                    d_weight_hh, hidden_size, rows, hidden_size, end - begin,
                )  # fmt: skip
                begun_hidden = True
        if not begun_hidden:  # all steps started from zeros
            zero_floats(d_weight_hh, rows * hidden_size)
        if weights.d_bias_ih:
            for n in range(first, first + rows):
                on_inputs = sum_of_bias(job, layer, direction, n)
                on_hidden = on_inputs
                if from_memory:
                    on_hidden = sum_of_bias(job, layer, direction, n + hidden_size)
                write_float(weights.d_bias_ih, n, on_inputs)
                write_float(weights.d_bias_hh, n, on_hidden)

    return weight_gradient
