"""Where everything lies: the records of a call, laid out for one shape of batch.

Places are worked out once a shape, as offsets into two stretches of memory: `kept` lives from
forward to backward, `scratch` as long as a call. In a training loop a call then only adds two base
addresses and fills in those of the tensors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bothways.kernels.cells import GRU, LSTM, Cell
from bothways.kernels.compiled.instruction_sets import InstructionSet
from bothways.kernels.compiled.structs import (
    FLOAT_BYTES,
    GRADIENT_DEPTH,
    STRAND_PLACES,
    TEAM_LINE,
    WEIGHTS_PLACES,
    Job,
    Part,
    Strand,
    Weights,
    dtype_of,
)

# Rows of a weight gradient that make one task.
_GRADIENT_ROWS = 256
# Rows whose products with the input weights are computed ahead of their steps.
_CHUNK_ROWS = 64

# Multiply-adds of a step that pay for a meeting; for fewer than that, packed weights are faster.
_WORTH_A_SHARE = 16_000

_REMEMBERED = 16  # pairs of base addresses
_LINE = 16  # floats in a cache line
_SCRATCH = 1 << 50  # offsets from here on lie in scratch
_ZEROS = -1  # the row of zeros
_NOWHERE = -2


@dataclass(frozen=True)
class Shape:
    """All that a layout depends on, but for the lengths of ragged rows.

    Parameters
    ----------
    cell : Cell
    num_layers, num_directions, input_size, hidden_size, time, batch_size : int
    threads : int
        The batch is cut into as many parts, if it has as many rows.
    keep : bool
        Whether a backward pass may follow.
    last : bool
        Whether only each row's last output is asked for.
    initial : bool
        Whether there are initial states.
    d_inputs : bool
        Whether the gradient of the inputs may be wanted.
    instructions : InstructionSet
    """

    cell: Cell
    num_layers: int
    num_directions: int
    input_size: int
    hidden_size: int
    time: int
    batch_size: int
    threads: int
    keep: bool
    last: bool
    initial: bool
    d_inputs: bool
    instructions: InstructionSet

    @property
    def sums(self) -> int:
        """Width of all gates."""
        return len(self.cell.gates) * self.hidden_size

    @property
    def features(self) -> int:
        """Width of a layer's outputs."""
        return self.num_directions * self.hidden_size

    @property
    def gates_width(self) -> int:
        """Step between rows of gates: the last one of few units spills (`strands`)."""
        return _width(self.sums - self.hidden_size + _lines(self.hidden_size))

    @property
    def outputs_width(self) -> int:
        """Step between rows of outputs: the last direction of few units spills."""
        return _width(self.features - self.hidden_size + _lines(self.hidden_size))

    @property
    def num_runs(self) -> int:
        """Directions of all layers."""
        return self.num_layers * self.num_directions

    @property
    def shares(self) -> int:
        """How many threads take each step together; 0 if each has rows of its own."""
        few = self.batch_size == 1 or (self.batch_size < self.threads and not self.keep)
        work = self.sums * self.hidden_size * self.batch_size
        if not few or work < _WORTH_A_SHARE:
            return 0
        blocks = -(-self.hidden_size // self.instructions.lanes)
        return min(self.threads, blocks, work // _WORTH_A_SHARE)

    def input_size_of(self, layer: int) -> int:
        """Width of what `layer` reads."""
        return self.features if layer else self.input_size


class _Arena:
    """Hands out offsets, in bytes, of stretches that begin with a cache line."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._end = start

    @property
    def size_bytes(self) -> int:
        return self._end - self._start

    def take(self, floats: int) -> int:
        offset = self._end
        self._end += -(-floats // _LINE) * _LINE * FLOAT_BYTES
        return offset


class Plan:
    """The records of one shape, for rows of given lengths.

    Parameters
    ----------
    shape : Shape
    lengths : int64 array (batch_size,)

    Attributes
    ----------
    job : Job, a template
    parts : records of `Part`
    kept_bytes, forward_bytes, backward_bytes : int
        Memory that lives from forward to backward, and of either call.
    rows_bytes : int
        The part of `forward_bytes` that grows with the batch.
    blocks : int
        Tasks that the gradients of one direction's weights make.
    """

    def __init__(self, shape: Shape, lengths: np.ndarray) -> None:
        self.shape = shape
        self._integers: list[np.ndarray] = []  # the records hold addresses into them
        self._zeros = np.zeros(max(shape.sums, shape.features, shape.input_size) + 4 * _LINE, "f4")
        forward, backward = _Arena(_SCRATCH), _Arena(_SCRATCH)
        kept = _Arena(0) if shape.keep else forward
        num_parts = 1 if shape.shares else min(shape.threads, shape.batch_size)
        self.parts = np.zeros(num_parts, dtype_of(Part))
        self._strands = np.full((len(self.parts), shape.num_runs), 0, dtype_of(Strand))
        for part, strands, rows in zip(
            self.parts, self._strands, _deal(lengths, len(self.parts)), strict=True
        ):
            self._describe_part(part, rows, lengths[rows])
            self._place_forward(part, strands, kept, forward)
            if shape.keep:
                self._place_backward(part, strands, backward)
        self.rows_bytes = forward.size_bytes
        self._team = forward.take((1 + shape.shares) * TEAM_LINE // FLOAT_BYTES) - _SCRATCH
        self._team_panels_step = shape.instructions.columns * max(shape.input_size, shape.features)
        self._team_panels = forward.take(self._team_panels_step * shape.shares) - _SCRATCH
        self._forward_weights = self._place_weights(forward, from_inputs=True)
        self._backward_weights = self._place_weights(backward, from_inputs=False)
        blocks = _gradient_blocks(shape)
        self.blocks = len(blocks) - 1
        height = shape.instructions.rows[0]
        self._packed_step = -(-_GRADIENT_ROWS // height) * height * GRADIENT_DEPTH
        self._packed_rows = backward.take(self._packed_step * shape.threads) - _SCRATCH
        self.kept_bytes = kept.size_bytes if shape.keep else 0
        self.forward_bytes, self.backward_bytes = forward.size_bytes, backward.size_bytes
        self.job = self._make_job(blocks)
        self._settled: dict[tuple[int, int, bool], tuple[Job, np.ndarray, np.ndarray]] = {}

    def records(
        self, kept: int, scratch: int, *, backward: bool
    ) -> tuple[Job, np.ndarray, np.ndarray]:
        """Return a job, its weights and strands, with what these bases make of the offsets.

        All tensors' addresses are still to be filled in: an earlier call has left its own. The job
        holds addresses into the other two: keep all three as long as it runs, and `scratch` too,
        which makes them this call's alone.
        """
        bases = (kept, scratch, backward)
        settled = self._settled.get(bases)
        if settled is None:  # a training loop gets the same memory again and again
            if len(self._settled) >= _REMEMBERED:
                self._settled.clear()
            template = self._backward_weights if backward else self._forward_weights
            weights = self._settle(template, WEIGHTS_PLACES, kept, scratch)
            strands = self._settle(self._strands, STRAND_PLACES, kept, scratch)
            job = Job.from_buffer_copy(self.job)
            job.weights, job.strands = _address(weights), _address(strands)
            job.packed_rows = scratch + self._packed_rows
            job.team, job.team_panels = scratch + self._team, scratch + self._team_panels
            settled = self._settled[bases] = job, weights, strands
        job, weights, strands = settled
        return Job.from_buffer_copy(job), weights, strands

    def _settle(
        self, template: np.ndarray, places: Sequence[int], kept: int, scratch: int
    ) -> np.ndarray:
        records = template.copy()
        table = records.view(np.int64).reshape(records.size, -1)
        offsets = table[:, places]
        addresses = offsets + np.where(offsets >= _SCRATCH, scratch - _SCRATCH, kept)
        addresses[offsets == _ZEROS] = _address(self._zeros)
        addresses[offsets == _NOWHERE] = 0
        table[:, places] = addresses
        return records

    def _integer_address(self, numbers: np.ndarray) -> int:
        numbers = np.ascontiguousarray(numbers, np.int64)
        self._integers.append(numbers)
        return _address(numbers)

    def _describe_part(self, part: np.void, rows: np.ndarray, lengths: np.ndarray) -> None:
        steps = int(lengths[0])
        running = np.searchsorted(-lengths, -np.arange(steps), side="left")  # longer than t
        offsets = np.concatenate([[0], np.cumsum(running)])
        part["rows"] = len(rows)
        part["row_numbers"] = self._integer_address(rows)
        part["lengths"] = self._integer_address(lengths)
        part["offsets"] = self._integer_address(offsets)
        part["steps"] = steps
        part["total"] = offsets[-1]

    def _place_forward(
        self, part: np.void, strands: np.ndarray, kept: _Arena, forward: _Arena
    ) -> None:
        shape = self.shape
        rows, total = int(part["rows"]), int(part["total"])
        state_width = _width(shape.hidden_size)
        gates_width, outputs_width = shape.gates_width, shape.outputs_width
        inputs, inputs_width = kept.take(total * _width(shape.input_size)), _width(shape.input_size)
        one_step_offsets = self._integer_address(np.array([0, rows]))
        for layer in range(shape.num_layers):
            top = layer == shape.num_layers - 1
            outputs = (forward if top else kept).take(total * outputs_width)
            for direction in range(shape.num_directions):
                strand = strands[layer * shape.num_directions + direction]
                one_step = shape.last and layer == shape.num_layers - 1 and direction == 1
                count = rows if one_step else total
                strand["one_step"], strand["total"] = one_step, count
                strand["steps"] = 1 if one_step else part["steps"]
                strand["offsets"] = one_step_offsets if one_step else part["offsets"]
                strand["from_end"] = direction
                strand["inputs"] = kept.take(rows * inputs_width) if one_step else inputs
                strand["inputs_width"] = inputs_width
                strand["outputs"] = outputs + FLOAT_BYTES * direction * shape.hidden_size
                strand["outputs_width"] = outputs_width
                all_gates = shape.keep or shape.shares
                held = count if all_gates else min(count, rows + _CHUNK_ROWS)
                strand["gates"], strand["gates_width"] = kept.take(held * gates_width), gates_width
                held = count if shape.keep else rows
                has_memory = shape.cell in (LSTM, GRU)
                strand["memory"] = kept.take(held * state_width) if has_memory else _NOWHERE
                strand["before"] = kept.take(held * state_width)
                strand["hidden"] = forward.take(rows * state_width)
                strand["cell"] = forward.take(rows * state_width)
                strand["state_width"] = state_width
                strand["from_hidden"] = (
                    forward.take(rows * gates_width) if shape.cell == GRU else _NOWHERE
                )
                strand["from_hidden_width"] = gates_width
            inputs, inputs_width = outputs, outputs_width

    def _place_backward(self, part: np.void, strands: np.ndarray, backward: _Arena) -> None:
        shape = self.shape
        rows, total = int(part["rows"]), int(part["total"])
        state_width, features_width = _width(shape.hidden_size), shape.outputs_width
        # The gradients of a layer's outputs and of its inputs, in turns.
        turns = [backward.take(total * features_width) for _ in range(min(2, shape.num_layers))]
        for layer in range(shape.num_layers):
            inputs_width = shape.outputs_width if layer else _width(shape.input_size)
            wanted = layer > 0 or shape.d_inputs
            if layer > 0:
                d_inputs = turns[(layer - 1) % 2]
            else:
                d_inputs = backward.take(total * inputs_width) if wanted else _NOWHERE
            all_outputs = not (shape.last and layer == shape.num_layers - 1)
            for direction in range(shape.num_directions):
                strand = strands[layer * shape.num_directions + direction]
                shift = FLOAT_BYTES * direction * shape.hidden_size
                strand["d_outputs"] = turns[layer % 2] + shift if all_outputs else _ZEROS
                strand["d_outputs_width"] = features_width if all_outputs else 0
                strand["d_inputs"] = d_inputs
                if wanted and strand["one_step"]:
                    strand["d_inputs"] = backward.take(rows * inputs_width)
                strand["d_inputs_width"] = inputs_width
                strand["d_hidden"] = backward.take(rows * state_width)
                strand["d_cell"] = backward.take(rows * state_width)
                bias_step = _lines(shape.hidden_size)
                strand["d_bias"] = backward.take((len(shape.cell.gates) + 1) * bias_step)
                strand["bias_step"] = bias_step

    def _place_weights(self, arena: _Arena, *, from_inputs: bool) -> np.ndarray:
        """Place the panels: of the transposed weights forward, of the plain ones backward."""
        shape = self.shape
        panel = shape.instructions.columns
        weights = np.zeros(shape.num_runs, dtype_of(Weights))
        for run, record in enumerate(weights):
            input_size = shape.input_size_of(run // shape.num_directions)
            record["input_size"] = input_size
            record["seed_ih"], record["seed_hh"] = arena.take(shape.sums), arena.take(shape.sums)
            for side, size in (("ih", input_size), ("hh", shape.hidden_size)):
                width, depth = (shape.sums, size) if from_inputs else (size, shape.sums)
                packed = not (from_inputs and shape.shares)
                floats = -(-width // panel) * panel * depth if packed else 0
                record[f"panels_{side}"] = arena.take(floats)
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
            blocks=self._integer_address(blocks),
            num_blocks=self.blocks,
            shares=shape.shares,
            team_panels_step=self._team_panels_step,
        )


@lru_cache(maxsize=32)
def padded_plan(shape: Shape) -> Plan:
    """Return the plan of a batch whose rows are all as long as the time axis."""
    return Plan(shape, np.full(shape.batch_size, shape.time, np.int64))


def _address(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def _deal(lengths: np.ndarray, num_parts: int) -> list[np.ndarray]:
    """Deal rows out to parts, longest first and there and back again, so that work is equal."""
    if num_parts == 1:
        return [np.argsort(-lengths, kind="stable")]
    if (lengths == lengths[0]).all():
        return np.array_split(np.arange(len(lengths)), num_parts)
    order = np.argsort(-lengths, kind="stable")
    place = np.arange(len(order)) % (2 * num_parts)
    turn = np.minimum(place, 2 * num_parts - 1 - place)
    return [order[turn == part] for part in range(num_parts)]


def _gradient_blocks(shape: Shape) -> np.ndarray:
    """Cut the rows of a weight gradient into tasks; a GRU's new gate begins one."""
    hidden_size = shape.hidden_size
    ends = [2 * hidden_size, 3 * hidden_size] if shape.cell == GRU else [shape.sums]
    starts: list[int] = []
    begin = 0
    for end in ends:
        starts += range(begin, end, _GRADIENT_ROWS)
        begin = end
    return np.array([*starts, shape.sums], np.int64)


def _lines(floats: int) -> int:
    """Round up to whole cache lines, which hold a whole number of vectors."""
    return -(-floats // _LINE) * _LINE


def _width(floats: int) -> int:
    """Return the step between rows of a matrix: whole cache lines.

    Rows whole kilobytes apart would crowd into few sets of the cache, so those get a line more.
    """
    width = _lines(floats)
    return width + _LINE if width % 256 == 0 else width
