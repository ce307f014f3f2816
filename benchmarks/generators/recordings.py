"""A family with a label for each step: few long recordings of a hidden semi-Markov chain."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from bothways.data.sequences import LabeledSequences, Sequences
from generators.family import Array, Family, draw_length


class Activities(Family):
    """Stretches of low, middle and high activity; four classes look the same in the middle.

    A middle stretch is a rise, a fall, a bump (from low to low) or a dip (from high to high), so
    its label needs the stretches before and after it. Durations are uniform. The first channel has
    the level of the activity as its mean, the second as its scale; the third drifts independently.
    """

    name = "step-labels"
    tests = "labels of steps that need the past and the future, in few long recordings"
    classes = ("low", "high", "rise", "fall", "bump", "dip")
    train_count = 9
    test_count = 10
    simulated = 100
    lengths = 2000, 5000
    levels: ClassVar[Array] = np.array([-0.8, 0.8, 0.0, 0.0, 0.0, 0.0])
    following: ClassVar[Sequence[Sequence[int]]] = ((2, 4), (3, 5), (1,), (0,), (0,), (1,))
    durations: ClassVar[Sequence[tuple[int, int]]] = ((80, 240),) * 2 + ((40, 120),) * 4

    def draw(self, generator: np.random.Generator, count: int) -> LabeledSequences:
        """Return `count` recordings."""
        arrays, labels = [], []
        for _ in range(count):
            own = self._labels(generator, draw_length(generator, self.lengths))
            channels = generator.standard_normal((len(own), 3))
            channels[:, 0] += self.levels[own]
            channels[:, 1] *= np.exp(self.levels[own] / 3)
            turns = np.arange(len(own)) / generator.uniform(300, 900) + generator.random()
            channels[:, 2] += 2 * np.sin(2 * np.pi * turns)
            arrays.append(channels.astype(np.float32))
            labels.append(own)
        return Sequences.from_arrays(arrays).with_step_labels(labels)

    def _labels(self, generator: np.random.Generator, length: int) -> Array:
        stretches: list[Array] = []
        state = int(generator.integers(2))
        while sum(map(len, stretches)) < length:
            stretches.append(np.full(draw_length(generator, self.durations[state]), state))
            state = int(generator.choice(self.following[state]))
        return np.concatenate(stretches)[:length]

    def log_posteriors(self, sequences: Sequence[Array]) -> Array:
        """Return log posteriors of all steps, (total_steps, classes)."""
        return np.concatenate([self._of_recording(sequence) for sequence in sequences])

    def _of_recording(self, sequence: Array) -> Array:
        """Run the forward-backward algorithm with explicit durations.

        References
        ----------
        Yu 2010, "Hidden semi-Markov models", section 2.2.
        """
        time, states = len(sequence), len(self.classes)
        first, second = sequence[:, :1], sequence[:, 1:2]
        scales = self.levels / 3
        densities = -((first - self.levels) ** 2) / 2
        densities -= (second * np.exp(-scales)) ** 2 / 2 + scales
        sums = np.concatenate([np.zeros((1, states)), densities.cumsum(axis=0)])
        moves = np.full((states, states), -np.inf)
        for state, others in enumerate(self.following):
            moves[state, list(others)] = -np.log(len(others))
        # starts[t], ends[t]: all before t, if a stretch starts or ends at t.
        # rests[t], afters[t]: all from t on, if a stretch starts or has ended at t.
        starts, ends, rests, afters = (np.full((time + 1, states), -np.inf) for _ in range(4))
        starts[0, :2] = -np.log(2)
        for t in range(1, time):
            for k, (shortest, longest) in enumerate(self.durations):
                own = slice(max(0, t - longest), max(0, t - shortest + 1))
                ends[t, k] = sums[t, k] + _log_sum(starts[own, k] - sums[own, k])
                ends[t, k] -= np.log(longest - shortest + 1)
            starts[t] = np.logaddexp.reduce(ends[t][:, None] + moves)
        for t in reversed(range(time)):
            for k, (shortest, longest) in enumerate(self.durations):
                count = longest - shortest + 1
                own = slice(t + shortest, min(t + longest + 1, time))
                ended = _log_sum(sums[own, k] + afters[own, k]) - np.log(count)
                # The recording ends before the stretch does, or together with it.
                open_count = min(count, longest + 1 - (time - t))
                if open_count > 0:
                    ended = np.logaddexp(ended, sums[time, k] + np.log(open_count / count))
                rests[t, k] = ended - sums[t, k]
            afters[t] = np.logaddexp.reduce(rests[t] + moves, axis=1)
        evidence = np.logaddexp.reduce(starts[0] + rests[0])
        begun, ended = np.exp(starts + rests - evidence), np.exp(ends + afters - evidence)
        posteriors = (begun - ended).cumsum(axis=0)[:time]
        result: Array = np.log(np.maximum(posteriors, 1e-300))
        return result


def _log_sum(values: Array) -> float:
    return float(np.logaddexp.reduce(values)) if len(values) else -np.inf
