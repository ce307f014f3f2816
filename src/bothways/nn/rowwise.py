"""Linear layers whose outputs have the same bits in every batch."""

import torch
from torch import Tensor

_PRODUCTS = 1 << 20
"""Products that are in memory at once."""


def rowwise_linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the outputs of a linear layer, as one sum for each of them.

    A matrix product may add in another order if it has another number of rows; these sums do not.
    They are slower, and their rounding differs from that of a matrix product.

    Parameters
    ----------
    inputs : Tensor (…, input_size)
    weight : Tensor (output_size, input_size)
    bias : Tensor (output_size,), optional

    Returns
    -------
    Tensor (…, output_size)
    """
    rows = inputs.reshape(-1, inputs.shape[-1])
    some = max(1, _PRODUCTS // weight.numel())
    parts = [rows] if len(rows) <= some else rows.split(some)
    found = [(part[:, None] * weight).sum(dim=-1) for part in parts]
    sums = found[0] if len(found) == 1 else torch.cat(found)
    return (sums if bias is None else sums + bias).view(*inputs.shape[:-1], len(weight))
