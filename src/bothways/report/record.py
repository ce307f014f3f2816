"""All that a report needs to know about a finished run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bothways.errors import BothwaysError, CheckpointError, DataError
from bothways.models.loading import load
from bothways.models.trained_model import TrainedModel
from bothways.pages.examination import Examination, examine_sample
from bothways.training.history import epochs_of, read_history
from bothways.training.loop.events import EpochDone
from bothways.training.request import Request
from bothways.training.run_data import RunData, read_run_data
from bothways.training.run_directory import RunFolder
from bothways.training.run_metrics import RunMetrics


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Parameters
    ----------
    folder : Path
    model : TrainedModel
    request : Request
    metrics : RunMetrics
    epochs : list of EpochDone
    steps, starts : list of dict
        The other lines of the history.
    data : RunData, optional
    no_data : str
        Why there are no data, if there are none.
    """

    folder: Path
    model: TrainedModel
    request: Request
    metrics: RunMetrics
    epochs: Sequence[EpochDone]
    steps: Sequence[Mapping[str, Any]]
    starts: Sequence[Mapping[str, Any]]
    data: RunData | None
    no_data: str = ""

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.resolve().name

    @property
    def num_parameters(self) -> int:
        """Number of weights of the model."""
        return sum(weight.numel() for weight in self.model.classifier.parameters())

    @property
    def training_seconds(self) -> float:
        """Seconds of all epochs, without validation."""
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def main_split(self) -> str:
        """The split that the report is about: test, or else validation, or else train."""
        return list(self.metrics.splits)[-1]

    def examine(self) -> Examination | None:
        """Run the model on the main split, or a sample of it; None if there are no data."""
        if self.data is None:
            return None
        return examine_sample(self.model, self.main_split, self.data.splits[self.main_split])


def read_record(folder: Path, data: RunData | None = None) -> RunRecord:
    """Read a finished run, and its data if they are not passed.

    Raises
    ------
    CheckpointError
        If the folder is not a run, is not finished, or is damaged.
    DataError
        If `data` are not those of the run.
    """
    run = RunFolder(folder)
    if not run.request.exists():
        raise CheckpointError(
            f"{folder} is not a run; expected a folder that bothways train has written. Check the "
            "path."
        )
    if not run.metrics.exists():
        raise CheckpointError(
            f"{folder} is not finished; expected a finished run. "
            f"Run: bothways train {folder} --resume"
        )
    model = load(folder)
    no_data = ""
    if data is not None and not data.belongs_to(model.manifest):
        raise DataError(
            f"data are not those that {folder} was trained on; expected `run.data` of this run. "
            "Omit them to read the data again."
        )
    if data is None:
        try:
            data = read_run_data(run, model.manifest)
        except (BothwaysError, OSError) as error:
            no_data = str(error)
    lines = read_history(run.history)
    try:
        epochs = epochs_of(lines)
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{run.history} is damaged: {error}. Restore it from a copy."
        ) from None
    if not epochs:
        raise CheckpointError(
            f"{run.history} contains no epoch; expected at least one. Restore it from a copy."
        )
    return RunRecord(
        folder,
        model,
        run.read_request(),
        run.read_metrics(),
        epochs,
        [line for line in lines if line.get("kind") == "step"],
        [line for line in lines if line.get("kind") == "start"],
        data,
        no_data,
    )
