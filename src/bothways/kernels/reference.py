"""Reference implementation of the cells in plain torch, slow and easy to check.

The other kernels are tested against it.

Sources: LSTM, Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; projection,
Sak et al. 2014; GRU, Cho et al. 2014 in the variant of `torch.nn.GRU`, whose reset gate acts after
the hidden bias; RNN, Elman 1990. Gate order as stated in `cells.py`.
"""

import torch
from torch import Tensor
from torch.nn import functional

from bothways.kernels.cells import GRU, LSTM, RNN_RELU, RNN_TANH, Cell
from bothways.kernels.interface import (
    DirectionWeights,
    LayerWeights,
    Stack,
    States,
    direction_states,
    run_layers,
    zero_states,
)
from bothways.kernels.lengths import last_steps, valid_steps, zero_padding


def outputs(
    stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States | None
) -> tuple[Tensor, States]:
    """See `Kernel.outputs`."""
    if initial is None:
        initial = zero_states(stack, inputs)
    time, batch_size, _ = inputs.shape
    if lengths is None:
        lengths = torch.full((batch_size,), time)
    return run_layers(_layer, stack, zero_padding(inputs, lengths), lengths, initial)


def last_outputs(
    stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States | None
) -> Tensor:
    """See `Kernel.last_outputs`; computed by selecting from all outputs."""
    all_outputs, _ = outputs(stack, inputs, lengths, initial)
    return all_outputs[-1] if lengths is None else last_steps(all_outputs, lengths)


def _layer(
    cell: Cell, weights: LayerWeights, inputs: Tensor, lengths: Tensor | None, states: States
) -> tuple[Tensor, States]:
    assert lengths is not None  # `outputs` always passes lengths
    valid = valid_steps(lengths, inputs.shape[0], inputs.device)[:, :, None]  # (time, batch, 1)
    sides, finals = [], []
    for direction, direction_weights in enumerate(weights):
        side, final = _direction(
            cell, direction_weights, inputs, valid, direction_states(states, direction), direction
        )
        sides.append(side)
        finals.append(final)
    final_states = tuple(torch.stack(states) for states in zip(*finals, strict=True))
    return torch.cat(sides, dim=-1), final_states


def _direction(
    cell: Cell,
    weights: DirectionWeights,
    inputs: Tensor,
    valid: Tensor,
    initial: States,
    direction: int,
) -> tuple[Tensor, States]:
    """Run one direction; padding leaves the state of a row unchanged."""
    steps = list(range(inputs.shape[0]))
    if direction == 1:
        steps.reverse()
    states = tuple(state[0] for state in initial)  # each (batch, size)
    hidden: dict[int, Tensor] = {}
    for t in steps:
        after = _STEP[cell](weights, inputs[t], states)
        states = tuple(
            torch.where(valid[t], new, old) for new, old in zip(after, states, strict=True)
        )
        hidden[t] = torch.where(valid[t], states[0], 0.0)
    return torch.stack([hidden[t] for t in sorted(hidden)]), states


def _rnn_step(weights: DirectionWeights, x: Tensor, states: States) -> States:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh)  (Elman 1990)."""
    return (torch.tanh(_from_input(weights, x) + _from_hidden(weights, states[0])),)


def _relu_rnn_step(weights: DirectionWeights, x: Tensor, states: States) -> States:
    """h' = relu(W_ih x + b_ih + W_hh h + b_hh)  (`torch.nn.RNN`)."""
    return (torch.relu(_from_input(weights, x) + _from_hidden(weights, states[0])),)


def _gru_step(weights: DirectionWeights, x: Tensor, states: States) -> States:
    """r, z = sigmoid(...); n = tanh(W_in x + b_in + r (W_hn h + b_hn)); h' = (1 - z) n + z h."""
    (h,) = states
    reset_x, update_x, new_x = _from_input(weights, x).chunk(3, dim=-1)
    reset_h, update_h, new_h = _from_hidden(weights, h).chunk(3, dim=-1)
    r = torch.sigmoid(reset_x + reset_h)
    z = torch.sigmoid(update_x + update_h)
    n = torch.tanh(new_x + r * new_h)
    return ((1 - z) * n + z * h,)


def _lstm_step(weights: DirectionWeights, x: Tensor, states: States) -> States:
    """c' = f c + i g; h' = o tanh(c'), projected by W_hr if there is one (Sak et al. 2014)."""
    h, c = states
    i, f, g, o = (_from_input(weights, x) + _from_hidden(weights, h)).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    if weights.weight_hr is not None:
        h = functional.linear(h, weights.weight_hr)
    return h, c


def _from_input(weights: DirectionWeights, x: Tensor) -> Tensor:
    return functional.linear(x, weights.weight_ih, weights.bias_ih)


def _from_hidden(weights: DirectionWeights, h: Tensor) -> Tensor:
    return functional.linear(h, weights.weight_hh, weights.bias_hh)


_STEP = {RNN_TANH: _rnn_step, RNN_RELU: _relu_rnn_step, GRU: _gru_step, LSTM: _lstm_step}
