"""The base class of the recurrent layers: weights and validation around the kernels."""

from dataclasses import replace
from typing import Any, NoReturn, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from bothways.errors import ExportError, ShapeError, counted
from bothways.kernels.backends import Choice
from bothways.kernels.interface import (
    Kernel,
    Passes,
    Prepared,
    Stack,
    States,
)
from bothways.kernels.lengths import Lengths, reverse_steps
from bothways.kernels.torch_internals import is_traced
from bothways.nn.stacked import StackedLayers

Steps = TypeVar("Steps", Tensor, PackedSequence)


class RecurrentLayers(StackedLayers):
    """Base class of `bothways.nn.RNN`, `GRU` and `LSTM`.

    Each of them is also a subclass of its counterpart in `torch.nn`, which creates the parameters.

    Parameters
    ----------
    *arguments, **options
        Arguments of the counterpart in `torch.nn`.
    backend : str
        One of `bothways.kernels.BACKENDS`.
    precision : str
        One of `bothways.kernels.PRECISIONS`: the number format of the factors of all matrix
        products. Weights, states, sums and gradients are float32.

    Attributes
    ----------
    last_choice : Choice or None
        The backend that ran the last call, and the reason for it.
    draws : Draws
        The random numbers of dropout; default: those of torch's default generator.
    """

    last_choice: Choice | None = None

    def __prepare_scriptable__(self) -> NoReturn:
        """Raise an error; `torch.jit.script` calls this."""
        raise ExportError(
            f"torch.jit.script cannot compile {type(self).__name__} of bothways.nn; expected "
            "layers of torch.nn. Use torch.export or torch.jit.trace, or load the weights into "
            "the layer of torch.nn."
        )

    @property
    def output_size(self) -> int:
        """Number of output features at one time step, over both directions."""
        return (self.proj_size or self.hidden_size) * self.num_directions

    def outputs(
        self, input: Tensor, hx: States | None = None, *, lengths: Any = None
    ) -> tuple[Tensor, States]:
        """Run all time steps like `forward`, but with states always in a tuple.

        Parameters
        ----------
        input : Tensor (batch, time, input_size) if `batch_first`, else (time, batch, input_size); \
        unbatched (time, input_size)
            Steps at or past `lengths` never affect any result; they may be NaN.
        hx : tuple of Tensor (num_layers * num_directions, batch, size), optional
            Initial `h_0`, and `c_0` for an LSTM; default: zeros.
        lengths : int64 Tensor or list (batch,), 1 <= lengths <= time, optional
            In any order; default: every row has `time` steps.

        Returns
        -------
        outputs : Tensor, shaped as `input`, with `output_size` features
            Zero at and past `lengths`.
        states : tuple of Tensor (num_layers * num_directions, batch, size)
            The state of each row after its last step; of the backward direction, after step 0.

        Raises
        ------
        ShapeError
            If `input`, `hx` or `lengths` do not fit each other or the weights.
        """
        kernel, arguments = self._prepared(input, hx, lengths)
        outputs, states = kernel.outputs(*arguments)
        if input.dim() == 2:
            return outputs[:, 0], tuple(state[:, 0] for state in states)
        return (outputs.transpose(0, 1) if self.batch_first else outputs), states

    def last_outputs(
        self, input: Tensor, hx: States | None = None, *, lengths: Any = None
    ) -> Tensor:
        """Return the outputs at the last step of each row, without computing unneeded steps.

        At that step, the backward direction of the top layer has made one step only, so only one
        step of it is run. The gradients equal those of selecting the step from `outputs`.

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
        kernel, arguments = self._prepared(input, hx, lengths)
        last = kernel.last_outputs(*arguments)
        return last[0] if input.dim() == 2 else last

    def prepared(self, *, alone: bool = False) -> Prepared:
        """Return a function that runs these layers in many short calls, without gradients.

        It takes inputs (time, batch, input_size), lengths (batch,) or None, and initial states, and
        returns outputs and final states, all as in `outputs`, without validation. The weights must
        not change any more, and there is no dropout.

        Parameters
        ----------
        alone : bool
            Whether each call is one sequence; if it is large, threads share each step. Otherwise,
            the bits of a row depend neither on other rows nor on how its steps are divided.
        """
        stack = self._current_stack()
        return self._choose(stack).prepared(replace(stack, dropout=0.0), alone=alone)

    def passes(self, *, last: bool) -> Passes:
        """Return the passes of many training steps, if `backend_choice` is the compiled engine.

        They write the gradients into the `grad` of the parameters, which must exist.

        Parameters
        ----------
        last : bool
            Whether only the outputs at the last step of each row are needed.
        """
        stack = self._current_stack()
        gradients = [cast(Tensor, weight.grad) for weight in stack.tensors]
        return self._choose(stack).passes(stack, gradients, last=last)

    def direction_outputs(
        self,
        layer: int,
        direction: int,
        input: Tensor,
        lengths: Tensor,
        hx: States | None = None,
    ) -> tuple[Tensor, States]:
        """Run one direction of one layer.

        Parameters
        ----------
        layer : int
        direction : int
            0 forward, 1 backward.
        input : Tensor (batch, time, features)
        lengths : int64 Tensor (batch,)
        hx : tuple of Tensor (1, batch, size), optional
            The state before the first step, or behind the last one; default: zeros.

        Returns
        -------
        outputs : Tensor (batch, time, size)
            Zero at and past `lengths`.
        states : tuple of Tensor (1, batch, size)
            After the last step of each row; of the backward direction, after step 0.
        """
        stack = self._current_stack()
        alone = replace(stack, layers=((stack.layers[layer][direction],),), dropout=0.0)
        steps = input.transpose(0, 1)
        checked = Lengths.of(lengths, *input.shape[:2])
        if direction:
            steps = reverse_steps(steps, checked.values)
        choice = self._choose(stack, steps, *(hx or ()))
        outputs, states = choice.kernel.outputs(alone, steps, checked.values_if_ragged, hx)
        if direction:
            outputs = reverse_steps(outputs, checked.values)
        return outputs.transpose(0, 1), states

    def _prepared(
        self, input: Tensor, hx: States | None, lengths: Any
    ) -> tuple[Kernel, tuple[Stack, Tensor, Tensor | None, States | None]]:
        """Return the kernel and its arguments: stack, time-major steps, lengths, states."""
        stack = self._current_stack()
        self.check_steps(input, stack.layers[0][0].weight_ih, lengths)
        if input.dim() == 2:
            steps = input[:, None]
        else:
            steps = input.transpose(0, 1) if self.batch_first else input
        time, batch_size, _ = steps.shape
        if time == 0:
            raise ShapeError(
                f"input has no steps, shape {tuple(input.shape)}; expected at least 1. Remove "
                "empty sequences."
            )
        checked = Lengths.of(lengths, batch_size, time)
        initial = self._initial(hx, steps, batched=input.dim() == 3)
        choice = self._choose(stack, steps, *(initial or ()))
        if not is_traced():
            self.last_choice = choice
        return choice.kernel, (stack, steps, checked.values_if_ragged, initial)

    def check_steps(self, input: Tensor, weight: Tensor, lengths: Any) -> None:
        """Raise ShapeError if `input` does not fit; `weight` has the dtype of all weights."""
        if input.dim() not in (2, 3):
            raise ShapeError(
                f"input has {input.dim()} axes, shape {tuple(input.shape)}; expected 3, or 2 "
                "for a single sequence. Add the missing axis."
            )
        if input.dim() == 2 and lengths is not None:
            raise ShapeError(
                "lengths was passed with unbatched input; expected a batch. "
                "Truncate the sequence instead, or add a batch axis."
            )
        if input.shape[-1] != self.input_size:
            raise ShapeError(
                f"input has {counted(input.shape[-1], 'feature')} per step, shape "
                f"{tuple(input.shape)}; expected input_size {self.input_size}. Check the order of "
                "the axes."
            )
        if input.dtype != weight.dtype and not torch.is_autocast_enabled(input.device.type):
            raise ShapeError(
                f"input has dtype {input.dtype} but the weights have {weight.dtype}; expected the "
                f"same. Use input.to({weight.dtype})."
            )

    def _initial(self, hx: States | None, steps: Tensor, *, batched: bool) -> States | None:
        if hx is None:
            return None
        num_states = self.num_layers * self.num_directions
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)
        shapes = [(num_states, steps.shape[1], size) for size in sizes[: len(self.cell.states)]]
        if not batched:
            hx = tuple(state[:, None] for state in hx)
        if len(hx) != len(shapes):
            raise ShapeError(
                f"hx has {counted(len(hx), 'state')}; expected {len(shapes)}: "
                f"{', '.join(f'{name}_0' for name in self.cell.states)}. Pass a tuple of them."
            )
        for name, state, shape in zip(self.cell.states, hx, shapes, strict=True):
            if tuple(state.shape) != shape:
                raise ShapeError(
                    f"{name}_0 has shape {tuple(state.shape)}; expected {shape}: (num_layers * "
                    "num_directions, batch, size). Omit it for zeros."
                )
        return hx

    def run(self, input: Steps, hx: States | None, lengths: Any) -> tuple[Steps, States]:
        """Run `outputs` on a tensor or a PackedSequence; return outputs of the same type."""
        if not isinstance(input, PackedSequence):
            return self.outputs(input, hx, lengths=lengths)
        if lengths is not None:
            raise ShapeError(
                "lengths was passed with a PackedSequence, which already has lengths; expected one "
                "of them. Omit lengths."
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
