"""Copies between the caller's padded tensors and the packed, sorted rows of a part."""

from bothways.kernels.compiled.codegen.access import part_of, scan_of
from bothways.kernels.compiled.codegen.memory import (
    copy_floats,
    read_float,
    read_integer,
    write_float,
    zero_floats,
)
from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.structs import FLOAT_BYTES, Job, Part


@compiled
def _step_address(tensor: int, time_step: int, row_step: int, t: int, row: int) -> int:
    return tensor + FLOAT_BYTES * (t * time_step + row * row_step)


@compiled
def gather(
    part: Part, source: int, time_step: int, row_step: int, result: int, width: int, count: int
) -> None:
    """Copy the time steps of a part from a padded tensor into packed memory."""
    for t in range(part.steps):
        begin = read_integer(part.offsets, t)
        for row in range(read_integer(part.offsets, t + 1) - begin):
            number = read_integer(part.row_numbers, row)
            place = _step_address(source, time_step, row_step, t, number)
            copy_floats(result + FLOAT_BYTES * (begin + row) * width, place, count)


@compiled
def scatter(
    job: Job, part: Part, source: int, width: int, count: int, result: int, time_step: int,
    row_step: int,
) -> None:  # fmt: skip
    """Copy packed time steps of a part into a padded tensor, with zeros in the padding."""
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
def load_rows(part: Part, source: int, row_step: int, result: int, width: int, count: int) -> None:
    """Copy the rows of a part from a tensor (batch, count)."""
    for row in range(part.rows):
        place = source + FLOAT_BYTES * read_integer(part.row_numbers, row) * row_step
        copy_floats(result + FLOAT_BYTES * row * width, place, count)


@compiled
def save_rows(part: Part, source: int, width: int, result: int, row_step: int, count: int) -> None:
    """Copy the rows of a part into a tensor (batch, count)."""
    for row in range(part.rows):
        place = result + FLOAT_BYTES * read_integer(part.row_numbers, row) * row_step
        copy_floats(place, source + FLOAT_BYTES * row * width, count)


@compiled
def load_state(job: Job, part: Part, tensor: int, index: int, state: int, width: int) -> None:
    """Copy the state of one direction of one layer from a tensor; zeros if there is no tensor."""
    hidden_size = job.hidden_size
    if tensor:
        place = tensor + FLOAT_BYTES * index * job.batch_size * hidden_size
        load_rows(part, place, hidden_size, state, width, hidden_size)
    else:
        zero_floats(state, part.rows * width)


@compiled
def save_state(job: Job, part: Part, state: int, width: int, tensor: int, index: int) -> None:
    """Copy the state of one direction of one layer into a tensor, if there is a tensor."""
    hidden_size = job.hidden_size
    if tensor:
        place = tensor + FLOAT_BYTES * index * job.batch_size * hidden_size
        save_rows(part, state, width, place, hidden_size, hidden_size)


@compiled
def _last_step(part: Part, row: int) -> int:
    """Return the packed index of the last step of a row."""
    return read_integer(part.offsets, read_integer(part.lengths, row) - 1) + row


@compiled
def gather_last(part: Part, source: int, width: int, result: int) -> None:
    """Copy the last step of each row from packed steps."""
    for row in range(part.rows):
        copy_floats(
            result + FLOAT_BYTES * row * width,
            source + FLOAT_BYTES * _last_step(part, row) * width,
            width,
        )


@compiled
def add_last(part: Part, source: int, width: int, result: int) -> None:
    """Add one vector per row to the last step of each row in packed steps."""
    for row in range(part.rows):
        place = result + FLOAT_BYTES * _last_step(part, row) * width
        for n in range(width):
            added = read_float(place, n) + read_float(source, row * width + n)
            write_float(place, n, added)


@compiled
def apply_dropout(job: Job, part: Part, layer: int, values: int, width: int) -> None:
    """Multiply packed outputs of `layer`, or their gradients, by the dropout mask."""
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
def begin_layer(job: Job, number: int, layer: int) -> None:
    """Load the inputs and initial states of one layer over one part."""
    part = part_of(job, number)
    for direction in range(job.num_directions):
        index = layer * job.num_directions + direction
        scan = scan_of(job, number, layer, direction)
        if layer == 0 and direction == 0:
            gather(
                part, job.inputs, job.inputs_time_step, job.inputs_row_step,
                scan.inputs, scan.inputs_width, job.input_size,
            )  # fmt: skip
        if scan.one_step:
            below = scan_of(job, number, layer, 0)
            gather_last(part, below.inputs, scan.inputs_width, scan.inputs)
        load_state(job, part, job.initial_hidden, index, scan.hidden, scan.state_width)
        load_state(job, part, job.initial_cell, index, scan.cell, scan.state_width)


@compiled
def finish_layer(job: Job, number: int, layer: int) -> None:
    """Save the final states and outputs of one layer over one part, and apply dropout."""
    part = part_of(job, number)
    top = layer == job.num_layers - 1
    for direction in range(job.num_directions):
        index = layer * job.num_directions + direction
        scan = scan_of(job, number, layer, direction)
        save_state(job, part, scan.hidden, scan.state_width, job.final_hidden, index)
        save_state(job, part, scan.cell, scan.state_width, job.final_cell, index)
        shift = FLOAT_BYTES * direction * job.hidden_size
        if top and job.last:
            # The final h of a direction is its output at the last step of each row.
            save_rows(
                part, scan.hidden, scan.state_width,
                job.outputs + shift, job.outputs_row_step, job.hidden_size,
            )  # fmt: skip
        elif top:
            scatter(
                job, part, scan.outputs, scan.outputs_width, job.hidden_size,
                job.outputs + shift, job.outputs_time_step, job.outputs_row_step,
            )  # fmt: skip
    if not top and job.masks:
        outputs = scan_of(job, number, layer, 0)
        apply_dropout(job, part, layer, outputs.outputs, outputs.outputs_width)
