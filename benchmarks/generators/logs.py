"""Families of events: a log of categories with gaps, and spikes in an otherwise constant signal."""

from typing import ClassVar

import numpy as np

from generators.family import Array, SequenceFamily, draw_length


class EventLog(SequenceFamily):
    """A chain of eight categories, and the gap before each event, over several decades.

    The next category depends on the present one, and how, on the class. Gaps are log-normal; their
    logarithms differ a little between the classes.
    """

    name = "event-log"
    tests = "which category follows which, in a log of events"
    classes = ("buys", "returns", "leaves")
    features = "event", "gap"
    vocabularies: ClassVar[dict[str, tuple[str, ...]]] = {
        "event": ("add", "compare", "help", "pay", "read", "remove", "search", "view")
    }
    train_count = 5000
    lengths = 10, 40
    common = 0.4
    log_gaps = -0.3, 0.0, 0.3
    gap_spread = 1.5

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        tables = generator.dirichlet(np.full(8, 0.7), size=(4, 8))
        self._tables = self.common * tables[0] + (1 - self.common) * tables[1:]

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        lengths = generator.integers(*self.lengths, endpoint=True, size=len(labels))
        events = np.empty((lengths.max(), len(labels)), dtype=np.int64)
        events[0] = generator.integers(8, size=len(labels))
        sums = self._tables.cumsum(axis=2)
        for n in range(1, len(events)):
            below = sums[labels, events[n - 1]] < generator.random((len(labels), 1))
            events[n] = np.minimum(below.sum(axis=1), 7)
        gaps = generator.normal(np.array(self.log_gaps)[labels], self.gap_spread, events.shape)
        both = np.stack([events + 1.0, np.exp(gaps)], axis=2)
        return [both[:length, n] for n, length in enumerate(lengths)]

    def log_likelihoods(self, sequence: Array) -> Array:
        events = sequence[:, 0].astype(np.int64) - 1
        of_events = np.log(self._tables[:, events[:-1], events[1:]]).sum(axis=1)
        distances = np.log(sequence[:, 1]) - np.array(self.log_gaps)[:, None]
        likelihoods: Array = of_events - (distances**2).sum(axis=1) / self.gap_spread**2 / 2
        return likelihoods


class Rhythm(SequenceFamily):
    """Spikes of height 1 in zeros; the class is the regularity of their intervals.

    An interval is 1 plus a negative binomial number; its mean is the same in all classes.
    """

    name = "rhythm"
    tests = "the rhythm of spikes in a signal that is 0 otherwise"
    classes = ("bursts", "random", "regular")
    train_count = 300
    lengths = 100, 400
    sizes = 0.5, 2.0, 16.0
    mean = 11.0

    def __init__(self) -> None:
        count = np.arange(self.lengths[1] + 1)
        log_masses = []
        for size in self.sizes:
            success = size / (size + self.mean)
            factors = np.concatenate([[0.0], np.log((count[1:] - 1 + size) / count[1:])])
            log_masses.append(
                factors.cumsum() + size * np.log(success) + count * np.log(1 - success)
            )
        self._log_masses = np.stack(log_masses)  # (classes, intervals - 1)
        below = np.cumsum(np.exp(self._log_masses), axis=1)
        self._log_survivals = np.log(np.maximum(1 - below, 1e-300))

    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        drawn = []
        for label in labels:
            length = draw_length(generator, self.lengths)
            size = self.sizes[label]
            intervals = 1 + generator.negative_binomial(size, size / (size + self.mean), length)
            places = intervals.cumsum() - 1
            series = np.zeros((length, 1))
            series[places[places < length]] = 1.0
            drawn.append(series)
        return drawn

    def log_likelihoods(self, sequence: Array) -> Array:
        """Sum the log probabilities of all intervals; the last one is longer than what is seen."""
        places = np.flatnonzero(sequence[:, 0])
        intervals = np.diff(places, prepend=-1)
        rest = len(sequence) - (places[-1] + 1 if len(places) else 0)
        likelihoods: Array = self._log_masses[:, intervals - 1].sum(axis=1)
        if rest:
            likelihoods = likelihoods + self._log_survivals[:, rest - 1]
        return likelihoods
