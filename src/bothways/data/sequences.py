"""Sequences of different lengths, concatenated in one tensor and padded only in batches.

>>> import numpy as np
>>> sequences = Sequences.from_arrays([np.ones((3, 2)), np.ones((5, 2))], labels=[0, 1])
>>> batch = sequences.batch([1, 0])
>>> tuple(batch.inputs.shape), batch.lengths.tolist(), batch.labels.tolist()
((2, 5, 2), [5, 3], [1, 0])
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, overload

import numpy as np
import torch
from torch import Tensor

from bothways.config import Target
from bothways.data.batching import IGNORED, LabeledBatch, SequenceBatch
from bothways.data.ragged import RaggedLabels, RaggedSteps
from bothways.data.validation import checked_arrays, checked_flat, checked_labels, checked_padded
from bothways.errors import DataError, ShapeError, counted

ClassNumbers = Tensor | np.ndarray[Any, np.dtype[Any]] | Sequence[int]


@dataclass(frozen=True, eq=False, repr=False)
class Sequences(RaggedSteps):
    """Sequences concatenated in one tensor.

    Parameters
    ----------
    steps : float32 Tensor (total_steps, input_size)
    starts, lengths : int64 Tensor (count,)
        Sequence n is `steps[starts[n] : starts[n] + lengths[n]]`.
    in_file : bool
        Whether `steps` is mapped from a temporary file; see `bothways.storage.mapped_steps`.
    groups : int64 Tensor (count,), optional
        Sequences of one group, for example of one person, are kept on one side of a split.
    recordings : int64 Tensor (count,), optional
        If the sequences are windows: the recording that each of them was cut from.

    See Also
    --------
    from_arrays, from_padded, from_flat : Create sequences from arrays.
    LabeledSequences : Sequences with labels.

    Examples
    --------
    >>> import numpy as np
    >>> Sequences.from_arrays([np.ones((3, 2)), np.ones((5, 2))])
    Sequences(2 of 3 to 5 steps, input_size=2)
    """

    groups: Tensor | None = None
    recordings: Tensor | None = None

    def __repr__(self) -> str:
        shortest, longest = (int(self.lengths.min()), self.longest) if len(self) else (0, 0)
        steps = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
        return f"{type(self).__name__}({len(self)} of {steps} steps, input_size={self.input_size})"

    @overload
    @staticmethod
    def from_arrays(arrays: Sequence[Any], labels: None = None) -> "Sequences": ...
    @overload
    @staticmethod
    def from_arrays(arrays: Sequence[Any], labels: ClassNumbers) -> "LabeledSequences": ...
    @staticmethod
    def from_arrays(arrays: Sequence[Any], labels: ClassNumbers | None = None) -> "Sequences":
        """Create sequences from a list of arrays.

        Parameters
        ----------
        arrays : list of float arrays (time_i, input_size)
        labels : integer array (count,), optional
            The class number of each sequence.

        Returns
        -------
        LabeledSequences, or Sequences without `labels`

        Raises
        ------
        DataError
            If an array is empty or not 2-D, has another number of features than the first, does
            not hold floats, or a label is not a class number.
        ShapeError
            If there is not one label for each sequence.
        """
        sequences = Sequences(*checked_arrays(arrays))
        return sequences if labels is None else sequences.with_labels(labels)

    @overload
    @staticmethod
    def from_padded(inputs: Any, lengths: Any = None, labels: None = None) -> "Sequences": ...
    @overload
    @staticmethod
    def from_padded(
        inputs: Any, lengths: Any = None, *, labels: ClassNumbers
    ) -> "LabeledSequences": ...
    @overload
    @staticmethod
    def from_padded(inputs: Any, lengths: Any, labels: ClassNumbers) -> "LabeledSequences": ...
    @staticmethod
    def from_padded(
        inputs: Any, lengths: Any = None, labels: ClassNumbers | None = None
    ) -> "Sequences":
        """Create sequences from a padded array.

        Parameters
        ----------
        inputs : float array (count, time, input_size)
        lengths : integer array (count,), optional
            Default: no row is padded.
        labels : integer array (count,), optional
            The class number of each sequence.

        Returns
        -------
        LabeledSequences, or Sequences without `labels`

        Raises
        ------
        DataError
            If `inputs` is not 3-D or does not hold floats, or a label is not a class number.
        ShapeError
            If there is not one length or label for each row, or a length exceeds `time`.
        """
        sequences = Sequences(*checked_padded(inputs, lengths))
        return sequences if labels is None else sequences.with_labels(labels)

    @overload
    @staticmethod
    def from_flat(values: Any, offsets: Any, labels: None = None) -> "Sequences": ...
    @overload
    @staticmethod
    def from_flat(values: Any, offsets: Any, labels: ClassNumbers) -> "LabeledSequences": ...
    @staticmethod
    def from_flat(values: Any, offsets: Any, labels: ClassNumbers | None = None) -> "Sequences":
        """Create sequences from concatenated steps.

        Parameters
        ----------
        values : float array (total_steps, input_size)
        offsets : integer array (count + 1,)
            Sequence n is `values[offsets[n] : offsets[n + 1]]`.
        labels : integer array (count,), optional
            The class number of each sequence.

        Returns
        -------
        LabeledSequences, or Sequences without `labels`

        Raises
        ------
        DataError
            If `values` is not 2-D or does not hold floats, or a label is not a class number.
        ShapeError
            If `offsets` does not rise from 0 to `total_steps`, or there is not one label for each
            sequence.
        """
        sequences = Sequences(*checked_flat(values, offsets))
        return sequences if labels is None else sequences.with_labels(labels)

    def with_labels(
        self, labels: ClassNumbers, weights: Tensor | None = None
    ) -> "LabeledSequences":
        """Return the same sequences with a class number for each.

        Parameters
        ----------
        labels : integer array (count,)
        weights : float32 Tensor (count,), optional
            Weights of the sequences in the loss.

        Raises
        ------
        ShapeError
            If there is not one label for each sequence.
        DataError
            If a label is not a class number.
        """
        numbers = checked_labels(labels, len(self), "sequence")
        return self._labeled(numbers, "sequence", weights)

    def with_step_labels(self, labels: Sequence[Any]) -> "LabeledSequences":
        """Return the same sequences with a class number, or `IGNORED`, for each step.

        Parameters
        ----------
        labels : list of integer arrays (time_i,)

        Raises
        ------
        ShapeError
            If there is not one label for each step.
        DataError
            If a label is neither a class number nor `IGNORED`.
        """
        if len(labels) != len(self):
            raise ShapeError(
                f"labels has {counted(len(labels), 'entry')} for "
                f"{counted(len(self), 'sequence')}; expected an array (time,) for each. Pass all "
                "of them."
            )
        numbers = torch.full((len(self.steps),), IGNORED, dtype=torch.int32)
        for n, (part, own) in enumerate(zip(self.slices(), labels, strict=True)):
            length = part.stop - part.start
            numbers[part] = checked_labels(own, length, "step", f"labels[{n}]", IGNORED).int()
        return self._labeled(numbers, "step")

    def _labeled(
        self, labels: Tensor, target: Target, weights: Tensor | None = None
    ) -> "LabeledSequences":
        return LabeledSequences(
            self.steps,
            self.starts,
            self.lengths,
            self.in_file,
            self.groups,
            self.recordings,
            labels=labels,
            target=target,
            weights=weights,
        )

    def subset(self, indices: Tensor) -> Self:
        """Return the sequences at `indices`; they share `steps` with this object."""
        groups, recordings = (
            None if tensor is None else tensor[indices] for tensor in (self.groups, self.recordings)
        )
        starts, lengths = self.starts[indices], self.lengths[indices]
        return replace(self, starts=starts, lengths=lengths, groups=groups, recordings=recordings)

    def batch(self, indices: Tensor | Sequence[int]) -> SequenceBatch:
        """Return the sequences at `indices` as a batch, padded with zeros to the longest."""
        indices = torch.as_tensor(indices)
        return SequenceBatch(self.padded(self.steps, indices, 0.0), self.lengths[indices])

    def _small_tensors(self) -> list[Tensor | None]:
        return [self.starts, self.lengths, self.groups]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class LabeledSequences(Sequences, RaggedLabels):
    """Sequences with labels, either of the sequences or of their steps.

    Parameters
    ----------
    labels : int64 Tensor (count,) or int32 Tensor (total_steps,)
        The class number of each sequence or, if `target` is "step", of each row of `steps`, or
        `IGNORED`.
    target : sequence or step
        What the labels belong to.
    weights : float32 Tensor (count,), optional
        Weights of the sequences in the loss.

    See Also
    --------
    Sequences : The other parameters, which stand before these.

    Examples
    --------
    >>> import numpy as np
    >>> sequences = Sequences.from_arrays([np.ones((3, 2)), np.ones((5, 2))])
    >>> sequences.with_labels([0, 1]).labels
    tensor([0, 1])
    >>> sequences.with_step_labels([[0, 0, 1], [1, 1, 1, 0, 0]]).target
    'step'
    """

    weights: Tensor | None = None

    def subset(self, indices: Tensor) -> Self:
        """Return the sequences at `indices`; they share `steps` with this object."""
        labels = self.labels if self.target == "step" else self.labels[indices]
        weights = None if self.weights is None else self.weights[indices]
        return replace(super().subset(indices), labels=labels, weights=weights)

    def batch(self, indices: Tensor | Sequence[int]) -> LabeledBatch:
        """Return the sequences at `indices` as a batch, padded with zeros to the longest."""
        indices = torch.as_tensor(indices)
        plain = super().batch(indices)
        weights = None if self.weights is None else self.weights[indices]
        return LabeledBatch(plain.inputs, plain.lengths, self.batch_labels(indices), weights)

    def _small_tensors(self) -> list[Tensor | None]:
        if self.target == "sequence":
            return [self.starts, self.lengths, self.labels, self.groups]
        return [self.starts, self.lengths, self.groups, self.labels]


def as_labeled(sequences: Sequences, name: str, target: Target | None = None) -> LabeledSequences:
    """Return sequences that a user passed, if they have labels.

    Parameters
    ----------
    sequences : Sequences
    name : str
        For messages: "the sequences".
    target : sequence or step, optional
        What the labels must belong to; default: either.

    Raises
    ------
    DataError
        If they have no labels, or other ones.
    """
    expected = "sequences or steps" if target is None else f"{target}s"
    if not isinstance(sequences, LabeledSequences):
        raise DataError(f"{name} have no labels; expected labels of {expected}. Add them.")
    if target not in (None, sequences.target):
        raise DataError(
            f"{name} have labels of {sequences.target}s; expected labels of {expected}. Add them."
        )
    return sequences
