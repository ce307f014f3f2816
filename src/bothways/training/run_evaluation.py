"""Which part of a data set a model was trained on, chosen by, or has never seen."""

from pathlib import Path
from typing import Any

from bothways.data.dataset import Dataset
from bothways.data.open import find_source, holds_arrays, open_dataset
from bothways.data.options import DataOptions
from bothways.data.readers.registry import has_columns
from bothways.data.sequences import Sequences
from bothways.data.splitting import hold_out
from bothways.errors import DataError
from bothways.models.manifest import Manifest
from bothways.models.trained import TrainedModel
from bothways.training.run_directory import RunFolder


def labelled_splits(manifest: Manifest, dataset: Dataset) -> dict[str, Sequences | None]:
    """Return the dataset's parts as the model of `manifest` knows them.

    Parameters
    ----------
    manifest : Manifest
    dataset : Dataset

    Returns
    -------
    dict
        `train`, `validation` and `test`, None where there is none. `validation` is what was held
        out of this very training set; another has the parts that it brings, or else is `data`.
    """
    training = manifest.provenance.get("training", {})
    fraction = training.get("validation_fraction", 0)
    train_part, validation = dataset.train, dataset.validation
    if _is_own(manifest, dataset):
        train_part, validation = hold_out(dataset, fraction, training["seed"])
    elif len(dataset.parts) == 1:
        return {"data": train_part}
    return {"train": train_part, "validation": validation, "test": dataset.test}


def _is_own(manifest: Manifest, dataset: Dataset) -> bool:
    """Return whether a model was trained on this very data set."""
    known = manifest.provenance.get("data", {}).get("train_sha256")
    return known == dataset.train.fingerprint() and (
        dict(dataset.vocabularies) == manifest.preprocessing.reading.vocabularies
        and dataset.classes == manifest.classes
    )


def _reading_of(manifest: Manifest, source: str) -> DataOptions:
    """Return how other data are read: as in training, but recordings whole if steps have labels."""
    reading = manifest.preprocessing.reading.for_use()
    if holds_arrays(source):
        return reading.without_columns().model_copy(update={"ignore": None})
    return reading if has_columns(Path(source)) else reading.without_columns()


def evaluate_splits(
    model: TrainedModel, folder: Path, source: str | None = None, split: str = "all"
) -> dict[str, Any]:
    """Return the metrics of a model on a data set, split by split.

    Parameters
    ----------
    model : TrainedModel
    folder : Path
        Its folder; says what it was trained on where `source` is not given.
    source : str, optional
        A built-in data set, or the path of a file or folder. What the model was trained on is split
        as it was then; anything else, that file too if it has changed, is read with the same
        columns.
    split : train, validation, test, data or all
        `data` is other data than the model's that come in one part.

    Returns
    -------
    dict
        As `metrics.json`, None for a split that is not there; of one split, that one alone.

    Raises
    ------
    DataError
        If the data cannot be read, have other classes than the model, or lack the split.
    """
    request = RunFolder(folder).read_request() if RunFolder(folder).request.exists() else None
    own = None if request is None else request.source
    if source is None and own is None:
        raise DataError(
            f"{folder} does not say what to evaluate on; expected a data set. "
            f"Run: bothways evaluate {folder} mnist, or name a file."
        )
    dataset = None
    if request is not None and (source is None or find_source(source) == own):
        source = str(own)
        dataset = open_dataset(source, request.options)
    if dataset is None or not _is_own(model.manifest, dataset):  # or it has changed since
        source = str(source)
        dataset = open_dataset(source, _reading_of(model.manifest, source), model.classes)
    if dataset.classes != model.classes:
        raise DataError(
            f"{source} has classes {', '.join(dataset.classes)}; expected those of the model, "
            f"{', '.join(model.classes)}, in this order."
        )
    if dataset.train.input_size != model.manifest.model.input_size:
        raise DataError(
            f"{source}: the sequences have {dataset.train.input_size} features a step; expected "
            f"{model.manifest.model.input_size}, as in training."
        )
    splits = labelled_splits(model.manifest, dataset)
    if split != "all":
        if splits.get(split) is None:
            there = ", ".join(name for name, part in splits.items() if part is not None)
            raise DataError(f"{source} has no split {split!r}; expected {there} or all.")
        splits = {split: splits[split]}
    return {name: None if part is None else model.evaluate(part) for name, part in splits.items()}
