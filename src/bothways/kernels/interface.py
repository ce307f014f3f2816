"""The interface of all kernels that run recurrent layers.

All tensors are time-major, (time, batch, features). `lengths` is an int64 CPU tensor (batch,), or
None if every row is as long as the time axis. States are a tuple in the order of `cell.states`,
each (num_layers * num_directions, batch, size), layer by layer with the forward direction first, as
in `torch.nn`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from bothways.kernels.cells import Cell
from bothways.kernels.draws import DEFAULT_DRAWS, Draws
from bothways.kernels.dropout import dropout
from bothways.kernels.tensors import unreadable

States: TypeAlias = tuple[Tensor, ...]

PRECISIONS = ("float32", "bfloat16")
"""Number formats of the factors of matrix products; all else has the dtype of the weights."""


class DirectionWeights(NamedTuple):
    """Weights of one direction of one layer, named and shaped as in `torch.nn`."""

    weight_ih: Tensor  # (num_gates * hidden_size, input_size)
    weight_hh: Tensor  # (num_gates * hidden_size, state_size)
    bias_ih: Tensor | None = None  # (num_gates * hidden_size,)
    bias_hh: Tensor | None = None
    weight_hr: Tensor | None = None  # (proj_size, hidden_size)

    @property
    def tensors(self) -> list[Tensor]:
        """The weights that are not None, in torch's order."""
        return [tensor for tensor in self if tensor is not None]


LayerWeights: TypeAlias = tuple[DirectionWeights, ...]  # forward, then backward if there is one


@dataclass(frozen=True, eq=False)
class Stack:
    """The layers that a kernel runs: a cell, plain weights and dropout.

    The weights are not replaced: another stack is made for other weights. What is known about them
    can therefore be remembered.

    Parameters
    ----------
    cell : Cell
    layers : tuple of LayerWeights
        From the bottom layer to the top layer.
    dropout : float
        Probability of zeroing an output of any layer below the top one; 0 in evaluation.
    draws : Draws
        The random numbers of dropout.
    precision : str
        One of `PRECISIONS`.
    """

    cell: Cell
    layers: tuple[LayerWeights, ...]
    dropout: float = 0.0
    draws: Draws = DEFAULT_DRAWS
    precision: str = "float32"

    @cached_property
    def tensors(self) -> list[Tensor]:
        """All weights, in torch's order."""
        return [tensor for layer in self.layers for side in layer for tensor in side.tensors]

    @cached_property
    def are_readable(self) -> bool:
        """Whether compiled code can read the memory of all weights."""
        return not any(map(unreadable, self.tensors))

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, otherwise 1."""
        return len(self.layers[0])


class Kernel(Protocol):
    """A backend that runs a whole stack of layers."""

    def outputs(
        self, stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States | None
    ) -> tuple[Tensor, States]:
        """Return the outputs of the top layer, and the final states of all layers.

        Outputs at and past `lengths` are zero. If `initial` is None, the initial states are zeros.
        """

    def last_outputs(
        self, stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States | None
    ) -> Tensor:
        """Return the outputs of the top layer at the last step of each row, (batch, features).

        The gradient of a weight that does not affect the result is zeros, not None: optimizers skip
        weights without a gradient, so weight decay would differ from that with all outputs.
        """


class Passes(Protocol):
    """Forward and backward passes of the same layers, one after the other, without a graph."""

    def forward(self, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, ...]:
        """Run the layers, with dropout between them.

        Parameters
        ----------
        inputs : float32 Tensor (time, batch, input_size)
        lengths : int64 Tensor (batch,) or None
            None if every row has `time` steps.

        Returns
        -------
        outputs : Tensor (time, batch, features); if only the last outputs are needed \
        (batch, features)
        *states : Tensor (num_layers * num_directions, batch, hidden_size)
            None of them if only the last outputs are needed. The next forward pass may overwrite
            all results.
        """

    def backward(self, d_outputs: Tensor | None, d_hidden: Tensor | None) -> None:
        """Compute the gradients of the weights, after a forward pass.

        Parameters
        ----------
        d_outputs : Tensor, shaped as the outputs, or None for zeros
        d_hidden : Tensor (num_layers * num_directions, batch, hidden_size) or None for zeros
            The gradient of the final h.
        """


Prepared: TypeAlias = Callable[[Tensor, Tensor | None, States], tuple[Tensor, States]]
"""`Kernel.outputs` of a stack: a function of inputs, lengths and initial states."""

RunLayer: TypeAlias = Callable[
    [Cell, LayerWeights, Tensor, Tensor | None, States], tuple[Tensor, States]
]


def run_layers(
    run_layer: RunLayer, stack: Stack, inputs: Tensor, lengths: Tensor | None, initial: States
) -> tuple[Tensor, States]:
    """Run `stack` one layer at a time, with dropout between the layers."""
    finals = []
    directions = stack.num_directions
    for index, weights in enumerate(stack.layers):
        if index > 0:
            inputs = dropout(inputs, stack.dropout, stack.draws, batch_axis=1)
        states = layer_states(initial, index, directions)
        inputs, final = run_layer(stack.cell, weights, inputs, lengths, states)
        finals.append(final)
    return inputs, tuple(torch.cat(states) for states in zip(*finals, strict=True))


def zero_states(stack: Stack, inputs: Tensor) -> States:
    """Return initial states of zeros for `inputs` (time, batch, input_size)."""
    weights = stack.layers[0][0]
    count = len(stack.layers) * stack.num_directions
    hidden_size = weights.weight_ih.shape[0] // len(stack.cell.gates)
    sizes = (weights.weight_hh.shape[1], hidden_size)  # of h, which may be projected, and of c
    return tuple(
        weights.weight_ih.new_zeros(count, inputs.shape[1], size)
        for size in sizes[: len(stack.cell.states)]
    )


def layer_states(states: States, layer: int, num_directions: int) -> States:
    """Return the states of one layer, each (num_directions, batch, size)."""
    return tuple(state[layer * num_directions :][:num_directions] for state in states)


def direction_states(states: States, direction: int) -> States:
    """Return the states of one direction of a layer, each (1, batch, size)."""
    return tuple(state[direction : direction + 1] for state in states)


def split_top(stack: Stack) -> tuple[Stack | None, LayerWeights]:
    """Return the layers below the top one (None if there are none), and the top layer."""
    *lower, top = stack.layers
    return (replace(stack, layers=tuple(lower)) if lower else None), top
