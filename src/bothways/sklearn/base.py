"""Base class of the scikit-learn estimators: their settings and training."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from sklearn.utils import check_random_state

from bothways.config import Target
from bothways.data.dataset import Dataset
from bothways.data.options import DataOptions
from bothways.data.sequences import LabeledSequences, Sequences
from bothways.errors import ConfigError, DataError, counted
from bothways.models.trained import trained_model
from bothways.models.trained_model import TrainedModel
from bothways.recipes import Recipe, load_recipe
from bothways.sklearn.arrays import Array
from bothways.sklearn.inputs import SequenceInput
from bothways.sklearn.weights import class_weights
from bothways.training.fit import fit, prepare
from bothways.training.loop.events import EpochDone, StepDone
from bothways.training.loop.trainer import Training
from bothways.training.progress import make_progress

# Parameters of `__init__` that replace settings of the recipe unless they are None.
_SETTINGS = (
    "cell", "hidden_size", "num_layers", "bidirectional", "readout", "dropout", "normalization",
    "missing", "members", "epochs", "steps", "batch_size", "learning_rate", "validation_fraction",
    "patience",
)  # fmt: skip


class RecurrentEstimator(SequenceInput):
    """Settings and training of the estimators."""

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
        normalization: str | None = None,
        missing: str | None = None,
        members: int | None = None,
        epochs: int | None = None,
        steps: int | None = None,
        batch_size: int | Literal["auto"] | None = None,
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
        self.normalization = normalization
        self.missing = missing
        self.members = members
        self.epochs = epochs
        self.steps = steps
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
        missing = self._other_settings().get("missing", self.missing)
        tags.input_tags.allow_nan = missing not in (None, "refuse")
        return tags

    def _other_settings(self) -> dict[str, Any]:
        if not isinstance(self.settings, Mapping | None):
            raise ConfigError(
                f"settings is {self.settings!r}; expected a dict of settings and their values, or "
                "None. Correct it."
            )
        return dict(self.settings or {})

    def _recipe(self, target: Target) -> Recipe:
        given = {name: getattr(self, name) for name in _SETTINGS}
        chosen = {name: value for name, value in given.items() if value is not None}
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31 - 1)
        if self.class_weight is not None:
            chosen["class_weights"] = class_weights(self.class_weight, self.classes_)
        settings = chosen | {"seed": int(seed)} | self._other_settings()
        return load_recipe(self.recipe).for_target(target).with_settings(settings)

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
        progress = make_progress(plan.epochs.num_epochs) if self.verbose else None

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
            f"y has {counted(len(y), 'entry')} but X has {counted(len(sequences), 'sequence')}: "
            "inconsistent numbers of samples; expected one for each."
        )
