"""Sequences of different lengths: stored end to end, padded into batches here and nowhere else.

>>> import numpy as np
>>> sequences = Sequences.from_arrays([np.ones((3, 2)), np.ones((5, 2))], labels=[0, 1])
>>> batch = sequences.batch([1, 0])
>>> tuple(batch.inputs.shape), batch.lengths.tolist(), batch.labels.tolist()
((2, 5, 2), [5, 3], [1, 0])
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from bothways.config import Target
from bothways.data.mapped_steps import StepWriter
from bothways.data.validation import checked_floats, checked_labels, checked_offsets
from bothways.errors import DataError, ShapeError
from bothways.kernels.lengths import checked_lengths

IGNORED = -1
"""The label of a step that counts for nothing."""

CHUNK_VALUES = 1 << 20
"""Values looked at together where all of them are looked at."""


@dataclass(frozen=True)
class SequenceBatch:
    """A padded batch.

    Parameters
    ----------
    inputs : Tensor (batch, time, input_size)
        Steps at or past a row's length are padding.
    lengths : int64 Tensor (batch,), on the CPU
    labels : int64 Tensor (batch,) or, one a step, (batch, time), optional
        `IGNORED` in padding and at steps that count for nothing.
    weights : float32 Tensor (batch,), optional
        What each row counts in the loss; all the same where not given.
    """

    inputs: Tensor
    lengths: Tensor
    labels: Tensor | None = None
    weights: Tensor | None = None

    def to(self, device: torch.device) -> "SequenceBatch":
        """Return the batch with all but the lengths, which stay on the CPU, on `device`."""
        labels, weights = (
            None if tensor is None else tensor.to(device, non_blocking=True)
            for tensor in (self.labels, self.weights)
        )
        inputs = self.inputs.to(device, non_blocking=True)
        return SequenceBatch(inputs, self.lengths, labels, weights)


class StepChunk(NamedTuple):
    """Steps looked at together.

    `steps` float32 (some, input_size); `rows` int64 (some,), which sequence each is of; `labels`
    int64 (some,), each step's, or its sequence's; None where there are none.
    """

    steps: Tensor
    rows: Tensor
    labels: Tensor | None


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences held end to end in one tensor, so that one gather makes a batch.

    Parameters
    ----------
    steps : float32 Tensor (total_steps, input_size)
    starts, lengths : int64 Tensor (count,)
        Sequence n is `steps[starts[n] : starts[n] + lengths[n]]`.
    labels : int64 Tensor (count,), optional
        A class for each sequence.
    weights : float32 Tensor (count,), optional
        What each sequence counts in the loss.
    groups : int64 Tensor (count,), optional
        Sequences of one group, a person's for example, must not be on both sides of a split.
    step_labels : int32 Tensor (total_steps,), optional
        In place of `labels`: a class for each step, or `IGNORED`.
    in_file : bool
        Whether `steps` is mapped from a temporary file; see `bothways.data.mapped_steps`.

    See Also
    --------
    from_arrays, from_padded, from_flat : build one from what you have.
    """

    steps: Tensor
    starts: Tensor
    lengths: Tensor
    labels: Tensor | None = None
    weights: Tensor | None = None
    groups: Tensor | None = None
    step_labels: Tensor | None = None
    in_file: bool = False

    @classmethod
    def from_arrays(cls, arrays: Sequence[Any], labels: Any = None) -> Self:
        """Take a list of arrays (time_i, input_size), one a sequence.

        Raises
        ------
        DataError
            If an array is empty or not 2-D, has another number of features than the first, is
            not of floats, or a label is not a class number.
        ShapeError
            If there is not one label for each.
        """
        rows = [checked_floats(array, f"sequences[{n}]") for n, array in enumerate(arrays)]
        if not rows:
            raise DataError("sequences is empty; expected at least one. Pass a list of arrays.")
        for n, row in enumerate(rows):
            if row.ndim != 2 or not len(row) or row.shape[1] != rows[0].shape[-1]:
                raise DataError(
                    f"sequences[{n}] has shape {row.shape}; expected (time, "
                    f"{rows[0].shape[-1]}), time at least 1. Drop or mend it."
                )
        lengths = torch.tensor([len(row) for row in rows])
        starts = lengths.cumsum(0) - lengths
        steps = torch.from_numpy(np.concatenate(rows))
        return cls(steps, starts, lengths, _labels_or_none(labels, len(rows)))

    @classmethod
    def from_padded(cls, inputs: Any, lengths: Any = None, labels: Any = None) -> Self:
        """Take one array (count, time, input_size) and the lengths of its rows.

        Raises
        ------
        DataError
            If `inputs` is not 3-D or not of floats, or `labels` do not fit it.
        ShapeError
            If `lengths` do not fit it.
        """
        array = checked_floats(inputs, "inputs")
        if array.ndim != 3 or 0 in array.shape:
            raise DataError(
                f"inputs has shape {array.shape}; expected (count, time, input_size), none of "
                "them 0. Reshape it."
            )
        count, time, input_size = array.shape
        if lengths is None:
            checked = torch.full((count,), time)
            steps = torch.from_numpy(array).reshape(count * time, input_size)
        else:
            checked = checked_lengths(lengths, count, time)
            steps = torch.from_numpy(array)[torch.arange(time) < checked[:, None]]
        starts = checked.cumsum(0) - checked
        return cls(steps, starts, checked, _labels_or_none(labels, count))

    @classmethod
    def from_flat(cls, values: Any, offsets: Any, labels: Any = None) -> Self:
        """Take all steps end to end (total_steps, input_size), and where each sequence begins.

        `offsets` (count + 1,) ends with the total; sequence n goes from offsets[n] to the next.

        Raises
        ------
        DataError
            If `values` is not 2-D or not of floats, or a label is not a class number.
        ShapeError
            If `offsets` do not rise from 0 to its end, or there is not one label for each.
        """
        array = checked_floats(values, "values")
        if array.ndim != 2 or 0 in array.shape:
            raise DataError(
                f"values has shape {array.shape}; expected (total_steps, input_size), none of them "
                "0. Reshape it."
            )
        edges = checked_offsets(offsets, len(array))
        lengths = edges[1:] - edges[:-1]
        return cls(
            torch.from_numpy(array), edges[:-1], lengths, _labels_or_none(labels, len(lengths))
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def input_size(self) -> int:
        """Features of one step."""
        return self.steps.shape[1]

    @property
    def longest(self) -> int:
        """Steps of the longest sequence."""
        return int(self.lengths.max())

    @property
    def is_ragged(self) -> bool:
        """Whether lengths differ."""
        return bool((self.lengths != self.lengths[0]).any())

    @property
    def target(self) -> Target:
        """What has a label: a sequence, or a step."""
        return "sequence" if self.step_labels is None else "step"

    @property
    def largest_label(self) -> int:
        """The largest class number."""
        labels = self.labels if self.step_labels is None else self.step_labels
        return -1 if labels is None else int(labels.max())

    @property
    def is_labelled(self) -> bool:
        """Whether there are labels, of sequences or of steps."""
        return self.labels is not None or self.step_labels is not None

    @property
    def without_labels(self) -> Tensor:
        """Which sequences have steps with labels, but `IGNORED` ones alone: int64 (some,)."""
        if self.step_labels is None:
            return torch.empty(0, dtype=torch.int64)
        return (self.class_counts(self.largest_label + 1).sum(dim=1) == 0).nonzero()[:, 0]

    def with_step_labels(self, labels: Sequence[Any]) -> Self:
        """Return the same sequences with a class number, or `IGNORED`, for each step.

        Parameters
        ----------
        labels : list of integer arrays (time_i,), one a sequence

        Raises
        ------
        ShapeError
            If there is not one label for each step.
        DataError
            If one is neither a class number nor `IGNORED`.
        """
        if len(labels) != len(self):
            raise ShapeError(
                f"labels has {len(labels)} entries but there are {len(self)} sequences; expected "
                "an array (time,) for each. Pass them all."
            )
        of_steps = torch.full((len(self.steps),), IGNORED, dtype=torch.int32)
        starts, lengths = self.starts.tolist(), self.lengths.tolist()
        for n, (start, length, own) in enumerate(zip(starts, lengths, labels, strict=True)):
            numbers = checked_labels(own, length, "steps", f"labels[{n}]", least=IGNORED)
            of_steps[start : start + length] = numbers.int()
        return replace(self, labels=None, step_labels=of_steps)

    def subset(self, indices: Tensor) -> Self:
        """Return the sequences at `indices`; they share the steps with this one."""
        labels, weights, groups = (
            None if tensor is None else tensor[indices]
            for tensor in (self.labels, self.weights, self.groups)
        )
        starts, lengths = self.starts[indices], self.lengths[indices]
        return replace(
            self, starts=starts, lengths=lengths, labels=labels, weights=weights, groups=groups
        )

    def batch(self, indices: Tensor | Sequence[int]) -> SequenceBatch:
        """Gather the sequences at `indices`, padded with zeros to the longest of them."""
        indices = torch.as_tensor(indices)
        starts, lengths = self.starts[indices], self.lengths[indices]
        labels, weights = (
            None if tensor is None else tensor[indices] for tensor in (self.labels, self.weights)
        )
        longest = int(lengths.max())
        if self._is_table:
            row = starts // longest
            inputs = self.steps.view(-1, longest, self.input_size).index_select(0, row)
            if self.step_labels is not None:
                labels = self.step_labels.view(-1, longest).index_select(0, row).long()
            return SequenceBatch(inputs, lengths, labels, weights)
        position = torch.arange(longest)
        rows = starts[:, None] + position  # (batch, time)
        is_padding = position >= lengths[:, None]
        rows = rows.masked_fill(is_padding, 0).flatten()
        inputs = self.steps.index_select(0, rows).view(len(starts), longest, -1)
        inputs.masked_fill_(is_padding[:, :, None], 0.0)
        if self.step_labels is not None:
            labels = self.step_labels.index_select(0, rows).long().view_as(is_padding)
            labels.masked_fill_(is_padding, IGNORED)
        return SequenceBatch(inputs, lengths, labels, weights)

    @property
    def _chunk_steps(self) -> int:
        return max(1, CHUNK_VALUES // self.input_size)

    @cached_property
    def _is_table(self) -> bool:
        """Whether the steps are a table with a row for each sequence, of one length: no padding."""
        longest = self.longest
        aligned = len(self.steps) % longest == 0 and not bool((self.starts % longest).any())
        return aligned and not self.is_ragged

    def rows(self) -> Iterator[Tensor]:
        """Yield the steps of each sequence, (time_i, input_size)."""
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield self.steps[start : start + length]

    def flat_labels(self) -> Tensor:
        """Return the labels of all sequences, or of all their steps end to end, as int64."""
        if self.step_labels is None:
            assert self.labels is not None  # whoever asks has checked
            return self.labels
        own = zip(self.starts.tolist(), self.lengths.tolist(), strict=True)
        return torch.cat([self.step_labels[start : start + length] for start, length in own]).long()

    def class_counts(self, num_classes: int) -> Tensor:
        """Return how often each sequence, or its steps, has each class: int64 (count, classes)."""
        if self.labels is not None:
            return torch.nn.functional.one_hot(self.labels, num_classes)
        assert self.step_labels is not None  # whoever asks has checked
        counts = torch.zeros(len(self) * num_classes, dtype=torch.int64)
        for own, rows in self._runs():
            labels = _joined(self.step_labels, own)
            places = (rows * num_classes + labels)[labels != IGNORED]
            counts.index_add_(0, places, torch.ones_like(places))
        return counts.view(len(self), num_classes)

    def label_counts(self, num_classes: int) -> Tensor:
        """Return how often each class occurs among all of them: int64 (num_classes,)."""
        if self.labels is not None:
            return self.labels.bincount(minlength=num_classes)
        return self.class_counts(num_classes).sum(dim=0)

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
        for steps in self.steps.split(self._chunk_steps):
            writer.append(converted(steps).numpy())
            writer.spill()
        return replace(self, steps=writer.finish()[0])

    def chunks(self) -> Iterator[StepChunk]:
        """Yield the steps of all sequences, each once, whole sequences together.

        A chunk has at most `CHUNK_VALUES` beside those of its first sequence.
        """
        for own, rows in self._runs():
            labels = None if self.labels is None else self.labels[rows]
            if self.step_labels is not None:
                labels = _joined(self.step_labels, own).long()
            yield StepChunk(_joined(self.steps, own), rows, labels)

    def _runs(self) -> Iterator[tuple[list[slice], Tensor]]:
        """Yield which steps make a chunk, and the row of each."""
        order = self.starts.argsort()
        ends = self.lengths[order].cumsum(0)
        for rows in order.split(torch.bincount((ends - 1) // self._chunk_steps).tolist()):
            if not len(rows):
                continue
            starts, lengths = self.starts[rows], self.lengths[rows]
            first, last = int(starts[0]), int(starts[-1] + lengths[-1])
            own = [slice(first, last)]
            if last - first > int(lengths.sum()):  # steps of another subset lie between
                bounds = zip(starts.tolist(), lengths.tolist(), strict=True)
                own = [slice(start, start + length) for start, length in bounds]
            yield own, rows.repeat_interleave(lengths)

    def fingerprint(self) -> str:
        """Return the SHA-256 of lengths, labels, groups and steps, to tell if data have changed."""
        digest = hashlib.sha256(repr(tuple(self.steps.shape)).encode())
        for tensor in (self.starts, self.lengths, self.labels, self.groups, self.step_labels):
            if tensor is not None:
                digest.update(tensor.contiguous().numpy().data)
        for steps in self.steps.split(self._chunk_steps):
            digest.update(steps.contiguous().numpy().data)
        return digest.hexdigest()


def _labels_or_none(labels: Any, count: int) -> Tensor | None:
    return None if labels is None else checked_labels(labels, count, "sequences")


def _joined(steps: Tensor, parts: list[slice]) -> Tensor:
    return steps[parts[0]] if len(parts) == 1 else torch.cat([steps[part] for part in parts])
