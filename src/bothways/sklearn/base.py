"""What recurrent nets need to be scikit-learn's estimators: settings, sequences, training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    validate_data,
)

from bothways.data.dataset import Dataset
from bothways.data.sequences import Sequences
from bothways.data.splitting import hold_out
from bothways.errors import ConfigError, DataError
from bothways.evaluation.evaluate import calibrate
from bothways.models.trained import TrainedModel, trained_model
from bothways.recipes import load_recipe
from bothways.training.device import seeded
from bothways.training.manifest_builder import manifest_for
from bothways.training.progress import make_progress
from bothways.training.run_directory import Request
from bothways.training.trainer import EpochDone, start_training

Array = np.ndarray[Any, np.dtype[Any]]

# What `__init__` names and hands on to the recipe where it is given.
_SETTINGS = (
    "cell", "hidden_size", "num_layers", "bidirectional", "readout", "dropout", "standardize",
    "missing", "epochs", "batch_size", "learning_rate", "validation_fraction", "patience",
)  # fmt: skip


class RecurrentEstimator(BaseEstimator):  # type: ignore[misc]
    """A recurrent net with scikit-learn's settings, without what it is trained for."""

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
            strange = [name for name in weights if name not in self.classes_]
            if strange or not all(weight >= 0 for weight in weights.values()):
                what = f"names {strange[0]!r}" if strange else f"is {dict(weights)}"
                raise ConfigError(
                    f"class_weight {what}; expected a weight of 0 or more for some of "
                    f"{', '.join(map(str, self.classes_))}. Correct it."
                )
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


def check_given(estimator: RecurrentEstimator, y: Any) -> None:
    """Raise DataError if there is no `y`."""
    if y is None:
        raise DataError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None; "
            "expected a class for each. Pass y."
        )


def check_count(y: Any, sequences: Sequences) -> None:
    """Raise DataError unless `y` has an entry for each sequence."""
    if len(y) != len(sequences):
        raise DataError(
            f"y has {len(y)} entries but X has {len(sequences)} sequences: inconsistent "
            "numbers of samples; expected one for each."
        )


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
