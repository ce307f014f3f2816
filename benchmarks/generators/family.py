"""The base classes of the families: what is drawn, and the classifier that knows the generator."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias
from zlib import crc32

import numpy as np

from bothways.data.dataset import Dataset
from bothways.data.sequences import LabeledSequences, Sequences

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class Family(ABC):
    """Labeled sequences of a known distribution.

    Attributes
    ----------
    name : str
    tests : str
        What a classifier must be able to do.
    classes : tuple of str
    train_count, test_count : int
        Sequences of a training and of a test set.
    features : tuple of str
        Names of the features, or () for numeric features without names.
    vocabularies : dict
        The categories of each categorical feature.
    simulated : int
        Sequences by which `bayes_accuracy` estimates.
    """

    name: ClassVar[str]
    tests: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    train_count: ClassVar[int]
    test_count: ClassVar[int] = 1000
    features: ClassVar[tuple[str, ...]] = ()
    vocabularies: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    simulated: ClassVar[int] = 20_000

    @abstractmethod
    def draw(self, generator: np.random.Generator, count: int) -> LabeledSequences:
        """Return `count` sequences."""

    @abstractmethod
    def log_posteriors(self, sequences: Sequence[Array]) -> Array:
        """Return the logarithm of each class's probability, up to a constant for each label.

        Parameters
        ----------
        sequences : list of float arrays (time_i, features)

        Returns
        -------
        float64 array (labels, classes)
            A row for each sequence or, if steps have labels, for each step.
        """

    def dataset(self, seed: int, count: int | None = None) -> Dataset:
        """Return a training set and an independent test set.

        Parameters
        ----------
        seed : int
            Two seeds give independent datasets.
        count : int, optional
            Sequences of the training set; default: `train_count`.
        """
        train, test = (
            self.draw(np.random.default_rng([seed, part, crc32(self.name.encode())]), size)
            for part, size in enumerate((count or self.train_count, self.test_count))
        )
        return Dataset(
            self.name,
            train,
            test,
            self.classes,
            features=self.features,
            vocabularies=self.vocabularies,
        )

    def best_hits(self, sequences: LabeledSequences) -> Array:
        """Return for each label whether the most probable class is the right one, bool (labels,).

        No classifier has a higher expected accuracy than this one, which knows the generator.
        """
        rows = [row.numpy().astype(np.float64) for row in sequences.rows()]
        hits: Array = self.log_posteriors(rows).argmax(axis=1) == sequences.flat_labels().numpy()
        return hits

    def bayes_accuracy(self, count: int | None = None) -> tuple[float, float]:
        """Return the Bayes accuracy and the standard error of this estimate.

        Parameters
        ----------
        count : int, optional
            Simulated sequences; default: `simulated`.
        """
        generator = np.random.default_rng([crc32(self.name.encode())])
        count = count or self.simulated
        sequences = self.draw(generator, count)
        hits = self.best_hits(sequences)
        if sequences.target == "sequence":
            return float(hits.mean()), float(hits.std() / np.sqrt(count))
        # The steps of a recording are dependent, so the error is that of a ratio of sums.
        lengths = sequences.lengths.numpy()
        own = np.add.reduceat(hits.astype(float), np.cumsum(lengths) - lengths)
        mean = own.sum() / lengths.sum()
        residuals = (own - mean * lengths) / lengths.mean()
        return float(mean), float(residuals.std(ddof=1) / np.sqrt(count))


class SequenceFamily(Family):
    """A family whose sequences have one label each.

    Attributes
    ----------
    priors : tuple of float
        Frequencies of the classes; default: all equal.
    """

    priors: ClassVar[tuple[float, ...]] = ()

    @abstractmethod
    def sequences(self, generator: np.random.Generator, labels: Array) -> list[Array]:
        """Return a sequence (time_i, features) for each label."""

    @abstractmethod
    def log_likelihoods(self, sequence: Array) -> Array:
        """Return the log density of a sequence (time, features) in each class, up to a constant."""

    def draw(self, generator: np.random.Generator, count: int) -> LabeledSequences:
        """Return `count` sequences; the numbers of the classes are rounded, not random."""
        shares = np.cumsum(self._priors())
        labels = np.searchsorted(shares / shares[-1], (np.arange(count) + 0.5) / count)
        labels = generator.permutation(labels)
        drawn = self.sequences(generator, labels)
        return Sequences.from_arrays([s.astype(np.float32) for s in drawn], labels)

    def log_posteriors(self, sequences: Sequence[Array]) -> Array:
        """Return log posteriors, (sequences, classes)."""
        likelihoods = np.stack([self.log_likelihoods(sequence) for sequence in sequences])
        posteriors: Array = likelihoods + np.log(self._priors())
        return posteriors

    def _priors(self) -> tuple[float, ...]:
        return self.priors or (1 / len(self.classes),) * len(self.classes)


def draw_length(generator: np.random.Generator, lengths: tuple[int, int]) -> int:
    """Return a length; all from the first to the last of `lengths` are equally likely."""
    return int(generator.integers(*lengths, endpoint=True))


def log_mean(values: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """Return the logarithm of the mean of the exponentials of `values`, along `axis`."""
    largest = values.max(axis=axis, keepdims=True)
    mean = np.exp(values - largest).mean(axis=axis, keepdims=True)
    result: Array = np.squeeze(largest + np.log(mean), axis=axis)
    return result
