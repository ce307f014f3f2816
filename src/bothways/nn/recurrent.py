"""The recurrent layers: weights and checks around the kernels, for every cell."""

from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from bothways.errors import ShapeError
from bothways.kernels.backends import Choice, choose_backend
from bothways.kernels.cells import Cell
from bothways.kernels.interface import DirectionWeights, Kernel, Stack, States
from bothways.kernels.lengths import checked_lengths

Steps = TypeVar("Steps", Tensor, PackedSequence)


class RecurrentLayers(torch.nn.RNNBase):
    """Recurrent layers of any cell; `bothways.nn` names the three that stand in for `torch.nn`'s.

    Parameters
    ----------
    cell : Cell
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, \
    device, dtype
        As in `torch.nn.LSTM`.
    backend : str
        Which engine runs: one of `bothways.kernels.BACKENDS`.
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        backend: str = "auto",
    ) -> None:
        super().__init__(
            cell.mode,
            input_size,
            hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            device=device,
            dtype=dtype,
        )
        self.cell = cell
        self.backend = backend

    @property
    def num_directions(self) -> int:
        """1 forward only, 2 both ways."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Features of one output step: both directions side by side."""
        return (self.proj_size or self.hidden_size) * self.num_directions

    @property
    def _weights(self) -> list[Tensor]:
        """All weights in torch's order, whatever stands in for a parameter now."""
        return [self._weight(name) for name in self._flat_weights_names]

    def _weight(self, name: str) -> Tensor:
        plain = self._parameters  # attributes are slow to look up, and parametrizations are those
        return cast(Tensor, plain[name] if name in plain else getattr(self, name))

    @property
    def backend_choice(self) -> Choice:
        """Which backend runs these layers now, and why."""
        return self._choose(self._weights)

    def _choose(self, tensors: list[Tensor]) -> Choice:
        return choose_backend(
            self.backend,
            self.cell,
            tensors[0].device,
            tensors[0].dtype,
            projected=self.proj_size > 0,
            tensors=tensors,
        )

    def outputs(
        self, input: Tensor, hx: States | None = None, *, lengths: Any = None
    ) -> tuple[Tensor, States]:
        """Run all steps; `forward` with the states always as a tuple.

        Parameters
        ----------
        input : Tensor (batch, time, input_size) if `batch_first`, else (time, batch, input_size); \
        unbatched (time, input_size)
            Steps at or past `lengths` never affect any result; they may hold NaN.
        hx : tuple of Tensor (num_layers * num_directions, batch, size), optional
            Initial `h_0`, and `c_0` for an LSTM. Zeros where not given.
        lengths : int64 Tensor or list (batch,), 1 <= lengths <= time, optional
            In any order. Each row as long as the time axis where not given.

        Returns
        -------
        outputs : Tensor, shaped as `input` but for its last axis, `output_size`
            Zero at and past `lengths`.
        states : tuple of Tensor (num_layers * num_directions, batch, size)
            Each row's state after its own last step; backward, after its step 0.

        Raises
        ------
        ShapeError
            If `input`, `hx` or `lengths` do not fit each other or the weights.
        """
        steps, lengths, initial, batched = self._prepared(input, hx, lengths)
        kernel, stack = self._kernel_and_stack(steps, initial)
        outputs, states = kernel.outputs(stack, steps, lengths, initial)
        if not batched:
            return outputs[:, 0], tuple(state[:, 0] for state in states)
        return (outputs.transpose(0, 1) if self.batch_first else outputs), states

    def last_outputs(
        self, input: Tensor, hx: States | None = None, *, lengths: Any = None
    ) -> Tensor:
        """Return the outputs at each row's last step, and compute no more than that needs.

        The top layer's backward direction has read one step there, so one step is all it runs;
        gradients are those of taking that step from `outputs`.

        Parameters
        ----------
        input, hx, lengths
            As in `outputs`.

        Returns
        -------
        Tensor (batch, output_size); (output_size,) for unbatched input

        Raises
        ------
        ShapeError
            As `outputs`.
        """
        steps, lengths, initial, batched = self._prepared(input, hx, lengths)
        kernel, stack = self._kernel_and_stack(steps, initial)
        last = kernel.last_outputs(stack, steps, lengths, initial)
        return last if batched else last[0]

    def _prepared(
        self, input: Tensor, hx: States | None, lengths: Any
    ) -> tuple[Tensor, Tensor | None, States | None, bool]:
        """Return time-major steps, lengths (None if all rows are full), states, batched."""
        batched = input.dim() == 3
        if not batched:
            if input.dim() != 2:
                raise ShapeError(
                    f"input has {input.dim()} axes, shape {tuple(input.shape)}; expected 3, or 2 "
                    "for a single sequence. Add the missing axis."
                )
            if lengths is not None:
                raise ShapeError(
                    "lengths was given with unbatched input; expected a batch. "
                    "Cut the sequence instead, or add a batch axis."
                )
        if input.shape[-1] != self.input_size:
            raise ShapeError(
                f"input has {input.shape[-1]} features a step, shape {tuple(input.shape)}; "
                f"expected input_size {self.input_size}. Check the order of the axes."
            )
        weight = self._weight(self._flat_weights_names[0])
        if input.dtype != weight.dtype and not torch.is_autocast_enabled(input.device.type):
            raise ShapeError(
                f"input has dtype {input.dtype} but the weights have {weight.dtype}; expected the "
                f"same. Use input.to({weight.dtype})."
            )
        if not batched:
            steps = input[:, None]
        else:
            steps = input.transpose(0, 1) if self.batch_first else input
        time, batch_size, _ = steps.shape
        if time == 0:
            raise ShapeError(
                f"input has no steps, shape {tuple(input.shape)}; expected at least 1. Leave empty "
                "sequences out."
            )
        if lengths is not None:
            lengths = checked_lengths(lengths, batch_size, time)
            if bool((lengths == time).all()):
                lengths = None
        return steps, lengths, self._initial(hx, steps, batched), batched

    def _initial(self, hx: States | None, steps: Tensor, batched: bool) -> States | None:
        if hx is None:
            return None
        num_states = self.num_layers * self.num_directions
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)
        shapes = [(num_states, steps.shape[1], size) for size in sizes[: len(self.cell.states)]]
        if not batched:
            hx = tuple(state[:, None] for state in hx)
        if len(hx) != len(shapes):
            raise ShapeError(
                f"hx holds {len(hx)} states; expected {len(shapes)}: "
                f"{', '.join(f'{name}_0' for name in self.cell.states)}. Pass a tuple of them."
            )
        for name, state, shape in zip(self.cell.states, hx, shapes, strict=True):
            if tuple(state.shape) != shape:
                raise ShapeError(
                    f"{name}_0 has shape {tuple(state.shape)}; expected {shape}: (num_layers * "
                    "num_directions, batch, size). Leave it out for zeros."
                )
        return hx

    def _kernel_and_stack(self, steps: Tensor, initial: States | None) -> tuple[Kernel, Stack]:
        weights = self._weights
        choice = self._choose([*weights, steps, *(initial or ())])
        return choice.kernel, self._stack(weights)

    def _stack(self, weights: list[Tensor]) -> Stack:
        count = 2 + 2 * self.bias + (self.proj_size > 0)  # tensors of one direction
        flat = []
        for first in range(0, len(weights), count):
            weight_ih, weight_hh, *rest = weights[first : first + count]
            weight_hr = rest.pop() if self.proj_size else None
            bias_ih, bias_hh = rest or (None, None)
            flat.append(DirectionWeights(weight_ih, weight_hh, bias_ih, bias_hh, weight_hr))
        layers = tuple(
            tuple(flat[first : first + self.num_directions])
            for first in range(0, len(flat), self.num_directions)
        )
        return Stack(self.cell, layers, self.dropout if self.training else 0.0)

    def run(self, input: Steps, hx: States | None, lengths: Any) -> tuple[Steps, States]:
        """Run `outputs`; a PackedSequence is taken too, and comes back as one."""
        if not isinstance(input, PackedSequence):
            return self.outputs(input, hx, lengths=lengths)
        if lengths is not None:
            raise ShapeError(
                "lengths was given with a PackedSequence, which has its own; expected one of the "
                "two. Leave lengths out."
            )
        padded, packed_lengths = pad_packed_sequence(input, batch_first=self.batch_first)
        outputs, states = self.outputs(padded, hx, lengths=packed_lengths)
        if input.sorted_indices is not None:
            batch_axis = 0 if self.batch_first else 1
            outputs = outputs.index_select(batch_axis, input.sorted_indices)
            packed_lengths = packed_lengths[input.sorted_indices.cpu()]
        packed = pack_padded_sequence(outputs, packed_lengths, batch_first=self.batch_first)
        result = PackedSequence(
            packed.data, input.batch_sizes, input.sorted_indices, input.unsorted_indices
        )
        return result, states
