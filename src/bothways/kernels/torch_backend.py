"""The kernel that calls torch's operators, with exact results for ragged batches.

Packed sequences are exact too, but up to 90 times slower on a CPU (pytorch issue 149194). This
kernel runs ragged rows padded. The padding is set to zero. The backward direction reads each row
reversed within its length, so that every row starts at step 0 and its padding comes last, where it
can be discarded.

The final `c` of an LSTM needs more: torch returns it only for the last padded step. An extra input
column, 1 in the padding and 0 elsewhere, closes the input and output gates and opens the forget
gate, so that `c` stays unchanged through the padding.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bothways.kernels import torch_internals
from bothways.kernels.cells import GRU, LSTM, RNN_RELU, RNN_TANH, Cell
from bothways.kernels.dropout import dropout
from bothways.kernels.interface import (
    DirectionWeights,
    LayerWeights,
    Stack,
    States,
    direction_states,
    layer_states,
    run_layers,
    split_top,
    zero_states,
)
from bothways.kernels.lengths import last_steps, reverse_steps, valid_steps, zero_padding

_OPERATORS: dict[Cell, Callable[..., Any]] = {
    RNN_TANH: torch_internals.rnn_tanh,
    RNN_RELU: torch_internals.rnn_relu,
    GRU: torch_internals.gru,
    LSTM: torch_internals.lstm,
}

# Weights of the is-padding column: sigmoid(±1e4) is exactly 0 or 1 in every dtype, and its gradient
# is exactly 0.
_HOLD = {"input": -1e4, "forget": 1e4, "cell": 0.0, "output": -1e4}


def outputs(
    stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States | None
) -> tuple[Tensor, States]:
    """See `Kernel.outputs`."""
    if initial is None:
        initial = zero_states(stack, inputs)
    if lengths is None:
        # torch's operator draws for all rows, from the default generator
        if stack.dropout > 0 and not stack.draws.is_default:
            return run_layers(_full_layer, stack, inputs, None, initial)
        return _operator(stack.cell, stack.layers, inputs, initial, stack.dropout)
    return run_layers(_ragged_layer, stack, zero_padding(inputs, lengths), lengths, initial)


def last_outputs(
    stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States | None
) -> Tensor:
    """See `Kernel.last_outputs`; the backward direction of the top layer runs one step only."""
    if initial is None:
        initial = zero_states(stack, inputs)
    directions = stack.num_directions
    lower, top = split_top(stack)
    if lower is not None:
        below = tuple(state[:-directions] for state in initial)
        inputs, _ = outputs(lower, inputs, lengths, below)
        inputs = dropout(inputs, stack.dropout, stack.draws, batch_axis=1)
    elif lengths is not None:
        inputs = zero_padding(inputs, lengths)
    states = layer_states(initial, len(stack.layers) - 1, directions)

    forward, _ = _operator(stack.cell, (top[:1],), inputs, direction_states(states, 0))
    last_forward = _last(forward, lengths)
    if directions == 1:
        return last_forward
    # The backward direction starts at the last step, which is the only step that is needed.
    last_input = _last(inputs, lengths)[None]
    backward, _ = _operator(stack.cell, (top[1:],), last_input, direction_states(states, 1))
    return torch.cat([last_forward, backward[0]], dim=-1)


def _last(steps: Tensor, lengths: Tensor | None) -> Tensor:
    return steps[-1] if lengths is None else last_steps(steps, lengths)


def _operator(
    cell: Cell,
    layers: tuple[LayerWeights, ...],
    inputs: Tensor,
    initial: States,
    dropout: float = 0.0,
) -> tuple[Tensor, States]:
    """Call torch's operator for padded input on one or more layers."""
    weights = [tensor for layer in layers for direction in layer for tensor in direction.tensors]
    result, *final = _OPERATORS[cell](
        inputs,
        initial if cell == LSTM else initial[0],
        weights,
        layers[0][0].bias_ih is not None,
        len(layers),
        dropout,
        torch_internals.is_traced()
        or torch.is_grad_enabled(),  # a trace must also work for training
        len(layers[0]) == 2,
        False,  # batch_first
    )
    return result, tuple(final)


def _full_layer(
    cell: Cell, weights: LayerWeights, inputs: Tensor, lengths: Tensor | None, states: States
) -> tuple[Tensor, States]:
    """Run both directions over rows without padding."""
    return _operator(cell, (weights,), inputs, states)


def _ragged_layer(
    cell: Cell, weights: LayerWeights, inputs: Tensor, lengths: Tensor | None, states: States
) -> tuple[Tensor, States]:
    """Run both directions over ragged rows whose padding is zero."""
    assert lengths is not None  # `outputs` calls this for ragged rows only
    sides, finals = [], []
    for direction, direction_weights in enumerate(weights):
        initial = direction_states(states, direction)
        steps = reverse_steps(inputs, lengths) if direction == 1 else inputs
        side, final = _ragged_direction(cell, direction_weights, steps, lengths, initial)
        sides.append(reverse_steps(side, lengths) if direction == 1 else side)
        finals.append(final)
    final_states = tuple(torch.cat(states) for states in zip(*finals, strict=True))
    return torch.cat(sides, dim=-1), final_states


def _ragged_direction(
    cell: Cell, weights: DirectionWeights, inputs: Tensor, lengths: Tensor, initial: States
) -> tuple[Tensor, States]:
    """Run one direction over rows that start at step 0; return outputs and final states."""
    if cell == LSTM:
        weights, inputs = _hold_memory(weights, inputs, lengths)
    side, (_, *memory) = _operator(cell, ((weights,),), inputs, initial)
    h_n = last_steps(side, lengths)[None]
    return zero_padding(side, lengths), (h_n, *memory)


def _hold_memory(
    weights: DirectionWeights, inputs: Tensor, lengths: Tensor
) -> tuple[DirectionWeights, Tensor]:
    """Add the is-padding column, which keeps `c` unchanged through the padding."""
    weight_ih = weights.weight_ih
    hold = weight_ih.new_tensor([_HOLD[gate] for gate in LSTM.gates])
    column = hold.repeat_interleave(weight_ih.shape[0] // len(LSTM.gates))[:, None]
    is_padding = ~valid_steps(lengths, inputs.shape[0], inputs.device)[:, :, None]
    return (
        weights._replace(weight_ih=torch.cat([weight_ih, column], dim=1)),
        torch.cat([inputs, is_padding.to(inputs.dtype)], dim=2),
    )
