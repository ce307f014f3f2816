"""Examples of the data that a model was trained on, for the page."""

from pathlib import Path
from typing import Any

from bothways.errors import BothwaysError
from bothways.models.trained_model import TrainedModel
from bothways.pages.examination import examine_sample
from bothways.pages.examples import playback_examples
from bothways.training.run_data import read_run_data
from bothways.training.run_directory import RunFolder


class RunExamples:
    """Playbacks of sequences of a run, made when they are first needed; for one thread.

    Parameters
    ----------
    folder : Path
        The run.
    model : TrainedModel
    """

    def __init__(self, folder: Path, model: TrainedModel) -> None:
        self._run = RunFolder(folder)
        self._model = model
        self._found: list[dict[str, Any]] | None = None

    @property
    def available(self) -> bool:
        """Whether the run names its data."""
        return self._run.request.exists() and self._run.read_request().source is not None

    def get(self) -> list[dict[str, Any]]:
        """Return playbacks as `playback_json` does; none if the data cannot be read any more."""
        if self._found is None:
            self._found = self._make()
        return self._found

    def _make(self) -> list[dict[str, Any]]:
        try:
            splits = read_run_data(self._run, self._model.manifest).splits
        except (BothwaysError, OSError):
            return []
        split, sequences = list(splits.items())[-1]
        return playback_examples(self._model, examine_sample(self._model, split, sequences))
