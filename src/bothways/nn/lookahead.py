"""Bidirectional layers that look ahead by a limited number of time steps.

A sequence is read in chunks. The forward direction carries its state from chunk to chunk. The
backward direction of a chunk starts, with a zero state, some steps behind the end of the chunk, in
its context. Each layer reads the outputs of the layer below in the chunk and in its context. The
outputs of the context are dropped, and computed again in the next chunk, which sees more of what
follows.

References
----------
Zhang, Chen, Yu, Yao, Khudanpur & Glass 2016, "Highway long short-term memory RNNs for distant
speech recognition": latency-controlled bidirectional LSTM, with `main_steps` N_c and
`context_steps` N_r.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from bothways.kernels.interface import States
from bothways.kernels.lengths import Lengths
from bothways.nn.recurrent import RecurrentLayers

ForwardStates: TypeAlias = list[States | None]
"""The states of the forward direction of each layer, each tensor (1, rows, hidden_size)."""


@dataclass(frozen=True)
class Chunks:
    """The division of a sequence into chunks.

    Parameters
    ----------
    lookahead : int
        No output depends on steps that are more than `lookahead` steps ahead.
    """

    lookahead: int

    @property
    def main_steps(self) -> int:
        """Steps of a chunk: about half of the lookahead, so that each step sees the other half."""
        return self.lookahead // 2 + 1

    @property
    def context_steps(self) -> int:
        """Steps behind a chunk that its outputs depend on."""
        return self.lookahead + 1 - self.main_steps


def limited_outputs(
    layers: RecurrentLayers,
    inputs: Tensor,
    lengths: Lengths,
    lookahead: int,
    dropped: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the outputs of bidirectional layers that look ahead by at most `lookahead` steps.

    Parameters
    ----------
    layers : RecurrentLayers
    inputs : Tensor (batch, time, input_size)
        The padding has no effect.
    lengths : Lengths
    lookahead : int
    dropped : callable
        Dropout between the layers: from a tensor (batch, steps, features) to one of this shape.

    Returns
    -------
    Tensor (batch, time, output_size)
        Zero in the padding.
    """
    chunks = Chunks(lookahead)
    batch_size, time, _ = inputs.shape
    rows, left = torch.arange(batch_size), lengths.values
    states: ForwardStates = [None] * layers.num_layers
    outputs = []
    for start in range(0, time, chunks.main_steps):
        main = min(chunks.main_steps, time - start)
        found = inputs.new_zeros(batch_size, main, layers.output_size)
        if len(rows):
            steps = inputs[rows, start : start + main + chunks.context_steps]

            def drop(steps: Tensor, rows: Tensor = rows) -> Tensor:
                every = steps.new_zeros(batch_size, *steps.shape[1:]).index_copy(0, rows, steps)
                return dropped(every)[rows]

            part, states = chunk_outputs(layers, steps, left, main, states, drop)
            found = found.index_copy(0, rows, part)
        outputs.append(found)
        left = left - main
        if not bool((left > 0).all()):
            states = [selected(state, left > 0) for state in states]
            rows, left = rows[left > 0], left[left > 0]
    return torch.cat(outputs, dim=1)


def chunk_outputs(
    layers: RecurrentLayers,
    steps: Tensor,
    left: Tensor,
    main: int,
    states: ForwardStates,
    dropped: Callable[[Tensor], Tensor],
) -> tuple[Tensor, ForwardStates]:
    """Return the outputs of a chunk, and the states of the forward direction after it.

    Parameters
    ----------
    layers : RecurrentLayers
    steps : Tensor (rows, main + context, input_size)
        The chunk and its context.
    left : int64 Tensor (rows,), at least 1
        Steps of each row from the beginning of the chunk to the end of the sequence.
    main : int
        Steps of the chunk.
    states : list
        Those before the chunk.
    dropped : callable
        As in `limited_outputs`.

    Returns
    -------
    outputs : Tensor (rows, main, output_size)
    states : list
    """
    lengths = left.clamp(max=steps.shape[1])
    goes_on = left > main
    after: ForwardStates = []
    for layer, state in enumerate(states):
        if layer:
            steps = dropped(steps)
        forward, state_after = layers.direction_outputs(
            layer, 0, steps[:, :main], lengths.clamp(max=main), state
        )
        backward, _ = layers.direction_outputs(layer, 1, steps, lengths)
        after.append(state_after)
        if layer == layers.num_layers - 1:
            break
        ahead = forward.new_zeros(len(steps), steps.shape[1] - main, layers.hidden_size)
        if bool(goes_on.any()) and ahead.shape[1]:
            found, _ = layers.direction_outputs(
                layer,
                0,
                steps[goes_on, main:],
                lengths[goes_on] - main,
                selected(state_after, goes_on),
            )
            ahead = ahead.index_copy(0, goes_on.nonzero()[:, 0], found)
        steps = torch.cat([torch.cat([forward, ahead], dim=1), backward], dim=-1)
    return torch.cat([forward, backward[:, :main]], dim=-1), after


def selected(state: States | None, rows: Tensor) -> States | None:
    """Return the states of some rows."""
    return None if state is None else tuple(tensor[:, rows] for tensor in state)
