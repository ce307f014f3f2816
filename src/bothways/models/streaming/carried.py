"""What a stream keeps of sequences: tensors with a row for each of them."""

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from bothways.kernels.lengths import last_steps

Carried: TypeAlias = dict[str, Tensor]
"""Tensors (batch, ...) by name: what later steps need of the steps so far."""


def repeated(initial: Mapping[str, Tensor], batch_size: int) -> Carried:
    """Return tensors (batch_size, ...) of copies of tensors without a batch axis."""
    return {name: row.expand(batch_size, *row.shape).clone() for name, row in initial.items()}


def selected(carried: Mapping[str, Tensor], rows: Tensor) -> Carried:
    """Return the rows at int64 indices."""
    return {name: tensor.index_select(0, rows) for name, tensor in carried.items()}


def assign(carried: Carried, rows: Tensor, values: Mapping[str, Tensor]) -> None:
    """Replace the rows at int64 indices, in place."""
    for name, tensor in values.items():
        carried[name].index_copy_(0, rows, tensor)


def named(prefix: str, carried: Mapping[str, Tensor]) -> Carried:
    """Return the same tensors, with a prefix before their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in carried.items()}


def of_prefix(prefix: str, carried: Mapping[str, Tensor]) -> Carried:
    """Return the tensors whose names have a prefix, without it."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in carried.items()
        if name.startswith(start)
    }


def at_last(series: Tensor, lengths: Tensor) -> Tensor:
    """Return the last valid step, (batch, features), of a series (batch, time, features)."""
    if series.shape[1] == 1:
        return series[:, 0]
    return last_steps(series.transpose(0, 1), lengths)


class StateTable:
    """The states of open sequences, in rows of tensors; rows of closed sequences are used again.

    Parameters
    ----------
    initial : dict of Tensor
        The state of a sequence without steps, without a batch axis.

    Attributes
    ----------
    row_bytes : int
        Size of the state of a sequence.
    """

    def __init__(self, initial: Mapping[str, Tensor]) -> None:
        self._initial = dict(initial)
        self._tensors = repeated(initial, 1)
        self._free = [0]
        self.row_bytes = sum(row.numel() * row.element_size() for row in initial.values())

    @property
    def capacity(self) -> int:
        """Number of rows, in use or not."""
        return len(next(iter(self._tensors.values())))

    def open(self) -> int:
        """Return the number of a row, with the state of a sequence without steps."""
        if not self._free:
            self._grow()
        row = self._free.pop()
        for name, tensor in self._tensors.items():
            tensor[row] = self._initial[name]
        return row

    def close(self, row: int) -> None:
        """Free a row."""
        self._free.append(row)

    def read(self, rows: Tensor) -> Carried:
        """Return copies of the rows at int64 indices."""
        return selected(self._tensors, rows)

    def write(self, rows: Tensor, carried: Mapping[str, Tensor]) -> None:
        """Replace the rows at int64 indices."""
        assign(self._tensors, rows, carried)

    def _grow(self) -> None:
        capacity = self.capacity
        for name, tensor in self._tensors.items():
            self._tensors[name] = torch.cat([tensor, torch.empty_like(tensor)])
        self._free = list(range(2 * capacity - 1, capacity - 1, -1))
