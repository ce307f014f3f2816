"""The base class of the recurrent layers: weights and validation around the kernels."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import is_
from typing import Any, NamedTuple, NoReturn, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from bothways.errors import ExportError, ShapeError, counted
from bothways.kernels.backends import Choice, choose_backend
from bothways.kernels.cells import CELLS, Cell
from bothways.kernels.draws import DEFAULT_DRAWS, Draws
from bothways.kernels.interface import (
    DirectionWeights,
    Kernel,
    Passes,
    Prepared,
    Stack,
    States,
)
from bothways.kernels.lengths import Lengths, reverse_steps
from bothways.kernels.torch_internals import is_traced, is_transformed

Steps = TypeVar("Steps", Tensor, PackedSequence)


class _KnownStack(NamedTuple):
    """A stack, and what it was made from: objects that are compared by identity, and facts."""

    objects: list[Any]
    facts: list[Any]
    stack: Stack


class RecurrentLayers(torch.nn.RNNBase):
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
    draws: Draws = DEFAULT_DRAWS

    precision = "float32"  # also of layers that were pickled without it

    def __init__(
        self, *arguments: Any, backend: str = "auto", precision: str = "float32", **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.backend = backend
        self.precision = precision
        self._weight_names = tuple(name for name, _ in self.named_parameters())
        self._last_stack: _KnownStack | None = None

    def __prepare_scriptable__(self) -> NoReturn:
        """Raise an error; `torch.jit.script` calls this."""
        raise ExportError(
            f"torch.jit.script cannot compile {type(self).__name__} of bothways.nn; expected "
            "layers of torch.nn. Use torch.export or torch.jit.trace, or load the weights into "
            "the layer of torch.nn."
        )

    @property
    def cell(self) -> Cell:
        """The cell of these layers, with its gates and states."""
        return CELLS[self.mode]

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, otherwise 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Number of output features at one time step, over both directions."""
        return (self.proj_size or self.hidden_size) * self.num_directions

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle and copy use."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        return state | {"_last_stack": None}

    @property
    def backend_choice(self) -> Choice:
        """The backend that would run a call with plain tensors now, and the reason for it."""
        return self._choose(self._current_stack())

    @contextmanager
    def with_precision(self, precision: str) -> Iterator[None]:
        """Within this context, calls have another precision; their backward pass keeps it."""
        before, self.precision = self.precision, precision
        try:
            yield
        finally:
            self.precision = before

    def _choose(self, stack: Stack, *operands: Tensor) -> Choice:
        def unknown() -> Iterator[Tensor]:  # read only outside of tracing
            if not stack.are_readable:
                yield from stack.tensors
            yield from operands

        first = stack.layers[0][0].weight_ih
        return choose_backend(
            self.backend,
            self.cell,
            first.device,
            first.dtype,
            precision=self.precision,
            projected=self.proj_size > 0,
            tensors=unknown(),
        )

    def _current_weights(self) -> list[Tensor]:
        """Return all weights in torch's order; parametrizations may have replaced parameters."""
        return [self._weight(name) for name in self._weight_names]

    def _weight(self, name: str) -> Tensor:
        weight = self._parameters.get(name)  # much faster than an attribute of a module
        if weight is None:
            weight = getattr(self, name, None)
        if weight is None:
            raise ShapeError(
                f"{name} of {type(self).__name__} is missing; expected a tensor. Assign it again, "
                "or create a new layer."
            )
        return cast(Tensor, weight)

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
        self._check_input(input, stack.layers[0][0].weight_ih, lengths)
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

    def _check_input(self, input: Tensor, weight: Tensor, lengths: Any) -> None:
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

    def _current_stack(self) -> Stack:
        """Return the stack of the weights; the same object until something changes.

        The kernels remember what they have checked of a stack.
        """
        weights = self._current_weights()
        dropout = self.dropout if self.training else 0.0
        if is_traced() or is_transformed():
            return self._stack(weights, dropout)
        try:  # `weight.data` may have been replaced
            memory = [(weight.data_ptr(), weight.shape, weight.dtype) for weight in weights]
        except RuntimeError:  # a tensor without memory
            return self._stack(weights, dropout)
        objects, facts = [self.draws, *weights], [dropout, self.precision, *memory]
        last = self._last_stack
        if last is None or last.facts != facts or not all(map(is_, last.objects, objects)):
            last = self._last_stack = _KnownStack(objects, facts, self._stack(weights, dropout))
        return last.stack

    def _stack(self, weights: list[Tensor], dropout: float) -> Stack:
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
        return Stack(self.cell, layers, dropout, self.draws, self.precision)

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
