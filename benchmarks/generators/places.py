"""Families of known shapes at random places, in white Gaussian noise of standard deviation 1."""

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


class ManyShapes(Shape):
    """As `Shape`, with many sequences to learn from."""

    name = "many"
    tests = "the same, with many training sequences"
    train_count = 5000


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
