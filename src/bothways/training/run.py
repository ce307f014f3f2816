"""Training runs: started, interrupted, resumed, always with the same result.

The directory of a run appears with its `request.json` before data are read. `config.json` is final
before the first step; all later files are replaced atomically. A run is finished if `metrics.json`,
its last file, exists.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bothways.data.dataset import Dataset
from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.sequences import LabeledSequences
from bothways.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    TrainingInterrupted,
    counted,
)
from bothways.evaluation.evaluate import evaluate
from bothways.evaluation.metrics import Metrics
from bothways.kernels.backends import Choice, choose_backend
from bothways.kernels.cells import cell_named
from bothways.models.card import describe_taken, model_card
from bothways.models.checkpoint import MODEL_FILE, save_weights
from bothways.models.manifest import CONFIG_FILE, Manifest, read_manifest
from bothways.models.trained import TrainedModel, load
from bothways.recipes import Recipe
from bothways.storage.atomic import json_bytes, write_atomically
from bothways.training.fit import Fitted, Plan, SavedState, fit, prepare
from bothways.training.history import History
from bothways.training.loop.device import training_device
from bothways.training.machine import describe_start
from bothways.training.progress import Progress, make_progress
from bothways.training.recorder import Recorder
from bothways.training.request import Request, make_request
from bothways.training.run_data import RunData, run_data
from bothways.training.run_directory import RunFolder, create_folder
from bothways.training.run_metrics import RunMetrics
from bothways.training.run_state import check_unchanged, read_state
from bothways.training.tensorboard import EventFiles, check_tensorboard


@dataclass(frozen=True)
class Run:
    """A finished run.

    Parameters
    ----------
    folder : Path
    metrics : RunMetrics
    data : RunData, optional
        The data, if they have just been trained on. They stay in memory as long as this object.

    Examples
    --------
    >>> run = train("gestures.csv", hidden_size=8, steps=10, out="runs/new")
    guessed: sequence 'recording'; time 't'; label 'label'; features ax, ay, az
    ...
    >>> run.load()
    TrainedClassifier(bidirectional GRU 2x8, readout mean+max; 3 features; classes circle, wave)
    """

    folder: Path
    metrics: RunMetrics
    data: RunData | None = field(default=None, repr=False, compare=False)

    def load(self) -> TrainedModel:
        """Return the trained model."""
        return load(self.folder)


def train(
    data: str | Path | Dataset,
    recipe: str | None = None,
    *,
    options: DataOptions | None = None,
    out: str | Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Run:
    """Train a classifier and evaluate it.

    Parameters
    ----------
    data : str, path or Dataset
        "mnist", the path of a file or folder, or a dataset.
    recipe : str, optional
        A name that `bothways recipes` lists; default: default for "mnist", time-series otherwise.
    options : DataOptions, optional
        How to read and split a file or folder.
    out : path, optional
        The run folder; default: a new numbered one in `runs/`.
    force : bool
        Replace an earlier run at `out`.
    progress : Progress, optional
        Reports the progress; default: progress bars, or lines if standard output is no terminal.
    should_stop : callable
        Called after each step; if it returns True, training saves its state and stops.
    **settings
        Settings of `Architecture` and `TrainConfig` that replace those of the recipe.

    Returns
    -------
    Run

    Raises
    ------
    ConfigError, DataError, BackendError
        Before anything is trained.
    NonFiniteLossError, TrainingInterrupted
        During training; the last finite state is saved.
    OSError
        If the folder cannot be written.

    Examples
    --------
    >>> run = train("gestures.csv", options=DataOptions(group="person"), steps=50, batch_size=8)
    guessed: sequence 'recording'; time 't'; label 'label'; features ax, ay, az
    ...
    >>> run.metrics.train.count
    40
    >>> model = run.load()
    """
    request = make_request(data, recipe, options, settings)
    given = data if isinstance(data, Dataset) else None
    return start(request, given, out=out, force=force, progress=progress, should_stop=should_stop)


def start(
    request: Request,
    data: Dataset | None = None,
    *,
    out: str | Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Create the folder of a run, train and evaluate.

    Parameters
    ----------
    request : Request
    data : Dataset, optional
        Required if the source of the request is None.
    out, force, progress, should_stop
        As in `train`, as are the errors.
    """
    device = training_device(request.training)
    cell = cell_named(request.model.cell, request.model.nonlinearity)
    choose_backend(request.training.backend, cell, device, torch.float32)
    if request.training.tensorboard:
        check_tensorboard()
    folder = create_folder(None if out is None else Path(out), request, force)
    try:
        dataset = _dataset(request) if data is None else data
        plan = _plan(request, dataset, device)
        write_atomically(folder.path / CONFIG_FILE, plan.manifest.to_bytes())
    except BaseException:  # also Ctrl-C: nothing has been trained yet
        folder.restore_replaced()
        raise
    folder.drop_replaced()
    return _run(folder, plan, dataset, progress, should_stop)


def resume(
    folder: str | Path,
    data: Dataset | None = None,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Continue a run from its last saved state; a finished run is not changed.

    On the same machine, with the same versions and number of threads, the weights are, byte for
    byte, those of a run that was never interrupted. A UserWarning says what has changed.

    Parameters
    ----------
    folder : path
    data : Dataset, optional
        The same data as before; required if they were passed from Python.
    progress, should_stop
        As in `train`.

    Raises
    ------
    CheckpointError
        If the folder is not a run, or a file in it is damaged or was changed.
    DataError
        If the data are missing or have changed.

    Examples
    --------
    >>> run = resume("runs/gestures")
    >>> run.metrics.test.count
    8
    """
    run_folder = RunFolder(Path(folder))
    request = run_folder.read_request()
    if run_folder.metrics.exists():
        return Run(run_folder.path, run_folder.read_metrics())
    if data is None and request.source is None:
        raise DataError(
            f"{folder} was trained on data passed from Python; expected the same data. "
            "Call bothways.resume(folder, data)."
        )
    dataset = data if data is not None else _dataset(request)
    try:
        plan = _plan(request, dataset, training_device(request.training))
    except ConfigError as error:
        raise CheckpointError(f"{run_folder.request} is damaged: {error}") from None
    config = run_folder.path / CONFIG_FILE
    if config.exists():
        before, _ = read_manifest(run_folder.path)
        check_unchanged(before, plan.manifest, run_folder, request.source or "the data")
    else:
        write_atomically(config, plan.manifest.to_bytes())
    return _run(run_folder, plan, dataset, progress, should_stop)


def _dataset(request: Request) -> Dataset:
    return open_dataset(str(request.source), request.options, missing=request.model.accepts_missing)


def _plan(request: Request, dataset: Dataset, device: torch.device) -> Plan:
    recipe = Recipe(request.recipe, "", request.model, request.training)
    return prepare(dataset, recipe, options=request.options, device=device, threads=request.threads)


def _run(
    folder: RunFolder,
    plan: Plan,
    dataset: Dataset,
    progress: Progress | None,
    should_stop: Callable[[], bool],
) -> Run:
    manifest, config_sha256 = read_manifest(folder.path)
    progress = progress or make_progress(plan.epochs.num_epochs)
    data = run_data(dataset, plan.train, plan.validation, manifest.provenance)
    for note in data.notes:
        progress.note(note)
    if plan.epochs.passes > 1:
        count = counted(len(plan.train), "sequence")
        progress.note(f"an epoch is {plan.epochs.passes} passes over {count}")
    if plan.epochs.length_note:
        progress.note(plan.epochs.length_note)
    state = read_state(folder, manifest, config_sha256)
    history_size = 0 if state is None else state[1]["history_size"]
    try:
        with (
            History(folder.history, history_size) as history,
            _events(folder, plan, state) as events,
        ):
            start = describe_start(plan.device, str(_backend(plan)))
            history.write("start", start | {"batch_size": plan.epochs.batch_size})
            recorder = Recorder(folder, config_sha256, history, progress, should_stop, events)
            fitted = fit(plan, recorder.on_event, state)
        measured = _evaluate(folder, fitted, manifest, data.splits, progress, should_stop)
    finally:
        progress.close()
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
    return Run(folder.path, metrics, data)


def _backend(plan: Plan) -> Choice:
    """Return what runs the layers."""
    model = plan.manifest.model
    cell = cell_named(model.cell, model.nonlinearity)
    return choose_backend(plan.config.backend, cell, plan.device, torch.float32)


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
    should_stop: Callable[[], bool],
) -> dict[str, Metrics]:
    """Return the metrics of each split."""
    metrics = {}
    advance: Callable[[int], None]

    def on_batch(rows: int) -> None:
        advance(rows)
        if should_stop():
            raise TrainingInterrupted(
                "stopped while evaluating; training is complete and saved. "
                f"To continue, run: bothways train {folder.path} --resume"
            )

    for split, sequences in splits.items():
        advance = progress.evaluating(split, len(sequences))
        metrics[split] = evaluate(fitted.classifier, sequences, manifest.classes, on_batch)
    return metrics
