"""Recurrent classifiers of sequences with the interface of scikit-learn."""

from typing import Any, Self, cast

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from bothways.models.trained import TrainedClassifier
from bothways.sklearn.arrays import Array
from bothways.sklearn.base import RecurrentEstimator, check_count, check_given
from bothways.sklearn.weights import sample_weights


class RecurrentClassifier(ClassifierMixin, RecurrentEstimator):  # type: ignore[misc]
    """Recurrent classifier of sequences.

    The command line trains the same network: the same data, settings and seed give the same
    weights.

    Parameters
    ----------
    recipe : str
        Where the settings that are not given here come from; see `bothways recipes`.
    cell, hidden_size, num_layers, bidirectional, readout, dropout, normalization, missing, \
    members, epochs, steps, batch_size, learning_rate, validation_fraction, patience
        Settings of `ModelConfig` and `TrainConfig`, for example `batch_size` "auto"; default: those
        of the recipe.
    settings : dict, optional
        Any other settings.
    class_weight : "balanced" or dict, optional
        Weights of the classes in the loss.
    random_state : int, RandomState or None
        Seed of the initial weights, the shuffling, dropout and the validation set.
    axes : "ntc" or "nct"
        The axes of 3-D arrays: (sequences, time steps, features), or, as in sktime and aeon,
        (sequences, features, time steps).
    verbose : int
        1 shows the progress of training.

    Attributes
    ----------
    classes_ : array (num_classes,)
    n_features_in_ : int
        Features of a time step; for 2-D input, which is read as univariate series, its columns.
    feature_names_in_ : array of str, one for each feature
        Names of the features, if X has data frames.
    n_iter_ : int
        Epochs trained.
    history_ : list of EpochDone
    model_ : TrainedModel
        `model_.save(folder)` writes a model for `bothways.load` and the command line.

    Notes
    -----
    X is one of:

    - a list, or an object array, of arrays (time_i, features);
    - a 3-D array with `axes`;
    - a 2-D array (count, time) of univariate series;
    - a list of pandas or polars data frames (time_i, features);
    - a pandas data frame with a two-level index (sequence, time): sequences in the order in which
      they first occur, sorted by time.

    The columns of frames are matched by name: their order may differ from training, but a missing
    or unknown column raises an error. NaN raises an error unless `missing` is set.

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
        """Train a new network.

        Parameters
        ----------
        X : sequences
            See the class.
        y : array (count,)
            The class of each sequence.
        sample_weight : array (count,), optional
            Weights of the sequences in the loss.

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
        weights = sample_weights(sample_weight, len(sequences))
        self._train(sequences.with_labels(labels, weights))
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return probabilities (count, num_classes), in the order of `classes_`.

        They are float32, the precision of the network.
        """
        check_is_fitted(self, "model_")
        model = cast(TrainedClassifier, self.model_)
        return model.predict_proba(self._sequences(X, fitting=False)).astype(np.float32)

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each sequence, (count,)."""
        check_is_fitted(self, "model_")
        chosen: Array = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return chosen
