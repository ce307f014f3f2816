"""Sequences of different lengths inside one padded tensor: masks, reversal, last steps.

`lengths` is an int64 tensor (batch,) on the CPU, as `pack_padded_sequence` has it. Tensors are
time-major here, (time, batch, features): the layout the kernels run in.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.errors import ShapeError


def valid_steps(lengths: Tensor, time: int, device: torch.device | None = None) -> Tensor:
    """Return a bool mask (time, batch): True where a step belongs to its row's sequence."""
    steps = torch.arange(time, device=device)
    valid: Tensor = steps[:, None] < lengths.to(steps.device)
    return valid


def zero_padding(steps: Tensor, lengths: Tensor) -> Tensor:
    """Return `steps` (time, batch, features) with zeros at and past each row's length.

    The padding may hold anything, NaN included: neither values nor gradients get through.
    """
    valid = valid_steps(lengths, len(steps), steps.device)
    return torch.where(valid[:, :, None], steps, 0.0)


def last_steps(steps: Tensor, lengths: Tensor) -> Tensor:
    """Return each row's last valid step, (batch, features), of `steps` (time, batch, features)."""
    lengths = lengths.to(steps.device)
    return steps[lengths - 1, torch.arange(len(lengths), device=steps.device)]


def reverse_steps(steps: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each row of `steps` (time, batch, features) within its length.

    Padding stays where it is. Reversing twice gives `steps` back.
    """
    time, batch_size, _ = steps.shape
    position = torch.arange(time, device=steps.device)[:, None]
    lengths = lengths.to(steps.device)
    source = torch.where(position < lengths, lengths - 1 - position, position)
    rows = source * batch_size + torch.arange(batch_size, device=steps.device)
    reversed_steps: Tensor = _Permute.apply(steps, rows.reshape(-1))  # type: ignore[no-untyped-call]
    return reversed_steps


class _Permute(torch.autograd.Function):
    """Move whole steps by a permutation that is its own inverse, so its gradient is itself.

    Autograd's own gradient of an index would add rows one by one; this one copies them.
    """

    @staticmethod
    def forward(ctx: Any, steps: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return steps.reshape(-1, steps.shape[2]).index_select(0, rows).reshape(steps.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return _Permute.apply(gradients[0], rows), None  # type: ignore[no-untyped-call]


def checked_lengths(lengths: Any, batch_size: int, time: int) -> Tensor:
    """Return `lengths` as an int64 CPU tensor (batch,) that fits inputs of `time` steps.

    Raises
    ------
    ShapeError
        If there is not one whole number per row, or one lies outside 1..time.
    """
    numbers = lengths.detach().cpu().numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)
    if numbers.dtype.kind not in "iu":
        raise ShapeError(
            f"lengths has dtype {numbers.dtype}; expected whole numbers. Pass an int64 tensor."
        )
    if numbers.shape != (batch_size,):
        raise ShapeError(
            f"lengths has shape {numbers.shape} but the batch has {batch_size} rows; "
            f"expected ({batch_size},). Pass one length per row."
        )
    outside = (numbers < 1) | (numbers > time)
    if outside.any():
        row = int(outside.argmax())
        raise ShapeError(
            f"lengths[{row}] is {numbers[row]} but inputs has {time} steps; "
            f"expected 1..{time}. Pass the lengths before padding."
        )
    checked: Tensor = torch.from_numpy(numbers.astype(np.int64))
    return checked
