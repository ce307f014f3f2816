"""Families of random processes: frequency, texture, level, scale, and the delay of two channels."""

from typing import ClassVar

import numpy as np

from generators.family import Array, SequenceFamily, draw_length, log_mean


class Frequency(SequenceFamily):
    """A sinusoid of random frequency, amplitude and phase in white noise.

    Its two coefficients are N(0, 1); the frequency is uniform in the band of the class.
    """

    name = "frequency"
    tests = "the frequency of a noisy sinusoid"
    classes = ("low", "middle", "high")
    train_count = 200
    simulated = 4000
    lengths = 60, 200
    bands = (0.02, 0.04), (0.055, 0.09), (0.115, 0.17)
    noise = 0.7
    points = 120

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        drawn = []
        for label in labels:
            time = np.arange(draw_length(generator, self.lengths))
            angles = 2 * np.pi * generator.uniform(*self.bands[label]) * time
            cosine, sine = generator.standard_normal(2)
            series = cosine * np.cos(angles) + sine * np.sin(angles)
            series += self.noise * generator.standard_normal(len(time))
            drawn.append(series[:, None])
        return drawn

    def log_likelihoods(self, sequence: Array) -> Array:
        """Integrate over both coefficients exactly, and over the frequency on a fine grid."""
        series, time = sequence[:, 0] / self.noise, np.arange(len(sequence))
        grid = np.stack([np.linspace(*band, self.points) for band in self.bands])
        angles = 2 * np.pi * grid[..., None] * time
        waves = np.stack([np.cos(angles), np.sin(angles)], axis=-2) / self.noise
        precision = np.eye(2) + waves @ np.swapaxes(waves, -1, -2)
        products = waves @ series
        solved = np.linalg.solve(precision, products[..., None])[..., 0]
        values = (products * solved).sum(axis=-1) - np.linalg.slogdet(precision)[1]
        return log_mean(values / 2, axis=1)


class Imbalance(SequenceFamily):
    """Noise with a resonance (autoregressive, order 2); most sequences are of one class."""

    name = "imbalance"
    tests = "classes of 90, 7 and 3 %, which differ in texture"
    classes = ("usual", "slow", "fast")
    priors = 0.9, 0.07, 0.03
    train_count = 600
    lengths = 40, 120
    frequencies = 0.12, 0.07, 0.19
    radius = 0.8

    @property
    def _weights(self) -> Array:
        """Weights of the two steps before, (classes, 2)."""
        first = 2 * self.radius * np.cos(2 * np.pi * np.array(self.frequencies))
        return np.stack([first, np.full_like(first, -(self.radius**2))], axis=1)

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        lengths = generator.integers(*self.lengths, endpoint=True, size=len(labels))
        weights = self._weights[labels]
        series = generator.standard_normal((lengths.max() + 2, len(labels)))
        series[:2] = 0
        for n in range(2, len(series)):
            series[n] += weights[:, 0] * series[n - 1] + weights[:, 1] * series[n - 2]
        return [own[2 : 2 + length, None] for own, length in zip(series.T, lengths, strict=True)]

    def log_likelihoods(self, sequence: Array) -> Array:
        series = np.concatenate([[0.0, 0.0], sequence[:, 0]])
        before = np.stack([series[1:-1], series[:-2]])
        residuals = series[2:] - self._weights @ before
        likelihoods: Array = -(residuals**2).sum(axis=1) / 2
        return likelihoods


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


class Delay(SequenceFamily):
    """Six channels; sparse pulses reach one of two channels first, and the other some steps later.

    A pulse is N(0, 3²) in a tenth of the steps, otherwise 0. The four other channels are
    autoregressive noise with different scales.
    """

    name = "delay"
    tests = "which of two channels leads, among irrelevant channels"
    classes = ("third leads", "fifth leads")
    train_count = 500
    lengths = 80, 160
    delays: ClassVar[range] = range(2, 7)
    rate = 0.1
    height = 3.0
    noise = 0.8

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        steps = np.arange(self.lengths[1])
        ages = steps - steps[:, None]
        smoothing = np.where(ages >= 0, 0.8 ** np.abs(ages), 0.0)
        drawn = []
        for label in labels:
            length = draw_length(generator, self.lengths)
            delay = generator.choice(self.delays)
            pulses = self.height * generator.standard_normal(length + delay)
            pulses *= generator.random(length + delay) < self.rate
            pair = np.stack([pulses[delay:], pulses[:length]])[:: -1 if label else 1]
            channels = generator.standard_normal((6, length))
            channels[[2, 4]] = pair + self.noise * channels[[2, 4]]
            channels[[0, 1, 3, 5]] = channels[[0, 1, 3, 5]] @ smoothing[:length, :length]
            drawn.append(channels.T * [1.0, 5.0, 1.0, 0.2, 1.0, 20.0])
        return drawn

    def log_likelihoods(self, sequence: Array) -> Array:
        """Average over the delays; for each, steps are independent pairs of both channels."""
        third, fifth = sequence[:, 2], sequence[:, 4]
        found = []
        for leading, following in ((third, fifth), (fifth, third)):
            ratios = [
                self._pair_ratios(leading[:-delay], following[delay:]).sum()
                for delay in self.delays
            ]
            found.append(log_mean(np.array(ratios)))
        return np.array(found)

    def _pair_ratios(self, first: Array, second: Array) -> Array:
        """Return log p(first, second) - log p(first) p(second), if both hold the same pulses."""
        small, large = self.noise**2, self.noise**2 + self.height**2

        def log_density(squares: Array, *log_determinants: float) -> Array:
            logs = np.log([1 - self.rate, self.rate]) - np.array(log_determinants) / 2
            result: Array = np.logaddexp(*(logs[:, None] - squares / 2))
            return result

        alone = [
            log_density(np.stack([v**2 / small, v**2 / large]), np.log(small), np.log(large))
            for v in (first, second)
        ]
        # With a pulse, the sum has variance 2 (large + height²), the difference 2 small.
        sums, differences = (first + second) ** 2 / 2, (first - second) ** 2 / 2
        wide = large + self.height**2
        together = log_density(
            np.stack([(first**2 + second**2) / small, sums / wide + differences / small]),
            2 * np.log(small),
            np.log(wide) + np.log(small),
        )
        ratios: Array = together - alone[0] - alone[1]
        return ratios
