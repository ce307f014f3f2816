"""The weights of recurrent layers, as the stack that a kernel runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from operator import is_
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import Parameter

from bothways.errors import ShapeError
from bothways.kernels.backends import Choice, choose_backend
from bothways.kernels.cells import CELLS, Cell
from bothways.kernels.draws import DEFAULT_DRAWS, Draws
from bothways.kernels.interface import DirectionWeights, Stack
from bothways.kernels.torch_internals import is_traced, is_transformed


class _KnownStack(NamedTuple):
    """A stack, and what it was made from: objects that are compared by identity, and facts."""

    objects: list[Any]
    facts: list[Any]
    stack: Stack


class StackedLayers(torch.nn.RNNBase):
    """Layers of `torch.nn` that know their cell, their weights and their backend.

    Parameters and attributes are described in `RecurrentLayers`.
    """

    draws: Draws = DEFAULT_DRAWS

    # Also of layers that were pickled without them.
    precision = "float32"
    _last_stack: _KnownStack | None = None

    def __init__(
        self, *arguments: Any, backend: str = "auto", precision: str = "float32", **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.backend = backend
        self.precision = precision
        self._weight_names = tuple(name for name, _ in self.named_parameters())

    @property
    def num_weights(self) -> int:
        """Number of weight tensors."""
        return len(self._weight_names)

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle and copy use."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        return state | {"_last_stack": None}

    @property
    def cell(self) -> Cell:
        """The cell of these layers, with its gates and states."""
        return CELLS[self.mode]

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, otherwise 1."""
        return 2 if self.bidirectional else 1

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

    def _weight(self, name: str) -> Tensor:
        """Return a weight; a parametrization may have replaced the parameter."""
        weight = self._parameters.get(name)  # much faster than an attribute of a module
        if weight is None:
            weight = getattr(self, name, None)
        if weight is None:
            raise ShapeError(
                f"{name} of {type(self).__name__} is missing; expected a tensor. Assign it again, "
                "or create a new layer."
            )
        return cast(Tensor, weight)

    def _current_stack(self) -> Stack:
        """Return the stack of the weights; the same object until something changes.

        The kernels remember what they have checked of a stack.
        """
        dropout = self.dropout if self.training else 0.0
        weights = [self._weight(name) for name in self._weight_names]
        # The results of a parametrization are not kept alive here.
        are_plain = all(type(weight) is Parameter for weight in weights)
        if not are_plain or is_traced() or is_transformed():
            return self._stack(weights, dropout)
        try:  # `weight.data` may have been replaced
            memory = [(w.data_ptr(), w.shape, w.dtype, w.is_neg()) for w in weights]
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
