"""What is done to the weights: packing them for the products, and summing their gradients."""

from collections.abc import Callable

import numpy as np

from bothways.kernels.cells import GRU, Cell
from bothways.kernels.compiled.codegen.access import strand_of, weights_of
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
    Job,
    Weights,
)


def make_fill_seeds(cell: Cell) -> Callable[..., None]:
    """Return fill_seeds(job, weights, first, last), which lays out what products begin with.

    These are the biases, summed but for a GRU; `first` and `last` count sums.
    """
    is_gru = cell == GRU

    @compiled
    def fill_seeds(job: Job, weights: Weights, first: int, last: int) -> None:
        for n in range(first, last):
            from_inputs = from_hidden = np.float32(0.0)
            if weights.bias_ih:
                from_inputs = read_float(weights.bias_ih, n)
                from_hidden = read_float(weights.bias_hh, n)
            write_float(weights.seed_hh, n, from_hidden)
            write_float(weights.seed_ih, n, from_inputs if is_gru else from_inputs + from_hidden)

    return fill_seeds


def make_prepare(
    cell: Cell, instructions: InstructionSet, products: Products
) -> Callable[..., None]:
    """Return prepare(job, task), which packs a share of one weight."""
    width = instructions.columns
    num_gates = len(cell.gates)
    fill_seeds = make_fill_seeds(cell)
    all_finite = make_all_finite(instructions.lanes)
    pack_transposed, pack_plain = products.pack_transposed, products.pack_plain

    @compiled
    def prepare(job: Job, task: int) -> None:
        """Pack one share of one weight matrix, for the direction that the job runs in."""
        share, matrix = task % PACKING_TASKS, task // PACKING_TASKS
        on_inputs = matrix % 2 == 0
        layer, direction = matrix // 2 // job.num_directions, matrix // 2 % job.num_directions
        weights = weights_of(job, layer, direction)
        sums = num_gates * job.hidden_size
        if on_inputs:
            weight, panels, columns = weights.weight_ih, weights.panels_ih, weights.input_size
        else:
            weight, panels, columns = weights.weight_hh, weights.panels_hh, job.hidden_size
        forward = job.phase == PREPARE_FORWARD
        number = ((sums if forward else columns) + width - 1) // width
        first, last = number * share // PACKING_TASKS, number * (share + 1) // PACKING_TASKS
        if forward:
            if on_inputs and share == 0:
                fill_seeds(job, weights, 0, sums)
            if not on_inputs and share == 0 and not all_finite(weight, sums * columns):
                job.initial = 1  # NaN times 0 is NaN
            pack_transposed(panels, weight, sums, columns, first, last)
        elif layer > 0 or not on_inputs or job.d_inputs:
            pack_plain(panels, weight, sums, columns, first, last)

    return prepare


def make_weight_gradient(
    cell: Cell, instructions: InstructionSet, products: Products
) -> Callable[..., None]:
    """Return weight_gradient(job, task, worker), which sums a block of rows."""
    is_gru = cell == GRU
    num_gates = len(cell.gates)
    height = instructions.rows[0]
    all_finite = make_all_finite(instructions.lanes)
    multiply_transposed, pack_rows = products.multiply_transposed, products.pack_rows

    @compiled
    def sum_of_bias(job: Job, layer: int, direction: int, n: int) -> float:
        """Sum unit `n`, counted over all gates, of the biases' gradients over all parts."""
        total = 0.0
        for number in range(job.num_parts):
            strand = strand_of(job, number, layer, direction)
            gate, unit = n // job.hidden_size, n % job.hidden_size
            total += read_float(strand.d_bias, gate * strand.bias_step + unit)
        return total

    @compiled
    def weight_gradient(job: Job, task: int, worker: int) -> None:
        """Sum one block of rows of both weights' gradients, and of the biases', over all parts."""
        hidden_size = job.hidden_size
        index = task // job.num_blocks
        layer, direction = index // job.num_directions, index % job.num_directions
        weights = weights_of(job, layer, direction)
        block = task % job.num_blocks
        first = read_integer(job.blocks, block)
        rows = read_integer(job.blocks, block + 1) - first
        packed = job.packed_rows + FLOAT_BYTES * worker * job.packed_rows_step
        # A GRU's new gate has a gradient of its own on the hidden side.
        from_memory = is_gru and first >= 2 * hidden_size
        columns = weights.input_size
        d_weight_ih = weights.d_weight_ih + FLOAT_BYTES * first * columns
        d_weight_hh = weights.d_weight_hh + FLOAT_BYTES * first * hidden_size
        begun = False
        begun_hidden = False
        for number in range(job.num_parts):
            strand = strand_of(job, number, layer, direction)
            # Steps without a state before them add nothing to the hidden side; NaN times 0 would.
            low, high = 0, strand.total
            sums_of_gradients = (num_gates + 1) * strand.bias_step
            if not job.initial and all_finite(strand.d_bias, sums_of_gradients):
                if strand.from_end:
                    high = read_integer(strand.offsets, strand.steps - 1)
                else:
                    low = read_integer(strand.offsets, 1)
            for start in range(0, strand.total, GRADIENT_DEPTH):
                depth = min(GRADIENT_DEPTH, strand.total - start)
                gates = strand.gates + FLOAT_BYTES * (start * strand.gates_width + first)
                pack_rows(packed, gates, strand.gates_width, rows, depth)
                multiply_transposed(
                    packed, depth * height,
                    strand.inputs + FLOAT_BYTES * start * strand.inputs_width, strand.inputs_width,
                    d_weight_ih if begun else job.zeros, columns if begun else 0,
                    d_weight_ih, columns, rows, columns, depth,
                )  # fmt: skip
                begun = True
                begin, end = max(start, low), min(start + depth, high)
                if begin >= end:
                    continue
                skipped = begin - start
                if from_memory:
                    memory = strand.memory + FLOAT_BYTES * (
                        start * strand.state_width + first - 2 * hidden_size
                    )
                    pack_rows(packed, memory, strand.state_width, rows, depth)
                multiply_transposed(
                    packed + FLOAT_BYTES * skipped * height,
                    depth * height,
                    strand.before + FLOAT_BYTES * begin * strand.state_width, strand.state_width,
                    d_weight_hh if begun_hidden else job.zeros, hidden_size if begun_hidden else 0,
                    d_weight_hh, hidden_size, rows, hidden_size, end - begin,
                )  # fmt: skip
                begun_hidden = True
        if not begun_hidden:  # no step had a state before it
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
