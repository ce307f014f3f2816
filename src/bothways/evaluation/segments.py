"""Segments (runs of equal labels) and how well predicted segments match the true ones.

References
----------
Lea, Flynn, Vidal, Reiter & Hager 2017, "Temporal convolutional networks for action segmentation and
detection", section 4: edit score and F1 at an overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class SegmentMetrics:
    """Metrics of segments, from 0 to 1.

    Parameters
    ----------
    edit_score : float
        Mean over sequences, see `edit_score`.
    segment_f1_10, segment_f1_25, segment_f1_50 : float
        F1 of all segments, where a predicted segment is correct if its intersection over union with
        a true one is at least 10, 25 or 50 %.
    """

    edit_score: float
    segment_f1_10: float
    segment_f1_25: float
    segment_f1_50: float


_OVERLAPS = (0.10, 0.25, 0.50)


class Segment(NamedTuple):
    """Time steps from `start` to `end` (exclusive) with one label."""

    label: int
    start: int
    end: int


def segments_of(labels: Array) -> list[Segment]:
    """Return the segments of integer labels (time,), in order.

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
    """Return 1 minus the edit distance of the segments' labels, divided by the larger count.

    It depends on the order of the segments only, not on their start and end.
    """
    longer = max(len(true), len(predicted))
    if longer == 0:
        return 1.0
    labels = np.array([segment.label for segment in predicted])
    ahead = np.arange(len(predicted) + 1)
    costs = (
        ahead.copy()
    )  # costs[n]: edits from the true segments so far to the first n predicted ones
    for segment in true:
        kept = costs[:-1] + (labels != segment.label)
        costs += 1
        costs[1:] = np.minimum(costs[1:], kept)
        costs = np.minimum.accumulate(costs - ahead) + ahead  # an insertion costs 1
    return float(1 - costs[-1] / longer)


def matches(
    true: Sequence[Segment], predicted: Sequence[Segment], overlap: float
) -> tuple[int, int, int]:
    """Count true positives, false positives and false negatives.

    A predicted segment is a true positive if its largest overlap with a true segment of the same
    label is at least `overlap`, and no earlier predicted segment has matched that one.

    Parameters
    ----------
    true, predicted : sequence of Segment
        In order, without overlaps.
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
    """Accumulates sequences and computes the metrics of their segments."""

    def __init__(self) -> None:
        self._edit_scores: list[float] = []
        self._counts = {overlap: np.zeros(3, np.int64) for overlap in _OVERLAPS}

    def add(self, true_labels: Array, predicted_labels: Array) -> None:
        """Add a sequence: integer arrays (time,), without ignored time steps."""
        true, predicted = segments_of(true_labels), segments_of(predicted_labels)
        self._edit_scores.append(edit_score(true, predicted))
        for overlap, counts in self._counts.items():
            counts += matches(true, predicted, overlap)

    def metrics(self) -> SegmentMetrics:
        """Return the metrics of all sequences so far."""
        return SegmentMetrics(
            float(np.mean(self._edit_scores)), *(_f1(*c) for c in self._counts.values())
        )


def _f1(hits: int, extra: int, missed: int) -> float:
    total = 2 * hits + extra + missed
    return float(2 * hits / total) if total else 1.0
