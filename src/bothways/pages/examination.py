"""What a model answers on one split of its data, sequence by sequence."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.data.batching import IGNORED
from bothways.data.sequences import LabeledSequences
from bothways.evaluation.evaluate import compute_logits
from bothways.models.trained_model import TrainedModel

Array = np.ndarray[Any, np.dtype[Any]]

OPERATIONS = 3e11
"""Floating-point operations that a report may use; larger splits are sampled."""

_VALUES = 2e7  # probabilities that a report keeps in memory


@dataclass(frozen=True)
class Examination:
    """The probabilities of a model for the sequences of a split, or for their time steps.

    Parameters
    ----------
    split : str
    sequences : LabeledSequences
        The sequences that were examined.
    indices : int64 array (count,)
        Their positions in the split.
    probabilities : float64 array (answers, num_classes)
        For each sequence or, end to end, for each time step of each sequence.
    total : int
        Number of sequences of the split.
    """

    split: str
    sequences: LabeledSequences
    indices: Array
    probabilities: Array
    total: int

    @cached_property
    def labels(self) -> Array:
        """The true class number of each answer, or `IGNORED`."""
        labels: Array = self.sequences.flat_labels().numpy()
        return labels

    @cached_property
    def predicted(self) -> Array:
        """The most probable class number of each answer."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def confidence(self) -> Array:
        """The probability of the most probable class of each answer."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def known(self) -> Array:
        """Whether an answer counts: its label is not ignored, and its probabilities are finite."""
        return np.asarray((self.labels != IGNORED) & np.isfinite(self.confidence))

    @property
    def correct(self) -> Array:
        """Whether an answer is right."""
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def rows(self) -> Array:
        """The sequence that each answer belongs to, as a position in `sequences`."""
        count = np.arange(len(self.sequences))
        if self.sequences.target == "sequence":
            return count
        return np.repeat(count, self.sequences.lengths.numpy())

    @cached_property
    def accuracy_by_sequence(self) -> Array:
        """The fraction of right answers of each sequence, float64 (count,)."""
        right = np.bincount(self.rows[self.known & self.correct], minlength=len(self.sequences))
        known = np.bincount(self.rows[self.known], minlength=len(self.sequences))
        return np.asarray(right / np.maximum(1, known))

    def answers_of(self, row: int) -> slice:
        """Return where the answers of a sequence are."""
        if self.sequences.target == "sequence":
            return slice(row, row + 1)
        ends = self.sequences.lengths.cumsum(0)
        return slice(int(ends[row] - self.sequences.lengths[row]), int(ends[row]))


def examine(model: TrainedModel, split: str, sequences: LabeledSequences) -> Examination:
    """Run a model on all sequences of a split."""
    return _examine(model, split, sequences, torch.arange(len(sequences)))


def examine_sample(model: TrainedModel, split: str, sequences: LabeledSequences) -> Examination:
    """Run a model on a split or, if that takes more than `OPERATIONS`, on a random sample of it."""
    steps = min(OPERATIONS / operations_per_step(model), _VALUES / len(model.classes))
    order = torch.randperm(len(sequences), generator=torch.Generator().manual_seed(0))
    count = max(1, int((sequences.lengths[order].cumsum(0) <= steps).sum()))
    return _examine(model, split, sequences, order[:count].sort().values)


def _examine(
    model: TrainedModel, split: str, sequences: LabeledSequences, indices: Tensor
) -> Examination:
    chosen = sequences.subset(indices)
    probabilities = compute_logits(model.classifier, chosen).double().softmax(dim=1).numpy()
    return Examination(split, chosen, indices.numpy(), probabilities, len(sequences))


def operations_per_step(model: TrainedModel) -> int:
    """Return about how many floating-point operations a time step takes."""
    networks = model.classifier.networks
    return 2 * sum(weight.numel() for own in networks for weight in own.layers.parameters())
