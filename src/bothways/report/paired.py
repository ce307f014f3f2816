"""Paired comparisons of several runs on the same test sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.optional import require
from bothways.pages.examination import Examination

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class PairedTest:
    """The difference of two runs on the same sequences.

    Parameters
    ----------
    difference : float
        Accuracy of the second run minus that of the first.
    first_only, second_only : int
        Sequences that only the first, or only the second run answers right or, if time steps have
        labels, better than the other.
    p_value : float
        Probability of a difference at least as large if both runs were equally good.
    test : str
        The name of the test.
    """

    difference: float
    first_only: int
    second_only: int
    p_value: float
    test: str


def compare_answers(first: Examination, second: Examination) -> PairedTest:
    """Test whether one of two runs is better on the same sequences.

    McNemar's exact test counts the sequences that only one of the runs answers right. Time steps
    of a sequence depend on one another; if they have labels, the Wilcoxon signed-rank test compares
    the accuracies of sequences instead.

    Raises
    ------
    MissingDependencyError
        If SciPy is not installed.

    References
    ----------
    Dietterich 1998, "Approximate statistical tests for comparing supervised classification learning
    algorithms".
    """
    stats = require("scipy.stats", extra="report", purpose="comparisons of runs")
    one, other = first.accuracy_by_sequence, second.accuracy_by_sequence
    first_only, second_only = int((one > other).sum()), int((other > one).sum())
    differ = first_only + second_only
    if first.sequences.target == "sequence":
        name = "McNemar's exact test"
        p_value = stats.binomtest(first_only, differ, 0.5).pvalue if differ else 1.0
    else:
        name = "Wilcoxon's signed-rank test of the accuracies of sequences"
        p_value = stats.wilcoxon(one, other).pvalue if differ else 1.0
    known = first.known
    difference = float(second.correct[known].mean() - first.correct[known].mean())
    return PairedTest(difference, first_only, second_only, float(p_value), name)


def right_alone(examined: Sequence[Examination], run: int) -> list[int]:
    """Return the sequences that one run alone answers right, the most confident first.

    If time steps have labels: those where the run is better than every other, by the difference.
    """
    accuracies = np.stack([one.accuracy_by_sequence for one in examined])
    others = np.delete(accuracies, run, axis=0).max(axis=0)
    lead = accuracies[run] - others
    if examined[run].sequences.target == "sequence":
        lead = lead * examined[run].confidence
    order = np.argsort(-lead, kind="stable")
    return [int(row) for row in order if lead[row] > 0]
