"""The whole engine for one cell as one compiled function: `run(job)`, called by every thread.

A job has phases; in each, threads take tasks one by one until none is left. Forward and backward,
a task is a part of the batch through all layers, so that threads meet only where a phase ends.
"""

from collections.abc import Callable
from typing import Any

from bothways.cells import GRU, Cell
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.memory import (
    add_among_threads,
    copy_floats,
    make_record_at,
    read_float,
    read_integer,
    write_float,
    zero_floats,
)
from bothways.kernels.compiled.products import Products, make_products
from bothways.kernels.compiled.records import (
    BACKWARD,
    FLOAT_BYTES,
    FORWARD,
    GRADIENT_DEPTH,
    JOB,
    NEXT_TASK,
    NEXT_WORKER,
    PACKING_TASKS,
    PART,
    PREPARE_BACKWARD,
    PREPARE_FORWARD,
    STRAND,
    WEIGHTS,
)
from bothways.kernels.compiled.strands import make_strands

job_at, part_at, weights_at, strand_at = map(make_record_at, (JOB, PART, WEIGHTS, STRAND))


@compiled
def _weights(job: Any, layer: Any, direction: Any) -> Any:
    return weights_at(job.weights, layer * job.num_directions + direction)


@compiled
def _part(job: Any, part: Any) -> Any:
    return part_at(job.parts, part)


@compiled
def _strand(job: Any, part: Any, layer: Any, direction: Any) -> Any:
    index = (part * job.num_layers + layer) * job.num_directions + direction
    return strand_at(job.strands, index)


@compiled
def _step_address(tensor: Any, time_step: Any, row_step: Any, t: Any, row: Any) -> Any:
    return tensor + FLOAT_BYTES * (t * time_step + row * row_step)


@compiled
def _gather(
    part: Any, source: Any, time_step: Any, row_step: Any, result: Any, width: Any, count: Any
) -> None:
    """Copy a part's steps out of a tensor of the caller's, packed."""
    for t in range(part.steps):
        begin = read_integer(part.offsets, t)
        for row in range(read_integer(part.offsets, t + 1) - begin):
            number = read_integer(part.row_numbers, row)
            place = _step_address(source, time_step, row_step, t, number)
            copy_floats(result + FLOAT_BYTES * (begin + row) * width, place, count)


@compiled
def _scatter(
    job: Any, part: Any, source: Any, width: Any, count: Any, result: Any, time_step: Any,
    row_step: Any,
) -> None:  # fmt: skip
    """Copy packed steps into a tensor of the caller's; zeros where a row has ended."""
    for row in range(part.rows):
        number = read_integer(part.row_numbers, row)
        length = read_integer(part.lengths, row)
        for t in range(length):
            step = read_integer(part.offsets, t) + row
            place = _step_address(result, time_step, row_step, t, number)
            copy_floats(place, source + FLOAT_BYTES * step * width, count)
        for t in range(length, job.time):
            zero_floats(_step_address(result, time_step, row_step, t, number), count)


@compiled
def _load_state(job: Any, part: Any, tensor: Any, index: Any, state: Any, width: Any) -> None:
    """Copy the state of one direction of one layer from a tensor, or zeros if there is none."""
    if not tensor:
        zero_floats(state, part.rows * width)
        return
    for row in range(part.rows):
        number = index * job.batch_size + read_integer(part.row_numbers, row)
        copy_floats(
            state + FLOAT_BYTES * row * width,
            tensor + FLOAT_BYTES * number * job.hidden_size,
            job.hidden_size,
        )


@compiled
def _save_state(job: Any, part: Any, state: Any, width: Any, tensor: Any, index: Any) -> None:
    """Copy the state of one direction of one layer into a tensor, if there is one."""
    if not tensor:
        return
    for row in range(part.rows):
        number = index * job.batch_size + read_integer(part.row_numbers, row)
        copy_floats(
            tensor + FLOAT_BYTES * number * job.hidden_size,
            state + FLOAT_BYTES * row * width,
            job.hidden_size,
        )


@compiled
def _last_step(part: Any, row: Any) -> Any:
    """Return the packed place of a row's last step."""
    return read_integer(part.offsets, read_integer(part.lengths, row) - 1) + row


@compiled
def _gather_last(part: Any, source: Any, width: Any, result: Any) -> None:
    for row in range(part.rows):
        copy_floats(
            result + FLOAT_BYTES * row * width,
            source + FLOAT_BYTES * _last_step(part, row) * width,
            width,
        )


@compiled
def _add_last(part: Any, source: Any, width: Any, result: Any) -> None:
    for row in range(part.rows):
        place = result + FLOAT_BYTES * _last_step(part, row) * width
        for n in range(width):
            added = read_float(place, n) + read_float(source, row * width + n)
            write_float(place, n, added)


@compiled
def _drop(job: Any, part: Any, layer: Any, values: Any, width: Any) -> None:
    """Multiply packed outputs of `layer`, or their gradients, by its dropout mask."""
    features = job.num_directions * job.hidden_size
    for t in range(part.steps):
        begin = read_integer(part.offsets, t)
        for row in range(read_integer(part.offsets, t + 1) - begin):
            number = read_integer(part.row_numbers, row)
            step = (layer * job.time + t) * job.batch_size + number
            mask = job.masks + FLOAT_BYTES * step * features
            place = values + FLOAT_BYTES * (begin + row) * width
            for n in range(features):
                write_float(place, n, read_float(place, n) * read_float(mask, n))


@compiled
def _gather_inputs(job: Any, number: Any) -> None:
    part = _part(job, number)
    strand = _strand(job, number, 0, 0)
    _gather(
        part, job.inputs, job.inputs_time_step, job.inputs_row_step,
        strand.inputs, strand.inputs_width, job.input_size,
    )  # fmt: skip


def make_program(cell: Cell, instructions: InstructionSet) -> Callable[[int], None]:
    """Return the engine for `cell`: a Numba function of the address of a `JOB`."""
    products = make_products(instructions)
    strands = make_strands(cell, instructions, products)
    prepare = _make_prepare(cell, instructions, products)
    forward_part = _make_forward_part(strands.forward)
    backward_part = _make_backward_part(strands.backward)
    weight_gradient = _make_weight_gradient(cell, instructions, products)

    @compiled
    def run_task(job: Any, task: Any, worker: Any) -> None:
        if job.phase == PREPARE_FORWARD:
            packing = 2 * PACKING_TASKS * job.num_layers * job.num_directions
            if task < packing:
                prepare(job, task)
            else:
                _gather_inputs(job, task - packing)
        elif job.phase == PREPARE_BACKWARD:
            prepare(job, task)
        elif job.phase == FORWARD:
            if job.layer < 0:
                for layer in range(job.num_layers):
                    forward_part(job, task, layer, 0, job.num_directions)
            else:  # few rows: the directions of a layer are tasks of their own
                direction = task % job.num_directions
                part = task // job.num_directions
                forward_part(job, part, job.layer, direction, direction + 1)
        elif job.phase == BACKWARD:
            backward_part(job, task)
        else:
            weight_gradient(job, task, worker)

    @compiled
    def run(address: Any) -> None:
        job = job_at(address, 0)
        worker = add_among_threads(address + NEXT_WORKER, 1)
        while True:
            task = add_among_threads(address + NEXT_TASK, 1)
            if task >= job.tasks:
                break
            run_task(job, task, worker)

    return run


def _make_prepare(
    cell: Cell, instructions: InstructionSet, products: Products
) -> Callable[..., None]:
    width = instructions.columns
    num_gates = len(cell.gates)
    is_gru = cell == GRU
    pack_transposed, pack_plain = products.pack_transposed, products.pack_plain

    @compiled
    def fill_seeds(job: Any, weights: Any) -> None:
        """Lay out what the products begin with: the biases, summed but for a GRU."""
        sums = num_gates * job.hidden_size
        if not weights.bias_ih:
            zero_floats(weights.seed_ih, sums)
            zero_floats(weights.seed_hh, sums)
            return
        for n in range(sums):
            from_inputs, from_hidden = (
                read_float(weights.bias_ih, n),
                read_float(weights.bias_hh, n),
            )
            write_float(weights.seed_hh, n, from_hidden)
            write_float(weights.seed_ih, n, from_inputs + (0.0 if is_gru else from_hidden))

    @compiled
    def prepare(job: Any, task: Any) -> None:
        """Pack one share of one weight matrix, for the direction that the job runs in."""
        share = task % PACKING_TASKS
        matrix = task // PACKING_TASKS
        weights = weights_at(job.weights, matrix // 2)
        sums = num_gates * job.hidden_size
        if matrix % 2 == 0:
            weight, panels, columns = weights.weight_ih, weights.panels_ih, weights.input_size
        else:
            weight, panels, columns = weights.weight_hh, weights.panels_hh, job.hidden_size
        if job.phase == PREPARE_FORWARD:
            if matrix % 2 == 0 and share == 0:
                fill_seeds(job, weights)
            number = (sums + width - 1) // width
            first, last = number * share // PACKING_TASKS, number * (share + 1) // PACKING_TASKS
            pack_transposed(panels, weight, sums, columns, first, last)
        elif matrix >= 2 * job.num_directions or matrix % 2 == 1 or job.d_inputs:
            number = (columns + width - 1) // width
            first, last = number * share // PACKING_TASKS, number * (share + 1) // PACKING_TASKS
            pack_plain(panels, weight, sums, columns, first, last)

    return prepare


def _make_forward_part(forward: Callable[..., None]) -> Callable[..., None]:
    @compiled
    def forward_part(
        job: Any, number: Any, layer: Any, first_direction: Any, last_direction: Any
    ) -> None:
        """Run directions of one layer over one part, and hand on what comes out."""
        part = _part(job, number)
        top = layer == job.num_layers - 1
        for direction in range(first_direction, last_direction):
            index = layer * job.num_directions + direction
            strand = _strand(job, number, layer, direction)
            if strand.one_step:
                below = _strand(job, number, layer, 0)
                _gather_last(part, below.inputs, strand.inputs_width, strand.inputs)
            _load_state(job, part, job.initial_hidden, index, strand.hidden, strand.state_width)
            _load_state(job, part, job.initial_cell, index, strand.cell, strand.state_width)
            forward(job, strand, _weights(job, layer, direction))
            _save_state(job, part, strand.hidden, strand.state_width, job.final_hidden, index)
            _save_state(job, part, strand.cell, strand.state_width, job.final_cell, index)
            if top and job.last:
                _save_last(job, part, strand, direction)
            elif top:
                features = job.hidden_size
                shift = FLOAT_BYTES * direction * features
                _scatter(
                    job, part, strand.outputs, strand.outputs_width, features,
                    job.outputs + shift, job.outputs_time_step, job.outputs_row_step,
                )  # fmt: skip
        if not top and job.masks:
            outputs = _strand(job, number, layer, 0)
            _drop(job, part, layer, outputs.outputs, outputs.outputs_width)

    return forward_part


@compiled
def _save_last(job: Any, part: Any, strand: Any, direction: Any) -> None:
    """Copy a direction's final states, which are its outputs at each row's last step."""
    for row in range(part.rows):
        number = read_integer(part.row_numbers, row)
        place = job.outputs + FLOAT_BYTES * (
            number * job.outputs_row_step + direction * job.hidden_size
        )
        source = strand.hidden + FLOAT_BYTES * row * strand.state_width
        copy_floats(place, source, job.hidden_size)


@compiled
def _load_last(job: Any, part: Any, strand: Any, direction: Any) -> None:
    """Copy the gradients of `_save_last` into a direction's running gradient."""
    for row in range(part.rows):
        number = read_integer(part.row_numbers, row)
        place = job.d_outputs + FLOAT_BYTES * (
            number * job.d_outputs_row_step + direction * job.hidden_size
        )
        result = strand.d_hidden + FLOAT_BYTES * row * strand.state_width
        copy_floats(result, place, job.hidden_size)


def _make_backward_part(backward: Callable[..., None]) -> Callable[..., None]:
    @compiled
    def backward_part(job: Any, number: Any) -> None:
        """Run all layers back over one part: sums' gradients stay where the gates were."""
        part = _part(job, number)
        top = job.num_layers - 1
        highest = _strand(job, number, top, 0)
        if not job.last and not job.d_outputs:  # only final states have gradients
            zero_floats(highest.d_outputs, part.total * highest.d_outputs_width)
        elif not job.last:
            _gather(
                part, job.d_outputs, job.d_outputs_time_step, job.d_outputs_row_step,
                highest.d_outputs, highest.d_outputs_width, job.num_directions * job.hidden_size,
            )  # fmt: skip
        for layer in range(top, -1, -1):
            for direction in range(job.num_directions):
                index = layer * job.num_directions + direction
                strand = _strand(job, number, layer, direction)
                width = strand.state_width
                if layer == top and job.last:
                    _load_last(job, part, strand, direction)
                else:
                    _load_state(job, part, job.d_final_hidden, index, strand.d_hidden, width)
                _load_state(job, part, job.d_final_cell, index, strand.d_cell, width)
                add = direction > 0 and not strand.one_step
                backward(job, strand, _weights(job, layer, direction), add)
                _save_state(job, part, strand.d_hidden, width, job.d_initial_hidden, index)
                _save_state(job, part, strand.d_cell, width, job.d_initial_cell, index)
                if strand.one_step and strand.d_inputs:
                    all_steps = _strand(job, number, layer, 0)
                    _add_last(part, strand.d_inputs, strand.d_inputs_width, all_steps.d_inputs)
            lowest = _strand(job, number, layer, 0)
            if layer > 0:
                if job.masks:
                    _drop(job, part, layer - 1, lowest.d_inputs, lowest.d_inputs_width)
            elif job.d_inputs:
                _scatter(
                    job, part, lowest.d_inputs, lowest.d_inputs_width, job.input_size,
                    job.d_inputs, job.d_inputs_time_step, job.d_inputs_row_step,
                )  # fmt: skip

    return backward_part


def _make_weight_gradient(
    cell: Cell, instructions: InstructionSet, products: Products
) -> Callable[..., None]:
    is_gru = cell == GRU
    height = instructions.rows[0]
    multiply_transposed, pack_rows = products.multiply_transposed, products.pack_rows

    @compiled
    def sum_of_bias(job: Any, layer: Any, direction: Any, n: Any) -> Any:
        """Sum unit `n`, counted over all gates, of the biases' gradients over all parts."""
        total = 0.0
        for number in range(job.num_parts):
            strand = _strand(job, number, layer, direction)
            gate, unit = n // job.hidden_size, n % job.hidden_size
            total += read_float(strand.d_bias, gate * strand.bias_step + unit)
        return total

    @compiled
    def weight_gradient(job: Any, task: Any, worker: Any) -> None:
        """Sum one block of rows of both weights' gradients, and of the biases', over all parts."""
        hidden_size = job.hidden_size
        index = task // job.num_blocks
        layer, direction = index // job.num_directions, index % job.num_directions
        weights = _weights(job, layer, direction)
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
            strand = _strand(job, number, layer, direction)
            # Steps without a state before them add nothing to the hidden side.
            low, high = 0, strand.total
            if not job.initial:
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
