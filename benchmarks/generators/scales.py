"""Families in which the level or the scale of a sequence is the answer, or must not matter."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from generators.family import Array, SequenceFamily, draw_length, log_mean


class LevelAndScale(SequenceFamily):
    """White noise; the class is only in its level and its scale, which vary within a class."""

    name = "level"
    tests = "the level and the scale of a sequence"
    classes = ("low, calm", "low, loud", "high, calm", "high, loud")
    train_count = 60
    lengths = 50, 150
    levels = -1.0, 1.0
    level_spread = 0.45
    log_scales = -0.6, 0.6
    log_scale_spread = 0.27

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        drawn = []
        for label in labels:
            length = draw_length(generator, self.lengths)
            level = generator.normal(self.levels[label // 2], self.level_spread)
            scale = np.exp(generator.normal(self.log_scales[label % 2], self.log_scale_spread))
            drawn.append(level + scale * generator.standard_normal((length, 1)))
        return drawn

    def log_likelihoods(self, sequence: Array) -> Array:
        """Integrate over the level exactly, and over the scale on a fine grid."""
        length, mean, variance = len(sequence), sequence.mean(), sequence.var()
        grid = np.linspace(-2.5, 2.5, 501)
        squares = np.exp(2 * grid)
        of_variance = -(length - 1) * grid - length * variance / squares / 2
        spread = self.level_spread**2 + squares / length
        found = []
        for level in self.levels:
            of_mean = -((mean - level) ** 2) / spread / 2 - np.log(spread) / 2
            for log_scale in self.log_scales:
                prior = -(((grid - log_scale) / self.log_scale_spread) ** 2) / 2
                found.append(log_mean(of_variance + of_mean + prior))
        return np.array(found)


class Decades(SequenceFamily):
    """White noise; the class is the decade of its scale, from thousandths to ones."""

    name = "decades"
    tests = "the order of magnitude of a sequence"
    classes = ("1e-3", "1e-2", "1e-1", "1e0")
    train_count = 40
    lengths = 30, 100
    spread = 0.24

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        lengths = generator.integers(*self.lengths, endpoint=True, size=len(labels))
        exponents = generator.normal(labels - 3.0, self.spread)
        return [
            10**exponent * generator.standard_normal((length, 1))
            for exponent, length in zip(exponents, lengths, strict=True)
        ]

    def log_likelihoods(self, sequence: Array) -> Array:
        """Integrate over the scale on a fine grid."""
        length, square = len(sequence), (sequence**2).sum()
        grid = np.linspace(-5, 2, 1401)
        values = -length * np.log(10) * grid - square / 10 ** (2 * grid) / 2
        centers = np.arange(len(self.classes)) - 3.0
        priors = -(((grid - centers[:, None]) / self.spread) ** 2) / 2
        return log_mean(values + priors, axis=1)


class HeavyTails(SequenceFamily):
    """A periodic signal of narrow pulses; each sequence has its own scale, over four decades.

    A period has a positive pulse and, after it, a positive or negative one; the class is its sign
    and the range of its delay. Noise is proportional to the scale.
    """

    name = "heavy-tails"
    tests = "the shape of spiky values whose scale spans four decades"
    classes = tuple(f"{sign}, {delay}" for sign in ("+", "-") for delay in ("near", "mid", "far"))
    train_count = 150
    simulated = 4000
    lengths = 100, 600
    period = 48
    delays: ClassVar[Sequence[range]] = (range(4, 9), range(11, 16), range(18, 23))
    log_scales = np.log(0.01), np.log(100.0)
    noise = 1.0

    def __init__(self) -> None:
        distances = np.arange(self.period)
        pulse = np.exp(-(np.minimum(distances, self.period - distances) ** 2) / (2 * 1.3**2))
        shapes = []
        for sign in (1.0, -1.0):
            for delays in self.delays:
                both = np.stack([pulse + sign * np.roll(pulse, delay) for delay in delays])
                shapes.append(both / np.sqrt((both**2).mean(axis=1, keepdims=True)))
        self._shapes = np.stack(shapes)  # (classes, delays, period)

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        drawn = []
        for label in labels:
            length = int(np.exp(generator.uniform(*np.log(self.lengths))))
            shape = self._shapes[label, generator.integers(len(self.delays[0]))]
            signal = shape[(np.arange(length) + generator.integers(self.period)) % self.period]
            series = signal + self.noise * generator.standard_normal(length)
            drawn.append(np.exp(generator.uniform(*self.log_scales)) * series[:, None])
        return drawn

    def log_likelihoods(self, sequence: Array) -> Array:
        """Average over delays, phases and, on a fine grid, the logarithm of the scale."""
        series, length = sequence[:, 0], len(sequence)
        place = np.arange(length) % self.period
        sums = np.bincount(place, series, self.period)
        counts = np.bincount(place, minlength=self.period)
        turned = np.stack([np.roll(self._shapes, -n, axis=2) for n in range(self.period)], axis=2)
        products, energies = turned @ sums, turned**2 @ counts  # (classes, delays, phases)
        # The scale is known to about 1 / sqrt(2 length), around the root mean square.
        middle = np.log((series @ series / length / (1 + self.noise**2)) ** 0.5)
        grid = middle + np.linspace(-1, 1, 81) * 10 / np.sqrt(2 * length)
        grid = grid[(grid > self.log_scales[0]) & (grid < self.log_scales[1])]
        found = []
        for log_scale in grid:
            scaled = products * np.exp(-log_scale)
            squares = series @ series * np.exp(-2 * log_scale) - 2 * scaled + energies
            squares /= self.noise**2
            found.append(log_mean(-length * log_scale - squares / 2, axis=(1, 2)))
        likelihoods: Array = np.logaddexp.reduce(found, axis=0)
        return likelihoods
