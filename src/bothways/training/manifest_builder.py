"""What a model will be and where it comes from, known before it is trained."""

from operator import mul

from bothways.config import ModelConfig
from bothways.data.dataset import Dataset, check_values
from bothways.data.options import DataOptions
from bothways.data.sequences import Sequences
from bothways.data.splitting import hold_out
from bothways.data.value_range import value_range
from bothways.errors import ConfigError, DataError
from bothways.models.manifest import Manifest, Preprocessing, versions
from bothways.nn.size import check_size
from bothways.training.run_directory import Request


def manifest_for(request: Request, dataset: Dataset) -> Manifest:
    """Return what the model will be, before it is trained.

    Raises
    ------
    DataError
        If a sequence holds what no net takes, or is too long for readout `flatten`.
    """
    config = request.training
    missing = request.model.get("missing", "refuse") != "refuse"
    check_values(dataset, missing=missing)
    training_part, validation = hold_out(dataset, config.validation_fraction, config.seed)
    if request.model.get("calibrate") and validation is None:
        raise ConfigError(
            "calibrate was asked for without a validation split; expected one to fit the "
            "temperature on, never the test set. Set validation_fraction, 0.1 for example."
        )
    counts = training_part.label_counts(len(dataset.classes)).tolist()
    if sum(count > 0 for count in counts) < 2:
        raise DataError(
            f"{dataset.name}: what is trained on has one class; expected at least 2. Label others "
            "too, or split otherwise."
        )
    weights = config.class_weights
    fits = isinstance(weights, str) or (
        len(weights) == len(counts) and any(map(mul, weights, counts))
    )
    if not fits:
        raise ConfigError(
            f"class_weights is {weights}; expected a number for each of "
            f"{', '.join(dataset.classes)}, not all of them 0. Correct it."
        )
    readout = request.model.get("readout", "final")
    if (readout == "step") != (dataset.target == "step"):
        raise ConfigError(
            f"readout is {readout!r} but the labels of {dataset.name} are of {dataset.target}s; "
            + (
                "expected 'step'."
                if dataset.target == "step"
                else "expected --target step with it."
            )
            + " Leave readout out."
        )
    flatten = readout == "flatten"
    if flatten and dataset.test is not None and dataset.test.longest > dataset.train.longest:
        raise DataError(
            f"{dataset.name} has a test sequence of {dataset.test.longest} steps but readout "
            f"'flatten' sees {dataset.train.longest}, the longest in training; expected no longer "
            "ones. Cut them, or use readout final."
        )
    model = ModelConfig(
        **request.model,
        input_size=dataset.train.input_size,
        categories=dataset.categories,
        num_classes=len(dataset.classes),
        sequence_length=dataset.train.longest if flatten else None,
    )
    check_size(model)
    return Manifest(
        model=model,
        classes=dataset.classes,
        preprocessing=Preprocessing(
            features=dataset.features,
            reading=_reading(request.options, dataset),
            training_range=_range(training_part, model),
        ),
        provenance={
            "recipe": request.recipe,
            "training": config.model_dump(mode="json"),
            "data": {
                "name": dataset.name,
                "train_count": len(dataset.train),
                "test_count": 0 if dataset.test is None else len(dataset.test),
                "train_sha256": dataset.train.fingerprint(),
                "test_sha256": None if dataset.test is None else dataset.test.fingerprint(),
            },
            "threads": request.threads,
            "versions": versions(),
        },
    )


def _range(sequences: Sequences, model: ModelConfig) -> tuple[float, float] | None:
    low, high = value_range(
        sequences, missing=model.missing != "refuse", features=model.numeric_features
    )
    return (low, high) if low <= high else None


def _reading(options: DataOptions, dataset: Dataset) -> DataOptions:
    """Return how a model reads new data: the same columns, and what training has determined."""
    return options.for_new_data().model_copy(
        update={
            "features": dataset.features or None,
            "categorical": tuple(dataset.vocabularies),
            "vocabularies": dict(dataset.vocabularies),
            "target": dataset.target,
            "offsets": dataset.offsets,
        }
    )
