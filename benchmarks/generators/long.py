"""Families of sequences of thousands of steps, of which only a few tens matter."""

from itertools import pairwise
from typing import ClassVar

import numpy as np

from generators.family import Array, SequenceFamily, draw_length, log_mean
from generators.places import log_ratios


class LongStretches(SequenceFamily):
    """A short burst somewhere in a long random walk that returns to 0 (autoregressive, order 1).

    The burst is a tone of rising, falling or constant frequency with a random phase.
    """

    name = "long"
    tests = "a short informative part in 1,000 steps and more"
    classes = ("rising", "falling", "constant")
    train_count = 100
    test_count = 600
    lengths = 1000, 1500
    memory = 0.95
    span = 64
    height = 1.4
    phases = 8

    def __init__(self) -> None:
        time = np.arange(self.span) / self.span
        window = self.height * np.sin(np.pi * time) ** 2
        low, high = 0.06 * self.span, 0.18 * self.span
        cycles = (
            low * time + (high - low) * time**2 / 2,
            high * time + (low - high) * time**2 / 2,
            (low + high) / 2 * time,
        )
        turns = np.arange(self.phases) / self.phases
        self._bursts = [
            [window * np.cos(2 * np.pi * (own + turn)) for turn in turns] for own in cycles
        ]
        self._whitened = [[self._whiten(np.append(b, 0.0)) for b in own] for own in self._bursts]

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        lengths = generator.integers(*self.lengths, endpoint=True, size=len(labels))
        noise = generator.standard_normal((lengths.max(), len(labels)))
        noise[1:] *= np.sqrt(1 - self.memory**2)
        for before, now in pairwise(noise):
            now += self.memory * before
        drawn = []
        for series, length, label in zip(noise.T, lengths, labels, strict=True):
            start = generator.integers(length - self.span)
            burst = self._bursts[label][generator.integers(self.phases)]
            series[start : start + self.span] += burst
            drawn.append(series[:length, None])
        return drawn

    def log_likelihoods(self, sequence: Array) -> Array:
        series = self._whiten(sequence[:, 0])
        return np.array(
            [log_mean(np.stack([log_ratios(series, b) for b in own])) for own in self._whitened]
        )

    def _whiten(self, series: Array) -> Array:
        """Return what the past does not predict, with standard deviation 1; bursts begin with 0."""
        innovations = series[1:] - self.memory * series[:-1]
        return np.append(series[0], innovations / np.sqrt(1 - self.memory**2))


class RareEvent(SequenceFamily):
    """Slots of 50 steps; some contain a common event and, in one class, one the rare event.

    Both events rise and fall, with the same height: the common one rises slowly, the rare one
    falls slowly.
    """

    name = "rare-event"
    tests = "one event in 5,000 steps, among similar ones"
    classes = ("usual", "event")
    train_count = 70
    test_count = 200
    simulated = 4000
    slot = 50
    slots = 60, 100
    common: ClassVar[Array] = 3.5 * np.exp((np.arange(30) - 29) / 8)
    rare: ClassVar[Array] = common[::-1]
    rate = 0.04

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        drawn = []
        for label in labels:
            count = draw_length(generator, self.slots)
            series = generator.standard_normal((count, self.slot))
            has_common = generator.random(count) < self.rate
            at = generator.integers(count) if label else -1
            starts = generator.integers(self.slot - len(self.rare), size=count, endpoint=True)
            for n in np.flatnonzero(has_common | (np.arange(count) == at)):
                event = self.rare if n == at else self.common
                series[n, starts[n] : starts[n] + len(event)] += event
            drawn.append(series.reshape(-1, 1))
        return drawn

    def log_likelihoods(self, sequence: Array) -> Array:
        """Average over the slots: with the rare event, against without it."""
        slots = sequence.reshape(-1, self.slot)
        windows = np.lib.stride_tricks.sliding_window_view(slots, len(self.rare), axis=1)
        common, rare = (
            log_mean(windows @ event - event @ event / 2, axis=1)
            for event in (self.common, self.rare)
        )
        usual = np.logaddexp(np.log1p(-self.rate), np.log(self.rate) + common)
        return np.array([0.0, log_mean(rare - usual)])
