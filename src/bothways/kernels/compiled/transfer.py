"""Between the caller's tensors, padded and in any order, and a part's rows, packed and sorted."""

from typing import Any

from bothways.kernels.compiled.jit import compiled
from bothways.kernels.compiled.memory import (
    copy_floats,
    read_float,
    read_integer,
    write_float,
    zero_floats,
)
from bothways.kernels.compiled.records import FLOAT_BYTES


@compiled
def _step_address(tensor: Any, time_step: Any, row_step: Any, t: Any, row: Any) -> Any:
    return tensor + FLOAT_BYTES * (t * time_step + row * row_step)


@compiled
def gather(
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
def scatter(
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
def load_rows(part: Any, source: Any, row_step: Any, result: Any, width: Any, count: Any) -> None:
    """Copy a part's rows of a tensor of the caller's, (batch, count)."""
    for row in range(part.rows):
        place = source + FLOAT_BYTES * read_integer(part.row_numbers, row) * row_step
        copy_floats(result + FLOAT_BYTES * row * width, place, count)


@compiled
def save_rows(part: Any, source: Any, width: Any, result: Any, row_step: Any, count: Any) -> None:
    """Copy a part's rows into a tensor of the caller's, (batch, count)."""
    for row in range(part.rows):
        place = result + FLOAT_BYTES * read_integer(part.row_numbers, row) * row_step
        copy_floats(place, source + FLOAT_BYTES * row * width, count)


@compiled
def load_state(job: Any, part: Any, tensor: Any, index: Any, state: Any, width: Any) -> None:
    """Copy the state of one direction of one layer from a tensor, or zeros if there is none."""
    hidden_size = job.hidden_size
    if tensor:
        place = tensor + FLOAT_BYTES * index * job.batch_size * hidden_size
        load_rows(part, place, hidden_size, state, width, hidden_size)
    else:
        zero_floats(state, part.rows * width)


@compiled
def save_state(job: Any, part: Any, state: Any, width: Any, tensor: Any, index: Any) -> None:
    """Copy the state of one direction of one layer into a tensor, if there is one."""
    hidden_size = job.hidden_size
    if tensor:
        place = tensor + FLOAT_BYTES * index * job.batch_size * hidden_size
        save_rows(part, state, width, place, hidden_size, hidden_size)


@compiled
def _last_step(part: Any, row: Any) -> Any:
    """Return the packed place of a row's last step."""
    return read_integer(part.offsets, read_integer(part.lengths, row) - 1) + row


@compiled
def gather_last(part: Any, source: Any, width: Any, result: Any) -> None:
    """Copy each row's last step out of packed steps."""
    for row in range(part.rows):
        copy_floats(
            result + FLOAT_BYTES * row * width,
            source + FLOAT_BYTES * _last_step(part, row) * width,
            width,
        )


@compiled
def add_last(part: Any, source: Any, width: Any, result: Any) -> None:
    """Add to each row's last step in packed steps."""
    for row in range(part.rows):
        place = result + FLOAT_BYTES * _last_step(part, row) * width
        for n in range(width):
            added = read_float(place, n) + read_float(source, row * width + n)
            write_float(place, n, added)


@compiled
def drop(job: Any, part: Any, layer: Any, values: Any, width: Any) -> None:
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
