"""A training that is recorded in its folder, by the first of the processes that train together."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from bothways.data.dataset import Dataset
from bothways.data.sequences import LabeledSequences
from bothways.errors import (
    TrainingInterrupted,
    counted,
)
from bothways.evaluation.evaluate import evaluate
from bothways.evaluation.metrics import Metrics
from bothways.kernels.backends import Choice, choose_backend
from bothways.kernels.cells import cell_named
from bothways.models.card import describe_taken, model_card
from bothways.models.checkpoint import MODEL_FILE, save_weights
from bothways.models.manifest import Manifest, read_manifest
from bothways.storage.atomic import json_bytes, write_atomically
from bothways.training.fit import Fitted, Plan, SavedState, fit
from bothways.training.history import History
from bothways.training.loop.device import layers_precision
from bothways.training.loop.events import EpochDone, StepDone
from bothways.training.loop.processes import Processes
from bothways.training.loop.trainer import Training
from bothways.training.machine import describe_start
from bothways.training.progress import Progress, make_progress
from bothways.training.recorder import Recorder, interruption
from bothways.training.run_data import RunData, run_data
from bothways.training.run_directory import RunFolder
from bothways.training.run_metrics import RunMetrics
from bothways.training.run_state import read_state
from bothways.training.tensorboard import EventFiles


@dataclass(frozen=True)
class Session:
    """What a training does not record: how it is watched and stopped, and where it runs.

    Parameters
    ----------
    progress : Progress, optional
        Default: bars or lines.
    should_stop : callable
        Called after each step and each batch of the evaluation.
    processes : Processes
        Those that train together.
    """

    progress: Progress | None
    should_stop: Callable[[], bool]
    processes: Processes

    def any_should_stop(self) -> bool:
        """Return whether one of the processes should stop; all must call this."""
        return self.processes.any(self.should_stop())


def assist(folder: RunFolder, plan: Plan, session: Session) -> RunMetrics:
    """Train in a process that does not record, and return the metrics of the first process."""
    state: SavedState | None = session.processes.received()

    def on_event(training: Training, event: StepDone | EpochDone) -> None:
        if session.any_should_stop() and not training.finished:
            raise interruption(training, folder)

    fit(plan, on_event, state, session.processes)
    metrics: RunMetrics = session.processes.received()
    return metrics


def record(
    folder: RunFolder, plan: Plan, dataset: Dataset, session: Session
) -> tuple[RunMetrics, RunData]:
    """Train, evaluate and save everything; return the metrics and the data.

    Parameters
    ----------
    folder : RunFolder
        With its request and `config.json`. The training continues from a saved state, if any.
    plan : Plan
    dataset : Dataset
        Of the plan.
    session : Session
        Its processes other than this one call `assist`.
    """
    manifest, config_sha256 = read_manifest(folder.path)
    processes = session.processes
    progress = session.progress or make_progress(plan.epochs.num_epochs)
    data = run_data(dataset, plan.train, plan.validation, manifest.provenance)
    for note in data.notes:
        progress.note(note)
    if plan.epochs.passes > 1:
        count = counted(len(plan.train), "sequence")
        progress.note(f"an epoch is {plan.epochs.passes} passes over {count}")
    if plan.epochs.length_note:
        progress.note(plan.epochs.length_note)
    state = processes.from_first(lambda: read_state(folder, manifest, config_sha256))
    history_size = 0 if state is None else state[1]["history_size"]
    try:
        with (
            History(folder.history, history_size) as history,
            _events(folder, plan, state) as events,
        ):
            start = describe_start(plan.device, str(_backend(plan)), processes.count)
            history.write("start", start | {"batch_size": plan.epochs.batch_size})
            recorder = Recorder(
                folder, config_sha256, history, progress, session.any_should_stop, events
            )
            fitted = fit(plan, recorder.on_event, state, processes)

        def finish() -> RunMetrics:
            measured = _evaluate(folder, fitted, manifest, data.splits, progress, session)
            return _save(folder, plan, fitted, manifest, config_sha256, measured)

        return processes.from_first(finish), data
    finally:
        progress.close()


def _save(
    folder: RunFolder,
    plan: Plan,
    fitted: Fitted,
    manifest: Manifest,
    config_sha256: str,
    measured: Mapping[str, Metrics],
) -> RunMetrics:
    """Write the model, its card and, last, the metrics."""
    metrics = RunMetrics(
        measured["train"],
        measured.get("validation"),
        measured.get("test"),
        seed=plan.config.seed,
        epoch=None if fitted.best is None else fitted.best.epoch,
        calibration=fitted.calibration,
    )
    save_weights(folder.path / MODEL_FILE, config_sha256, fitted.classifier.state_dict())
    steps = plan.epochs.global_step(fitted.epochs, 0)
    taken = describe_taken(plan.config, steps, fitted.epochs, plan.epochs.batch_size)
    card = model_card(manifest, metrics.splits, metrics.epoch, taken)
    write_atomically(folder.path / "README.md", card.encode())
    write_atomically(folder.metrics, json_bytes(metrics.to_json()))
    return metrics


def _backend(plan: Plan) -> Choice:
    """Return what runs the layers."""
    model = plan.manifest.model
    cell = cell_named(model.cell, model.nonlinearity)
    return choose_backend(
        plan.config.backend,
        cell,
        plan.device,
        torch.float32,
        precision=layers_precision(plan.config, plan.device),
    )


def _events(
    folder: RunFolder, plan: Plan, state: SavedState | None
) -> AbstractContextManager[EventFiles | None]:
    """Return the event files of a start of the training, if the settings say so."""
    if not plan.config.tensorboard:
        return nullcontext()
    facts = {"epoch": 0, "step": 0} if state is None else state[1]
    return EventFiles(folder.path, plan.epochs.global_step(facts["epoch"], facts["step"]))


def _evaluate(
    folder: RunFolder,
    fitted: Fitted,
    manifest: Manifest,
    splits: Mapping[str, LabeledSequences],
    progress: Progress,
    session: Session,
) -> dict[str, Metrics]:
    """Return the metrics of each split."""
    metrics = {}
    advance: Callable[[int], None]

    def on_batch(rows: int) -> None:
        advance(rows)
        if session.should_stop():
            raise TrainingInterrupted(
                "stopped while evaluating; training is complete and saved. "
                f"To continue, run: bothways train {folder.path} --resume"
            )

    for split, sequences in splits.items():
        advance = progress.evaluating(split, len(sequences))
        metrics[split] = evaluate(fitted.classifier, sequences, manifest.classes, on_batch)
    return metrics
