"""Layers whose weights are packed once, for many short calls without a graph."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bothways.kernels.checks import check_weights
from bothways.kernels.compiled.call import Call, Operands
from bothways.kernels.compiled.passes import PackedWeights, infer
from bothways.kernels.interface import Stack, States


class PreparedLayers:
    """Recurrent layers that are called again and again, for a few steps each time.

    An ordinary call packs the weights, which takes longer than the arithmetic of a single step.

    Parameters
    ----------
    stack : Stack
        Without dropout. Its weights must not change any more.
    alone : bool
        Whether each call is one sequence. If a step is large enough to be shared by threads, they
        share it as in an ordinary call, and read the weights where they are.

    Notes
    -----
    Unless `alone`, threads never share a step, so the bits of a row depend on its steps and states
    only: not on the other rows, and not on the calls that its steps are divided into.
    """

    def __init__(self, stack: Stack, *, alone: bool) -> None:
        weights = [weight.detach() for weight in stack.tensors]
        inputs = torch.zeros(1, 1, stack.layers[0][0].weight_ih.shape[1])
        check_weights(stack, weights, inputs.shape[2])
        self._stack, self._alone = stack, alone
        self._call = Call.of(stack, lengths=None, last=False, has_initial=True, packed=True)
        self._weights = weights
        self._packed: PackedWeights | None = None
        if alone:
            ordinary = replace(self._call, packed=False)
            if ordinary.plan(inputs, weights, keep=False, d_inputs=False).shape.shares:
                self._call = ordinary
                return
        self._packed = PackedWeights(self._call, inputs, weights)

    def __reduce__(self) -> Any:
        """Return how to make a copy, which packs its weights itself."""
        return partial(PreparedLayers, alone=self._alone), (self._stack,)

    def __call__(
        self, inputs: Tensor, lengths: Tensor | None, initial: States
    ) -> tuple[Tensor, States]:
        """Return outputs and states, as `Kernel.outputs`."""
        call = self._call if lengths is None else self._call.with_lengths(lengths)
        operands = Operands(inputs, initial, self._weights)
        outputs, *states = infer(call, None, operands, self._packed)
        return outputs, tuple(states)
