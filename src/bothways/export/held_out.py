"""The data of a run that it was not trained on."""

from pathlib import Path

from bothways.data.open import open_dataset
from bothways.data.sequences import LabeledSequences
from bothways.errors import DataError
from bothways.models.trained import TrainedModel
from bothways.training.run_directory import RunFolder
from bothways.training.run_evaluation import labeled_splits


def open_held_out(model: TrainedModel, folder: Path) -> tuple[str, LabeledSequences] | None:
    """Return the test part of a run's data, or else the validation part, with its name.

    None if there is no such part, the data cannot be read, or they have changed.
    """
    run, data = RunFolder(folder), model.manifest.provenance.data
    request = run.read_request() if run.request.exists() else None
    if request is None or request.source is None or data is None:
        return None
    try:
        dataset = open_dataset(
            request.source, request.options, missing=model.manifest.model.accepts_missing
        )
    except DataError:
        return None
    if dataset.train.fingerprint() != data.train_sha256 or dataset.classes != model.classes:
        return None
    splits = labeled_splits(model.manifest, dataset)
    found = ((name, splits[name]) for name in ("test", "validation"))
    return next(((name, part) for name, part in found if part is not None), None)
