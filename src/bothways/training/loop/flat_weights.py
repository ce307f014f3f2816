"""The weights of a model in one block of memory, and their gradients in another.

An optimizer then updates all of them in one operation on one tensor.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import Parameter

_ALIGNMENT = 16  # floats in a cache line


class FlatWeights:
    """Weights that are moved into one block of memory.

    Parameters
    ----------
    parameters : iterable of Parameter
        Float32, all on one device. Their `data` becomes a view of the block, and their `grad` a
        view of the gradients.

    Attributes
    ----------
    weights, gradients : float32 Tensor (size,)
        All weights, and all gradients, with zeros between them.
    """

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self._parameters = list(parameters)
        sizes = [-(-p.numel() // _ALIGNMENT) * _ALIGNMENT for p in self._parameters]
        self._sizes = sizes
        device = self._parameters[0].device
        self.weights = torch.zeros(sum(sizes), dtype=torch.float32, device=device)
        self.gradients = torch.zeros_like(self.weights)
        pairs = zip(self.views(self.weights), self.views(self.gradients), strict=True)
        for parameter, (weight, gradient) in zip(self._parameters, pairs, strict=True):
            weight.copy_(parameter.detach())
            parameter.data, parameter.grad = weight, gradient

    def views(self, block: Tensor) -> list[Tensor]:
        """Return the part of a tensor (size,) that belongs to each parameter, in its shape."""
        parts = block.split(self._sizes)
        pairs = zip(parts, self._parameters, strict=True)
        return [part[: parameter.numel()].view_as(parameter) for part, parameter in pairs]
