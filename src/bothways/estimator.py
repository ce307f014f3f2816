"""Recurrent nets as scikit-learn knows estimators: a classifier, and a labeller of steps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from bothways.data import Dataset, hold_out
from bothways.device import seeded
from bothways.errors import ConfigError, DataError, ShapeError
from bothways.evaluation import calibrate
from bothways.inference import TrainedClassifier, TrainedLabeller, TrainedModel, trained_model
from bothways.progress import make_progress
from bothways.provenance import manifest_for
from bothways.recipes import load_recipe
from bothways.run_folder import Request
from bothways.sequences import IGNORED, Sequences
from bothways.training import EpochDone, start_training

Array = np.ndarray[Any, np.dtype[Any]]

# What `__init__` names and hands on to the recipe where it is given.
_SETTINGS = (
    "cell", "hidden_size", "num_layers", "bidirectional", "readout", "dropout", "standardize",
    "missing", "epochs", "batch_size", "learning_rate", "validation_fraction", "patience",
)  # fmt: skip


class _RecurrentEstimator(BaseEstimator):  # type: ignore[misc]
    """What the two share: settings, sequences, training."""

    classes_: Array
    model_: TrainedModel

    def __init__(
        self,
        recipe: str = "time-series",
        *,
        cell: str | None = None,
        hidden_size: int | None = None,
        num_layers: int | None = None,
        bidirectional: bool | None = None,
        readout: str | None = None,
        dropout: float | None = None,
        standardize: bool | None = None,
        missing: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation_fraction: float | None = None,
        patience: int | None = None,
        settings: Mapping[str, Any] | None = None,
        class_weight: Any = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.recipe = recipe
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.readout = readout
        self.dropout = dropout
        self.standardize = standardize
        self.missing = missing
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.settings = settings
        self.class_weight = class_weight
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        missing = (self.settings or {}).get("missing", self.missing)
        tags.input_tags.allow_nan = missing not in (None, "refuse")
        return tags

    def _request(self, dataset: Dataset) -> Request:
        given = {name: getattr(self, name) for name in _SETTINGS}
        chosen = {name: value for name, value in given.items() if value is not None}
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31 - 1)
        if not (self.class_weight in (None, "balanced") or isinstance(self.class_weight, Mapping)):
            raise ConfigError(
                f"class_weight is {self.class_weight!r}; expected None, 'balanced' or a dict of "
                "classes. Correct it."
            )
        if isinstance(self.class_weight, Mapping):
            weights = self.class_weight
            chosen["class_weights"] = tuple(float(weights.get(n, 1)) for n in self.classes_)
        elif self.class_weight is not None:
            chosen["class_weights"] = self.class_weight
        settings = chosen | {"seed": int(seed)} | dict(self.settings or {})
        recipe = load_recipe(self.recipe).with_settings(settings, dataset.target)
        return Request(
            source=None,
            recipe=self.recipe,
            model=dict(recipe.model),
            training=recipe.training,
            threads=torch.get_num_threads(),
        )

    def _weights(self, sample_weight: Any, count: int) -> torch.Tensor | None:
        """Return what each sequence counts, 1 on average, or None where all count the same."""
        if sample_weight is None:
            return None
        weights = _check_sample_weight(
            sample_weight, np.empty((count, 1)), ensure_non_negative=True
        )
        return torch.from_numpy((weights / weights.mean()).astype(np.float32))

    def _sequences(self, X: Any, *, fitting: bool) -> Sequences:
        """Return X as sequences, checked against what was fitted."""
        if _is_table(X):
            finite = "allow-nan" if self.__sklearn_tags__().input_tags.allow_nan else True
            table = validate_data(
                self, X, reset=fitting, dtype=np.float32, ensure_all_finite=finite
            )
            return Sequences.from_padded(table[:, :, None])
        if isinstance(X, np.ndarray) and X.ndim == 3:
            sequences = Sequences.from_padded(X.astype(np.float32))
        else:
            arrays = [np.asarray(values, dtype=np.float32) for values in X]
            sequences = Sequences.from_arrays([a[:, None] if a.ndim == 1 else a for a in arrays])
        if fitting:
            self.n_features_in_ = sequences.input_size
        elif sequences.input_size != self.n_features_in_:
            raise DataError(
                f"X has {sequences.input_size} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input. Pass those of training."
            )
        return sequences

    def _train(self, sequences: Sequences) -> None:
        """Train a new net on labelled sequences, as the command line does."""
        names = tuple(str(name) for name in self.classes_)
        dataset = Dataset("X", sequences, None, names)
        request = self._request(dataset)
        manifest = manifest_for(request, dataset)
        config = request.training
        training_part, validation = hold_out(dataset, config.validation_fraction, config.seed)
        self.history_: list[EpochDone] = []
        progress = make_progress(config.epochs) if self.verbose else None
        with seeded(config):
            training = start_training(manifest.model, config, training_part, validation)
            for event in training.events():
                if isinstance(event, EpochDone):
                    self.history_.append(event)
                    if progress is not None:
                        progress.epoch(event)
                elif progress is not None:
                    progress.step(event)
        if progress is not None:
            progress.close()
        training.model.load_state_dict(training.chosen_weights())
        if manifest.model.calibrate:
            calibrate(training.model, validation)
        self.n_iter_ = training.epoch
        self.model_ = trained_model(training.model.eval(), manifest)


class RecurrentClassifier(ClassifierMixin, _RecurrentEstimator):  # type: ignore[misc]
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
        if y is None:
            raise DataError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; "
                "expected a class for each sequence. Pass y."
            )
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        _check_count(y, sequences)
        self.classes_, labels = np.unique(y, return_inverse=True)
        weights = self._weights(sample_weight, len(sequences))
        self._train(replace(sequences, labels=torch.from_numpy(labels), weights=weights))
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return probabilities (count, num_classes), in the order of `classes_`."""
        check_is_fitted(self, "model_")
        model = cast(TrainedClassifier, self.model_)
        return model.predict_proba(self._sequences(X, fitting=False))

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each sequence, (count,)."""
        check_is_fitted(self, "model_")
        chosen: Array = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return chosen


class RecurrentLabeller(_RecurrentEstimator):
    """A recurrent net that says the class of each step, in the manner of scikit-learn.

    Parameters
    ----------
    recipe, cell, hidden_size, num_layers, bidirectional, dropout, standardize, missing, epochs, \
    batch_size, learning_rate, validation_fraction, patience, settings, class_weight, \
    random_state, verbose
        As of `RecurrentClassifier`. There is no readout: `readout` stays None.

    Attributes
    ----------
    classes_, n_features_in_, n_iter_, history_, model_
        As of `RecurrentClassifier`.

    Notes
    -----
    X is as there. y holds an array (time_i,) of classes for each sequence. A step labelled -1,
    None, NaN or with an empty text counts for nothing, in training and in `score`.

    Examples
    --------
    >>> import numpy as np
    >>> waves = [np.sin(np.arange(n) / 3)[:, None] for n in range(40, 60)]
    >>> y = [np.where(values[:, 0] > 0, "high", "low") for values in waves]
    >>> labeller = RecurrentLabeller(hidden_size=8, epochs=20, random_state=0).fit(waves, y)
    >>> labeller.predict([np.array([[0.9], [0.9], [-0.9]])])
    [array(['high', 'high', 'low'], dtype='<U4')]
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new net.

        Parameters
        ----------
        X : sequences
            See the class.
        y : list of arrays (time_i,), or array (count, time)
            A class for each step.
        sample_weight : array (count,), optional
            What each sequence counts in the loss.

        Raises
        ------
        ConfigError, DataError, ShapeError
            All are ValueErrors.
        """
        sequences = self._sequences(X, fitting=True)
        labels = _as_step_labels(y, sequences)
        named = [own[_is_known(own)] for own in labels]
        self.classes_ = np.unique(np.concatenate(named))
        weights = self._weights(sample_weight, len(sequences))
        numbered = sequences.with_step_labels([self._numbers(own) for own in labels])
        self._train(replace(numbered, weights=weights))
        return self

    def predict_proba(self, X: Any) -> list[Array]:
        """Return probabilities, an array (time_i, num_classes) a sequence."""
        check_is_fitted(self, "model_")
        model = cast(TrainedLabeller, self.model_)
        return list(model.predict_proba(self._sequences(X, fitting=False)))

    def predict(self, X: Any) -> list[Array]:
        """Return the most probable class of each step, an array (time_i,) a sequence."""
        return [self.classes_[rows.argmax(axis=1)] for rows in self.predict_proba(X)]

    def score(self, X: Any, y: Any) -> float:
        """Return the fraction of the steps with a class, among all sequences, that is right."""
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


def _check_count(y: Any, sequences: Sequences) -> None:
    if len(y) != len(sequences):
        raise DataError(
            f"y has {len(y)} entries but X has {len(sequences)} sequences: inconsistent "
            "numbers of samples; expected one for each."
        )


def _as_step_labels(y: Any, sequences: Sequences) -> list[Array]:
    """Return an array of labels (time_i,) for each sequence, checked."""
    _check_count(y, sequences)
    labels = [np.asarray(own) for own in y]
    for n, (own, length) in enumerate(zip(labels, sequences.lengths.tolist(), strict=True)):
        if own.shape != (length,):
            raise ShapeError(
                f"y[{n}] has shape {own.shape} but X[{n}] has {length} steps; expected "
                f"({length},), a class for each step. Label them all, -1 where it does not matter."
            )
    if not any(_is_known(own).any() for own in labels):
        raise DataError("y has no label; expected a class for some steps. Label them.")
    return labels


def _is_known(labels: Array) -> Array:
    """Return where a label is a class: not -1, None, NaN or an empty text."""
    if labels.dtype.kind in "US":
        return np.asarray(labels != "")
    if labels.dtype.kind == "O":
        return np.array([not (n is None or n != n or n in (-1, "")) for n in labels], dtype=bool)
    return np.asarray(~np.isnan(labels) & (labels != IGNORED))


def _is_table(X: Any) -> bool:
    """Return whether X is for scikit-learn's own checks: all but lists of sequences and 3-D.

    A list of arrays is always one of sequences, whatever their lengths; a list of numbers or of
    lists of numbers is a table.
    """
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1 and len(X):
        X = list(X)
    if isinstance(X, list | tuple) and X:
        return not all(hasattr(values, "shape") or _depth(values) == 2 for values in X)
    return not (isinstance(X, np.ndarray) and X.ndim == 3)


def _depth(values: Any) -> int:
    """Return how deep lists are nested."""
    return 1 + _depth(values[0]) if isinstance(values, list | tuple) and len(values) else 0
