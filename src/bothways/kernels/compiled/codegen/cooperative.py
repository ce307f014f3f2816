"""Few rows: all threads take each step together, each its share of the hidden units.

A single row leaves nothing to deal out, so a call is cut into stages instead: a layer's products
with its inputs, or one step of one direction. Each stage has a share for each thread, and no thread
goes on before a stage is complete. The weights of a step are read as torch keeps them: packing them
would take longer than using them.
"""

from collections.abc import Callable

from bothways.kernels.cells import GRU, Cell
from bothways.kernels.compiled.codegen.access import part_of, strand_of, weights_of
from bothways.kernels.compiled.codegen.direction import rows_with_state, running_rows, time_of
from bothways.kernels.compiled.codegen.memory import (
    add_among_threads,
    claim_among_threads,
    copy_floats,
    make_all_finite,
    read_among_threads,
    read_integer,
)
from bothways.kernels.compiled.codegen.packing import begin_layer, finish_layer
from bothways.kernels.compiled.codegen.products import Products
from bothways.kernels.compiled.codegen.tiles import make_dots
from bothways.kernels.compiled.codegen.weights import make_fill_seeds
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.structs import FLOAT_BYTES, TEAM_LINE, Job, Strand

# What a stage does.
_TURN, _INPUTS, _STEP = range(3)
# Looks at the counter, some ten microseconds, before a thread that has not come is stood in for.
_PATIENCE = 10_000


def make_team(
    cell: Cell,
    instructions: InstructionSet,
    products: Products,
    step_forward: Callable[..., None],
) -> Callable[..., None]:
    """Return team(job, member): a whole forward call, done by every member of the team."""
    lanes, width = instructions.lanes, instructions.columns
    num_gates = len(cell.gates)
    is_gru = cell == GRU
    multiply, pack_transposed = products.multiply, products.pack_transposed
    fill_seeds = make_fill_seeds(cell)
    dots = make_dots(lanes)
    all_finite = make_all_finite(lanes)

    @compiled
    def first_unit(job: Job, share: int) -> int:
        """Return where the hidden units of a share begin: with a vector."""
        blocks = (job.hidden_size + lanes - 1) // lanes
        return min(job.hidden_size, blocks * share // job.shares * lanes)

    @compiled
    def multiply_inputs(job: Job, layer: int, direction: int, share: int) -> None:
        """Compute the products of a strand with its inputs, for a share of the hidden units."""
        strand, weights = strand_of(job, 0, layer, direction), weights_of(job, layer, direction)
        depth = weights.input_size
        hidden_size = job.hidden_size
        if share == 0 and not all_finite(weights.weight_hh, num_gates * hidden_size * hidden_size):
            job.initial = 1  # NaN times 0 is NaN
        panel = job.team_panels + FLOAT_BYTES * share * job.team_panels_step
        for gate in range(num_gates):
            end = gate * hidden_size + first_unit(job, share + 1)
            for column in range(gate * hidden_size + first_unit(job, share), end, width):
                count = min(width, end - column)
                fill_seeds(job, weights, column, column + count)
                weight = weights.weight_ih + FLOAT_BYTES * column * depth
                pack_transposed(panel, weight, count, depth, 0, 1)
                multiply(
                    strand.inputs, strand.inputs_width, panel, depth * width,
                    weights.seed_ih + FLOAT_BYTES * column, 0,
                    strand.gates + FLOAT_BYTES * column, strand.gates_width,
                    strand.total, count, depth,
                )  # fmt: skip

    @compiled
    def hidden_before(job: Job, strand: Strand, index: int, position: int, row: int) -> int:
        """Return where a row's state before a step is, that nobody writes to meanwhile."""
        if position > 0:
            before = time_of(strand, position - 1)
            if row < running_rows(strand, before):
                place = read_integer(strand.offsets, before) + row
                return strand.outputs + FLOAT_BYTES * place * strand.outputs_width
        if not job.initial_hidden:
            return job.zeros
        number = index * job.batch_size + read_integer(part_of(job, 0).row_numbers, row)
        return job.initial_hidden + FLOAT_BYTES * number * job.hidden_size

    @compiled
    def step(job: Job, layer: int, direction: int, position: int, share: int) -> None:
        """Take a share of the hidden units through one step."""
        strand, weights = strand_of(job, 0, layer, direction), weights_of(job, layer, direction)
        hidden_size = job.hidden_size
        index = layer * job.num_directions + direction
        first, last = first_unit(job, share), first_unit(job, share + 1)
        t = time_of(strand, position)
        rows = running_rows(strand, t)
        stateful = rows_with_state(job, strand, position)
        begin = read_integer(strand.offsets, t)
        gates = strand.gates + FLOAT_BYTES * begin * strand.gates_width
        sums, sums_width = gates, strand.gates_width
        if is_gru:
            sums, sums_width = strand.from_hidden, strand.from_hidden_width
        for unit in range(first, last, lanes):
            active = min(lanes, last - unit)
            for gate in range(num_gates):
                n = gate * hidden_size + unit
                weight = weights.weight_hh + FLOAT_BYTES * n * hidden_size
                for row in range(rows):
                    result = sums + FLOAT_BYTES * (row * sums_width + n)
                    seed = weights.seed_hh + FLOAT_BYTES * n if is_gru else result
                    if row < stateful:
                        before = hidden_before(job, strand, index, position, row)
                        dots(weight, hidden_size, before, seed, result, hidden_size, active)
                    elif is_gru:  # no state, no product: b_hh alone
                        copy_floats(result, seed, active)
        memory = strand.memory
        if job.keep:
            kept = FLOAT_BYTES * begin * strand.state_width
            memory += kept
            for row in range(rows):
                place = FLOAT_BYTES * (row * strand.state_width + first)
                copy_floats(strand.before + kept + place, strand.hidden + place, last - first)
        outputs = strand.outputs + FLOAT_BYTES * begin * strand.outputs_width
        step_forward(job, strand, gates, memory, outputs, rows, first, last)
        if share == 0:
            add_among_threads(job.row_steps_counter, rows)

    @compiled
    def do_share(
        job: Job, stage: int, layer: int, direction: int, position: int, share: int
    ) -> None:
        if stage == _STEP:
            step(job, layer, direction, position, share)
        elif stage == _INPUTS:
            for side in range(job.num_directions):
                multiply_inputs(job, layer, side, share)
        elif share == 0:
            if layer > 0:
                finish_layer(job, 0, layer - 1)
            if layer < job.num_layers:
                begin_layer(job, 0, layer)

    @compiled
    def together(
        job: Job, member: int, number: int, patience: int,
        stage: int, layer: int, direction: int, position: int,
    ) -> int:  # fmt: skip
        """Do one's share of the stage of this `number`, and return when all are done.

        Whoever is not there in time has his share done by others. Returns how long to wait for him
        next time: not at all, until he shows up.
        """
        complete = job.shares * (number + 1)
        next_patience = _PATIENCE
        for turn in range(job.shares):
            if turn > 0:
                looks = 0
                while looks < patience and read_among_threads(job.team) < complete:
                    looks += 1
                if read_among_threads(job.team) >= complete:
                    break
            share = (member + turn) % job.shares
            if claim_among_threads(job.team + TEAM_LINE * (1 + share), number):
                do_share(job, stage, layer, direction, position, share)
                add_among_threads(job.team, 1)
                if turn > 0:
                    next_patience = 0
        while read_among_threads(job.team) < complete:
            pass
        return next_patience

    @compiled
    def team(job: Job, member: int) -> None:
        number = 0
        patience = _PATIENCE
        for layer in range(job.num_layers):
            for stage in (_TURN, _INPUTS):
                patience = together(job, member, number, patience, stage, layer, 0, 0)
                number += 1
            for direction in range(job.num_directions):
                for position in range(strand_of(job, 0, layer, direction).steps):
                    patience = together(
                        job, member, number, patience, _STEP, layer, direction, position
                    )
                    number += 1
        together(job, member, number, patience, _TURN, job.num_layers, 0, 0)

    return team
