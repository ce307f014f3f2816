"""Dropout with a generator, which `torch.nn.functional.dropout` does not accept."""

import torch
from torch import Tensor
from torch.nn import functional


def dropout(inputs: Tensor, p: float, generator: torch.Generator | None = None) -> Tensor:
    """Zero each element with probability `p` and scale the others by 1 / (1 - p).

    Parameters
    ----------
    inputs : Tensor
    p : float, 0 <= p < 1
    generator : torch.Generator, optional
        Default: torch's default generator. Generators in the same state give the same result.
    """
    if p == 0:
        return inputs
    if generator is None:
        return functional.dropout(inputs, p)
    noise = torch.empty_like(inputs).bernoulli_(1 - p, generator=generator).div_(1 - p)
    return inputs * noise
