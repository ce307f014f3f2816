"""Simulation of equally good candidates: what does selecting the best of them seem to gain?

Whether a candidate answers a sequence right depends on four normal random variables: how difficult
the sequence is, how well the sequence suits the candidate (the same in all rounds), how well its
training went in the round (the same for all sequences), and noise. All candidates and the fixed
baseline are right with the same probability, so every difference is luck. Alternatively, the first
candidate is really better.

`python tests/selection_simulation.py` prints the table of docs/decisions/0040-honest-comparison.md.
"""

from statistics import NormalDist

import numpy as np

from bothways import Dataset, Sequences
from bothways.data.splitting import hold_out
from bothways.model_selection.compare import HELD_OUT
from bothways.model_selection.paired import paired_difference
from bothways.model_selection.selection import Selection, halves_of, select

ACCURACY = 0.8
RATIO = HELD_OUT / (1 - HELD_OUT)
CASES = {
    "all noise": (0.3, 0.0, 0.0, 0.7),
    "sequences suit candidates": (0.0, 1.0, 0.0, 0.0),
    "trainings go well or badly": (0.3, 0.0, 0.1, 0.6),
    "all of these": (0.3, 0.3, 0.1, 0.3),
}
"""Variances of difficulty, suitability, training and noise; their sum is 1."""


class Simulation:
    """Rounds of a comparison without trainings.

    Parameters
    ----------
    variances : tuple of float
        See `CASES`.
    candidates, rounds, count : int
        `count` is the number of sequences.
    lead : float
        By how much the first candidate is more accurate than the others.
    """

    def __init__(self, variances, candidates=12, rounds=5, count=200, lead=0.0, seed=0):
        arrays = [np.zeros((1, 1))] * count
        labels = np.arange(count) % 2
        dataset = Dataset("noise", Sequences.from_arrays(arrays, labels), None, ("a", "b"))
        held_out = [hold_out(dataset, HELD_OUT, number)[1] for number in range(rounds)]
        self.halves = halves_of(dataset, held_out, rounds)
        self._rows = [part.starts.numpy() for part in held_out]
        accuracies = [ACCURACY, ACCURACY + lead] + [ACCURACY] * (candidates - 1)
        self._limits = np.array([[NormalDist().inv_cdf(some)] for some in accuracies])
        self._scales = np.sqrt(variances)
        self._shape = candidates + 1, count
        self._random = np.random.default_rng(seed)

    def hits(self):
        """Return the hits of the candidates, and of the baseline, for `select`."""
        num_models, count = self._shape
        normal = self._random.normal
        difficulty, suitability = normal(size=count), normal(size=self._shape)
        of_rounds = []
        for rows in self._rows:
            parts = (
                difficulty[rows],
                suitability[:, rows],
                normal(size=(num_models, 1)),
                normal(size=(num_models, len(rows))),
            )
            score = sum(scale * part for scale, part in zip(self._scales, parts, strict=True))
            of_rounds.append(score < self._limits)
        hits = {str(n): [right[n] for right in of_rounds] for n in range(num_models)}
        return hits, {"baseline": hits.pop("0")}

    def differences(self, selection, repetitions):
        """Return the differences of the best candidate and the baseline, and their p-values."""
        found = []
        for _ in range(repetitions):
            hits, baseline = self.hits()
            best = Selection("best", len(hits), selection(hits, self.halves), 0.0)
            difference = paired_difference(best, select(baseline, self.halves), RATIO)
            found.append((difference.mean, difference.p_value or 1.0))
        return np.array(found).T


def accuracies_of(hits):
    return np.array([[hit.mean() for hit in rounds] for rounds in hits.values()])


def same_figures(hits, halves):
    """Select and measure with the same figures."""
    accuracies = accuracies_of(hits)
    return accuracies[accuracies.mean(axis=1).argmax()]


def other_rounds(hits, halves):
    """Select in other rounds, also by the sequences that are measured."""
    accuracies = accuracies_of(hits)
    others = (accuracies.sum(axis=1, keepdims=True) - accuracies).argmax(axis=0)
    return accuracies[others, np.arange(len(others))]


def other_half(hits, halves):
    """Select on the other half of the sequences, also in the round that is measured."""
    correct = np.array(
        [
            [np.bincount(half, hit, minlength=2) for half, hit in zip(halves, rounds, strict=True)]
            for rounds in hits.values()
        ]
    )
    selected = correct.sum(axis=1)[:, ::-1].argmax(axis=0)
    right = correct[selected[0], :, 0] + correct[selected[1], :, 1]
    return right / [len(half) for half in halves]


def both_others(hits, halves):
    """Select in other rounds on the other half, as `compare` does."""
    return select(hits, halves).accuracies


def main(repetitions=4000):
    print("| case | selected by | gain, points | p < 0.05, % | p < 0.05 and a gain, % |")
    print("|---|---|---|---|---|")
    cases = [(case, case, 0.0) for case in CASES]
    cases.append(("all of these, one better by 10 points", "all of these", 0.1))
    for name, case, lead in cases:
        for selection in (same_figures, other_rounds, other_half, both_others):
            simulation = Simulation(CASES[case], lead=lead)
            gains, p_values = simulation.differences(selection, repetitions)
            error = gains.std() / repetitions**0.5
            significant = p_values < 0.05
            print(
                f"| {name} | {selection.__name__.replace('_', ' ')} "
                f"| {100 * gains.mean():+.1f} ± {100 * error:.1f} | {100 * significant.mean():.1f} "
                f"| {100 * (significant & (gains > 0)).mean():.1f} |"
            )


if __name__ == "__main__":
    main()
