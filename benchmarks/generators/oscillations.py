"""Families of oscillations: a sinusoid in noise, and noise with a resonance."""

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
