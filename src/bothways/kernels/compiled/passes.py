"""Runs of the compiled program on the tensors of a call: inference, forward and backward.

A run takes the records of the layout, fills in the addresses of the tensors, and starts one phase
after the other.
"""

import ctypes
from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor

from bothways.kernels.compiled.cache import entry_address
from bothways.kernels.compiled.call import Call, Operands
from bothways.kernels.compiled.layout import Plan
from bothways.kernels.compiled.shape import Shape
from bothways.kernels.compiled.stats import counters
from bothways.kernels.compiled.structs import (
    BACKWARD,
    BACKWARD_BEGIN,
    BACKWARD_END,
    BACKWARD_INPUTS,
    BACKWARD_SCANS,
    COOPERATIVE_FORWARD,
    COUNTER_STRIDE,
    FORWARD,
    PACKING_TASKS,
    PREPARE_BACKWARD,
    PREPARE_FORWARD,
    ROW_STEPS,
    WEIGHT_GRADIENTS,
    Job,
    Weights,
)
from bothways.kernels.compiled.threads import run_on_threads
from bothways.kernels.compiled.workspace import Workspace

# Inference is run in slices of the batch if its scratch memory would exceed this size, as long as a
# slice still has this many rows for each thread.
_SLICE_BYTES = 1 << 26
_SLICE_ROWS = 16


class PackedWeights:
    """The weights of a call in the form that the program reads, for further calls.

    Parameters
    ----------
    call : Call
        With `packed`.
    inputs : Tensor (time, batch, input_size)
        Of any time and batch size.
    weights : list of Tensor
        In torch's order.

    Attributes
    ----------
    address : int
        Of the records of the packed weights.
    """

    def __init__(self, call: Call, inputs: Tensor, weights: list[Tensor]) -> None:
        plan = call.plan(inputs, weights, keep=False, d_inputs=False)
        self._memory = Workspace(plan.forward_bytes)
        job, self._records, _scans = plan.records(0, self._memory.address, backward=False)
        contiguous = [weight.contiguous() for weight in weights]
        fill_weights(self._records, contiguous, first="weight_ih")
        _Runner(job, plan)(PREPARE_FORWARD, 2 * PACKING_TASKS * plan.shape.num_scans)
        self.address = int(self._records.ctypes.data)


def infer(
    call: Call, masks: Tensor | None, operands: Operands, packed: PackedWeights | None = None
) -> tuple[Tensor, ...]:
    """Run the program without a graph, in slices of the batch if it needs much memory."""
    plan = call.plan(operands.inputs, operands.weights, keep=False, d_inputs=False)
    results = empty_results(call, plan.shape, operands.inputs)
    rows = plan.shape.batch_size
    least = _SLICE_ROWS * plan.shape.threads
    slices = min(-(-plan.rows_bytes // _SLICE_BYTES), rows // least)
    if slices < 2:
        run_forward(call, plan, 0, masks, operands, results, packed)
        return results
    size = -(-rows // slices)
    for start in range(0, rows, size):
        chosen = slice(start, start + size)
        lengths = None if call.lengths is None else call.lengths[chosen]
        slice_inputs = operands.inputs[:, chosen]
        slice_initial = tuple(state[:, chosen] for state in operands.initial)
        slice_operands = Operands(slice_inputs, slice_initial, operands.weights)
        slice_call = call.with_lengths(lengths)
        slice_plan = slice_call.plan(slice_inputs, operands.weights, keep=False, d_inputs=False)
        outputs, *final = results
        slice_final = [state.new_empty(state[:, chosen].shape) for state in final]
        slice_results = (outputs[chosen] if call.last else outputs[:, chosen], *slice_final)
        slice_masks = None if masks is None else masks[:, :, chosen].contiguous()
        run_forward(slice_call, slice_plan, 0, slice_masks, slice_operands, slice_results, packed)
        for state, found in zip(final, slice_final, strict=True):
            state[:, chosen] = found
    return results


def empty_results(call: Call, shape: Shape, inputs: Tensor) -> tuple[Tensor, ...]:
    """Return empty tensors for the outputs and, unless `call.last`, for the final states.

    The outputs have the memory layout of the inputs. They are not a view, so that callers may
    modify them in place.
    """
    time, batch_size, features = shape.time, shape.batch_size, shape.features
    if call.last:
        return (inputs.new_empty((batch_size, features)),)
    batch_first = inputs.stride(0) < inputs.stride(1)
    steps = (features, time * features) if batch_first else (batch_size * features, features)
    outputs = inputs.new_empty_strided((time, batch_size, features), (*steps, 1))
    states = (shape.num_scans, batch_size, shape.hidden_size)
    return outputs, *(inputs.new_empty(states) for _ in call.cell.states)


def run_forward(
    call: Call,
    plan: Plan,
    kept: int,
    masks: Tensor | None,
    operands: Operands,
    results: tuple[Tensor, ...],
    packed: PackedWeights | None = None,
) -> None:
    """Run the program forward and write `results`; the outputs may be any strided view."""
    scratch = Workspace(plan.forward_bytes)
    job, weight_records, _scans = plan.records(kept, scratch.address, backward=False)
    if packed is None:
        weights = [weight.contiguous() for weight in operands.weights]
        fill_weights(weight_records, weights, first="weight_ih")
    else:
        job.weights = packed.address
    forward(job, call, plan, masks, operands, results)
    scratch.release()


def forward(
    job: Job,
    call: Call,
    plan: Plan,
    masks: Tensor | None,
    operands: Operands,
    results: tuple[Tensor, ...],
) -> None:
    """Run the forward phases of a job whose weights are filled in."""
    shape = plan.shape
    inputs = operands.inputs
    inputs = inputs if inputs.stride(2) == 1 else inputs.contiguous()
    initial = [state.contiguous() for state in operands.initial]
    result, *final = results
    _fill_steps(job, "inputs", inputs)
    _fill_steps(job, "outputs", result[None] if call.last else result)
    for name, state in zip(("initial_hidden", "initial_cell"), initial, strict=False):
        setattr(job, name, state.data_ptr())
    for name, state in zip(("final_hidden", "final_cell"), final, strict=False):
        setattr(job, name, state.data_ptr())
    if masks is not None:
        job.masks = masks.data_ptr()
    run = _Runner(job, plan)
    job.row_steps_counter = ctypes.addressof(job) + ROW_STEPS
    if shape.shares:
        ctypes.memset(job.stage_counters, 0, (1 + shape.shares) * COUNTER_STRIDE)
        run(COOPERATIVE_FORWARD, shape.shares)
    else:
        if not shape.packed:
            run(PREPARE_FORWARD, 2 * PACKING_TASKS * shape.num_scans)
        run(FORWARD, len(plan.parts))
    counters.forward += 1
    counters.row_steps += job.row_steps


def run_backward(
    call: Call,
    plan: Plan,
    kept: int,
    masks: Tensor | None,
    operands: Operands,
    needed: tuple[bool, ...],
    gradients: list[Tensor | None],
) -> list[Tensor | None]:
    """Run the program backward; return the gradients of the operands, None where not needed."""
    inputs, initial, weights = operands
    scratch = Workspace(plan.backward_bytes)
    job, weight_records, _scans = plan.records(kept, scratch.address, backward=True)
    weights = [weight.contiguous() for weight in weights]
    fill_weights(weight_records, weights, first="weight_ih")
    d_inputs = None
    if plan.shape.d_inputs:  # fixed by the layout, even if this backward pass does not need it
        d_inputs = torch.empty_like(inputs, memory_format=torch.contiguous_format)
        _fill_steps(job, "d_inputs", d_inputs)
    d_initial = [torch.empty_like(s, memory_format=torch.contiguous_format) for s in initial]
    for name, gradient in zip(("d_initial_hidden", "d_initial_cell"), d_initial, strict=False):
        setattr(job, name, gradient.data_ptr())
    d_weights: list[Tensor] = []
    if any(call.split(needed).weights):
        d_weights = [torch.empty_like(weight) for weight in weights]
        fill_weights(weight_records, d_weights, first="d_weight_ih")
    backward(job, call, plan, masks, gradients, d_weights=bool(d_weights))
    scratch.release()
    results = [d_inputs, *d_initial, *d_weights]  # gradients of all weights, or of none
    pairs = zip_longest(results, needed)
    return [result if is_needed else None for result, is_needed in pairs]


def backward(
    job: Job,
    call: Call,
    plan: Plan,
    masks: Tensor | None,
    gradients: list[Tensor | None],
    *,
    d_weights: bool,
) -> None:
    """Run the backward phases of a job whose weights and results are filled in."""
    shape = plan.shape
    d_result, *d_final = gradients
    alive = []  # tensors whose addresses are in the job
    if d_result is not None:
        d_result = d_result if d_result.stride(-1) == 1 else d_result.contiguous()
        alive.append(d_result)
        _fill_steps(job, "d_outputs", d_result[None] if call.last else d_result)
    for name, gradient in zip(("d_final_hidden", "d_final_cell"), d_final, strict=False):
        if gradient is not None:
            alive.append(gradient.contiguous())
            setattr(job, name, alive[-1].data_ptr())
    if masks is not None:
        job.masks = masks.data_ptr()
    run = _Runner(job, plan)
    run(PREPARE_BACKWARD, 2 * PACKING_TASKS * shape.num_scans)
    if shape.shares and shape.scan_shares:
        run(BACKWARD_BEGIN, 1)
        for layer in reversed(range(shape.num_layers)):
            job.layer = layer
            run(BACKWARD_SCANS, shape.num_directions)
            run(BACKWARD_INPUTS, shape.threads)
            run(BACKWARD_END, 1)
    else:
        run(BACKWARD, len(plan.parts))
    if d_weights:
        run(WEIGHT_GRADIENTS, plan.blocks * shape.num_scans)
    counters.backward += 1


class _Runner:
    """Runs the phases of one job."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self._job = job
        self._entry = entry_address(plan.shape.cell, plan.shape.instructions.precision)
        self._threads = plan.shape.threads

    def __call__(self, phase: int, tasks: int) -> None:
        job = self._job
        job.phase, job.tasks, job.next_task, job.next_worker = phase, tasks, 0, 0
        run_on_threads(self._entry, ctypes.addressof(job), min(self._threads, tasks))


def _fill_steps(job: Job, name: str, steps: Tensor) -> None:
    """Write the address and the strides of `steps` (time, batch, features) into a job."""
    setattr(job, name, steps.data_ptr())
    setattr(job, f"{name}_time_step", steps.stride(0))
    setattr(job, f"{name}_row_step", steps.stride(1))


def fill_weights(records: np.ndarray, weights: list[Tensor], *, first: str) -> None:
    """Write addresses of weights or their gradients into field `first` and the fields after it."""
    table = records.view(np.int64).reshape(len(records), -1)
    column = list(Weights.__annotations__).index(first)
    end = column + len(weights) // len(records)
    addresses = [weight.data_ptr() for weight in weights]
    table[:, column:end] = np.array(addresses).reshape(len(records), -1)
    table[:, end : column + 4] = 0  # no biases
