"""The kernel: calls of the compiled program, and their place in autograd."""

import ctypes
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bothways.errors import ShapeError
from bothways.kernels import torch_backend
from bothways.kernels.compiled.cache import entry_address
from bothways.kernels.compiled.instruction_sets import host_target
from bothways.kernels.compiled.layout import Plan, Shape, padded_plan
from bothways.kernels.compiled.stats import counters
from bothways.kernels.compiled.structs import (
    BACKWARD,
    FORWARD,
    PACKING_TASKS,
    PREPARE_BACKWARD,
    PREPARE_FORWARD,
    ROW_STEPS,
    TEAM_FORWARD,
    TEAM_LINE,
    WEIGHT_GRADIENTS,
    Job,
    Weights,
)
from bothways.kernels.compiled.threads import run_on_threads
from bothways.kernels.compiled.workspace import Workspace
from bothways.kernels.interface import DirectionWeights, Stack, States, layer_states

# Below so many multiply-adds a second thread costs more than it brings.
_WORTH_A_THREAD = 200_000


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


@dataclass
class Call:
    """What a call is, but for its differentiable tensors.

    Parameters
    ----------
    stack : Stack
        Its tensors are those of the call; inside autograd they come from there.
    lengths : Tensor or None
    last : bool
    has_initial : bool
    masks : Tensor (num_layers - 1, time, batch, features) or None
        What dropout multiplies each layer's outputs by.
    """

    stack: Stack
    lengths: Tensor | None
    last: bool
    has_initial: bool
    masks: Tensor | None

    def shape(self, inputs: Tensor, *, keep: bool, d_inputs: bool) -> Shape:
        """Return what the layout of this call depends on."""
        stack = self.stack
        time, batch_size, input_size = inputs.shape
        hidden_size = stack.layers[0][0].weight_hh.shape[1]
        work = sum(w.weight_ih.numel() + w.weight_hh.numel() for la in stack.layers for w in la)
        worth = max(1, work * time * batch_size // _WORTH_A_THREAD)
        return Shape(
            cell=stack.cell,
            num_layers=len(stack.layers),
            num_directions=stack.num_directions,
            input_size=input_size,
            hidden_size=hidden_size,
            time=time,
            batch_size=batch_size,
            threads=min(torch.get_num_threads(), worth),
            keep=keep,
            last=self.last,
            initial=self.has_initial,
            d_inputs=d_inputs,
            instructions=host_target().instruction_set,
        )

    def plan(self, shape: Shape) -> Plan:
        """Return the layout of this call."""
        if self.lengths is None:
            return padded_plan(shape)
        return Plan(shape, self.lengths.numpy())


def _run(
    stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States | None, *, last: bool
) -> tuple[Tensor, ...]:
    weights = stack.tensors
    masks = None
    if stack.dropout > 0 and len(stack.layers) > 1:
        features = stack.num_directions * stack.layers[0][0].weight_hh.shape[1]
        sides = len(stack.layers) - 1, *inputs.shape[:2], features
        masks = functional.dropout(inputs.new_ones(sides), stack.dropout)
    call = Call(stack, lengths, last, initial is not None, masks)
    tensors = [inputs, *(initial or ()), *weights]
    _check(stack, tensors, weights)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _Recurrent.apply(call, *tensors)  # type: ignore[no-untyped-call]
    shape = call.shape(inputs, keep=False, d_inputs=False)
    return _forward(call, call.plan(shape), 0, inputs, initial or (), weights)


def _check(stack: Stack, tensors: list[Tensor], weights: list[Tensor]) -> None:
    """Raise where compiled code would read past a tensor; torch's operators check this too."""
    for tensor in tensors:
        if tensor.dtype != torch.float32 or not tensor.is_cpu:
            raise ShapeError(
                f"a tensor of the call is {tensor.dtype} on {tensor.device}; expected float32 on "
                "the CPU, as the first weight is. Convert the states and all weights alike."
            )
    sums = len(weights[0])
    hidden_size = sums // len(stack.cell.gates)
    input_size = tensors[0].shape[2]
    a_direction = len(weights) // (len(stack.layers) * stack.num_directions)
    for number in range(len(stack.layers)):
        expected = [(sums, input_size), (sums, hidden_size), (sums,), (sums,)][:a_direction]
        for direction in range(stack.num_directions):
            first = (number * stack.num_directions + direction) * a_direction
            found = [tuple(weight.shape) for weight in weights[first : first + a_direction]]
            if found != expected:
                raise ShapeError(
                    f"the weights of layer {number} have shapes {found}; expected {expected}. "
                    "Check what replaced them."
                )
        input_size = stack.num_directions * hidden_size


class _Recurrent(torch.autograd.Function):
    """All layers as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        inputs, initial, weights = _split(call, tensors)
        ctx.call = call
        ctx.plan = call.plan(call.shape(inputs, keep=True, d_inputs=ctx.needs_input_grad[1]))
        ctx.kept = Workspace(ctx.plan.kept_bytes)
        return _forward(call, ctx.plan, ctx.kept.address, inputs, initial, weights)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1:]
        if all(gradient is None for gradient in gradients):
            return (None,) * (1 + len(tensors))
        # With create_graph gradients have gradients; in batches (vmap) they have no memory.
        plain = all(g is None or torch._C._has_storage(g) for g in gradients)
        if torch.is_grad_enabled() or not plain:
            return None, *_differentiable_backward(ctx.call, tensors, wanted, gradients)
        # The gates make room for their gradients: a graph that is kept needs them once more.
        call, plan, kept = ctx.call, ctx.plan, ctx.kept
        if torch._C._autograd._get_current_graph_task_keep_graph():
            kept = kept.copy()
        else:
            ctx.call = ctx.plan = None
        results = _backward(call, plan, kept.address, tensors, wanted, gradients)
        kept.release()
        return None, *results


def _split(call: Call, tensors: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...], list[Any]]:
    """Return inputs, initial states and weights of what autograd hands over as one."""
    states = len(call.stack.cell.states) if call.has_initial else 0
    return tensors[0], tensors[1 : 1 + states], list(tensors[1 + states :])


def _forward(
    call: Call,
    plan: Plan,
    kept: int,
    inputs: Tensor,
    initial: States,
    weights: list[Tensor],
) -> tuple[Tensor, ...]:
    """Run the program forward; return the outputs, and the final states unless `call.last`."""
    shape = plan.shape
    time, batch_size, _ = inputs.shape
    batch_first = inputs.stride(0) < inputs.stride(1)
    inputs = inputs if inputs.stride(2) == 1 else inputs.contiguous()
    weights = [weight.contiguous() for weight in weights]
    initial = tuple(state.contiguous() for state in initial)
    scratch = Workspace(plan.forward_bytes)
    job, records, _strands = plan.records(kept, scratch.address, backward=False)
    _fill_weights(records, weights, first="weight_ih")
    _fill_steps(job, "inputs", inputs)
    features = shape.features
    if call.last:
        result = inputs.new_empty((batch_size, features))
        _fill_steps(job, "outputs", result[None])
    else:  # laid out as the inputs are, and no view: its owner may change it in place
        steps = (features, time * features) if batch_first else (batch_size * features, features)
        result = inputs.new_empty_strided((time, batch_size, features), (*steps, 1))
        _fill_steps(job, "outputs", result)
    final: list[Tensor] = []
    for name, state in zip(("initial_hidden", "initial_cell"), initial, strict=False):
        setattr(job, name, state.data_ptr())
    if not call.last:
        for name in ("final_hidden", "final_cell")[: len(call.stack.cell.states)]:
            final.append(inputs.new_empty((shape.num_runs, batch_size, shape.hidden_size)))
            setattr(job, name, final[-1].data_ptr())
    if call.masks is not None:
        job.masks = call.masks.data_ptr()
    run = _Runner(job, plan)
    job.row_steps_counter = ctypes.addressof(job) + ROW_STEPS
    if shape.shares:
        ctypes.memset(job.team, 0, (1 + shape.shares) * TEAM_LINE)
        run(TEAM_FORWARD, shape.shares)
    else:
        run(PREPARE_FORWARD, 2 * PACKING_TASKS * shape.num_runs)
        run(FORWARD, len(plan.parts))
    counters.forward += 1
    counters.row_steps += job.row_steps
    scratch.release()
    return result, *final


def _backward(
    call: Call,
    plan: Plan,
    kept: int,
    tensors: tuple[Tensor, ...],
    wanted: tuple[bool, ...],
    gradients: tuple[Tensor | None, ...],
) -> list[Tensor | None]:
    """Run the program backward; return the gradients of `tensors`, None where not wanted."""
    shape = plan.shape
    inputs, initial, weights = _split(call, tensors)
    *_, wants_weights = _split(call, wanted)
    scratch = Workspace(plan.backward_bytes)
    job, records, _strands = plan.records(kept, scratch.address, backward=True)
    weights = [weight.contiguous() for weight in weights]
    _fill_weights(records, weights, first="weight_ih")
    d_result, *d_final = gradients
    hold = []  # what the job has addresses of
    if d_result is not None:
        d_result = d_result if d_result.stride(-1) == 1 else d_result.contiguous()
        hold.append(d_result)
        _fill_steps(job, "d_outputs", d_result[None] if call.last else d_result)
    for name, gradient in zip(("d_final_hidden", "d_final_cell"), d_final, strict=False):
        if gradient is not None:
            hold.append(gradient.contiguous())
            setattr(job, name, hold[-1].data_ptr())
    d_inputs = None
    if shape.d_inputs:  # laid out for it, even if this walk through the graph asks for less
        d_inputs = torch.empty_like(inputs, memory_format=torch.contiguous_format)
        _fill_steps(job, "d_inputs", d_inputs)
    d_initial = [torch.empty_like(s, memory_format=torch.contiguous_format) for s in initial]
    for name, gradient in zip(("d_initial_hidden", "d_initial_cell"), d_initial, strict=False):
        setattr(job, name, gradient.data_ptr())
    if call.masks is not None:
        job.masks = call.masks.data_ptr()
    run = _Runner(job, plan)
    run(PREPARE_BACKWARD, 2 * PACKING_TASKS * shape.num_runs)
    run(BACKWARD, len(plan.parts))
    d_weights: list[Tensor] = []
    if any(wants_weights):
        d_weights = [torch.empty_like(weight) for weight in weights]
        _fill_weights(records, d_weights, first="d_weight_ih")
        run(WEIGHT_GRADIENTS, plan.blocks * shape.num_runs)
    counters.backward += 1
    scratch.release()
    results = [d_inputs, *d_initial, *d_weights]  # none of the weights', or all
    pairs = zip_longest(results, wanted)
    return [result if want else None for result, want in pairs]


class _Runner:
    """Runs phases of one job on the program."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self._job = job
        self._entry = entry_address(plan.shape.cell)
        self._threads = plan.shape.threads

    def __call__(self, phase: int, tasks: int) -> None:
        job = self._job
        job.phase, job.tasks, job.next_task, job.next_worker = phase, tasks, 0, 0
        run_on_threads(self._entry, ctypes.addressof(job), min(self._threads, tasks))


def _fill_steps(job: Job, name: str, steps: Tensor) -> None:
    """Write where `steps` (time, batch, features) lies."""
    setattr(job, name, steps.data_ptr())
    setattr(job, f"{name}_time_step", steps.stride(0))
    setattr(job, f"{name}_row_step", steps.stride(1))


def _fill_weights(records: np.ndarray, weights: list[Tensor], *, first: str) -> None:
    """Write where weights, or their gradients, lie: into field `first` and those after it."""
    table = records.view(np.int64).reshape(len(records), -1)
    column = list(Weights.__annotations__).index(first)
    end = column + len(weights) // len(records)
    addresses = [weight.data_ptr() for weight in weights]
    table[:, column:end] = np.array(addresses).reshape(len(records), -1)
    table[:, end : column + 4] = 0  # no biases


def _differentiable_backward(
    call: Call,
    tensors: tuple[Tensor, ...],
    wanted: tuple[bool, ...],
    gradients: tuple[Tensor | None, ...],
) -> list[Tensor | None]:
    """Compute the same gradients through torch's own operators, which can be differentiated."""
    with torch.enable_grad():
        results = _run_on_torch(call, tensors)
        pairs = [(r, g) for r, g in zip(results, gradients, strict=True) if g is not None]
        sources = [tensor for tensor, want in zip(tensors, wanted, strict=True) if want]
        found = torch.autograd.grad(
            [result for result, _ in pairs],
            sources,
            [gradient for _, gradient in pairs],
            create_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
    remaining = iter(found)
    return [next(remaining) if want else None for want in wanted]


def _run_on_torch(call: Call, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Repeat a call on the torch backend, with the dropout it had."""
    steps, initial, weights = _split(call, tensors)
    layers = []
    remaining = iter(weights)
    for layer in call.stack.layers:
        layers.append(
            tuple(DirectionWeights(*(next(remaining) for _ in side.tensors)) for side in layer)
        )
    finals = []
    for index, layer in enumerate(layers):
        stack = replace(call.stack, layers=(layer,), dropout=0.0)
        states = layer_states(initial, index, call.stack.num_directions) if initial else None
        if call.last and index == len(layers) - 1:
            return (torch_backend.last_outputs(stack, steps, call.lengths, states),)
        steps, final = torch_backend.outputs(stack, steps, call.lengths, states)
        finals.append(final)
        if call.masks is not None and index < len(layers) - 1:
            steps = steps * call.masks[index]
    return steps, *(torch.cat(states) for states in zip(*finals, strict=True))
