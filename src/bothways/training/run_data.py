"""The data of a run, split as in its training."""

from collections.abc import Mapping
from dataclasses import dataclass

from bothways.data.dataset import Dataset
from bothways.data.duplicates import duplicates_note, is_duplicate
from bothways.data.open import open_dataset
from bothways.data.problems import suspicious_features
from bothways.data.readers.images import PIXEL_NAME
from bothways.data.sequences import LabeledSequences
from bothways.data.splitting import hold_out
from bothways.errors import DataError
from bothways.models.manifest import Manifest, Provenance
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
    provenance : Provenance
        Of the run.
    """

    splits: Mapping[str, LabeledSequences]
    notes: tuple[str, ...]
    provenance: Provenance

    def belongs_to(self, manifest: Manifest) -> bool:
        """Return whether these are the data of a run, split as it split them."""
        ours, other = self.provenance, manifest.provenance
        if ours.training is None or other.training is None or ours.data != other.data:
            return False
        return all(
            getattr(ours.training, name) == getattr(other.training, name)
            for name in ("seed", "validation_fraction")
        )


def run_data(
    dataset: Dataset,
    train: LabeledSequences,
    validation: LabeledSequences | None,
    provenance: Provenance,
) -> RunData:
    """Return the data of a run from its dataset, and the parts of it that it trains on."""
    splits = {"train": train, "validation": validation, "test": dataset.test}
    warnings = [*dataset.warnings, *suspicious_features(dataset)]
    if provenance.training is not None and provenance.training.image_changes:
        warnings += _image_warnings(dataset, provenance)
    notes = [*dataset.notes, *(f"warning: {warning}" for warning in warnings)]
    if validation is not None and dataset.validation is None:
        shared = sum(is_duplicate(validation, train))
        if shared:
            notes.append(duplicates_note("validation", shared, dropped=False))
    return RunData(
        {name: part for name, part in splits.items() if part is not None}, tuple(notes), provenance
    )


def _image_warnings(dataset: Dataset, provenance: Provenance) -> list[str]:
    """Return a warning if sequences are augmented as images, but their features have names."""
    names = [name for name in dataset.features if not PIXEL_NAME.fullmatch(name)]
    if not names or provenance.training is None:
        return []
    changes = ", ".join(provenance.training.image_changes)
    return [
        f"augmentation for images ({changes}) is set, but the features of {dataset.name} have "
        f"names ({', '.join(names[:3])}{', …' if len(names) > 3 else ''}). Use recipe time-series."
    ]


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
            f"{folder.path} was trained on data passed from Python; expected a file. Pass the data."
        )
    dataset = open_dataset(request.source, request.options, missing=request.model.accepts_missing)
    recorded = manifest.provenance.data
    test = None if dataset.test is None else dataset.test.fingerprint()
    if not is_trained_on(manifest, dataset) or recorded is None or recorded.test_sha256 != test:
        raise DataError(
            f"{request.source} has changed since {folder.path} was trained on it; expected the "
            "same data. Restore them."
        )
    training = request.training
    parts = hold_out(dataset, training.validation_fraction, training.seed)
    return run_data(dataset, *parts, manifest.provenance)


def is_trained_on(manifest: Manifest, dataset: Dataset) -> bool:
    """Return whether a model was trained on this dataset."""
    data = manifest.provenance.data
    return (
        data is not None
        and data.train_sha256 == dataset.train.fingerprint()
        and dict(dataset.vocabularies) == manifest.preprocessing.reading.vocabularies
        and dataset.classes == manifest.classes
    )
