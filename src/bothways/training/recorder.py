"""Records a training: its history, its checkpoints, and a stop on request."""

import math
from collections.abc import Callable
from dataclasses import asdict

from bothways.errors import TrainingInterrupted
from bothways.models.checkpoint import MODEL_FILE, save_weights
from bothways.storage.tensors import save_tensors
from bothways.training.history import History
from bothways.training.loop.events import EpochDone, StepDone
from bothways.training.loop.trainer import Training
from bothways.training.progress import Progress
from bothways.training.run_directory import RunFolder
from bothways.training.tensorboard import EventFiles


def interruption(training: Training, folder: RunFolder) -> TrainingInterrupted:
    """Return the exception that stops a training whose state is saved."""
    return TrainingInterrupted(
        f"stopped in epoch {training.epoch + 1} after step {training.step}; everything is saved. "
        f"To continue, run: bothways train {folder.path} --resume"
    )


class Recorder:
    """Writes the history and the checkpoints of a training, and stops it on request.

    Parameters
    ----------
    folder : RunFolder
    config_sha256 : str
        Checksum of the `config.json` of the run.
    history : History
    progress : Progress
    should_stop : callable
        Called after each step; if it returns True, the training is saved and stopped.
    events : EventFiles, optional
        For TensorBoard.
    """

    def __init__(
        self,
        folder: RunFolder,
        config_sha256: str,
        history: History,
        progress: Progress,
        should_stop: Callable[[], bool],
        events: EventFiles | None = None,
    ) -> None:
        self._folder = folder
        self._config_sha256 = config_sha256
        self._history = history
        self._progress = progress
        self._should_stop = should_stop
        self._events = events

    def on_event(self, training: Training, event: StepDone | EpochDone) -> None:
        """Record a step or an epoch.

        Raises
        ------
        TrainingInterrupted
            If the training should stop; its state is saved.
        """
        if isinstance(event, EpochDone):
            self._progress.epoch(event)
            self._history.write("epoch", asdict(event))
            if self._events is not None:
                self._events.add_epoch(event)
            self._save(training)
            weights = training.chosen_weights()
            save_weights(self._folder.path / MODEL_FILE, self._config_sha256, weights)
        else:
            self._record_step(training, event)
        if self._should_stop() and not training.finished:
            self._save(training)
            self._progress.close()
            raise interruption(training, self._folder)

    def _record_step(self, training: Training, event: StepDone) -> None:
        config = training.config
        self._progress.step(event)
        if event.step % config.log_every == 0 or event.step == event.steps:
            loss = training.loss()
            self._progress.reading(event, loss, training.running_accuracy)
            facts = {
                "epoch": event.epoch,
                "step": event.step,
                "loss": loss,
                "learning_rate": training.learning_rate,
            }
            norm = training.gradient_norm
            if norm is not None and math.isfinite(norm):  # JSON has no infinity
                facts["gradient_norm"] = norm
            self._history.write("step", facts)
            if self._events is not None:
                self._events.add_step(event, facts)
        if event.step % config.checkpoint_every == 0:
            self._save(training)

    def _save(self, training: Training) -> None:
        tensors, facts = training.state()
        size = self._history.synced_size()
        facts |= {"config_sha256": self._config_sha256, "history_size": size}
        save_tensors(self._folder.checkpoint, tensors, facts)
