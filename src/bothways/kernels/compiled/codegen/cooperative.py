"""The forward pass for very few rows: all threads share each time step.

A single row cannot be divided between threads. A call is divided into stages instead: the input
products of a layer, or one time step of one direction. Each stage is divided into shares of the
hidden units, one per thread, and a stage starts when the previous one is complete. If a step is
too small for that (see `Shape.scan_shares`), all time steps of a layer are one stage, and each
share is one direction. If a thread is late, other threads compute its share. Recurrent
weights are read from torch's tensors, because packing them would take longer than the products
themselves.
"""

from collections.abc import Callable

from bothways.kernels.cells import GRU, Cell
from bothways.kernels.compiled.codegen.access import part_of, scan_of, weights_of
from bothways.kernels.compiled.codegen.direction import rows_with_state, running_rows, time_of
from bothways.kernels.compiled.codegen.memory import (
    atomic_add,
    atomic_claim,
    atomic_load,
    copy_floats,
    make_all_finite,
    read_integer,
)
from bothways.kernels.compiled.codegen.packing import begin_layer, finish_layer
from bothways.kernels.compiled.codegen.products import Products
from bothways.kernels.compiled.codegen.tiles import make_dots
from bothways.kernels.compiled.codegen.weights import make_fill_addends
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.structs import COUNTER_STRIDE, FLOAT_BYTES, Job, Scan

# Kinds of stages.
_LAYER_CHANGE, _INPUTS, _STEP, _SCANS = range(4)
# Number of reads of the counter, about ten microseconds, before other threads compute a late
# thread's share.
_SPIN_LIMIT = 10_000


def make_cooperative_forward(
    cell: Cell,
    instructions: InstructionSet,
    products: Products,
    step_forward: Callable[..., None],
) -> Callable[..., None]:
    """Return cooperative_forward(job, thread), a whole forward call that each thread executes."""
    lanes, width = instructions.lanes, instructions.columns
    num_gates = len(cell.gates)
    is_gru = cell == GRU
    multiply, pack_transposed = products.multiply, products.pack_transposed
    fill_addends = make_fill_addends(cell)
    dots = make_dots(lanes)
    all_finite = make_all_finite(lanes)

    @compiled
    def first_unit(job: Job, share: int) -> int:
        """Return the first hidden unit of a share; shares consist of whole vectors."""
        blocks = (job.hidden_size + lanes - 1) // lanes
        return min(job.hidden_size, blocks * share // job.shares * lanes)

    @compiled
    def multiply_inputs(job: Job, layer: int, direction: int, share: int) -> None:
        """Compute the input products of a scan for one share of the hidden units."""
        scan, weights = scan_of(job, 0, layer, direction), weights_of(job, layer, direction)
        depth = weights.input_size
        hidden_size = job.hidden_size
        if share == 0 and not all_finite(weights.weight_hh, num_gates * hidden_size * hidden_size):
            job.initial = 1  # products with zeros are not zero: NaN * 0 is NaN
        panel = job.share_panels + FLOAT_BYTES * share * job.share_panels_step
        for gate in range(num_gates):
            end = gate * hidden_size + first_unit(job, share + 1)
            for column in range(gate * hidden_size + first_unit(job, share), end, width):
                count = min(width, end - column)
                fill_addends(job, weights, column, column + count)
                weight = weights.weight_ih + FLOAT_BYTES * column * depth
                pack_transposed(panel, weight, count, depth, 0, 1)
                multiply(
                    scan.inputs, scan.inputs_width, panel, depth * width,
                    weights.addend_ih + FLOAT_BYTES * column, 0,
                    scan.gates + FLOAT_BYTES * column, scan.gates_width,
                    scan.total, count, depth, 0,
                )  # fmt: skip

    @compiled
    def hidden_before(job: Job, scan: Scan, index: int, position: int, row: int) -> int:
        """Return the address of a row's h before a step; no thread modifies it during the step."""
        if position > 0:
            before = time_of(scan, position - 1)
            if row < running_rows(scan, before):
                place = read_integer(scan.offsets, before) + row
                return scan.outputs + FLOAT_BYTES * place * scan.outputs_width
        if not job.initial_hidden:
            return job.zeros
        number = index * job.batch_size + read_integer(part_of(job, 0).row_numbers, row)
        return job.initial_hidden + FLOAT_BYTES * number * job.hidden_size

    @compiled
    def step(job: Job, layer: int, direction: int, position: int, first: int, last: int) -> None:
        """Compute one time step of the hidden units [first, last)."""
        scan, weights = scan_of(job, 0, layer, direction), weights_of(job, layer, direction)
        hidden_size = job.hidden_size
        index = layer * job.num_directions + direction
        t = time_of(scan, position)
        rows = running_rows(scan, t)
        stateful = rows_with_state(job, scan, position)
        begin = read_integer(scan.offsets, t)
        gates = scan.gates + FLOAT_BYTES * begin * scan.gates_width
        results, result_width = gates, scan.gates_width
        if is_gru:
            results, result_width = scan.from_hidden, scan.from_hidden_width
        for unit in range(first, last, lanes):
            active = min(lanes, last - unit)
            for gate in range(num_gates):
                n = gate * hidden_size + unit
                weight = weights.weight_hh + FLOAT_BYTES * n * hidden_size
                for row in range(rows):
                    result = results + FLOAT_BYTES * (row * result_width + n)
                    addend = weights.addend_hh + FLOAT_BYTES * n if is_gru else result
                    if row < stateful:
                        before = hidden_before(job, scan, index, position, row)
                        dots(weight, hidden_size, before, addend, result, hidden_size, active)
                    elif is_gru:  # h is zero: b_hh only
                        copy_floats(result, addend, active)
        memory = scan.memory
        if job.keep:
            kept = FLOAT_BYTES * begin * scan.state_width
            memory += kept
            for row in range(rows):
                place = FLOAT_BYTES * (row * scan.state_width + first)
                copy_floats(scan.before + kept + place, scan.hidden + place, last - first)
        outputs = scan.outputs + FLOAT_BYTES * begin * scan.outputs_width
        step_forward(job, scan, gates, memory, outputs, rows, first, last)
        if first == 0:
            atomic_add(job.row_steps_counter, rows)

    @compiled
    def run_share(
        job: Job, stage: int, layer: int, direction: int, position: int, share: int
    ) -> None:
        if stage == _STEP:
            first, last = first_unit(job, share), first_unit(job, share + 1)
            step(job, layer, direction, position, first, last)
        elif stage == _SCANS:
            for position in range(scan_of(job, 0, layer, share).steps):
                step(job, layer, share, position, 0, job.hidden_size)
        elif stage == _INPUTS:
            for side in range(job.num_directions):
                multiply_inputs(job, layer, side, share)
        elif share == 0:
            if layer > 0:
                finish_layer(job, 0, layer - 1)
            if layer < job.num_layers:
                begin_layer(job, 0, layer)

    @compiled
    def run_stage(
        job: Job, thread: int, number: int, spin_limit: int,
        stage: int, layer: int, direction: int, position: int,
    ) -> int:  # fmt: skip
        """Run one share of stage `number`, and return when all shares are complete.

        If other threads are late, this thread computes their shares too. Returns the spin limit of
        the next stage: 0 after a thread was late, until it computes its shares again.
        """
        complete = job.shares * (number + 1)
        next_spin_limit = _SPIN_LIMIT
        for distance in range(job.shares):
            if distance > 0:
                spins = 0
                while spins < spin_limit and atomic_load(job.stage_counters) < complete:
                    spins += 1
                if atomic_load(job.stage_counters) >= complete:
                    break
            share = (thread + distance) % job.shares
            if atomic_claim(job.stage_counters + COUNTER_STRIDE * (1 + share), number):
                run_share(job, stage, layer, direction, position, share)
                atomic_add(job.stage_counters, 1)
                if distance > 0:
                    next_spin_limit = 0
        while atomic_load(job.stage_counters) < complete:
            pass
        return next_spin_limit

    @compiled
    def cooperative_forward(job: Job, thread: int) -> None:
        number = 0
        spin_limit = _SPIN_LIMIT
        for layer in range(job.num_layers):
            for stage in (_LAYER_CHANGE, _INPUTS):
                spin_limit = run_stage(job, thread, number, spin_limit, stage, layer, 0, 0)
                number += 1
            if job.scan_shares:
                spin_limit = run_stage(job, thread, number, spin_limit, _SCANS, layer, 0, 0)
                number += 1
                continue
            for direction in range(job.num_directions):
                for position in range(scan_of(job, 0, layer, direction).steps):
                    spin_limit = run_stage(
                        job, thread, number, spin_limit, _STEP, layer, direction, position
                    )
                    number += 1
        run_stage(job, thread, number, spin_limit, _LAYER_CHANGE, job.num_layers, 0, 0)

    return cooperative_forward
