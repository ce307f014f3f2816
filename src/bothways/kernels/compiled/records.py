"""What Python tells compiled code: records of int64 numbers and addresses.

A job is one call of forward or backward. It works on parts of the batch, each a slice of its rows
that one thread carries through all layers. A strand is one direction of one layer over one part.

Rows of a part lie in order of falling length, and its steps are packed: row r of step t is at
`offsets[t] + r`, and only the rows that are that long exist. Widths and steps count floats.
"""

import ctypes

import numpy as np


def _record(*names: str) -> np.dtype[np.void]:
    return np.dtype([(name, np.int64) for name in names])


_JOB_FIELDS = (
    "phase",
    "next_task",  # taken one by one by the threads
    "tasks",
    "next_worker",
    "row_steps",  # that strands have run forward
    "row_steps_counter",  # where that is
    "num_parts",
    "num_layers",
    "num_directions",
    "hidden_size",
    "keep",  # whether the backward pass will need the gates
    "initial",  # whether there are initial states
    "last",  # whether only each row's last output is asked for
    "layer",  # the layer to run, or -1 for all
    "parts",
    "weights",
    "strands",
    "zeros",  # a row of zeros as wide as any matrix
    "chunk_rows",
    "time",
    "batch_size",
    "inputs",
    "inputs_time_step",
    "inputs_row_step",
    "input_size",
    "outputs",
    "outputs_time_step",
    "outputs_row_step",
    "initial_hidden",
    "initial_cell",
    "final_hidden",
    "final_cell",
    "masks",  # of dropout, (num_layers - 1, time, batch, features); 0 without
    "d_outputs",
    "d_outputs_time_step",
    "d_outputs_row_step",
    "d_inputs",
    "d_inputs_time_step",
    "d_inputs_row_step",
    "d_initial_hidden",
    "d_initial_cell",
    "d_final_hidden",
    "d_final_cell",
    "packed_rows",  # of the weight gradients, one buffer a worker
    "packed_rows_step",
    "blocks",  # int64 (num_blocks + 1,): first rows of the tasks that a weight gradient makes
    "num_blocks",
)


class Job(ctypes.Structure):
    """The one record that is filled in anew at every call."""

    _fields_ = [(name, ctypes.c_int64) for name in _JOB_FIELDS]


JOB = _record(*_JOB_FIELDS)
# Where in a job the threads count, in bytes.
NEXT_TASK, NEXT_WORKER, ROW_STEPS = (
    8 * _JOB_FIELDS.index(name) for name in ("next_task", "next_worker", "row_steps")
)

PART = _record(
    "rows",  # how many
    "row_numbers",  # int64 (rows,), their place in the batch
    "lengths",  # int64 (rows,)
    "offsets",  # int64 (steps + 1,)
    "steps",
    "total",  # rows of all steps together
)

WEIGHTS = _record(
    "input_size",
    "weight_ih",
    "weight_hh",
    "bias_ih",  # 0 without
    "bias_hh",
    "seed_ih",  # biases as the products begin with them
    "seed_hh",
    "panels_ih",
    "panels_hh",
    "d_weight_ih",  # 0 where not wanted
    "d_weight_hh",
    "d_bias_ih",
    "d_bias_hh",
)

STRAND = _record(
    "one_step",  # whether it is the single step that readout `last` needs of it
    "offsets",
    "steps",
    "total",
    "from_end",  # 1 for the backward direction
    "inputs",
    "inputs_width",
    "outputs",
    "outputs_width",
    "gates",
    "gates_width",
    "memory",
    "before",
    "hidden",
    "cell",
    "state_width",  # of the four above
    "from_hidden",
    "from_hidden_width",
    "d_outputs",
    "d_outputs_width",
    "d_inputs",  # 0 where not wanted
    "d_inputs_width",
    "d_hidden",
    "d_cell",
    "d_bias",  # (gates + 1, bias_step)
    "bias_step",
    "spare",  # a row for outputs that are not wanted
)

# Columns that hold places in memory which a plan lays out.
STRAND_PLACES = [
    list(STRAND.names or ()).index(name)
    for name in (
        "inputs", "outputs", "gates", "memory", "before", "hidden", "cell", "from_hidden",
        "d_outputs", "d_inputs", "d_hidden", "d_cell", "d_bias",
        "spare",
    )
]  # fmt: skip
WEIGHTS_PLACES = [
    list(WEIGHTS.names or ()).index(name)
    for name in ("seed_ih", "seed_hh", "panels_ih", "panels_hh")
]

# Steps whose products a weight gradient sums before it goes on to the next: their packed left-hand
# rows stay in the second-level cache.
GRADIENT_DEPTH = 256

# Packing a weight matrix is this many tasks.
PACKING_TASKS = 2

FLOAT_BYTES = 4

# The phases of a job.
PREPARE_FORWARD, FORWARD, PREPARE_BACKWARD, BACKWARD, WEIGHT_GRADIENTS = range(5)
