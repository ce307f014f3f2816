"""What Python tells compiled code: records of int64 numbers and addresses.

A job is one call of forward or backward. It works on parts of the batch, each a slice of its rows
that one thread carries through all layers. A strand is one direction of one layer over one part.

Rows of a part lie in order of falling length, and its steps are packed: row r of step t is at
`offsets[t] + r`, and only the rows that are that long exist. Widths and steps count floats.
"""

import ctypes

import numpy as np


class Record:
    """int64 fields in the order of a class's annotations; numpy holds arrays of them."""


def dtype_of(record: type) -> np.dtype[np.void]:
    """Return how numpy and compiled code see a record."""
    return np.dtype([(name, np.int64) for name in record.__annotations__])


class Job(ctypes.Structure):
    """One call of forward or backward; filled in anew each time."""

    phase: int
    next_task: int  # taken one by one by the threads
    tasks: int
    next_worker: int
    row_steps: int  # that strands have run forward
    row_steps_counter: int  # where that is
    num_parts: int
    num_layers: int
    num_directions: int
    hidden_size: int
    keep: int  # whether the backward pass will need the gates
    initial: int  # whether states of zeros before a first step must take part in products
    last: int  # whether only each row's last output is asked for
    parts: int
    weights: int
    strands: int
    zeros: int  # a row of zeros as wide as any matrix
    chunk_rows: int
    time: int
    batch_size: int
    inputs: int
    inputs_time_step: int
    inputs_row_step: int
    input_size: int
    outputs: int
    outputs_time_step: int
    outputs_row_step: int
    initial_hidden: int
    initial_cell: int
    final_hidden: int
    final_cell: int
    masks: int  # of dropout, (num_layers - 1, time, batch, features); 0 without
    d_outputs: int
    d_outputs_time_step: int
    d_outputs_row_step: int
    d_inputs: int
    d_inputs_time_step: int
    d_inputs_row_step: int
    d_initial_hidden: int
    d_initial_cell: int
    d_final_hidden: int
    d_final_cell: int
    packed_rows: int  # of the weight gradients, one buffer a worker
    packed_rows_step: int
    blocks: int  # int64 (num_blocks + 1,): first rows of the tasks that a weight gradient makes
    num_blocks: int
    shares: int  # of a team's stage, one a member
    team: int  # how many shares are done; then, a line each, how many times a share was claimed
    team_panels: int  # one buffer a share
    team_panels_step: int


Job._fields_ = [(name, ctypes.c_int64) for name in Job.__annotations__]

# Where in a job the threads count, in bytes.
NEXT_TASK, NEXT_WORKER, ROW_STEPS = (
    8 * list(Job.__annotations__).index(name) for name in ("next_task", "next_worker", "row_steps")
)


class Part(Record):
    """A slice of the rows, that one thread carries through all layers."""

    rows: int  # how many
    row_numbers: int  # int64 (rows,), their place in the batch
    lengths: int  # int64 (rows,)
    offsets: int  # int64 (steps + 1,)
    steps: int
    total: int  # rows of all steps together


class Weights(Record):
    """The weights of one direction of one layer, in torch's layout and packed."""

    input_size: int
    weight_ih: int
    weight_hh: int
    bias_ih: int  # 0 without
    bias_hh: int
    seed_ih: int  # biases as the products begin with them
    seed_hh: int
    panels_ih: int
    panels_hh: int
    d_weight_ih: int  # 0 where not wanted
    d_weight_hh: int
    d_bias_ih: int
    d_bias_hh: int


class Strand(Record):
    """One direction of one layer over one part."""

    one_step: int  # whether it is the single step that readout `last` needs of it
    offsets: int
    steps: int
    total: int
    from_end: int  # 1 for the backward direction
    inputs: int
    inputs_width: int
    outputs: int
    outputs_width: int
    gates: int
    gates_width: int
    memory: int
    before: int
    hidden: int
    cell: int
    state_width: int  # of the four above
    from_hidden: int
    from_hidden_width: int
    d_outputs: int
    d_outputs_width: int
    d_inputs: int  # 0 where not wanted
    d_inputs_width: int
    d_hidden: int
    d_cell: int
    d_bias: int  # (gates + 1, bias_step)
    bias_step: int


# Columns that hold places in memory which a plan lays out.
STRAND_PLACES = [
    list(Strand.__annotations__).index(name)
    for name in (
        "inputs", "outputs", "gates", "memory", "before", "hidden", "cell", "from_hidden",
        "d_outputs", "d_inputs", "d_hidden", "d_cell", "d_bias",
    )
]  # fmt: skip
WEIGHTS_PLACES = [
    list(Weights.__annotations__).index(name)
    for name in ("seed_ih", "seed_hh", "panels_ih", "panels_hh")
]

# Steps whose products a weight gradient sums before it goes on to the next: their packed left-hand
# rows stay in the second-level cache.
GRADIENT_DEPTH = 256

# Packing a weight matrix is this many tasks.
PACKING_TASKS = 2

FLOAT_BYTES = 4

# Bytes between counters of threads that would else wait for each other's cache line.
TEAM_LINE = 64

# The phases of a job.
PREPARE_FORWARD, FORWARD, TEAM_FORWARD, PREPARE_BACKWARD, BACKWARD, WEIGHT_GRADIENTS = range(6)
