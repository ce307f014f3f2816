"""Training, from a dataset to a trained classifier: the same for runs, estimators and comparisons.

>>> import torch
>>> from bothways.data.dataset import Dataset
>>> from bothways.data.sequences import Sequences
>>> from bothways.recipes import load_recipe
>>> sequences = Sequences.from_padded(torch.randn(8, 5, 3), labels=[0, 1] * 4)
>>> dataset = Dataset("waves", sequences, None, ("up", "down"))
>>> plan = prepare(dataset, load_recipe("default").with_settings({"epochs": 2}))
>>> fit(plan).epochs
2
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor

from bothways.config import TrainConfig
from bothways.data.dataset import Dataset
from bothways.data.options import DataOptions
from bothways.data.sequences import LabeledSequences
from bothways.data.splitting import hold_out
from bothways.evaluation.evaluate import Calibration, calibrate
from bothways.models.manifest import Manifest
from bothways.nn.classifier import TorchClassifier
from bothways.recipes import Recipe
from bothways.training.loop.device import training_device
from bothways.training.loop.epochs import Epochs
from bothways.training.loop.events import EpochDone, StepDone
from bothways.training.loop.processes import ALONE, Processes
from bothways.training.loop.trainer import Best, Training, start_training
from bothways.training.manifest_builder import manifest_for

SavedState: TypeAlias = tuple[dict[str, Tensor], dict[str, Any]]
"""The tensors and the facts of a training, as `Training.state` returns them."""


@dataclass(frozen=True)
class Plan:
    """All that is decided before a training starts.

    Parameters
    ----------
    manifest : Manifest
        What the model will be.
    config : TrainConfig
    device : torch.device
    train : LabeledSequences
    validation : LabeledSequences, optional
        Chooses the epoch, and the temperature if `manifest.model.calibrate`.
    """

    manifest: Manifest
    config: TrainConfig
    device: torch.device
    train: LabeledSequences
    validation: LabeledSequences | None

    @cached_property
    def epochs(self) -> Epochs:
        """The epochs that `fit` trains, unless `patience` ends the training earlier."""
        return Epochs(self.train, self.config)


@dataclass(frozen=True)
class Fitted:
    """A trained classifier.

    Parameters
    ----------
    classifier : SequenceClassifier or Ensemble
        In eval mode, with the weights of the selected epoch.
    epochs : int
        Epochs trained.
    best : Best, optional
        The selected epoch, if there is a validation set.
    calibration : Calibration, optional
    """

    classifier: TorchClassifier
    epochs: int
    best: Best | None
    calibration: Calibration | None


def prepare(
    dataset: Dataset,
    recipe: Recipe,
    *,
    options: DataOptions | None = None,
    device: torch.device | None = None,
    threads: int | None = None,
) -> Plan:
    """Validate the data and the settings, and hold out the validation set.

    Parameters
    ----------
    dataset : Dataset
    recipe : Recipe
    options : DataOptions, optional
        How the dataset was read.
    device : torch.device, optional
        Default: chosen by the settings.
    threads : int, optional
        For the manifest; default: the present number of threads of torch.

    Raises
    ------
    ConfigError, DataError
        If settings and data do not fit each other.
    BackendError
        If the device is not available.
    """
    config = recipe.training
    train, validation = hold_out(dataset, config.validation_fraction, config.seed)
    manifest = manifest_for(
        dataset, recipe, train, validation, options=options or DataOptions(), threads=threads
    )
    return Plan(manifest, config, device or training_device(config), train, validation)


def fit(
    plan: Plan,
    on_event: Callable[[Training, StepDone | EpochDone], None] = lambda training, event: None,
    state: SavedState | None = None,
    processes: Processes = ALONE,
) -> Fitted:
    """Train a new classifier, select the best epoch, and calibrate it if the settings say so.

    Parameters
    ----------
    plan : Plan
    on_event : callable
        Called after each step and each epoch. An exception that it raises ends the training.
    state : tuple, optional
        `Training.state` of an interrupted training of the same plan, which is continued.
    processes : Processes
        Those that train together.

    Raises
    ------
    NonFiniteLossError
        If the loss becomes NaN or infinite.
    """
    training = start_training(
        plan.manifest.model, plan.config, plan.train, plan.validation, plan.device, processes
    )
    if state is not None:
        training.restore(*state)
    for event in training.events():
        on_event(training, event)
    model = training.model
    model.load_state_dict(training.chosen_weights())
    calibration = None
    if plan.manifest.model.calibrate and plan.validation is not None:
        calibration = calibrate(model, plan.validation)
    return Fitted(model.eval(), training.epoch, training.best, calibration)
