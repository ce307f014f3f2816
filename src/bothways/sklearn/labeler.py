"""Recurrent labelers of time steps with the interface of scikit-learn."""

from dataclasses import replace
from typing import Any, Self, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

from bothways.data.batching import IGNORED
from bothways.data.sequences import Sequences
from bothways.errors import DataError, ShapeError, counted
from bothways.models.trained import TrainedLabeler
from bothways.sklearn.arrays import Array
from bothways.sklearn.base import RecurrentEstimator, check_count, check_given
from bothways.sklearn.weights import sample_weights


class RecurrentLabeler(RecurrentEstimator):
    """Recurrent classifier of each time step.

    Parameters
    ----------
    recipe, cell, hidden_size, num_layers, bidirectional, dropout, normalization, missing, \
    members, epochs, steps, batch_size, learning_rate, validation_fraction, patience, settings, \
    class_weight, random_state, axes, verbose
        As in `RecurrentClassifier`. `readout` must be None.

    Attributes
    ----------
    classes_, n_features_in_, n_iter_, history_, model_
        As in `RecurrentClassifier`.

    Notes
    -----
    X is as in `RecurrentClassifier`. y has one array (time_i,) of classes for each sequence. Time
    steps with the label -1, None, NaN or an empty string are ignored in training and in `score`.

    Examples
    --------
    >>> import numpy as np
    >>> waves = [np.sin(np.arange(n) / 3)[:, None] for n in range(40, 60)]
    >>> y = [np.where(values[:, 0] > 0, "high", "low") for values in waves]
    >>> labeler = RecurrentLabeler(hidden_size=8, epochs=20, random_state=0).fit(waves, y)
    >>> labeler.predict([np.array([[0.9], [0.9], [-0.9]])])
    [array(['high', 'high', 'low'], dtype='<U4')]
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : sequences
            See the class.
        y : list of arrays (time_i,), or array (count, time)
            The class of each time step.
        sample_weight : array (count,), optional
            Weights of the sequences in the loss.

        Raises
        ------
        ConfigError, DataError, ShapeError
            All are ValueErrors.
        """
        sequences = self._sequences(X, fitting=True)
        check_given(self, y)
        labels = _as_step_labels(y, sequences)
        named = [own[_is_known(own)] for own in labels]
        self.classes_ = np.unique(np.concatenate(named))
        weights = sample_weights(sample_weight, len(sequences))
        numbered = sequences.with_step_labels([self._numbers(own) for own in labels])
        self._train(replace(numbered, weights=weights))
        return self

    def predict_proba(self, X: Any) -> list[Array]:
        """Return probabilities: one float32 array (time_i, num_classes) for each sequence."""
        check_is_fitted(self, "model_")
        model = cast(TrainedLabeler, self.model_)
        found = model.predict_proba(self._sequences(X, fitting=False))
        return [probabilities.astype(np.float32) for probabilities in found]

    def predict(self, X: Any) -> list[Array]:
        """Return the most probable class of each step: one array (time_i,) for each sequence."""
        return [self.classes_[rows.argmax(axis=1)] for rows in self.predict_proba(X)]

    def score(self, X: Any, y: Any) -> float:
        """Return the accuracy over all time steps that have a class."""
        predicted = self.predict(X)
        labels = _as_step_labels(y, self._sequences(X, fitting=False))
        known = np.concatenate([_is_known(own) for own in labels])
        right = np.concatenate(predicted) == np.concatenate(labels)
        return float(right[known].mean())

    def _numbers(self, labels: Array) -> Array:
        known = _is_known(labels)
        numbers = np.full(len(labels), IGNORED)
        numbers[known] = np.searchsorted(self.classes_, labels[known])
        return numbers


def _as_step_labels(y: Any, sequences: Sequences) -> list[Array]:
    """Return the validated labels (time_i,) of each sequence."""
    check_count(y, sequences)
    labels = [np.asarray(own) for own in y]
    for n, (own, length) in enumerate(zip(labels, sequences.lengths.tolist(), strict=True)):
        if own.shape != (length,):
            raise ShapeError(
                f"y[{n}] has shape {own.shape} but X[{n}] has {counted(length, 'step')}; expected "
                f"({length},), a class for each step. Use -1 for steps to ignore."
            )
    if not any(_is_known(own).any() for own in labels):
        raise DataError("y has no label; expected a class for some steps.")
    return labels


def _is_known(labels: Array) -> Array:
    """Return where a label is a class: not -1, None, NaN or an empty string."""
    if labels.dtype.kind in "US":
        return np.asarray(labels != "")
    if labels.dtype.kind == "O":
        return np.array([not (n is None or n != n or n in (-1, "")) for n in labels], dtype=bool)
    return np.asarray(~np.isnan(labels) & (labels != IGNORED))
