"""A family of several channels, of which only the relation between two matters."""

from typing import ClassVar

import numpy as np

from generators.family import Array, SequenceFamily, draw_length, log_mean


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
