"""Selection of the best candidate, whose accuracy is measured on what did not select it.

The highest of many accuracies is partly luck: a candidate is selected because it answers these
sequences right, and because these trainings of it went well. Therefore the held-out sequences are
divided into two halves. Each half of a round is scored with the candidate that has the most correct
predictions on the other half of the other rounds. It costs no further training.

References
----------
Varma & Simon 2006, "Bias in error estimation when using cross-validation for model selection".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bothways.data.batching import IGNORED
from bothways.data.dataset import Dataset
from bothways.data.record import Array
from bothways.data.sequences import LabeledSequences
from bothways.data.splitting import random_split
from bothways.errors import DataError


@dataclass(frozen=True)
class Selection:
    """The best of some candidates.

    Parameters
    ----------
    name : str
        The candidate with the highest mean accuracy in all rounds.
    candidates : int
        The number of candidates.
    accuracies : list of float
        In each round: the accuracy of candidates that were selected in other rounds and on other
        sequences.
    optimism : float
        The mean accuracy of `name` minus that of `accuracies`: what the selection seems to gain
        because it is measured with the same figures.
    """

    name: str
    candidates: int
    accuracies: list[float]
    optimism: float

    @property
    def mean(self) -> float:
        """Mean of `accuracies`."""
        return float(np.mean(self.accuracies))


def select(hits: Mapping[str, Sequence[Array]], halves: Sequence[Array]) -> Selection:
    """Select the best candidate, and measure the selection.

    Parameters
    ----------
    hits : dict of lists of bool arrays (labels,)
        For each candidate and each round, which held-out labels it predicts.
    halves : list of int64 arrays (labels,)
        See `halves_of`.

    Examples
    --------
    >>> first = [np.array([1, 1, 0, 0]), np.array([1, 1, 0, 1])]  # right on the first half
    >>> second = [np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])]
    >>> halves = [np.array([0, 0, 1, 1])] * 2
    >>> select({"first": first, "second": second}, halves)
    Selection(name='first', candidates=2, accuracies=[0.0, 0.25], optimism=0.5)
    """
    correct = np.array([list(map(_counts, halves, of_rounds)) for of_rounds in hits.values()])
    counts = np.array([_counts(half, np.ones(len(half))) for half in halves])
    accuracies = correct.sum(axis=2) / counts.sum(axis=1)  # (candidates, rounds)
    best = int(accuracies.mean(axis=1).argmax())
    selected = _counts_of_other_half(correct).argmax(axis=0)  # (rounds, 2)
    right = np.take_along_axis(correct, selected[None], axis=0)[0]
    measured = right.sum(axis=1) / counts.sum(axis=1)
    optimism = float(accuracies[best].mean() - measured.mean())
    return Selection(list(hits)[best], len(hits), measured.tolist(), optimism)


def halves_of(dataset: Dataset, held_out: Sequence[LabeledSequences], seed: int) -> list[Array]:
    """Divide the held-out sequences of all rounds into two halves, by class or by group.

    A sequence is in the same half in all rounds, and so are all sequences of a group.

    Parameters
    ----------
    dataset : Dataset
    held_out : list of LabeledSequences
        For each round, the sequences of `dataset.train` that are held out.
    seed : int

    Returns
    -------
    list of int64 arrays (labels,)
        For each round, 0 or 1 for each held-out label that is not ignored.

    Raises
    ------
    DataError
        If too little is held out to select a candidate on one half and measure it on the other.
    """
    starts = torch.cat([part.starts for part in held_out])
    rows = torch.isin(dataset.train.starts, starts).nonzero()[:, 0]
    of_all = dataset.train.subset(rows)
    _, second = random_split(of_all, len(dataset.classes), 0.5, seed)
    halves = [_of_labels(part, torch.isin(part.starts, of_all.starts[second])) for part in held_out]
    counts = np.array([_counts(half, np.ones(len(half))) for half in halves])
    if bool(((counts > 0) & (_counts_of_other_half(counts[None])[0] == 0)).any()):
        raise DataError(
            f"{dataset.name}: too few sequences or groups are held out in {len(held_out)} rounds "
            "to select candidates on one half of them and to measure them on the other; expected "
            "each half in two rounds. Use more rounds, or add sequences."
        )
    return halves


def _counts(half: Array, weights: Array) -> Array:
    """Return the sum of the weights in each half, float64 (2,)."""
    return np.bincount(half, weights=weights, minlength=2)


def _counts_of_other_half(counts: Array) -> Array:
    """Return the sums over the other rounds, in the other half; (candidates, rounds, 2) each."""
    others: Array = counts.sum(axis=1, keepdims=True) - counts
    return others[:, :, ::-1]


def _of_labels(sequences: LabeledSequences, is_second: torch.Tensor) -> Array:
    """Return the half of each label that is not ignored."""
    half = is_second.long()
    if sequences.target == "step":
        half = half.repeat_interleave(sequences.lengths)
    of_labels: Array = half[sequences.flat_labels() != IGNORED].numpy()
    return of_labels
