"""Records of int64 numbers and addresses that Python passes to compiled code.

A job is one forward or backward call. It processes parts of the batch; a part is a set of rows that
one thread runs through all layers. A scan is one direction of one layer over one part.

The rows of a part are in descending order of length, and its time steps are packed: row r of step t
is at `offsets[t] + r`, and only rows with that step are stored. Widths and steps are strides in
floats. Fields without a type in their comment are numbers or addresses of float32 arrays.
"""

import ctypes

import numpy as np


class Record:
    """Base class of records: int64 fields in the order of the annotations, in numpy arrays."""


def dtype_of(record: type) -> np.dtype[np.void]:
    """Return the numpy dtype of a record."""
    return np.dtype([(name, np.int64) for name in record.__annotations__])


class Job(ctypes.Structure):
    """One forward or backward call."""

    phase: int
    next_task: int  # incremented by each thread that takes a task
    tasks: int
    next_worker: int
    row_steps: int  # computed forward
    row_steps_counter: int  # address of `row_steps`
    num_parts: int
    num_layers: int
    num_directions: int
    hidden_size: int
    keep: int  # whether to keep the gates for a backward pass
    initial: int  # whether products with the state before the first step are computed
    last: int  # whether only the output at the last step of each row is needed
    parts: int
    weights: int
    scans: int
    zeros: int  # a row of zeros, as long as the longest row
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
    masks: int  # dropout masks (num_layers - 1, time, batch, features); 0 if none
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
    packed_rows: int  # buffers of the weight gradients, one per worker
    packed_rows_step: int
    blocks: int  # int64 (num_blocks + 1,), first rows of the tasks of a weight gradient
    num_blocks: int
    shares: int  # of a stage of the cooperative forward pass
    layer: int  # of the phases that process one layer
    scan_shares: int  # whether each share of the time steps is one direction
    stage_counters: int  # completed shares; then the claims of each share, a cache line apart
    share_panels: int  # one buffer per share
    share_panels_step: int


Job._fields_ = [(name, ctypes.c_int64) for name in Job.__annotations__]

# Offsets of the atomic counters in a job, in bytes.
NEXT_TASK, NEXT_WORKER, ROW_STEPS = (
    8 * list(Job.__annotations__).index(name) for name in ("next_task", "next_worker", "row_steps")
)


class Part(Record):
    """A set of rows that one thread runs through all layers."""

    rows: int  # number of rows
    row_numbers: int  # int64 (rows,), indices of the rows in the batch
    lengths: int  # int64 (rows,)
    offsets: int  # int64 (steps + 1,)
    steps: int
    total: int  # sum of the lengths


class Weights(Record):
    """The weights of one direction of one layer, in torch's layout and packed."""

    input_size: int
    weight_ih: int
    weight_hh: int
    bias_ih: int  # 0 if there are no biases
    bias_hh: int
    addend_ih: int  # the biases that are added to the products
    addend_hh: int
    panels_ih: int
    panels_hh: int
    d_weight_ih: int  # gradients; 0 where not needed
    d_weight_hh: int
    d_bias_ih: int
    d_bias_hh: int


class Scan(Record):
    """One direction of one layer over one part."""

    one_step: int  # whether only the step that readout `last` needs is computed
    offsets: int
    steps: int
    total: int
    is_reverse: int  # whether this is the backward direction
    inputs: int
    inputs_width: int
    outputs: int
    outputs_width: int
    gates: int
    gates_width: int
    memory: int  # what else backward needs of each step; see `codegen.pointwise.Pointwise`
    before: int  # h before each step
    hidden: int  # current h
    cell: int  # current c
    state_width: int  # of the four above
    from_hidden: int  # GRU: W_hh h + b_hh of the current step
    from_hidden_width: int
    d_outputs: int
    d_outputs_width: int
    d_inputs: int  # 0 if not needed
    d_inputs_width: int
    d_hidden: int
    d_cell: int
    d_bias: int  # (gates + 1, bias_step)
    bias_step: int


# Columns of the addresses that `layout` computes.
SCAN_ADDRESSES = [
    list(Scan.__annotations__).index(name)
    for name in (
        "inputs", "outputs", "gates", "memory", "before", "hidden", "cell", "from_hidden",
        "d_outputs", "d_inputs", "d_hidden", "d_cell", "d_bias",
    )
]  # fmt: skip
WEIGHTS_ADDRESSES = [
    list(Weights.__annotations__).index(name)
    for name in ("addend_ih", "addend_hh", "panels_ih", "panels_hh")
]

# Packed steps that one product of a weight gradient sums over, so that the packed left-hand matrix
# stays in the second-level cache.
GRADIENT_DEPTH = 256
# Floats between the packed tiles of that matrix: tiles that are a power of two apart would share
# few sets of the first-level cache.
TILE_GAP = 16

# Number of tasks that pack one weight matrix.
PACKING_TASKS = 2

FLOAT_BYTES = 4
LINE_FLOATS = 16  # floats in a cache line

# Bytes between the counters of different threads, to avoid false sharing of cache lines.
COUNTER_STRIDE = 64

# The phases of a job.
PREPARE_FORWARD, FORWARD, COOPERATIVE_FORWARD = range(3)
PREPARE_BACKWARD, BACKWARD, WEIGHT_GRADIENTS = range(3, 6)
# Parts of `BACKWARD`, whose tasks are directions of one layer, or rows of its input gradients.
BACKWARD_BEGIN, BACKWARD_SCANS, BACKWARD_INPUTS, BACKWARD_END = range(6, 10)
