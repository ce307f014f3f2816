"""The weights of a model in one block of memory, and their gradients in another.

An optimizer then updates all of them in one operation on one tensor.
"""

from collections.abc import Iterable
from operator import is_
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

_ALIGNMENT = 16  # floats in a cache line


class FlatWeights:
    """A block of memory for all weights of a model, and one for their gradients.

    Parameters
    ----------
    parameters : iterable of Parameter
        Float32, all on one device.

    Attributes
    ----------
    weights, gradients : float32 Tensor (size,)
        All weights, and all gradients, with zeros between them.
    """

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self._parameters = list(parameters)
        self._sizes = [-(-p.numel() // _ALIGNMENT) * _ALIGNMENT for p in self._parameters]
        device = self._parameters[0].device
        self.weights = torch.zeros(sum(self._sizes), dtype=torch.float32, device=device)
        self.gradients = torch.zeros_like(self.weights)
        self._views = self.views(self.weights), self.views(self.gradients)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Move the views into the blocks again: pickle gives each tensor memory of its own."""
        self.__dict__.update(state)
        for block, views in zip((self.weights, self.gradients), self._views, strict=True):
            for view, part in zip(views, self.views(block), strict=True):
                view.data = part

    def views(self, block: Tensor) -> list[Tensor]:
        """Return the part of a tensor (size,) that belongs to each parameter, in its shape."""
        parts = block.split(self._sizes)
        pairs = zip(parts, self._parameters, strict=True)
        return [part[: parameter.numel()].view_as(parameter) for part, parameter in pairs]

    @property
    def are_attached(self) -> bool:
        """Whether the data and the gradients of all parameters are in these blocks."""
        weights, gradients = self._views
        found = [parameter.grad for parameter in self._parameters]
        return all(map(is_, found, gradients)) and all(
            map(Tensor.is_set_to, self._parameters, weights)
        )

    def attach(self) -> None:
        """Move all weights into the block; their `grad` becomes a view of the gradients."""
        for parameter, weight, gradient in zip(self._parameters, *self._views, strict=True):
            if not parameter.is_set_to(weight):
                weight.copy_(parameter.detach().clone())  # it may be another view of the block
                parameter.data = weight
            parameter.grad = gradient

    def detach(self) -> None:
        """Give each parameter memory of its own, without a gradient."""
        for parameter, weight, gradient in zip(self._parameters, *self._views, strict=True):
            if parameter.data_ptr() == weight.data_ptr():
                parameter.data = parameter.detach().clone()
            if parameter.grad is gradient:
                parameter.grad = None
