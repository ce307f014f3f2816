"""The memory layout of a call, as records for compiled code.

A layout is computed once for each shape, as offsets into two blocks of memory: `kept` lives from
forward to backward, and `scratch` for one call. In a training loop, a call only adds the base
addresses of both blocks and fills in the addresses of the tensors.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from bothways.kernels.cells import GRU, LSTM
from bothways.kernels.compiled.shape import Shape, round_to_lines, row_stride
from bothways.kernels.compiled.structs import (
    COUNTER_STRIDE,
    FLOAT_BYTES,
    GRADIENT_DEPTH,
    LINE_FLOATS,
    SCAN_ADDRESSES,
    TILE_GAP,
    WEIGHTS_ADDRESSES,
    Job,
    Part,
    Scan,
    Weights,
    dtype_of,
)
from bothways.kernels.lengths import split_rows

# Rows of a weight gradient that one task computes.
_GRADIENT_ROWS = 256
# Rows whose products with the input weights are computed at once, before their time steps.
_CHUNK_ROWS = 64

_MAX_CACHED_RECORDS = 16  # one for each pair of base addresses
_SCRATCH_BASE = 1 << 50  # offsets from here on are in `scratch`
_ZERO_ROW = -1  # the address of a row of zeros
_UNUSED = -2


class _Arena:
    """Allocates offsets, in bytes, of regions that are aligned to cache lines."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._end = start

    @property
    def size_bytes(self) -> int:
        return self._end - self._start

    def allocate(self, floats: int) -> int:
        offset = self._end
        self._end += -(-floats // LINE_FLOATS) * LINE_FLOATS * FLOAT_BYTES
        return offset


class Plan:
    """The records of one shape, for rows of given lengths.

    Parameters
    ----------
    shape : Shape
    lengths : int64 array (batch_size,)

    Attributes
    ----------
    job : Job
        A template without addresses.
    parts : records of `Part`
    kept_bytes, forward_bytes, backward_bytes : int
        Size of `kept`, and of `scratch` for either pass.
    rows_bytes : int
        The part of `forward_bytes` that grows with the batch size.
    blocks : int
        Number of tasks that compute the weight gradients of one direction.
    """

    def __init__(self, shape: Shape, lengths: np.ndarray) -> None:
        self.shape = shape
        self._integers: list[np.ndarray] = []  # keep the arrays alive that the records point to
        self._zeros = np.zeros(
            max(shape.gates_size, shape.features, shape.input_size) + 4 * LINE_FLOATS, "f4"
        )
        forward, backward = _Arena(_SCRATCH_BASE), _Arena(_SCRATCH_BASE)
        kept = _Arena(0) if shape.keep else forward
        num_parts = 1 if shape.shares else min(shape.threads, shape.batch_size)
        self.parts = np.zeros(num_parts, dtype_of(Part))
        self._scans = np.full((len(self.parts), shape.num_scans), 0, dtype_of(Scan))
        for part, scans, rows in zip(
            self.parts, self._scans, split_rows(lengths, len(self.parts)), strict=True
        ):
            self._describe_part(part, rows, lengths[rows])
            self._place_forward(part, scans, kept, forward)
            if shape.keep:
                self._place_backward(part, scans, backward)
        self.rows_bytes = forward.size_bytes
        self._stage_counters = (
            forward.allocate((1 + shape.shares) * COUNTER_STRIDE // FLOAT_BYTES) - _SCRATCH_BASE
        )
        self._share_panels_step = shape.instructions.columns * max(shape.input_size, shape.features)
        self._share_panels = (
            forward.allocate(self._share_panels_step * shape.shares) - _SCRATCH_BASE
        )
        self._forward_weights = self._place_weights(forward, from_inputs=True)
        self._backward_weights = self._place_weights(backward, from_inputs=False)
        blocks = _gradient_blocks(shape)
        self.blocks = len(blocks) - 1
        height = shape.instructions.rows[0]
        self._packed_step = -(-_GRADIENT_ROWS // height) * (height * GRADIENT_DEPTH + TILE_GAP)
        self._packed_rows = backward.allocate(self._packed_step * shape.threads) - _SCRATCH_BASE
        self.kept_bytes = kept.size_bytes if shape.keep else 0
        self.forward_bytes, self.backward_bytes = forward.size_bytes, backward.size_bytes
        self.job = self._make_job(blocks)
        self._cached_records: dict[tuple[int, int, bool], tuple[Job, np.ndarray, np.ndarray]] = {}

    def records(
        self, kept: int, scratch: int, *, backward: bool
    ) -> tuple[Job, np.ndarray, np.ndarray]:
        """Return a job, its weights and scans, with offsets replaced by addresses.

        The caller must fill in the addresses of all tensors; those of an earlier call may remain.
        The job points to the other two results: keep all three alive while it runs, and do not
        release `scratch`, so that no other call uses the same records.
        """
        bases = (kept, scratch, backward)
        cached = self._cached_records.get(bases)
        if cached is None:  # a training loop gets the same memory in each step
            if len(self._cached_records) >= _MAX_CACHED_RECORDS:
                self._cached_records.clear()
            template = self._backward_weights if backward else self._forward_weights
            weights = self._with_addresses(template, WEIGHTS_ADDRESSES, kept, scratch)
            scans = self._with_addresses(self._scans, SCAN_ADDRESSES, kept, scratch)
            job = Job.from_buffer_copy(self.job)
            job.weights, job.scans = _address(weights), _address(scans)
            job.packed_rows = scratch + self._packed_rows
            job.stage_counters = scratch + self._stage_counters
            job.share_panels = scratch + self._share_panels
            cached = self._cached_records[bases] = job, weights, scans
        job, weights, scans = cached
        return Job.from_buffer_copy(job), weights, scans

    def _with_addresses(
        self, template: np.ndarray, columns: Sequence[int], kept: int, scratch: int
    ) -> np.ndarray:
        records = template.copy()
        table = records.view(np.int64).reshape(records.size, -1)
        offsets = table[:, columns]
        addresses = offsets + np.where(offsets >= _SCRATCH_BASE, scratch - _SCRATCH_BASE, kept)
        addresses[offsets == _ZERO_ROW] = _address(self._zeros)
        addresses[offsets == _UNUSED] = 0
        table[:, columns] = addresses
        return records

    def _store_integers(self, numbers: np.ndarray) -> int:
        numbers = np.ascontiguousarray(numbers, np.int64)
        self._integers.append(numbers)
        return _address(numbers)

    def _describe_part(self, part: np.void, rows: np.ndarray, lengths: np.ndarray) -> None:
        steps = int(lengths[0])
        running = np.searchsorted(-lengths, -np.arange(steps), side="left")  # rows longer than t
        offsets = np.concatenate([[0], np.cumsum(running)])
        part["rows"] = len(rows)
        part["row_numbers"] = self._store_integers(rows)
        part["lengths"] = self._store_integers(lengths)
        part["offsets"] = self._store_integers(offsets)
        part["steps"] = steps
        part["total"] = offsets[-1]

    def _place_forward(
        self, part: np.void, scans: np.ndarray, kept: _Arena, forward: _Arena
    ) -> None:
        shape = self.shape
        rows, total = int(part["rows"]), int(part["total"])
        state_width = row_stride(shape.hidden_size)
        gates_width, outputs_width = shape.gates_width, shape.outputs_width
        inputs_width = row_stride(shape.input_size)
        inputs = kept.allocate(total * inputs_width)
        one_step_offsets = self._store_integers(np.array([0, rows]))
        for layer in range(shape.num_layers):
            top = layer == shape.num_layers - 1
            outputs = (forward if top else kept).allocate(total * outputs_width)
            for direction in range(shape.num_directions):
                scan = scans[layer * shape.num_directions + direction]
                one_step = shape.last and layer == shape.num_layers - 1 and direction == 1
                count = rows if one_step else total
                scan["one_step"], scan["total"] = one_step, count
                scan["steps"] = 1 if one_step else part["steps"]
                scan["offsets"] = one_step_offsets if one_step else part["offsets"]
                scan["is_reverse"] = direction
                scan["inputs"] = kept.allocate(rows * inputs_width) if one_step else inputs
                scan["inputs_width"] = inputs_width
                scan["outputs"] = outputs + FLOAT_BYTES * direction * shape.hidden_size
                scan["outputs_width"] = outputs_width
                all_gates = shape.keep or shape.shares
                count_kept = count if all_gates else min(count, rows + _CHUNK_ROWS)
                scan["gates"] = kept.allocate(count_kept * gates_width)
                scan["gates_width"] = gates_width
                count_kept = count if shape.keep else rows
                has_memory = shape.cell in (LSTM, GRU)
                scan["memory"] = kept.allocate(count_kept * state_width) if has_memory else _UNUSED
                scan["before"] = kept.allocate(count_kept * state_width)
                scan["hidden"] = forward.allocate(rows * state_width)
                scan["cell"] = forward.allocate(rows * state_width)
                scan["state_width"] = state_width
                scan["from_hidden"] = (
                    forward.allocate(rows * gates_width) if shape.cell == GRU else _UNUSED
                )
                scan["from_hidden_width"] = gates_width
            inputs, inputs_width = outputs, outputs_width

    def _place_backward(self, part: np.void, scans: np.ndarray, backward: _Arena) -> None:
        shape = self.shape
        rows, total = int(part["rows"]), int(part["total"])
        state_width, features_width = row_stride(shape.hidden_size), shape.outputs_width
        # Gradients of the outputs and of the inputs of a layer; the two buffers alternate.
        buffers = [
            backward.allocate(total * features_width) for _ in range(min(2, shape.num_layers))
        ]
        for layer in range(shape.num_layers):
            inputs_width = shape.outputs_width if layer else row_stride(shape.input_size)
            needed = layer > 0 or shape.d_inputs
            if layer > 0:
                d_inputs = buffers[(layer - 1) % 2]
            else:
                d_inputs = backward.allocate(total * inputs_width) if needed else _UNUSED
            all_outputs = not (shape.last and layer == shape.num_layers - 1)
            for direction in range(shape.num_directions):
                scan = scans[layer * shape.num_directions + direction]
                shift = FLOAT_BYTES * direction * shape.hidden_size
                scan["d_outputs"] = buffers[layer % 2] + shift if all_outputs else _ZERO_ROW
                scan["d_outputs_width"] = features_width if all_outputs else 0
                scan["d_inputs"] = d_inputs
                if needed and scan["one_step"]:
                    scan["d_inputs"] = backward.allocate(rows * inputs_width)
                scan["d_inputs_width"] = inputs_width
                scan["d_hidden"] = backward.allocate(rows * state_width)
                scan["d_cell"] = backward.allocate(rows * state_width)
                bias_step = round_to_lines(shape.hidden_size)
                scan["d_bias"] = backward.allocate((len(shape.cell.gates) + 1) * bias_step)
                scan["bias_step"] = bias_step

    def _place_weights(self, arena: _Arena, *, from_inputs: bool) -> np.ndarray:
        """Place the panels of the weights: transposed for forward, plain for backward."""
        shape = self.shape
        panel = shape.instructions.columns
        weights = np.zeros(shape.num_scans, dtype_of(Weights))
        for run, record in enumerate(weights):
            input_size = shape.input_size_of(run // shape.num_directions)
            record["input_size"] = input_size
            for name in ("addend_ih", "addend_hh"):
                record[name] = arena.allocate(shape.gates_size)
            for side, size in (("ih", input_size), ("hh", shape.hidden_size)):
                width, depth = (shape.gates_size, size) if from_inputs else (size, shape.gates_size)
                packed = not (from_inputs and shape.shares)
                rows = shape.instructions.packed_depth(depth)
                floats = -(-width // panel) * panel * rows if packed else 0
                record[f"panels_{side}"] = arena.allocate(floats)
        return weights

    def _make_job(self, blocks: np.ndarray) -> Job:
        shape = self.shape
        return Job(
            num_parts=len(self.parts),
            num_layers=shape.num_layers,
            num_directions=shape.num_directions,
            hidden_size=shape.hidden_size,
            keep=shape.keep,
            initial=shape.initial,
            last=shape.last,
            parts=_address(self.parts),
            zeros=_address(self._zeros),
            chunk_rows=_CHUNK_ROWS,
            time=shape.time,
            batch_size=shape.batch_size,
            input_size=shape.input_size,
            packed_rows_step=self._packed_step,
            blocks=self._store_integers(blocks),
            num_blocks=self.blocks,
            shares=shape.shares,
            scan_shares=shape.scan_shares,
            share_panels_step=self._share_panels_step,
        )


@lru_cache(maxsize=32)
def padded_plan(shape: Shape) -> Plan:
    """Return the layout of a batch without padding."""
    return Plan(shape, np.full(shape.batch_size, shape.time, np.int64))


def _address(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def _gradient_blocks(shape: Shape) -> np.ndarray:
    """Return the first rows of the tasks of a weight gradient; a GRU's new gate starts a task."""
    hidden_size = shape.hidden_size
    ends = [2 * hidden_size, 3 * hidden_size] if shape.cell == GRU else [shape.gates_size]
    starts: list[int] = []
    begin = 0
    for end in ends:
        starts += range(begin, end, _GRADIENT_ROWS)
        begin = end
    return np.array([*starts, shape.gates_size], np.int64)
