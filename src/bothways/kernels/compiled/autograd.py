"""The kernel on compiled code: calls of the program, and their autograd function."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bothways.errors import ShapeError
from bothways.kernels import torch_backend
from bothways.kernels.cells import Cell
from bothways.kernels.compiled.cache import entry_address
from bothways.kernels.compiled.instruction_sets import host_target
from bothways.kernels.compiled.layout import Plan, Shape, padded_plan
from bothways.kernels.compiled.stats import counters
from bothways.kernels.compiled.structs import (
    BACKWARD,
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
from bothways.kernels.compiled.workspace import ALIGNMENT, Workspace, cached_tensor
from bothways.kernels.dropout import dropout
from bothways.kernels.interface import DirectionWeights, Stack, States, layer_states
from bothways.kernels.tensors import resolved, unreadable
from bothways.kernels.torch_internals import is_graph_kept

# Multiply-adds per thread; with less work, another thread costs more time than it saves.
_MIN_THREAD_WORK = 200_000

# Inference is run in slices of the batch if its scratch memory would exceed this size, as long as a
# slice still has this many rows for each thread.
_SLICE_BYTES = 1 << 26
_SLICE_ROWS = 16


def outputs(
    stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States | None
) -> tuple[Tensor, States]:
    """See `Kernel.outputs`."""
    result, *states = _run(stack, inputs, lengths, initial, last=False)
    return result, tuple(states)


def last_outputs(
    stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States | None
) -> Tensor:
    """See `Kernel.last_outputs`."""
    (result,) = _run(stack, inputs, lengths, initial, last=True)
    return result


@dataclass(frozen=True)
class Call:
    """The description of a call, apart from its tensors.

    Parameters
    ----------
    cell : Cell
    num_layers, num_directions : int
    has_bias : bool
    lengths : int64 Tensor (batch,) or None
    last : bool
        Whether only the outputs at the last steps are needed.
    has_initial : bool
        Whether initial states were passed.
    """

    cell: Cell
    num_layers: int
    num_directions: int
    has_bias: bool
    lengths: Tensor | None
    last: bool
    has_initial: bool

    def split(self, tensors: Sequence[Any]) -> "Operands":
        """Split the flat sequence that autograd passes into inputs, states and weights."""
        states = len(self.cell.states) if self.has_initial else 0
        weights = self.num_layers * self.num_directions * (4 if self.has_bias else 2)
        end = 1 + states + weights
        return Operands(tensors[0], tuple(tensors[1 : 1 + states]), list(tensors[1 + states : end]))

    def plan(self, inputs: Tensor, weights: list[Tensor], *, keep: bool, d_inputs: bool) -> Plan:
        """Return the memory layout of this call."""
        time, batch_size, input_size = inputs.shape
        work = sum(weight.numel() for weight in weights if weight.dim() == 2)
        useful_threads = max(1, work * time * batch_size // _MIN_THREAD_WORK)
        shape = Shape(
            cell=self.cell,
            num_layers=self.num_layers,
            num_directions=self.num_directions,
            input_size=input_size,
            hidden_size=weights[1].shape[1],
            time=time,
            batch_size=batch_size,
            threads=min(torch.get_num_threads(), useful_threads),
            keep=keep,
            last=self.last,
            initial=self.has_initial,
            d_inputs=d_inputs,
            instructions=host_target().instruction_set,
        )
        return padded_plan(shape) if self.lengths is None else Plan(shape, self.lengths.numpy())


class Operands(NamedTuple):
    """The tensors of a call, or one value for each of them."""

    inputs: Any
    initial: tuple[Any, ...]
    weights: list[Any]


def _run(
    stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States | None, *, last: bool
) -> tuple[Tensor, ...]:
    tensors = [resolved(tensor) for tensor in (inputs, *(initial or ()), *stack.tensors)]
    call = Call(
        cell=stack.cell,
        num_layers=len(stack.layers),
        num_directions=stack.num_directions,
        has_bias=stack.layers[0][0].bias_ih is not None,
        lengths=lengths,
        last=last,
        has_initial=initial is not None,
    )
    operands = call.split(tensors)
    _check(stack, tensors, operands.weights)
    masks = None
    if stack.dropout > 0 and len(stack.layers) > 1:
        features = stack.num_directions * stack.layers[0][0].weight_hh.shape[1]
        shape = len(stack.layers) - 1, *inputs.shape[:2], features
        masks = dropout(inputs.new_ones(shape), stack.dropout, stack.generator)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _Recurrent.apply(call, masks, *tensors)  # type: ignore[no-untyped-call]
    return _infer(call, masks, operands)


def _check(stack: Stack, tensors: list[Tensor], weights: list[Tensor]) -> None:
    """Raise ShapeError if compiled code would read outside a tensor, as torch's operators do."""
    for tensor in tensors:
        if tensor.dtype != torch.float32 or not tensor.is_cpu:
            raise ShapeError(
                f"a tensor of the call is {tensor.dtype} on {tensor.device}; expected float32 on "
                "the CPU, like the first weight. Convert all states and weights to it."
            )
    gates_size = len(weights[0])
    hidden_size = gates_size // len(stack.cell.gates)
    input_size = tensors[0].shape[2]
    count = len(weights) // (len(stack.layers) * stack.num_directions)  # of one direction
    for number in range(len(stack.layers)):
        shapes = [(gates_size, input_size), (gates_size, hidden_size), (gates_size,), (gates_size,)]
        expected = shapes[:count]
        for direction in range(stack.num_directions):
            first = (number * stack.num_directions + direction) * count
            found = [tuple(weight.shape) for weight in weights[first : first + count]]
            if found != expected:
                raise ShapeError(
                    f"the weights of layer {number} have shapes {found}; expected {expected}. "
                    "Check the code that replaced the weights."
                )
        input_size = stack.num_directions * hidden_size


class _Recurrent(torch.autograd.Function):
    """All layers as one node of the autograd graph.

    Everything that backward needs is in saved tensors, so that checkpointing and saved-tensor hooks
    work: the tensors of the call, the dropout masks, and `kept`, the program's kept memory.
    """

    @staticmethod
    def forward(ctx: Any, call: Call, masks: Tensor | None, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        operands = call.split(tensors)
        inputs, _, weights = operands
        plan = call.plan(inputs, weights, keep=True, d_inputs=ctx.needs_input_grad[2])
        kept = cached_tensor(plan.kept_bytes)
        ctx.call, ctx.plan = call, plan
        ctx.save_for_backward(kept, masks, *tensors)
        results = _empty_results(call, plan.shape, inputs)
        _forward(call, plan, kept.data_ptr(), masks, operands, results)
        return results

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[2:]
        if all(gradient is None for gradient in gradients):
            return (None,) * len(ctx.needs_input_grad)
        kept, masks, *tensors = ctx.saved_tensors
        # With create_graph, gradients must be differentiable; under vmap they have no memory.
        if torch.is_grad_enabled() or any(g is not None and unreadable(g) for g in gradients):
            found = _differentiable_backward(ctx.call, masks, tensors, needed, gradients)
        else:
            # Backward overwrites the gates with gradients, but a retained graph needs them again.
            if is_graph_kept() or kept.data_ptr() % ALIGNMENT:
                copy = cached_tensor(kept.numel())
                kept = copy.copy_(kept)
            plain = [None if g is None else resolved(g) for g in gradients]
            operands = ctx.call.split(tensors)
            found = _backward(ctx.call, ctx.plan, kept.data_ptr(), masks, operands, needed, plain)
        return None, None, *found


def _infer(call: Call, masks: Tensor | None, operands: Operands) -> tuple[Tensor, ...]:
    """Run the program without a graph, in slices of the batch if it needs much memory."""
    plan = call.plan(operands.inputs, operands.weights, keep=False, d_inputs=False)
    results = _empty_results(call, plan.shape, operands.inputs)
    rows = plan.shape.batch_size
    least = _SLICE_ROWS * plan.shape.threads
    slices = min(-(-plan.rows_bytes // _SLICE_BYTES), rows // least)
    if slices < 2:
        _forward(call, plan, 0, masks, operands, results)
        return results
    size = -(-rows // slices)
    for start in range(0, rows, size):
        chosen = slice(start, start + size)
        lengths = None if call.lengths is None else call.lengths[chosen]
        slice_inputs = operands.inputs[:, chosen]
        slice_initial = tuple(state[:, chosen] for state in operands.initial)
        slice_operands = Operands(slice_inputs, slice_initial, operands.weights)
        slice_call = replace(call, lengths=lengths)
        slice_plan = slice_call.plan(slice_inputs, operands.weights, keep=False, d_inputs=False)
        outputs, *final = results
        slice_final = [state.new_empty(state[:, chosen].shape) for state in final]
        slice_results = (outputs[chosen] if call.last else outputs[:, chosen], *slice_final)
        slice_masks = None if masks is None else masks[:, :, chosen].contiguous()
        _forward(slice_call, slice_plan, 0, slice_masks, slice_operands, slice_results)
        for state, found in zip(final, slice_final, strict=True):
            state[:, chosen] = found
    return results


def _empty_results(call: Call, shape: Shape, inputs: Tensor) -> tuple[Tensor, ...]:
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


def _forward(
    call: Call,
    plan: Plan,
    kept: int,
    masks: Tensor | None,
    operands: Operands,
    results: tuple[Tensor, ...],
) -> None:
    """Run the program forward and write `results`; the outputs may be any strided view."""
    shape = plan.shape
    inputs = operands.inputs
    inputs = inputs if inputs.stride(2) == 1 else inputs.contiguous()
    weights = [weight.contiguous() for weight in operands.weights]
    initial = [state.contiguous() for state in operands.initial]
    result, *final = results
    scratch = Workspace(plan.forward_bytes)
    job, weight_records, _scans = plan.records(kept, scratch.address, backward=False)
    _fill_weights(weight_records, weights, first="weight_ih")
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
        run(PREPARE_FORWARD, 2 * PACKING_TASKS * shape.num_scans)
        run(FORWARD, len(plan.parts))
    counters.forward += 1
    counters.row_steps += job.row_steps
    scratch.release()


def _backward(
    call: Call,
    plan: Plan,
    kept: int,
    masks: Tensor | None,
    operands: Operands,
    needed: tuple[bool, ...],
    gradients: list[Tensor | None],
) -> list[Tensor | None]:
    """Run the program backward; return the gradients of the operands, None where not needed."""
    shape = plan.shape
    inputs, initial, weights = operands
    scratch = Workspace(plan.backward_bytes)
    job, weight_records, _scans = plan.records(kept, scratch.address, backward=True)
    weights = [weight.contiguous() for weight in weights]
    _fill_weights(weight_records, weights, first="weight_ih")
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
    d_inputs = None
    if shape.d_inputs:  # fixed by the layout, even if this backward pass does not need it
        d_inputs = torch.empty_like(inputs, memory_format=torch.contiguous_format)
        _fill_steps(job, "d_inputs", d_inputs)
    d_initial = [torch.empty_like(s, memory_format=torch.contiguous_format) for s in initial]
    for name, gradient in zip(("d_initial_hidden", "d_initial_cell"), d_initial, strict=False):
        setattr(job, name, gradient.data_ptr())
    if masks is not None:
        job.masks = masks.data_ptr()
    run = _Runner(job, plan)
    run(PREPARE_BACKWARD, 2 * PACKING_TASKS * shape.num_scans)
    run(BACKWARD, len(plan.parts))
    d_weights: list[Tensor] = []
    if any(call.split(needed).weights):
        d_weights = [torch.empty_like(weight) for weight in weights]
        _fill_weights(weight_records, d_weights, first="d_weight_ih")
        run(WEIGHT_GRADIENTS, plan.blocks * shape.num_scans)
    counters.backward += 1
    scratch.release()
    results = [d_inputs, *d_initial, *d_weights]  # gradients of all weights, or of none
    pairs = zip_longest(results, needed)
    return [result if is_needed else None for result, is_needed in pairs]


class _Runner:
    """Runs the phases of one job."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self._job = job
        self._entry = entry_address(plan.shape.cell)
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


def _fill_weights(records: np.ndarray, weights: list[Tensor], *, first: str) -> None:
    """Write addresses of weights or their gradients into field `first` and the fields after it."""
    table = records.view(np.int64).reshape(len(records), -1)
    column = list(Weights.__annotations__).index(first)
    end = column + len(weights) // len(records)
    addresses = [weight.data_ptr() for weight in weights]
    table[:, column:end] = np.array(addresses).reshape(len(records), -1)
    table[:, end : column + 4] = 0  # no biases


def _differentiable_backward(
    call: Call,
    masks: Tensor | None,
    tensors: list[Tensor],
    needed: tuple[bool, ...],
    gradients: tuple[Tensor | None, ...],
) -> list[Tensor | None]:
    """Compute the gradients with torch's operators, so that they are differentiable."""
    # The forward pass ran without autocast, so this pass does too. The aliases separate the tensors
    # from the outer graph; otherwise, a tensor that depends on another one would be counted twice.
    with torch.enable_grad(), torch.autocast("cpu", enabled=False):
        aliases = [tensor.view_as(tensor) for tensor in tensors]
        results = _run_on_torch(call, masks, *call.split(aliases))
        pairs = [(r, g) for r, g in zip(results, gradients, strict=True) if g is not None]
        sources = [alias for alias, is_needed in zip(aliases, needed, strict=True) if is_needed]
        found = torch.autograd.grad(
            [result for result, _ in pairs],
            sources,
            [gradient for _, gradient in pairs],
            create_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
    remaining = iter(found)
    return [next(remaining) if is_needed else None for is_needed in needed]


def _run_on_torch(
    call: Call, masks: Tensor | None, steps: Tensor, initial: States, weights: list[Tensor]
) -> tuple[Tensor, ...]:
    """Repeat a call on the torch backend, with the same dropout masks."""
    count = 4 if call.has_bias else 2
    directions = [DirectionWeights(*weights[n : n + count]) for n in range(0, len(weights), count)]
    finals = []
    for index in range(call.num_layers):
        layer = tuple(directions[index * call.num_directions :][: call.num_directions])
        stack = Stack(call.cell, (layer,))
        states = layer_states(initial, index, call.num_directions) if initial else None
        if call.last and index == call.num_layers - 1:
            return (torch_backend.last_outputs(stack, steps, call.lengths, states),)
        steps, final = torch_backend.outputs(stack, steps, call.lengths, states)
        finals.append(final)
        if masks is not None and index < call.num_layers - 1:
            steps = steps * masks[index]
    return steps, *(torch.cat(states) for states in zip(*finals, strict=True))
