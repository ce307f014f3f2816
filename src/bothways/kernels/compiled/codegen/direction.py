"""One direction of one layer over one part of the batch: forward and backward pass.

All rows that have a time step compute it together. Rows are in descending order of length, so these
are always the first rows, and the state of a row has a fixed place. The state of a row that has
ended, or has not started in the backward direction, is not modified.
"""

from collections.abc import Callable
from typing import NamedTuple

from bothways.kernels.cells import GRU, Cell
from bothways.kernels.compiled.codegen.memory import (
    atomic_add,
    copy_floats,
    read_integer,
    zero_floats,
)
from bothways.kernels.compiled.codegen.pointwise import make_pointwise
from bothways.kernels.compiled.codegen.products import Products
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.structs import FLOAT_BYTES, Job, Scan, Weights


class Scans(NamedTuple):
    """The functions of one cell.

    step_forward(job, scan, gates, memory, outputs, rows, first, last)
        Compute gates and states of units [first, last); `first` is a multiple of the lanes.
    forward(job, scan, weights)
    backward(job, scan, weights)
        Compute the gradients of the gates.
    input_gradient(job, scan, weights, add, first, last)
        Compute, or add to, the gradients of the inputs in packed rows [first, last).
    """

    step_forward: Callable[..., None]
    forward: Callable[..., None]
    backward: Callable[..., None]
    input_gradient: Callable[..., None]


@compiled
def running_rows(scan: Scan, t: int) -> int:
    """Return the number of rows that have a time step `t`."""
    return read_integer(scan.offsets, t + 1) - read_integer(scan.offsets, t)


@compiled
def time_of(scan: Scan, position: int) -> int:
    """Return the time step at a position in the order of a scan."""
    return scan.steps - 1 - position if scan.is_reverse else position


@compiled
def rows_with_state(job: Job, scan: Scan, position: int) -> int:
    """Return how many rows have a state before the step at `position` that may not be zero."""
    rows = running_rows(scan, time_of(scan, position))
    if job.initial:
        return rows
    if position == 0:
        return 0
    return min(rows, running_rows(scan, time_of(scan, position - 1)))


@compiled
def _chunk_end(scan: Scan, position: int, limit: int) -> int:
    """Return the end of a chunk of steps from `position` on, with up to `limit` rows in total."""
    rows = running_rows(scan, time_of(scan, position))
    position += 1
    while position < scan.steps:
        rows += running_rows(scan, time_of(scan, position))
        if rows > limit:
            break
        position += 1
    return position


def make_scans(cell: Cell, instructions: InstructionSet, products: Products) -> Scans:
    """Return the functions for `cell`."""
    lanes, width = instructions.lanes, instructions.columns
    num_gates = len(cell.gates)
    is_gru = cell == GRU
    multiply, packed_depth = products.multiply, products.packed_depth
    # Two vectors at once: one alone waits for the latency of its arithmetic.
    pointwise_wide = make_pointwise(cell, 2 * lanes, masked=False)
    wide_forward, wide_backward = pointwise_wide.forward, pointwise_wide.backward
    pointwise = make_pointwise(cell, lanes, masked=False)
    pointwise_edge = make_pointwise(cell, lanes, masked=True)
    cell_forward, cell_backward = pointwise.forward, pointwise.backward
    edge_forward, edge_backward = pointwise_edge.forward, pointwise_edge.backward

    # Layers with fewer units than lanes use no masks, which would cost a quarter of their speed (a
    # masked store is not forwarded to the next load). The unused lanes contain garbage. Those of a
    # gate overwrite the next gate, which has been read already and is written next. Those of an
    # output overwrite the other direction, which is written later. All others are in row padding.

    @compiled
    def step_forward(
        job: Job, scan: Scan, gates: int, memory: int, outputs: int, rows: int,
        first: int, last: int,
    ) -> None:  # fmt: skip
        hidden_size = job.hidden_size
        for row in range(rows):
            row_gates = gates + FLOAT_BYTES * row * scan.gates_width
            from_hidden = scan.from_hidden + FLOAT_BYTES * row * scan.from_hidden_width
            shift = FLOAT_BYTES * row * scan.state_width
            output = outputs + FLOAT_BYTES * row * scan.outputs_width
            unit = first
            while unit + 2 * lanes <= last:
                place = FLOAT_BYTES * unit
                wide_forward(
                    row_gates + place, hidden_size, from_hidden + place, memory + shift + place,
                    scan.hidden + shift + place, scan.cell + shift + place,
                    output + place, lanes,
                )  # fmt: skip
                unit += 2 * lanes
            while unit + lanes <= last or unit == 0:
                place = FLOAT_BYTES * unit
                cell_forward(
                    row_gates + place, hidden_size, from_hidden + place, memory + shift + place,
                    scan.hidden + shift + place, scan.cell + shift + place,
                    output + place, lanes,
                )  # fmt: skip
                unit += lanes
            if unit < last:
                place = FLOAT_BYTES * unit
                edge_forward(
                    row_gates + place, hidden_size, from_hidden + place, memory + shift + place,
                    scan.hidden + shift + place, scan.cell + shift + place,
                    output + place, last - unit,
                )  # fmt: skip

    @compiled
    def forward(job: Job, scan: Scan, weights: Weights) -> None:
        hidden_size = job.hidden_size
        gates_size = num_gates * hidden_size
        gates_step = FLOAT_BYTES * scan.gates_width
        panel_step = packed_depth(hidden_size) * width
        position = 0
        row_steps = 0
        while position < scan.steps:
            end = _chunk_end(scan, position, job.chunk_rows)
            first = min(time_of(scan, position), time_of(scan, end - 1))
            last = max(time_of(scan, position), time_of(scan, end - 1))
            start = read_integer(scan.offsets, first)
            count = read_integer(scan.offsets, last + 1) - start
            # Without a backward pass, the gates of one chunk are sufficient.
            chunk_gates = scan.gates + (gates_step * start if job.keep else 0)
            multiply(
                scan.inputs + FLOAT_BYTES * start * scan.inputs_width, scan.inputs_width,
                weights.panels_ih, packed_depth(weights.input_size) * width, weights.addend_ih, 0,
                chunk_gates, scan.gates_width, count, gates_size, weights.input_size, 0,
            )  # fmt: skip
            while position < end:
                t = time_of(scan, position)
                rows = running_rows(scan, t)
                stateful = rows_with_state(job, scan, position)
                begin = read_integer(scan.offsets, t)
                gates = chunk_gates + gates_step * (begin - start)
                # Recurrent weights that exceed the second-level cache are read in alternating
                # order: the panels that the previous step read last are still there.
                descending = position % 2
                if is_gru:
                    multiply(
                        scan.hidden, scan.state_width,
                        weights.panels_hh, panel_step, weights.addend_hh, 0,
                        scan.from_hidden, scan.from_hidden_width,
                        stateful, gates_size, hidden_size, descending,
                    )  # fmt: skip
                    multiply(  # h is zero: b_hh only
                        scan.hidden, scan.state_width,
                        weights.panels_hh, panel_step, weights.addend_hh, 0,
                        scan.from_hidden + FLOAT_BYTES * stateful * scan.from_hidden_width,
                        scan.from_hidden_width, rows - stateful, gates_size, 0, 0,
                    )  # fmt: skip
                else:
                    multiply(
                        scan.hidden, scan.state_width,
                        weights.panels_hh, panel_step, gates, scan.gates_width,
                        gates, scan.gates_width, stateful, gates_size, hidden_size, descending,
                    )  # fmt: skip
                memory = scan.memory
                if job.keep:
                    kept = FLOAT_BYTES * begin * scan.state_width
                    memory += kept
                    copy_floats(scan.before + kept, scan.hidden, rows * scan.state_width)
                outputs = scan.outputs + FLOAT_BYTES * begin * scan.outputs_width
                step_forward(job, scan, gates, memory, outputs, rows, 0, hidden_size)
                row_steps += rows
                position += 1
        atomic_add(job.row_steps_counter, row_steps)

    @compiled
    def step_backward(
        job: Job, scan: Scan, gates: int, kept: int, d_outputs: int, rows: int
    ) -> None:
        hidden_size = job.hidden_size
        for row in range(rows):
            row_gates = gates + FLOAT_BYTES * row * scan.gates_width
            d_output = d_outputs + FLOAT_BYTES * row * scan.d_outputs_width
            shift = FLOAT_BYTES * row * scan.state_width
            unit = 0
            while unit + 2 * lanes <= hidden_size:
                place = FLOAT_BYTES * unit
                wide_backward(
                    row_gates + place, hidden_size, scan.memory + kept + shift + place,
                    scan.before + kept + shift + place, d_output + place,
                    scan.d_hidden + shift + place, scan.d_cell + shift + place,
                    scan.d_bias + place, scan.bias_step, lanes,
                )  # fmt: skip
                unit += 2 * lanes
            while unit + lanes <= hidden_size or unit == 0:
                place = FLOAT_BYTES * unit
                cell_backward(
                    row_gates + place, hidden_size, scan.memory + kept + shift + place,
                    scan.before + kept + shift + place, d_output + place,
                    scan.d_hidden + shift + place, scan.d_cell + shift + place,
                    scan.d_bias + place, scan.bias_step, lanes,
                )  # fmt: skip
                unit += lanes
            if unit < hidden_size:
                place = FLOAT_BYTES * unit
                edge_backward(
                    row_gates + place, hidden_size, scan.memory + kept + shift + place,
                    scan.before + kept + shift + place, d_output + place,
                    scan.d_hidden + shift + place, scan.d_cell + shift + place,
                    scan.d_bias + place, scan.bias_step, hidden_size - unit,
                )  # fmt: skip

    @compiled
    def backward(job: Job, scan: Scan, weights: Weights) -> None:
        hidden_size = job.hidden_size
        gates_size = num_gates * hidden_size
        panel_step = packed_depth(gates_size) * width
        zero_floats(scan.d_bias, (num_gates + 1) * scan.bias_step)
        for position in range(scan.steps - 1, -1, -1):
            t = time_of(scan, position)
            begin = read_integer(scan.offsets, t)
            gates = scan.gates + FLOAT_BYTES * begin * scan.gates_width
            kept = FLOAT_BYTES * begin * scan.state_width
            d_outputs = scan.d_outputs + FLOAT_BYTES * begin * scan.d_outputs_width
            step_backward(job, scan, gates, kept, d_outputs, running_rows(scan, t))
            stateful = rows_with_state(job, scan, position)
            descending = position % 2
            if is_gru:
                multiply(  # reset and update gates
                    gates, scan.gates_width, weights.panels_hh, panel_step,
                    scan.d_hidden, scan.state_width, scan.d_hidden, scan.state_width,
                    stateful, hidden_size, 2 * hidden_size, descending,
                )  # fmt: skip
                multiply(  # new gate: r scales its hidden side
                    scan.memory + kept, scan.state_width,
                    weights.panels_hh + FLOAT_BYTES * packed_depth(2 * hidden_size) * width,
                    panel_step,
                    scan.d_hidden, scan.state_width, scan.d_hidden, scan.state_width,
                    stateful, hidden_size, hidden_size, descending,
                )  # fmt: skip
            else:
                multiply(
                    gates, scan.gates_width, weights.panels_hh, panel_step, job.zeros, 0,
                    scan.d_hidden, scan.state_width, stateful, hidden_size, gates_size, descending,
                )  # fmt: skip

    @compiled
    def input_gradient(
        job: Job, scan: Scan, weights: Weights, add: int, first: int, last: int
    ) -> None:
        if not scan.d_inputs:
            return
        gates_size = num_gates * job.hidden_size
        d_inputs = scan.d_inputs + FLOAT_BYTES * first * scan.d_inputs_width
        multiply(
            scan.gates + FLOAT_BYTES * first * scan.gates_width, scan.gates_width,
            weights.panels_ih, packed_depth(gates_size) * width,
            d_inputs if add else job.zeros, scan.d_inputs_width if add else 0,
            d_inputs, scan.d_inputs_width, last - first, weights.input_size, gates_size, 0,
        )  # fmt: skip

    return Scans(step_forward, forward, backward, input_gradient)
