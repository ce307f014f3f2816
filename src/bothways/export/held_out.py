"""The data of a run that it was not trained on."""

from pathlib import Path

from bothways.data.sequences import LabeledSequences
from bothways.errors import BothwaysError
from bothways.models.trained_model import TrainedModel
from bothways.training.run_data import read_run_data
from bothways.training.run_directory import RunFolder


def open_held_out(model: TrainedModel, folder: Path) -> tuple[str, LabeledSequences] | None:
    """Return the test set of a run's data, or else the validation set, with its name.

    None if there is no such part, the data cannot be read, or they have changed.
    """
    run = RunFolder(folder)
    if not run.request.exists():
        return None
    try:
        splits = read_run_data(run, model.manifest).splits
    except (BothwaysError, OSError):
        return None
    found = ((name, splits.get(name)) for name in ("test", "validation"))
    return next(((name, part) for name, part in found if part is not None), None)
