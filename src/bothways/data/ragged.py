"""Steps and labels of sequences of different lengths, each concatenated in one tensor."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import torch
from torch import Tensor

from bothways.config import Target
from bothways.data.batching import IGNORED
from bothways.storage.mapped_steps import StepWriter

CHUNK_VALUES = 1 << 20
"""Number of values in a chunk, when all values are read."""


class StepChunk(NamedTuple):
    """The steps of some sequences.

    Parameters
    ----------
    steps : float32 Tensor (chunk_steps, input_size)
    rows : int64 Tensor (chunk_steps,)
        The index of the sequence that each step belongs to.
    """

    steps: Tensor
    rows: Tensor


@dataclass(frozen=True, eq=False)
class RaggedSteps:
    """The steps of sequences, and where each sequence is: base class of `Sequences`.

    Parameters
    ----------
    steps : float32 Tensor (total_steps, input_size)
    starts, lengths : int64 Tensor (count,)
        Sequence n is `steps[starts[n] : starts[n] + lengths[n]]`.
    in_file : bool
        Whether `steps` is mapped from a temporary file; see `bothways.storage.mapped_steps`.
    """

    steps: Tensor
    starts: Tensor
    lengths: Tensor
    in_file: bool = False

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def input_size(self) -> int:
        """Number of features of a step."""
        return self.steps.shape[1]

    @property
    def longest(self) -> int:
        """Length of the longest sequence."""
        return int(self.lengths.max())

    @property
    def is_ragged(self) -> bool:
        """Whether the lengths differ."""
        return bool((self.lengths != self.lengths[0]).any())

    def padded(self, values: Tensor, indices: Tensor, padding: float) -> Tensor:
        """Return a padded batch (batch, time, …) of values (total_steps, …)."""
        starts = self.starts[indices]
        if self._is_table:
            time = int(self.lengths[0])
            table = values.view(-1, time, *values.shape[1:])
            return table.index_select(0, starts // time)
        lengths = self.lengths[indices]
        longest = int(lengths.max())
        position = torch.arange(longest)
        is_padding = position >= lengths[:, None]  # (batch, time)
        rows = (starts[:, None] + position).masked_fill(is_padding, 0).flatten()
        found = values.index_select(0, rows).view(*is_padding.shape, *values.shape[1:])
        mask = is_padding.view(*is_padding.shape, *[1] * (values.dim() - 1))
        return found.masked_fill_(mask, padding)

    @cached_property
    def _is_table(self) -> bool:
        """Whether `steps` is a table with one row per sequence, all of one length."""
        longest = self.longest
        aligned = len(self.steps) % longest == 0 and not bool((self.starts % longest).any())
        return aligned and not self.is_ragged

    def slices(self) -> Iterator[slice]:
        """Yield where each sequence is in `steps`."""
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield slice(start, start + length)

    def rows(self) -> Iterator[Tensor]:
        """Yield the steps of each sequence, (time_i, input_size)."""
        for part in self.slices():
            yield self.steps[part]

    def chunks(self) -> Iterator[StepChunk]:
        """Yield the steps of all sequences, each once; a sequence is not divided.

        A chunk has at most `CHUNK_VALUES` values in addition to its first sequence.
        """
        for parts, rows in self.chunk_slices():
            yield StepChunk(concatenated(self.steps, parts), rows)

    @property
    def chunk_steps(self) -> int:
        """Number of steps in a chunk, without its first sequence."""
        return max(1, CHUNK_VALUES // self.input_size)

    def chunk_slices(self) -> Iterator[tuple[list[slice], Tensor]]:
        """Yield which steps make up a chunk, and the sequence that each of them belongs to."""
        if len(self) == 1:
            yield list(self.slices()), torch.zeros(self.longest, dtype=torch.int64)
            return
        order = self.starts.argsort()
        ends = self.lengths[order].cumsum(0)
        for rows in order.split(torch.bincount((ends - 1) // self.chunk_steps).tolist()):
            if not len(rows):
                continue
            starts, lengths = self.starts[rows], self.lengths[rows]
            if bool((starts[1:] == starts[:-1] + lengths[:-1]).all()):
                parts = [slice(int(starts[0]), int(starts[-1] + lengths[-1]))]
            else:  # steps of another subset are in between, or sequences overlap
                bounds = zip(starts.tolist(), lengths.tolist(), strict=True)
                parts = [slice(start, start + length) for start, length in bounds]
            yield parts, rows.repeat_interleave(lengths)

    def fingerprint(self) -> str:
        """Return the SHA-256 of steps, lengths, labels and groups."""
        digest = hashlib.sha256(repr(tuple(self.steps.shape)).encode())
        for tensor in self._small_tensors():
            if tensor is not None:
                digest.update(tensor.contiguous().numpy().data)
        for steps in self.steps.split(self.chunk_steps):
            digest.update(steps.contiguous().numpy().data)
        return digest.hexdigest()

    def _small_tensors(self) -> list[Tensor | None]:
        """Return all tensors but the steps, in the order of the fingerprint."""
        return [self.starts, self.lengths]

    def renumber(self, numbers: Mapping[int, Tensor]) -> Self:
        """Return sequences whose categorical features have other numbers.

        All of `steps` is converted, including steps of other subsets, so that these can use the
        new tensor too. Steps in a file are written to a new file, one chunk at a time.

        Parameters
        ----------
        numbers : dict
            For some features, the new number of each old one: int64 Tensor (old numbers,).

        Raises
        ------
        DataError
            If the new file cannot be written.
        """

        def converted(steps: Tensor) -> Tensor:
            steps = steps.clone()
            for feature, new in numbers.items():
                steps[:, feature] = new[steps[:, feature].long()].to(steps)
            return steps

        if not self.in_file:
            return replace(self, steps=converted(self.steps))
        writer = StepWriter()
        for steps in self.steps.split(self.chunk_steps):
            writer.append(converted(steps).numpy())
            writer.spill()
        return replace(self, steps=writer.finish()[0])


@dataclass(frozen=True, eq=False, kw_only=True)
class RaggedLabels(RaggedSteps):
    """The labels of sequences or of their steps: base class of `LabeledSequences`.

    Parameters
    ----------
    labels : int64 Tensor (count,) or int32 Tensor (total_steps,)
        The class number of each sequence or, if `target` is "step", of each row of `steps`, or
        `IGNORED`.
    target : sequence or step
        What the labels belong to.
    """

    labels: Tensor
    target: Target = "sequence"

    @property
    def largest_label(self) -> int:
        """The largest class number."""
        return int(self.labels.max())

    @property
    def fully_ignored(self) -> Tensor:
        """Indices of the sequences all of whose steps are ignored, int64 (some,)."""
        return (self.class_counts(self.largest_label + 1).sum(dim=1) == 0).nonzero()[:, 0]

    def batch_labels(self, indices: Tensor) -> Tensor:
        """Return the labels of a batch, int64 (batch,) or (batch, time)."""
        if self.target == "sequence":
            return self.labels[indices]
        return self.padded(self.labels, indices, IGNORED).long()

    def labeled_chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the steps of each chunk, and their labels, int64 (chunk_steps,)."""
        for parts, rows in self.chunk_slices():
            is_step = self.target == "step"
            labels = concatenated(self.labels, parts).long() if is_step else self.labels[rows]
            yield concatenated(self.steps, parts), labels

    def flat_labels(self) -> Tensor:
        """Return the labels of all sequences, or of all their steps concatenated, as int64."""
        if self.target == "sequence":
            return self.labels
        return torch.cat([self.labels[part] for part in self.slices()]).long()

    def class_counts(self, num_classes: int) -> Tensor:
        """Return the number of labels of each class, int64 (count, num_classes)."""
        if self.target == "sequence":
            return torch.nn.functional.one_hot(self.labels, num_classes)
        counts = torch.zeros(len(self) * num_classes, dtype=torch.int64)
        for parts, rows in self.chunk_slices():
            labels = concatenated(self.labels, parts)
            places = (rows * num_classes + labels)[labels != IGNORED]
            counts.index_add_(0, places, torch.ones_like(places))
        return counts.view(len(self), num_classes)

    def label_counts(self, num_classes: int) -> Tensor:
        """Return the number of labels of each class in all sequences, int64 (num_classes,)."""
        if self.target == "sequence":
            return self.labels.bincount(minlength=num_classes)
        return self.class_counts(num_classes).sum(dim=0)


def concatenated(values: Tensor, parts: list[slice]) -> Tensor:
    """Return the given parts of a tensor (total_steps, …), without a copy if there is only one."""
    return values[parts[0]] if len(parts) == 1 else torch.cat([values[part] for part in parts])
