"""The description of a call of the engine, apart from its tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bothways.kernels.cells import Cell
from bothways.kernels.compiled.instruction_sets import host_target
from bothways.kernels.compiled.layout import Plan, padded_plan
from bothways.kernels.compiled.shape import Shape
from bothways.kernels.dropout import dropout
from bothways.kernels.interface import Stack

# Multiply-adds per thread; with less work, another thread costs more time than it saves.
_MIN_THREAD_WORK = 200_000


@dataclass(frozen=True)
class Call:
    """The description of a call, apart from its tensors.

    Parameters
    ----------
    cell : Cell
    precision : float32 or bfloat16
        Number format of the factors of all matrix products.
    num_layers, num_directions : int
    has_bias : bool
    lengths : int64 Tensor (batch,) or None
    last : bool
        Whether only the outputs at the last steps are needed.
    has_initial : bool
        Whether initial states were passed.
    packed : bool
        Whether the weights have been packed before the call.
    """

    cell: Cell
    precision: str
    num_layers: int
    num_directions: int
    has_bias: bool
    lengths: Tensor | None
    last: bool
    has_initial: bool
    packed: bool = False

    @classmethod
    def of(
        cls,
        stack: Stack,
        *,
        lengths: Tensor | None,
        last: bool,
        has_initial: bool,
        packed: bool = False,
    ) -> "Call":
        """Return the description of a call of a stack."""
        return cls(
            cell=stack.cell,
            precision=stack.precision,
            num_layers=len(stack.layers),
            num_directions=stack.num_directions,
            has_bias=stack.layers[0][0].bias_ih is not None,
            lengths=lengths,
            last=last,
            has_initial=has_initial,
            packed=packed,
        )

    def with_lengths(self, lengths: Tensor | None) -> "Call":
        """Return the same call for rows of other lengths."""
        return replace(self, lengths=lengths)

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
            packed=self.packed,
            instructions=host_target(self.precision).instruction_set,
        )
        return padded_plan(shape) if self.lengths is None else Plan(shape, self.lengths.numpy())


class Operands(NamedTuple):
    """The tensors of a call, or one value for each of them."""

    inputs: Any
    initial: tuple[Any, ...]
    weights: list[Any]


def dropout_masks(stack: Stack, inputs: Tensor) -> Tensor | None:
    """Return masks (num_layers - 1, time, batch, features) of dropout between layers, if any."""
    if not stack.dropout or len(stack.layers) == 1:
        return None
    features = stack.num_directions * stack.layers[0][0].weight_hh.shape[1]
    ones = inputs.new_ones(len(stack.layers) - 1, *inputs.shape[:2], features)
    return dropout(ones, stack.dropout, stack.draws, batch_axis=2)
