"""Base class of the scikit-learn estimators."""

import warnings
from collections.abc import Mapping
from numbers import Number
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import validate_data

from bothways.config import Target
from bothways.data.dataset import Dataset
from bothways.data.frames import arrays_of_frames, has_frames
from bothways.data.offsets import find_offsets, subtract_offsets
from bothways.data.options import DataOptions
from bothways.data.sequences import LabeledSequences, Sequences
from bothways.data.summary import axes_warning
from bothways.errors import ConfigError, DataError, ShapeError
from bothways.models.trained import TrainedModel, trained_model
from bothways.recipes import Recipe, load_recipe
from bothways.training.events import EpochDone, StepDone
from bothways.training.fit import fit, prepare
from bothways.training.progress import make_progress
from bothways.training.trainer import Training

Array = np.ndarray[Any, np.dtype[Any]]

# Parameters of `__init__` that replace settings of the recipe unless they are None.
_SETTINGS = (
    "cell", "hidden_size", "num_layers", "bidirectional", "readout", "dropout", "standardize",
    "missing", "epochs", "batch_size", "learning_rate", "validation_fraction", "patience",
)  # fmt: skip


class RecurrentEstimator(BaseEstimator):  # type: ignore[misc]
    """Settings, input validation and training of the estimators."""

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
        axes: Literal["ntc", "nct"] = "ntc",
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
        self.axes = axes
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        missing = (self.settings or {}).get("missing", self.missing)
        tags.input_tags.allow_nan = missing not in (None, "refuse")
        return tags

    def _recipe(self, target: Target) -> Recipe:
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
        return load_recipe(self.recipe).with_settings(settings, target)

    def _weights(self, sample_weight: Any, count: int) -> torch.Tensor | None:
        """Return the weight of each sequence, 1 on average, or None if all are the same."""
        if sample_weight is None:
            return None
        if isinstance(sample_weight, Number):
            sample_weight = np.full(count, sample_weight)
        weights = check_array(
            sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
        )
        if weights.shape != (count,):
            raise ShapeError(
                f"sample_weight has shape {weights.shape}; expected ({count},). Sample weights "
                "must be 1D array or scalar: pass one for each sequence."
            )
        if not weights.any():
            raise ConfigError(
                "sample_weight is 0 for all sequences; expected a positive number for some. "
                "Sample weights must contain at least one non-zero number."
            )
        if (weights < 0).any():
            raise ConfigError(
                f"sample_weight[{int((weights < 0).argmax())}] is {weights.min()}; expected 0 or "
                "more. Negative values in data passed to sample_weight have no meaning."
            )
        return torch.from_numpy((weights / weights.mean()).astype(np.float32))

    def _sequences(self, X: Any, *, fitting: bool) -> Sequences:
        """Return X as sequences, validated against what was fitted."""
        if fitting:
            self._names: tuple[str, ...] = ()  # of the features of one time step
        if has_frames(X):
            arrays = self._arrays_of_frames(X, fitting=fitting)
        elif _is_table(X):
            finite = "allow-nan" if self.__sklearn_tags__().input_tags.allow_nan else True
            table = validate_data(
                self,
                X,
                reset=fitting,
                dtype=[np.float64, np.float32],
                ensure_all_finite=finite,
            )
            return self._reduced([table[:, :, None]], fitting=fitting, padded=True)
        elif isinstance(X, np.ndarray) and X.ndim == 3:
            arrays = [X.transpose(0, 2, 1) if self.axes == "nct" else X]
        else:
            arrays = [np.asarray(values, dtype=np.float64) for values in X]
            arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
        padded = isinstance(X, np.ndarray) and X.ndim == 3
        if not has_frames(X):
            self._check_names(fitting=fitting)
        sequences = self._reduced(arrays, fitting=fitting, padded=padded)
        if fitting:
            self.n_features_in_ = sequences.input_size
            swapped = axes_warning(sequences, 'pass axes="nct"') if padded else None
            if swapped is not None:
                warnings.warn(swapped, UserWarning, stacklevel=3)
        elif sequences.input_size != self.n_features_in_:
            raise DataError(
                f"X has {sequences.input_size} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input. Pass the features of training."
            )
        return sequences

    def _arrays_of_frames(self, X: Any, *, fitting: bool) -> list[Array]:
        """Return the arrays of frames, and remember or match the names of their columns."""
        if fitting:
            arrays, self._names = arrays_of_frames(X, None)
            self.feature_names_in_ = np.array(self._names, dtype=object)
            return arrays
        known = getattr(self, "feature_names_in_", None)
        arrays, _ = arrays_of_frames(X, known)
        if known is None:
            warnings.warn(
                f"X has feature names, but {type(self).__name__} was fitted without feature names",
                UserWarning,
                stacklevel=4,
            )
        return arrays

    def _check_names(self, *, fitting: bool) -> None:
        """Forget, or warn of, the names of earlier frames, as scikit-learn does."""
        if fitting and hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            warnings.warn(
                f"X does not have valid feature names, but {type(self).__name__} was fitted with "
                "feature names",
                UserWarning,
                stacklevel=4,
            )

    def _reduced(self, arrays: list[Array], *, fitting: bool, padded: bool) -> Sequences:
        """Return float32 sequences, large constants subtracted from their features."""
        if fitting:
            self._offsets: tuple[float, ...] = ()
            if all(array.dtype == np.float64 and array.ndim == 2 + padded for array in arrays):
                size = arrays[0].shape[-1]
                if all(array.shape[-1] == size for array in arrays):
                    flat = [array.reshape(-1, size) for array in arrays]
                    self._offsets = find_offsets(np.concatenate(flat))
        fits = [array.shape[-1:] == (len(self._offsets),) for array in arrays]
        offsets = self._offsets if all(fits) else ()
        found = [subtract_offsets(array, offsets) for array in arrays]
        return Sequences.from_padded(found[0]) if padded else Sequences.from_arrays(found)

    def _train(self, sequences: LabeledSequences) -> None:
        """Train a new network on labeled sequences, as the command line does."""
        names = tuple(str(name) for name in self.classes_)
        dataset = Dataset(
            "X",
            sequences,
            None,
            names,
            features=tuple(
                map(str, getattr(self, "feature_names_in_", ())[: sequences.input_size])
            ),
            offsets=self._offsets,
        )
        recipe = self._recipe(dataset.target)
        plan = prepare(dataset, recipe, options=DataOptions(axes=self.axes))
        self.history_: list[EpochDone] = []
        progress = make_progress(plan.config.epochs) if self.verbose else None

        def on_event(_: Training, event: StepDone | EpochDone) -> None:
            if isinstance(event, EpochDone):
                self.history_.append(event)
                if progress is not None:
                    progress.epoch(event)
            elif progress is not None:
                progress.step(event)

        fitted = fit(plan, on_event)
        if progress is not None:
            progress.close()
        self.n_iter_ = fitted.epochs
        self.model_ = trained_model(fitted.classifier, plan.manifest)


def check_given(estimator: RecurrentEstimator, y: Any) -> None:
    """Raise DataError if `y` is None."""
    if y is None:
        raise DataError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None; "
            "expected a class for each sequence. Pass y."
        )


def check_count(y: Any, sequences: Sequences) -> None:
    """Raise DataError unless `y` has one entry for each sequence."""
    if len(y) != len(sequences):
        raise DataError(
            f"y has {len(y)} entries but X has {len(sequences)} sequences: inconsistent "
            "numbers of samples; expected one for each."
        )


def _is_table(X: Any) -> bool:
    """Return whether X is a table, which scikit-learn validates: not a list of sequences, not 3-D.

    A list of arrays is always a list of sequences, whatever their lengths. A list of numbers, or of
    lists of numbers, is a table.
    """
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1 and len(X):
        X = list(X)
    if isinstance(X, list | tuple) and X:
        return not all(hasattr(values, "shape") or _depth(values) == 2 for values in X)
    return not (isinstance(X, np.ndarray) and X.ndim == 3)


def _depth(values: Any) -> int:
    """Return how deep lists are nested."""
    return 1 + _depth(values[0]) if isinstance(values, list | tuple) and len(values) else 0
