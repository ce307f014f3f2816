"""One direction of one layer over one part of the batch, forward in time and back again.

All rows whose sequences are still running take a step together. Rows lie in order of falling
length, so these are always the first ones, and a row's running state stays in its place: whatever
the direction, the state of a row that has ended, or not begun, is simply not touched.
"""

from collections.abc import Callable
from typing import NamedTuple

from bothways.kernels.cells import GRU, Cell
from bothways.kernels.compiled.codegen.memory import (
    add_among_threads,
    copy_floats,
    read_integer,
    zero_floats,
)
from bothways.kernels.compiled.codegen.pointwise import make_pointwise
from bothways.kernels.compiled.codegen.products import Products
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.structs import FLOAT_BYTES, Job, Strand, Weights


class Strands(NamedTuple):
    """The functions of one cell.

    step_forward(job, strand, gates, memory, outputs, rows, first, last)
        Turn the sums of units [first, last) into gates and states; `first` begins a vector.
    forward(job, strand, weights)
    backward(job, strand, weights, add_d_inputs)
    """

    step_forward: Callable[..., None]
    forward: Callable[..., None]
    backward: Callable[..., None]


@compiled
def running_rows(strand: Strand, t: int) -> int:
    """Return how many rows have a step `t`."""
    return read_integer(strand.offsets, t + 1) - read_integer(strand.offsets, t)


@compiled
def time_of(strand: Strand, position: int) -> int:
    """Return the step that a strand takes as its `position`-th."""
    return strand.steps - 1 - position if strand.from_end else position


@compiled
def rows_with_state(job: Job, strand: Strand, position: int) -> int:
    """Return how many rows come to their `position`-th step with a state that may not be zero."""
    rows = running_rows(strand, time_of(strand, position))
    if job.initial:
        return rows
    if position == 0:
        return 0
    return min(rows, running_rows(strand, time_of(strand, position - 1)))


@compiled
def _chunk_end(strand: Strand, position: int, limit: int) -> int:
    """Return the position after the steps from `position` on that have up to `limit` rows."""
    rows = running_rows(strand, time_of(strand, position))
    position += 1
    while position < strand.steps:
        rows += running_rows(strand, time_of(strand, position))
        if rows > limit:
            break
        position += 1
    return position


def make_strands(cell: Cell, instructions: InstructionSet, products: Products) -> Strands:
    """Return the functions for `cell`."""
    lanes, width = instructions.lanes, instructions.columns
    num_gates = len(cell.gates)
    is_gru = cell == GRU
    multiply = products.multiply
    pointwise = make_pointwise(cell, lanes, masked=False)
    pointwise_edge = make_pointwise(cell, lanes, masked=True)
    cell_forward, cell_backward = pointwise.forward, pointwise.backward
    edge_forward, edge_backward = pointwise_edge.forward, pointwise_edge.backward

    # Layers of fewer units than lanes go without masks, which cost them a quarter of their speed (a
    # masked store is not forwarded to the load that follows). The spare lanes are garbage: a gate's
    # spills into the next gate, which is read before and written after; an output's into the other
    # direction's, which is written later; all others' into the padding that ends their rows.

    @compiled
    def step_forward(
        job: Job, strand: Strand, gates: int, memory: int, outputs: int, rows: int,
        first: int, last: int,
    ) -> None:  # fmt: skip
        hidden_size = job.hidden_size
        for row in range(rows):
            row_gates = gates + FLOAT_BYTES * row * strand.gates_width
            from_hidden = strand.from_hidden + FLOAT_BYTES * row * strand.from_hidden_width
            shift = FLOAT_BYTES * row * strand.state_width
            output = outputs + FLOAT_BYTES * row * strand.outputs_width
            unit = first
            while unit + lanes <= last or unit == 0:
                place = FLOAT_BYTES * unit
                cell_forward(
                    row_gates + place, hidden_size, from_hidden + place, memory + shift + place,
                    strand.hidden + shift + place, strand.cell + shift + place,
                    output + place, lanes,
                )  # fmt: skip
                unit += lanes
            if unit < last:
                place = FLOAT_BYTES * unit
                edge_forward(
                    row_gates + place, hidden_size, from_hidden + place, memory + shift + place,
                    strand.hidden + shift + place, strand.cell + shift + place,
                    output + place, last - unit,
                )  # fmt: skip

    @compiled
    def forward(job: Job, strand: Strand, weights: Weights) -> None:
        hidden_size = job.hidden_size
        sums = num_gates * hidden_size
        gates_step = FLOAT_BYTES * strand.gates_width
        position = 0
        row_steps = 0
        while position < strand.steps:
            end = _chunk_end(strand, position, job.chunk_rows)
            first = min(time_of(strand, position), time_of(strand, end - 1))
            last = max(time_of(strand, position), time_of(strand, end - 1))
            start = read_integer(strand.offsets, first)
            count = read_integer(strand.offsets, last + 1) - start
            # Without a backward pass to come, one chunk's gates are enough.
            chunk_gates = strand.gates + (gates_step * start if job.keep else 0)
            multiply(
                strand.inputs + FLOAT_BYTES * start * strand.inputs_width, strand.inputs_width,
                weights.panels_ih, weights.input_size * width, weights.seed_ih, 0,
                chunk_gates, strand.gates_width, count, sums, weights.input_size,
            )  # fmt: skip
            while position < end:
                t = time_of(strand, position)
                rows = running_rows(strand, t)
                stateful = rows_with_state(job, strand, position)
                begin = read_integer(strand.offsets, t)
                gates = chunk_gates + gates_step * (begin - start)
                if is_gru:
                    multiply(
                        strand.hidden, strand.state_width,
                        weights.panels_hh, hidden_size * width, weights.seed_hh, 0,
                        strand.from_hidden, strand.from_hidden_width, stateful, sums, hidden_size,
                    )  # fmt: skip
                    multiply(  # no state, no product: b_hh alone
                        strand.hidden, strand.state_width,
                        weights.panels_hh, hidden_size * width, weights.seed_hh, 0,
                        strand.from_hidden + FLOAT_BYTES * stateful * strand.from_hidden_width,
                        strand.from_hidden_width, rows - stateful, sums, 0,
                    )  # fmt: skip
                else:
                    multiply(
                        strand.hidden, strand.state_width,
                        weights.panels_hh, hidden_size * width, gates, strand.gates_width,
                        gates, strand.gates_width, stateful, sums, hidden_size,
                    )  # fmt: skip
                memory = strand.memory
                if job.keep:
                    kept = FLOAT_BYTES * begin * strand.state_width
                    memory += kept
                    copy_floats(strand.before + kept, strand.hidden, rows * strand.state_width)
                outputs = strand.outputs + FLOAT_BYTES * begin * strand.outputs_width
                step_forward(job, strand, gates, memory, outputs, rows, 0, hidden_size)
                row_steps += rows
                position += 1
        add_among_threads(job.row_steps_counter, row_steps)

    @compiled
    def step_backward(
        job: Job, strand: Strand, gates: int, kept: int, d_outputs: int, rows: int
    ) -> None:
        hidden_size = job.hidden_size
        for row in range(rows):
            row_gates = gates + FLOAT_BYTES * row * strand.gates_width
            d_output = d_outputs + FLOAT_BYTES * row * strand.d_outputs_width
            shift = FLOAT_BYTES * row * strand.state_width
            unit = 0
            while unit + lanes <= hidden_size or unit == 0:
                place = FLOAT_BYTES * unit
                cell_backward(
                    row_gates + place, hidden_size, strand.memory + kept + shift + place,
                    strand.before + kept + shift + place, d_output + place,
                    strand.d_hidden + shift + place, strand.d_cell + shift + place,
                    strand.d_bias + place, strand.bias_step, lanes,
                )  # fmt: skip
                unit += lanes
            if unit < hidden_size:
                place = FLOAT_BYTES * unit
                edge_backward(
                    row_gates + place, hidden_size, strand.memory + kept + shift + place,
                    strand.before + kept + shift + place, d_output + place,
                    strand.d_hidden + shift + place, strand.d_cell + shift + place,
                    strand.d_bias + place, strand.bias_step, hidden_size - unit,
                )  # fmt: skip

    @compiled
    def backward(job: Job, strand: Strand, weights: Weights, add_d_inputs: int) -> None:
        hidden_size = job.hidden_size
        sums = num_gates * hidden_size
        panel_step = sums * width
        zero_floats(strand.d_bias, (num_gates + 1) * strand.bias_step)
        for position in range(strand.steps - 1, -1, -1):
            t = time_of(strand, position)
            begin = read_integer(strand.offsets, t)
            gates = strand.gates + FLOAT_BYTES * begin * strand.gates_width
            kept = FLOAT_BYTES * begin * strand.state_width
            d_outputs = strand.d_outputs + FLOAT_BYTES * begin * strand.d_outputs_width
            step_backward(job, strand, gates, kept, d_outputs, running_rows(strand, t))
            stateful = rows_with_state(job, strand, position)
            if is_gru:
                multiply(  # reset and update
                    gates, strand.gates_width, weights.panels_hh, panel_step,
                    strand.d_hidden, strand.state_width, strand.d_hidden, strand.state_width,
                    stateful, hidden_size, 2 * hidden_size,
                )  # fmt: skip
                multiply(  # new: its hidden side stands inside the reset gate
                    strand.memory + kept, strand.state_width,
                    weights.panels_hh + FLOAT_BYTES * 2 * hidden_size * width, panel_step,
                    strand.d_hidden, strand.state_width, strand.d_hidden, strand.state_width,
                    stateful, hidden_size, hidden_size,
                )  # fmt: skip
            else:
                multiply(
                    gates, strand.gates_width, weights.panels_hh, panel_step, job.zeros, 0,
                    strand.d_hidden, strand.state_width, stateful, hidden_size, sums,
                )  # fmt: skip
        if strand.d_inputs:
            seed = strand.d_inputs if add_d_inputs else job.zeros
            multiply(
                strand.gates, strand.gates_width, weights.panels_ih, panel_step,
                seed, strand.d_inputs_width if add_d_inputs else 0,
                strand.d_inputs, strand.d_inputs_width,
                strand.total, weights.input_size, sums,
            )  # fmt: skip

    return Strands(step_forward, forward, backward)
