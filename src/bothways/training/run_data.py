"""The data of a run, split as in its training."""

from collections.abc import Mapping
from dataclasses import dataclass

from bothways.data.dataset import Dataset
from bothways.data.duplicates import duplicates_note, is_duplicate
from bothways.data.open import open_dataset
from bothways.data.sequences import LabeledSequences
from bothways.data.splitting import hold_out
from bothways.errors import DataError
from bothways.models.manifest import Manifest
from bothways.training.run_directory import RunFolder


@dataclass(frozen=True)
class RunData:
    """The data of a run.

    Parameters
    ----------
    splits : dict of LabeledSequences
        Those of train, validation and test that exist.
    notes : tuple of str
        Guesses about the data and warnings, as `train` prints them.
    """

    splits: Mapping[str, LabeledSequences]
    notes: tuple[str, ...]


def run_data(
    dataset: Dataset, train: LabeledSequences, validation: LabeledSequences | None
) -> RunData:
    """Return the data of a run from its dataset, and the parts of it that it trains on."""
    splits = {"train": train, "validation": validation, "test": dataset.test}
    notes = [*dataset.notes, *(f"warning: {warning}" for warning in dataset.warnings)]
    if validation is not None and dataset.validation is None:
        shared = sum(is_duplicate(validation, train))
        if shared:
            notes.append(duplicates_note("validation", shared, dropped=False))
    return RunData({name: part for name, part in splits.items() if part is not None}, tuple(notes))


def read_run_data(folder: RunFolder, manifest: Manifest) -> RunData:
    """Read the data of a run again.

    Raises
    ------
    DataError
        If they were passed from Python, are missing, or have changed.
    """
    request = folder.read_request()
    if request.source is None:
        raise DataError(
            f"{folder.path} was trained on data passed from Python, which are not in the run."
        )
    dataset = open_dataset(request.source, request.options, missing=request.model.accepts_missing)
    if not is_trained_on(manifest, dataset):
        raise DataError(f"{request.source} has changed since {folder.path} was trained on it.")
    training = request.training
    return run_data(dataset, *hold_out(dataset, training.validation_fraction, training.seed))


def is_trained_on(manifest: Manifest, dataset: Dataset) -> bool:
    """Return whether a model was trained on this dataset."""
    data = manifest.provenance.data
    return (
        data is not None
        and data.train_sha256 == dataset.train.fingerprint()
        and dict(dataset.vocabularies) == manifest.preprocessing.reading.vocabularies
        and dataset.classes == manifest.classes
    )
