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

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from bothways.kernels.interface import States
from bothways.nn.recurrent import RecurrentLayers


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
    left: Tensor,
    chunks: Chunks,
    dropped: Callable[[Tensor], Tensor],
    states: Sequence[States] | None = None,
    *,
    time: int,
) -> tuple[Tensor, list[States]]:
    """Return the outputs of bidirectional layers, and the states of their forward direction.

    Parameters
    ----------
    layers : RecurrentLayers
    inputs : Tensor (batch, steps, input_size)
        Steps at or past `left` have no effect.
    left : int64 Tensor (batch,), at least 1
        Time steps from the beginning of `inputs` to the end of the sequence. `inputs` may end
        earlier, behind the context of the last chunk.
    chunks : Chunks
    dropped : callable
        Dropout between layers: from a tensor with the axis of the batch first to one of its shape.
    states : sequence of tuple of Tensor (1, batch, hidden_size), optional
        For each layer, the state of the forward direction before `inputs`; default: zeros.
    time : int
        Steps to return, from the beginning.

    Returns
    -------
    outputs : Tensor (batch, time, output_size)
        Zero at and past `left`.
    states : list of tuple of Tensor (1, batch, hidden_size)
        After these steps, or after the end of a sequence that ends earlier.
    """
    windows = _Windows(left, chunks, time)
    steps = windows.steps(inputs)
    after: list[States] = []
    for layer in range(layers.num_layers):
        if layer:
            steps = windows.of_batch(dropped(windows.to_batch(steps)))
        state = None if states is None else states[layer]
        is_top = layer == layers.num_layers - 1
        run = _forward if is_top else _forward_with_context
        forward, state = run(layers, layer, steps, windows, state)
        backward, _ = layers.direction_outputs(layer, 1, steps, windows.lengths)
        after.append(state)
        steps = torch.cat([forward, backward[:, : forward.shape[1]]], dim=-1)
    return windows.to_batch(steps).flatten(1, 2)[:, :time], after


class _Windows:
    """The chunks of all rows of a batch, each with its context; those of the first chunk first.

    Attributes
    ----------
    main : int
        Steps of a chunk.
    count : int
        Chunks of the longest row.
    left : int64 Tensor (batch,)
    lengths : int64 Tensor (windows,)
        Valid steps of the chunk and its context.
    goes_on : bool Tensor (windows,)
        Whether the sequence goes on behind the chunk.
    row : int64 Tensor (windows,)
    """

    def __init__(self, left: Tensor, chunks: Chunks, time: int) -> None:
        self.main, self.left = chunks.main_steps, left
        self._width = self.main + chunks.context_steps
        self._count_padded = -(-time // self.main)
        starts = self.main * torch.arange(self._count_padded)
        remaining = left - starts[:, None]
        self._chunk, self.row = (remaining > 0).nonzero(as_tuple=True)
        self.count = int(self._chunk[-1]) + 1
        remaining = remaining[self._chunk, self.row]
        self.lengths = remaining.clamp(max=self._width)
        self.goes_on = remaining > self.main

    def steps(self, inputs: Tensor) -> Tensor:
        """Return the windows (windows, main + context, features) of inputs (batch, steps, …)."""
        starts = self.main * self._chunk
        missing = int(starts[-1]) + self._width - inputs.shape[1]
        padded = pad(inputs, (0, 0, 0, missing)) if missing > 0 else inputs
        return padded[self.row[:, None], starts[:, None] + torch.arange(self._width)]

    def to_batch(self, steps: Tensor) -> Tensor:
        """Arrange windows (windows, steps, features) as (batch, chunks, steps, features)."""
        found = steps.new_zeros(len(self.left), self._count_padded, *steps.shape[1:])
        return found.index_put((self.row, self._chunk), steps)

    def of_batch(self, steps: Tensor) -> Tensor:
        """Return what `to_batch` has arranged."""
        return steps[self.row, self._chunk]

    def of_chunk(self, chunk: int) -> slice:
        """Return where the windows of a chunk are."""
        first, end = torch.searchsorted(self._chunk, torch.tensor([chunk, chunk + 1])).tolist()
        return slice(first, end)


def _forward(
    layers: RecurrentLayers, layer: int, steps: Tensor, windows: _Windows, state: States | None
) -> tuple[Tensor, States]:
    """Run the forward direction through all chunks at once: outputs (windows, main, size)."""
    main = windows.to_batch(steps[:, : windows.main])
    batch_size, count, time, features = main.shape
    lengths = windows.left.clamp(max=count * time)
    outputs, state = layers.direction_outputs(
        layer, 0, main.view(batch_size, -1, features), lengths, state
    )
    return windows.of_batch(outputs.reshape(batch_size, count, time, -1)), state


def _forward_with_context(
    layers: RecurrentLayers, layer: int, steps: Tensor, windows: _Windows, state: States | None
) -> tuple[Tensor, States]:
    """Run the forward direction through each chunk, then its context: (windows, steps, size)."""
    outputs, before_context = [], []
    goes_on = windows.goes_on
    last: States = ()
    for chunk in range(windows.count):
        own = windows.of_chunk(chunk)
        found, state = layers.direction_outputs(
            layer,
            0,
            steps[own, : windows.main],
            windows.lengths[own].clamp(max=windows.main),
            state,
        )
        outputs.append(found)
        last = _with_rows(last, windows.row[own], state)
        state = tuple(tensor[:, goes_on[own]] for tensor in state)
        before_context.append(state)
    main = torch.cat(outputs)
    context = main.new_zeros(len(main), steps.shape[1] - windows.main, main.shape[2])
    if context.shape[1] and bool(goes_on.any()):
        states = tuple(torch.cat(parts, dim=1) for parts in zip(*before_context, strict=True))
        found, _ = layers.direction_outputs(
            layer,
            0,
            steps[goes_on, windows.main :],
            windows.lengths[goes_on] - windows.main,
            states,
        )
        context = context.index_put((goes_on,), found)
    return torch.cat([main, context], dim=1), last


def _with_rows(states: States, rows: Tensor, new: States) -> States:
    """Return states with new values of some rows; the first ones are those of all rows."""
    if not states:
        return new
    return tuple(state.index_copy(1, rows, own) for state, own in zip(states, new, strict=True))
