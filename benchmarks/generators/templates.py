"""Families of known shapes at unknown places, in white Gaussian noise of standard deviation 1."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np

from generators.family import Array, SequenceFamily, draw_length, log_mean


def log_ratios(series: Array, template: Array) -> Array:
    """Return log p(series | template at place n) - log p(series | noise), (places,).

    Parameters
    ----------
    series, template : float array (time,)
    """
    products = np.correlate(series, template, mode="valid")
    ratios: Array = products - template @ template / 2
    return ratios


def ramp(length: int) -> Array:
    """Return a slow rise from 0 to 1, (length,), after which the shape drops at once."""
    return np.linspace(1 / length, 1, length)


def hump(length: int) -> Array:
    """Return half a period of a sine, (length,)."""
    return np.sin(np.pi * np.arange(1, length + 1) / (length + 1))


class Shape(SequenceFamily):
    """One of three shapes at a random place; its height varies."""

    name = "shape"
    tests = "a shape at a random place in noise"
    classes = ("rise", "fall", "hump")
    train_count = 300
    lengths = 80, 250
    shapes: ClassVar[tuple[Array, ...]] = (ramp(30), ramp(30)[::-1], hump(30))
    heights = 2.5, 3.0, 3.6

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        drawn = []
        for label in labels:
            series = generator.standard_normal(draw_length(generator, self.lengths))
            shape = self.shapes[label] * generator.choice(self.heights)
            start = generator.integers(len(series) - len(shape), endpoint=True)
            series[start : start + len(shape)] += shape
            drawn.append(series[:, None])
        return drawn

    def log_likelihoods(self, sequence: Array) -> Array:
        series = sequence[:, 0]
        return np.array(
            [
                log_mean(np.stack([log_ratios(series, height * s) for height in self.heights]))
                for s in self.shapes
            ]
        )


class Order(SequenceFamily):
    """Two events at random places that do not overlap; the class is their order."""

    name = "order"
    tests = "the order of two events"
    classes = ("hump first", "wave first")
    train_count = 400
    lengths = 100, 200
    span = 20
    events: ClassVar[tuple[Array, Array]] = (
        1.5 * hump(20),
        1.5 * np.sin(2 * np.pi * np.arange(1, 21) / 21),
    )

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        drawn = []
        for label in labels:
            series = generator.standard_normal(draw_length(generator, self.lengths))
            # Two different numbers below n + 1 are a place and a later place in n free places.
            free = len(series) - 2 * self.span + 1
            first, second = sorted(generator.choice(free + 1, 2, replace=False))
            for event, start in ((label, first), (1 - label, second - 1 + self.span)):
                series[start : start + self.span] += self.events[event]
            drawn.append(series[:, None])
        return drawn

    def log_likelihoods(self, sequence: Array) -> Array:
        hump, wave = (log_ratios(sequence[:, 0], event) for event in self.events)
        return np.array([_in_order(hump, wave, self.span), _in_order(wave, hump, self.span)])


def _in_order(first: Array, second: Array, span: int) -> float:
    """Return the log of the sum over all pairs of places that are at least `span` apart."""
    later = np.logaddexp.accumulate(second[::-1])[::-1]
    return float(np.logaddexp.reduce(first[:-span] + later[span:]))


class LevelAndShape(SequenceFamily):
    """A level and a shape at a random place; the class is the combination of both."""

    name = "level-shape"
    tests = "the combination of a level and a shape"
    classes = ("low, rise", "low, fall", "high, rise", "high, fall")
    train_count = 200
    lengths = 60, 160
    levels = -1.0, 1.0
    spread = 0.45
    shapes: ClassVar[tuple[Array, ...]] = (2.6 * ramp(30), 2.6 * ramp(30)[::-1])

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        drawn = []
        for label in labels:
            series = generator.standard_normal(draw_length(generator, self.lengths))
            series += self.levels[label // 2] + self.spread * generator.standard_normal()
            shape = self.shapes[label % 2]
            start = generator.integers(len(series) - len(shape), endpoint=True)
            series[start : start + len(shape)] += shape
            drawn.append(series[:, None])
        return drawn

    def log_likelihoods(self, sequence: Array) -> Array:
        """Integrate over the level: the covariance is the identity plus spread² everywhere."""
        found = []
        for level in self.levels:
            series = sequence[:, 0] - level
            shrinkage = self.spread**2 / (1 + len(series) * self.spread**2)
            for shape in self.shapes:
                products = np.correlate(series, shape, mode="valid")
                squares = series @ series - 2 * products + shape @ shape
                sums = series.sum() - shape.sum()
                found.append(log_mean(-(squares - shrinkage * sums**2) / 2))
        return np.array(found)


class LongStretches(SequenceFamily):
    """A short burst somewhere in a long random walk that returns to 0 (autoregressive, order 1).

    The burst is a tone of rising, falling or constant frequency with a random phase.
    """

    name = "long"
    tests = "a short informative part in 1,000 steps and more"
    classes = ("rising", "falling", "constant")
    train_count = 120
    test_count = 600
    lengths = 1000, 1500
    memory = 0.95
    span = 64
    height = 1.1
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
    common: ClassVar[Array] = 3 * np.exp((np.arange(30) - 29) / 8)
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


class HeavyTails(SequenceFamily):
    """A periodic signal of narrow pulses; each sequence has its own scale, over four decades.

    A period has a positive pulse and, after it, a positive or negative one; the class is its sign
    and the range of its delay. Noise is proportional to the scale.
    """

    name = "heavy-tails"
    tests = "the shape of spiky values whose scale spans four decades"
    classes = tuple(f"{sign}, {delay}" for sign in ("+", "-") for delay in ("near", "mid", "far"))
    train_count = 240
    simulated = 4000
    lengths = 100, 600
    period = 48
    delays: ClassVar[Sequence[range]] = (range(4, 9), range(11, 16), range(18, 23))
    log_scales = np.log(0.01), np.log(100.0)
    noise = 0.8

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
