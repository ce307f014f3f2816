"""The kernel on compiled code, as one autograd function.

Without a graph, a call is inference. With a graph, the program also computes the gradients. If the
gradients must be differentiable themselves, torch's operators compute them instead.
"""

from typing import Any

import torch
from torch import Tensor

from bothways.kernels import torch_backend
from bothways.kernels.checks import check_floats, checked_weights
from bothways.kernels.compiled.call import Call, Operands, dropout_masks
from bothways.kernels.compiled.passes import empty_results, infer, run_backward, run_forward
from bothways.kernels.compiled.workspace import ALIGNMENT, cached_tensor
from bothways.kernels.interface import DirectionWeights, Stack, States, layer_states
from bothways.kernels.tensors import resolved, unreadable
from bothways.kernels.torch_internals import is_graph_kept


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


def _run(
    stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States | None, *, last: bool
) -> tuple[Tensor, ...]:
    weights = checked_weights(stack, inputs.shape[2])
    operands = Operands(resolved(inputs), tuple(map(resolved, initial or ())), weights)
    tensors = [operands.inputs, *operands.initial, *weights]
    check_floats([operands.inputs, *operands.initial])
    call = Call.of(stack, lengths=lengths, last=last, has_initial=initial is not None)
    masks = dropout_masks(stack, inputs)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _Recurrent.apply(call, masks, *tensors)  # type: ignore[no-untyped-call]
    return infer(call, masks, operands)


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
        results = empty_results(call, plan.shape, inputs)
        run_forward(call, plan, kept.data_ptr(), masks, operands, results)
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
            found = run_backward(
                ctx.call, ctx.plan, kept.data_ptr(), masks, operands, needed, plain
            )
        return None, None, *found


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
