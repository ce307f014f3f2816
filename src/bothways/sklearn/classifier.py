"""Recurrent classifiers of sequences, as scikit-learn knows classifiers."""

from dataclasses import replace
from typing import Any, Self, cast

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from bothways.models.trained import TrainedClassifier
from bothways.sklearn.base import Array, RecurrentEstimator, check_count, check_given


class RecurrentClassifier(ClassifierMixin, RecurrentEstimator):  # type: ignore[misc]
    """A recurrent net over sequences, as a scikit-learn classifier.

    The command line trains the same net: the same data, settings and seed give the same weights.

    Parameters
    ----------
    recipe : str
        Where all settings come from that are not given here; see `bothways recipes`.
    cell, hidden_size, num_layers, bidirectional, readout, dropout, standardize, missing, epochs, \
    batch_size, learning_rate, validation_fraction, patience
        As `ModelConfig` and `TrainConfig` explain them; the recipe's where None.
    settings : dict, optional
        Any other setting.
    class_weight : balanced or dict, optional
        What a class counts in the loss.
    random_state : int, RandomState or None
        Seed of the initial weights, the shuffling, dropout and the validation split.
    verbose : int
        1 shows progress.

    Attributes
    ----------
    classes_ : array (num_classes,)
    n_features_in_ : int
        Features of a step; of 2-D input, which is read as univariate series, its columns.
    n_iter_ : int
        Epochs trained.
    history_ : list of EpochDone
    model_ : TrainedModel
        `model_.save(folder)` writes what `bothways.load` and the command line take.

    Notes
    -----
    X is a list, or an object array, of arrays (time_i, features); a 3-D array (count, time,
    features); or a 2-D array (count, time) of univariate series. NaN is refused unless `missing`
    says what it stands for.

    Examples
    --------
    >>> import numpy as np
    >>> rising = [np.linspace(0, 1, n)[:, None] for n in range(5, 25)]
    >>> X, y = rising + [1 - values for values in rising], ["up"] * 20 + ["down"] * 20
    >>> classifier = RecurrentClassifier(hidden_size=8, epochs=20, random_state=0).fit(X, y)
    >>> classifier.predict([np.linspace(0.2, 0.7, 9)[:, None]])
    array(['up'], dtype='<U4')
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new net.

        Parameters
        ----------
        X : sequences
            See the class.
        y : array (count,)
            A class for each.
        sample_weight : array (count,), optional
            What each sequence counts in the loss.

        Raises
        ------
        ConfigError, DataError
            Both are ValueErrors.
        """
        sequences = self._sequences(X, fitting=True)
        check_given(self, y)
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        check_count(y, sequences)
        self.classes_, labels = np.unique(y, return_inverse=True)
        weights = self._weights(sample_weight, len(sequences))
        self._train(replace(sequences, labels=torch.from_numpy(labels), weights=weights))
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return probabilities (count, num_classes), in the order of `classes_`.

        They are float32, as precise as the net is.
        """
        check_is_fitted(self, "model_")
        model = cast(TrainedClassifier, self.model_)
        return model.predict_proba(self._sequences(X, fitting=False)).astype(np.float32)

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each sequence, (count,)."""
        check_is_fitted(self, "model_")
        chosen: Array = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return chosen
