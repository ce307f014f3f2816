"""Padded batches of sequences of different lengths: validation, masks, reversal, last steps.

Lengths are int64 tensors (batch,) on the CPU, as in `torch.nn.utils.rnn.pack_padded_sequence`.
Other tensors are time-major, (time, batch, features), as in the kernels, unless stated otherwise.
All padding masks are made in this module.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from bothways.errors import ShapeError, counted
from bothways.kernels.torch_internals import is_traced

RowNumbers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Lengths:
    """Validated lengths of the rows of a padded batch.

    Parameters
    ----------
    values : int64 Tensor (batch,), on the CPU
    time : int
        Time steps of the batch, padding included.
    are_full : bool
        Whether no row is padded. While a program is exported this is unknown, and False.
    """

    values: Tensor
    time: int
    are_full: bool

    @classmethod
    def of(cls, lengths: Any, batch_size: int, time: int) -> "Lengths":
        """Return the validated lengths of a batch.

        Parameters
        ----------
        lengths : int64 Tensor, list or array (batch,), or None
            None if every row has `time` steps. A `Lengths` is returned as it is.
        batch_size, time : int

        Raises
        ------
        ShapeError
            If there is not one integer per row, or one is outside 1..time.
        """
        if isinstance(lengths, Lengths):
            return lengths
        if lengths is not None and is_traced():  # the values are unknown during a trace
            return cls(torch.as_tensor(lengths), time, False)
        if lengths is None or _are_full(lengths, batch_size, time):
            return cls(torch.full((batch_size,), time, device="cpu"), time, True)
        values = checked_lengths(lengths, batch_size, time)
        return cls(values, time, bool((values == time).all()))

    @property
    def values_if_ragged(self) -> Tensor | None:
        """The values, or None if no row is padded, as kernels expect them."""
        return None if self.are_full else self.values

    def is_valid(self, device: torch.device) -> Tensor:
        """Return a bool mask (batch, time): True for time steps before a row's length."""
        return valid_steps(self.values, self.time, device).T

    def after_stride(self, stride: int, time: int) -> "Lengths":
        """Return the lengths, rounded up, after a strided convolution to `time` steps."""
        return Lengths((self.values + stride - 1) // stride, time, self.are_full)


def _are_full(lengths: Any, batch_size: int, time: int) -> bool:
    """Return whether lengths need no further check: most batches of small steps are like that."""
    return (
        isinstance(lengths, Tensor)
        and lengths.dtype == torch.int64
        and lengths.shape == (batch_size,)
        and time > 0
        and bool((lengths == time).all())
    )


def valid_steps(lengths: Tensor, time: int, device: torch.device | None = None) -> Tensor:
    """Return a bool mask (time, batch): True for time steps before a row's length."""
    steps = torch.arange(time, device=device)
    valid: Tensor = steps[:, None] < lengths.to(steps.device)
    return valid


def zero_padding(steps: Tensor, lengths: Tensor) -> Tensor:
    """Return `steps` (time, batch, features) with zeros at and past each row's length.

    The padding may have any value, including NaN. It affects neither the result nor gradients.
    """
    valid = valid_steps(lengths, steps.shape[0], steps.device)
    return torch.where(valid[:, :, None], steps, 0.0)


def last_steps(steps: Tensor, lengths: Tensor) -> Tensor:
    """Return each row's last valid step, (batch, features), of `steps` (time, batch, features)."""
    lengths = lengths.to(steps.device)
    return steps[lengths - 1, torch.arange(lengths.shape[0], device=steps.device)]


def reverse_steps(steps: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each row of `steps` (time, batch, features) within its length.

    Padding stays in place. Reversing twice returns `steps`.
    """
    time, batch_size, _ = steps.shape
    position = torch.arange(time, device=steps.device)[:, None]
    lengths = lengths.to(steps.device)
    source = torch.where(position < lengths, lengths - 1 - position, position)
    rows = source * batch_size + torch.arange(batch_size, device=steps.device)
    if is_traced():  # exported programs should consist of torch's operators only
        return _select_rows(steps, rows.reshape(-1))
    reversed_steps: Tensor = _Permute.apply(steps, rows.reshape(-1))  # type: ignore[no-untyped-call]
    return reversed_steps


def _select_rows(steps: Tensor, rows: Tensor) -> Tensor:
    """Return the rows at `rows` of the flattened `steps` (time, batch, features)."""
    return steps.reshape(-1, steps.shape[2]).index_select(0, rows).reshape(steps.shape)


class _Permute(torch.autograd.Function):
    """Select rows by a permutation that is its own inverse.

    The gradient is then a selection too. The gradient that autograd derives for `index_select` adds
    rows one at a time, which is slower.
    """

    @staticmethod
    def forward(ctx: Any, steps: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return _select_rows(steps, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return _Permute.apply(gradients[0], rows), None  # type: ignore[no-untyped-call]


def checked_lengths(lengths: Any, batch_size: int, time: int) -> Tensor:
    """Return validated lengths as an int64 CPU tensor (batch,).

    Raises
    ------
    ShapeError
        If there is not one integer per row, or one is outside 1..time.
    """
    numbers = lengths.detach().cpu().numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)
    if numbers.dtype.kind not in "iu":
        raise ShapeError(
            f"lengths has dtype {numbers.dtype}; expected integers. Pass an int64 tensor."
        )
    if numbers.shape != (batch_size,):
        raise ShapeError(
            f"lengths has shape {numbers.shape} but the batch has {counted(batch_size, 'row')}; "
            f"expected ({batch_size},). Pass one length per row."
        )
    outside = (numbers < 1) | (numbers > time)
    if outside.any():
        row = int(outside.argmax())
        raise ShapeError(
            f"lengths[{row}] is {numbers[row]} but inputs has {counted(time, 'step')}; "
            f"expected 1..{time}. Pass the lengths before padding."
        )
    checked: Tensor = torch.from_numpy(numbers.astype(np.int64))
    return checked


def split_rows(lengths: np.ndarray[Any, np.dtype[np.int64]], num_parts: int) -> list[RowNumbers]:
    """Divide the rows of a batch into parts with similar total lengths.

    Parameters
    ----------
    lengths : int64 array (batch,)
    num_parts : int

    Returns
    -------
    list of int64 array (rows,)
        The rows of each part, in descending order of length. Some are empty if there are fewer rows
        than parts.
    """
    if num_parts == 1:
        return [np.argsort(-lengths, kind="stable")]
    if (lengths == lengths[0]).all():
        return np.array_split(np.arange(len(lengths)), num_parts)
    order = np.argsort(-lengths, kind="stable")
    place = np.arange(len(order)) % (2 * num_parts)
    part_of_row = np.minimum(place, 2 * num_parts - 1 - place)  # 0, 1, ..., 1, 0, 0, 1, ...
    return [order[part_of_row == part] for part in range(num_parts)]
