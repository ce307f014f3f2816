"""Runs of equal labels in a sequence, and how well predicted runs match true ones.

References
----------
Lea, Flynn, Vidal, Reiter & Hager 2017, "Temporal convolutional networks for action segmentation and
detection", section 4: edit score and F1 at an overlap.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

F1_FIGURES = {0.10: "segment_f1_10", 0.25: "segment_f1_25", 0.50: "segment_f1_50"}
"""By the intersection over union from which a predicted segment counts as a true one found."""


class Segment(NamedTuple):
    """Steps `start` to `end` (not included) of one label."""

    label: int
    start: int
    end: int


def segments_of(labels: Array) -> list[Segment]:
    """Return the runs of equal labels, in order.

    Examples
    --------
    >>> segments_of(np.array([4, 4, 1]))
    [Segment(label=4, start=0, end=2), Segment(label=1, start=2, end=3)]
    """
    if not len(labels):
        return []
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    ends = [*starts[1:].tolist(), len(labels)]
    return [
        Segment(int(labels[start]), start, end)
        for start, end in zip(starts.tolist(), ends, strict=True)
    ]


def edit_score(true: Sequence[Segment], predicted: Sequence[Segment]) -> float:
    """Return 1 minus the edit distance of the segments' labels over the longer count: 0 to 1.

    It is about their order alone, not about where they begin and end.
    """
    longer = max(len(true), len(predicted))
    if longer == 0:
        return 1.0
    labels = np.array([segment.label for segment in predicted])
    ahead = np.arange(len(predicted) + 1)
    costs = ahead.copy()  # of turning the true segments so far into the first n predicted ones
    for segment in true:
        kept = costs[:-1] + (labels != segment.label)
        costs += 1
        costs[1:] = np.minimum(costs[1:], kept)
        costs = np.minimum.accumulate(costs - ahead) + ahead  # what is inserted costs 1 each
    return float(1 - costs[-1] / longer)


def matches(
    true: Sequence[Segment], predicted: Sequence[Segment], overlap: float
) -> tuple[int, int, int]:
    """Count true positives, false positives and false negatives.

    A predicted segment is a true positive if, among true ones of its label, the one that it
    overlaps most is overlapped by at least `overlap` and has not been found before.

    Parameters
    ----------
    true, predicted : in order, none overlapping another
    overlap : float
        Intersection over union.
    """
    found: set[int] = set()
    first = 0
    for segment in predicted:
        while first < len(true) and true[first].end <= segment.start:
            first += 1
        best, best_place = 0.0, -1
        for place in range(first, len(true)):
            other = true[place]
            if other.start >= segment.end:
                break
            if other.label == segment.label:
                both = min(segment.end, other.end) - max(segment.start, other.start)
                either = max(segment.end, other.end) - min(segment.start, other.start)
                if both / either > best:
                    best, best_place = both / either, place
        if best >= overlap:
            found.add(best_place)
    return len(found), len(predicted) - len(found), len(true) - len(found)


class SegmentTally:
    """Adds up how well segments match, sequence by sequence."""

    def __init__(self) -> None:
        self._edit_scores: list[float] = []
        self._counts = {overlap: np.zeros(3, np.int64) for overlap in F1_FIGURES}

    def add(self, true_labels: Array, predicted_labels: Array) -> None:
        """Take a sequence into account: integer arrays (time,), without ignored steps."""
        true, predicted = segments_of(true_labels), segments_of(predicted_labels)
        self._edit_scores.append(edit_score(true, predicted))
        for overlap, counts in self._counts.items():
            counts += matches(true, predicted, overlap)

    def figures(self) -> dict[str, float]:
        """Return what has been found.

        Returns
        -------
        dict
            `edit_score`, the mean over sequences, and `segment_f1_10`, `_25` and `_50`, over all
            segments together, all from 0 to 1.
        """
        figures = {"edit_score": float(np.mean(self._edit_scores))}
        for overlap, (hits, extra, missed) in self._counts.items():
            total = 2 * hits + extra + missed
            figures[F1_FIGURES[overlap]] = float(2 * hits / total) if total else 1.0
        return figures
