"""The manifest of a model that is about to be trained, and the checks of its data and settings."""

from operator import mul

import torch

from bothways.config import Architecture, ModelConfig
from bothways.data.dataset import Dataset, check_values
from bothways.data.options import DataOptions
from bothways.data.sequences import LabeledSequences
from bothways.data.validation import value_range
from bothways.errors import ConfigError, DataError, counted
from bothways.models.manifest import Manifest, Preprocessing, Provenance, TrainingData, versions
from bothways.nn.size import check_size
from bothways.recipes import Recipe

_LABELS = {"sequence": "one label for each sequence", "step": "a label for each time step"}
"""What the labels of a dataset belong to, by target."""


def manifest_for(
    dataset: Dataset,
    recipe: Recipe,
    training_part: LabeledSequences,
    validation: LabeledSequences | None,
    *,
    options: DataOptions,
    threads: int | None = None,
) -> Manifest:
    """Return the manifest of a model of `recipe` for `dataset`.

    Parameters
    ----------
    dataset : Dataset
    recipe : Recipe
    training_part : LabeledSequences
        What the model is trained on: `dataset.train` without the validation set.
    validation : LabeledSequences, optional
    options : DataOptions
        How the dataset was read.
    threads : int, optional
        Default: the present number of threads of torch.

    Raises
    ------
    ConfigError
        If the settings do not fit the data.
    DataError
        If values are not finite, a sequence is too long for readout `flatten`, or fewer than two
        classes occur.
    """
    check_values(dataset, missing=recipe.model.accepts_missing)
    _check_classes(dataset, recipe, training_part)
    _check_readout(dataset, recipe.model)
    _check_changes(dataset, recipe)
    if recipe.model.calibrate and validation is None:
        raise ConfigError(
            "calibrate needs a validation set to fit the temperature on, never the test set; "
            "expected validation_fraction > 0. Set validation_fraction=0.1, for example, or "
            "calibrate=false."
        )
    model = ModelConfig.for_data(
        recipe.model,
        input_size=dataset.train.input_size,
        num_classes=len(dataset.classes),
        longest=dataset.train.longest,
        categories=dataset.categories,
    )
    check_size(model)
    return Manifest(
        model=model,
        classes=dataset.classes,
        preprocessing=Preprocessing(
            features=dataset.features,
            reading=_reading(options, dataset),
            training_range=_range(training_part, model),
        ),
        provenance=Provenance(
            recipe=recipe.name,
            training=recipe.training,
            data=TrainingData(
                name=dataset.name,
                train_count=len(dataset.train),
                test_count=0 if dataset.test is None else len(dataset.test),
                split_counts=_counts(training_part, validation, dataset.test),
                train_sha256=dataset.train.fingerprint(),
                test_sha256=None if dataset.test is None else dataset.test.fingerprint(),
            ),
            threads=torch.get_num_threads() if threads is None else threads,
            versions=versions(),
        ),
    )


def _counts(
    train: LabeledSequences, validation: LabeledSequences | None, test: LabeledSequences | None
) -> dict[str, int]:
    splits = {"train": train, "validation": validation, "test": test}
    return {name: len(part) for name, part in splits.items() if part is not None}


def _check_classes(dataset: Dataset, recipe: Recipe, training_part: LabeledSequences) -> None:
    counts = training_part.label_counts(len(dataset.classes)).tolist()
    if sum(count > 0 for count in counts) < 2:
        raise DataError(
            f"{dataset.name}: the training set has one class; expected at least 2. Label more "
            "sequences, or split differently."
        )
    weights = recipe.training.class_weights
    if isinstance(weights, str):
        return
    if len(weights) != len(counts) or not any(map(mul, weights, counts)):
        raise ConfigError(
            f"class_weights is {weights}; expected one number for each of "
            f"{', '.join(dataset.classes)}, not all of them 0. Correct the value."
        )


def _check_readout(dataset: Dataset, model: Architecture) -> None:
    if model.target != dataset.target:
        rule = "'step'" if dataset.target == "step" else "a label for each time step (target step)"
        raise ConfigError(
            f"readout is {model.readout!r} but {dataset.name} has {_LABELS[dataset.target]}; "
            f"expected {rule}. Omit readout."
        )
    if "flatten" not in model.readouts:
        return
    limit = dataset.train.longest
    for part, sequences in dataset.parts.items():
        if sequences.longest > limit:
            raise DataError(
                f"{dataset.name} has a {part} sequence of {counted(sequences.longest, 'step')} "
                f"but readout 'flatten' sees {limit}, the length of the longest training sequence; "
                "expected no longer ones. Shorten them, or use readout final."
            )


def _check_changes(dataset: Dataset, recipe: Recipe) -> None:
    """Check that crops and augmentations fit the data."""
    training = recipe.training
    if training.crop_steps is not None and dataset.target == "sequence":
        raise ConfigError(
            f"crop_steps is {training.crop_steps} but {dataset.name} has {_LABELS['sequence']}; "
            "expected a label for each time step (target step). Omit crop_steps."
        )
    name = next(iter(training.image_changes), None)
    others = {
        "one feature for each time step": dataset.train.input_size == 1,
        "sequences of one time step": dataset.train.longest == 1,
        "categorical features": any(dataset.categories),
        _LABELS["step"]: dataset.target == "step",
        "missing values": recipe.model.missing != "refuse",
    }
    unsuitable = next((kind for kind, present in others.items() if present), None)
    if name is not None and unsuitable is not None:
        raise ConfigError(
            f"{name} is {training.image_changes[name]:g} but {dataset.name} has {unsuitable}; "
            "expected sequences that are images: several time steps and numeric features, without "
            f"missing values, and one label each. Set {name}=0, or use augment_time_shift and "
            "augment_time_warp."
        )


def _range(sequences: LabeledSequences, model: ModelConfig) -> tuple[float, float] | None:
    low, high = value_range(
        sequences.chunks(), missing=model.accepts_missing, features=model.numeric_features
    )
    return (low, high) if low <= high else None


def _reading(options: DataOptions, dataset: Dataset) -> DataOptions:
    """Return how the model reads new data: the same columns, and what training has determined."""
    return options.for_new_data().model_copy(
        update={
            "features": dataset.features or None,
            "categorical": tuple(dataset.vocabularies),
            "vocabularies": dict(dataset.vocabularies),
            "target": dataset.target,
            "offsets": dataset.offsets,
        }
    )
