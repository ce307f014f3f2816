"""A training run: start it, kill it, resume it, and it ends the same.

Its folder appears whole, with the request that started it, before data are read; `config.json` is
final before the first step. All later files are replaced atomically. A run is finished when
`metrics.json`, its last file, is there.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bothways.data.dataset import Dataset, copies_note, copies_of
from bothways.data.open import find_source, is_built_in, open_dataset
from bothways.data.options import DataOptions
from bothways.data.sequences import Sequences
from bothways.data.splitting import hold_out
from bothways.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    TrainingInterrupted,
)
from bothways.evaluation.evaluate import calibrate, evaluate
from bothways.kernels.backends import choose_backend
from bothways.kernels.cells import cell_named
from bothways.models.card import model_card
from bothways.models.checkpoint import MODEL_FILE, save_weights
from bothways.models.manifest import CONFIG_FILE, Manifest, read_manifest
from bothways.models.trained import TrainedModel, load
from bothways.nn.classifier import SequenceClassifier
from bothways.nn.size import file_limit
from bothways.recipes import load_recipe
from bothways.storage.atomic import json_bytes, write_atomically
from bothways.storage.tensors import load_tensors, save_tensors
from bothways.training.device import choose_device
from bothways.training.history import History, check_size
from bothways.training.manifest_builder import manifest_for
from bothways.training.progress import Progress, make_progress
from bothways.training.run_directory import Request, RunFolder, create_folder
from bothways.training.trainer import EpochDone, Training, start_training


@dataclass(frozen=True)
class Run:
    """A finished run.

    Parameters
    ----------
    folder : Path
    metrics : dict
        The content of `metrics.json`: `train`, `validation` and `test`, None where there is none.
    """

    folder: Path
    metrics: dict[str, Any]

    def load(self) -> TrainedModel:
        """Return the trained model."""
        return load(self.folder)


def train(
    data: str | Dataset,
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
    data : str or Dataset
        "mnist", the path of a file or folder, or a data set.
    recipe : str, optional
        A name from `bothways recipes`; where not given, default for "mnist" and time-series for
        anything else.
    options : DataOptions, optional
        How to understand and split what the path names.
    out : path, optional
        The run's folder; a new numbered one under `runs/` where not given.
    force : bool
        Replace `out` if it is a run already.
    progress : Progress, optional
        Who is told how it goes; bars or lines on standard output where not given.
    should_stop : callable
        Asked after each step; if true, training saves its state and stops.
    **settings
        Of `ModelConfig` and `TrainConfig`; they replace the recipe's.

    Returns
    -------
    Run

    Raises
    ------
    BothwaysError
        ConfigError, DataError or BackendError before anything is trained; NonFiniteLossError and
        TrainingInterrupted during training, with the last good state saved.
    OSError
        If the folder cannot be written.
    """
    if isinstance(data, Dataset) and options is not None:
        raise ConfigError("options were given with a data set; expected a path. Leave them out.")
    if recipe is None:
        recipe = "default" if isinstance(data, str) and is_built_in(data) else "time-series"
    options = options or DataOptions()
    target = data.target if isinstance(data, Dataset) else options.target
    chosen = load_recipe(recipe).with_settings(settings, target)
    device = choose_device(chosen.training)
    cell = cell_named(chosen.model["cell"], chosen.model.get("nonlinearity", "tanh"))
    choose_backend(chosen.training.backend, cell, device, torch.float32)
    source = find_source(data) if isinstance(data, str) else None
    request = Request(
        source=source,
        options=_with_absolute_paths(options),
        recipe=recipe,
        model=dict(chosen.model),
        training=chosen.training,
        threads=torch.get_num_threads(),
    )
    folder = create_folder(None if out is None else Path(out), request, force)
    try:
        dataset = _dataset(request) if isinstance(data, str) else data
        manifest = manifest_for(request, dataset)
        write_atomically(folder.path / CONFIG_FILE, manifest.to_bytes())
    except BaseException:  # Ctrl-C too: nothing has been trained yet, so nothing is lost
        folder.restore_replaced()
        raise
    folder.drop_replaced()
    return _run(folder, request, dataset, progress, should_stop)


def resume(
    folder: str | Path,
    data: Dataset | None = None,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Go on with a run from its last saved state; a finished run is left as it is.

    Ends with the weights, byte for byte, of a run that was never stopped, on the same machine with
    the same versions and number of threads; a UserWarning says where those have changed.

    Parameters
    ----------
    folder : path
    data : Dataset, optional
        The same data as before; needed only if they were passed from Python.
    progress, should_stop
        As in `train`.

    Raises
    ------
    CheckpointError
        If the folder is not a run, or a file in it is damaged or was changed.
    DataError
        If the data are not there, or have changed.
    """
    run_folder = RunFolder(Path(folder))
    request = run_folder.read_request()
    if run_folder.metrics.exists():
        return Run(run_folder.path, run_folder.read_metrics())
    if data is None and request.source is None:
        raise DataError(
            f"{folder} was trained on data passed from Python; expected them again. "
            "Call bothways.resume(folder, data)."
        )
    dataset = data if data is not None else _dataset(request)
    try:
        manifest = manifest_for(request, dataset)
    except ConfigError as error:
        raise CheckpointError(f"{run_folder.request} is damaged: {error}") from None
    config = run_folder.path / CONFIG_FILE
    if config.exists():
        before, _ = read_manifest(run_folder.path)
        _check_unchanged(before, manifest, run_folder, request.source or "the data")
    else:
        write_atomically(config, manifest.to_bytes())
    return _run(run_folder, request, dataset, progress, should_stop)


def _dataset(request: Request) -> Dataset:
    missing = request.model.get("missing", "refuse") != "refuse"
    return open_dataset(str(request.source), request.options, missing=missing)


def _check_unchanged(before: Manifest, now: Manifest, folder: RunFolder, source: str) -> None:
    """Refuse to go on with other data or settings; warn if the bits may differ."""
    known = before.provenance.get("data", {})
    for part, value in now.provenance["data"].items():
        if part in known and known[part] != value:
            raise DataError(
                f"{source} has changed since {folder.path} was started: its {part} differs. "
                "Restore the data, or start a new run."
            )
    if before.classes != now.classes:
        raise DataError(
            f"{source} has changed since {folder.path} was started: its classes differ. "
            "Restore the data, or start a new run."
        )
    versions = {"versions": before.provenance.get("versions")}
    if before != now.model_copy(update={"provenance": {**now.provenance, **versions}}):
        raise CheckpointError(
            f"{folder.request} and {folder.path / CONFIG_FILE} disagree: one was changed after "
            "the run was started. Restore both, or start a new run."
        )
    if before.provenance["versions"] != now.provenance["versions"]:
        warnings.warn(
            f"{folder.path} was started with other versions ({before.provenance['versions']}); "
            "the weights may differ from those of an unbroken run.",
            stacklevel=3,
        )
    if torch.get_num_threads() != now.provenance["threads"]:
        warnings.warn(
            f"{folder.path} was started with {now.provenance['threads']} threads and goes on with "
            f"{torch.get_num_threads()}; the weights may differ from those of an unbroken run.",
            stacklevel=3,
        )


def _with_absolute_paths(options: DataOptions) -> DataOptions:
    files = {"test": options.test, "validation": options.validation}
    found = {name: find_source(path) for name, path in files.items() if path is not None}
    return options.model_copy(update=found)


def _run(
    folder: RunFolder,
    request: Request,
    dataset: Dataset,
    progress: Progress | None,
    should_stop: Callable[[], bool],
) -> Run:
    manifest, config_sha256 = read_manifest(folder.path)
    config = request.training
    progress = progress or make_progress(config.epochs)
    for note in dataset.notes:
        progress.note(note)
    for warning in dataset.warnings:
        progress.note(f"warning: {warning}")
    training_part, validation = hold_out(dataset, config.validation_fraction, config.seed)
    if validation is not None and dataset.validation is None:
        shared = sum(copies_of(validation, training_part))
        if shared:
            progress.note(copies_note("validation", shared, drop=False))
    training = start_training(manifest.model, config, training_part, validation)
    model = training.model
    history_size = 0
    if folder.checkpoint.exists():
        tensors, facts = load_tensors(
            folder.checkpoint, limit_bytes=file_limit(manifest.model, copies=8)
        )
        if "history_size" not in facts:
            raise CheckpointError(
                f"{folder.checkpoint} holds a model, not the state of a training. "
                "Restore it from a copy."
            )
        if facts["config_sha256"] != config_sha256:
            raise CheckpointError(
                f"{folder.checkpoint} is not of the run that {CONFIG_FILE} beside it "
                "describes: its SHA-256 differs. Restore both from a copy."
            )
        history_size = facts["history_size"]
        check_size(folder.history, history_size)
        training.restore(tensors, facts)
    try:
        with History(folder.history, history_size) as history:
            _train(folder, config_sha256, training, history, progress, should_stop)
        model.load_state_dict(training.chosen_weights())
        calibration = calibrate(model, validation) if manifest.model.calibrate else None
        splits = {"train": training_part, "validation": validation, "test": dataset.test}
        metrics = _evaluate(folder, model, manifest, splits, progress, should_stop)
        if training.best is not None:
            metrics["validation"]["epoch"] = training.best.epoch
        if calibration is not None:
            metrics["validation"]["calibration"] = asdict(calibration)
    finally:
        progress.close()
    save_weights(folder.path / MODEL_FILE, config_sha256, model.state_dict())
    write_atomically(folder.path / "README.md", model_card(manifest, metrics).encode())
    write_atomically(folder.metrics, json_bytes(metrics))
    return Run(folder.path, metrics)


def _train(
    folder: RunFolder,
    config_sha256: str,
    training: Training,
    history: History,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> None:
    """Train to the end, writing history and checkpoints on the way."""
    config = training.config

    def save() -> None:
        tensors, facts = training.state()
        facts |= {"config_sha256": config_sha256, "history_size": history.synced_size()}
        save_tensors(folder.checkpoint, tensors, facts)

    for event in training.events():
        if isinstance(event, EpochDone):
            progress.epoch(event)
            history.write("epoch", asdict(event))
            save()
            save_weights(folder.path / MODEL_FILE, config_sha256, training.chosen_weights())
        else:
            progress.step(event)
            if event.step % config.log_every == 0 or event.step == event.steps:
                loss = training.loss()
                progress.reading(event, loss, training.running_accuracy)
                history.write(
                    "step",
                    {
                        "epoch": event.epoch,
                        "step": event.step,
                        "loss": loss,
                        "learning_rate": training.learning_rate,
                    },
                )
            if event.step % config.checkpoint_every == 0:
                save()
        if should_stop() and not training.finished:
            save()
            progress.close()
            raise TrainingInterrupted(
                f"stopped in epoch {training.epoch + 1} after step {training.step}; all is saved. "
                f"Continue with: bothways train {folder.path} --resume"
            )


def _evaluate(
    folder: RunFolder,
    model: SequenceClassifier,
    manifest: Manifest,
    splits: Mapping[str, Sequences | None],
    progress: Progress,
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    """Return the content of `metrics.json`: each split measured once, None where there is none."""
    seed = manifest.provenance["training"]["seed"]
    metrics: dict[str, Any] = dict.fromkeys(splits)
    advance: Callable[[int], None]

    def on_batch(rows: int) -> None:
        advance(rows)
        if should_stop():
            raise TrainingInterrupted(
                "stopped while evaluating; training is complete and saved. "
                f"Continue with: bothways train {folder.path} --resume"
            )

    for split, sequences in splits.items():
        if sequences is not None:
            advance = progress.evaluating(split, len(sequences))
            metrics[split] = {
                **evaluate(model, sequences, manifest.classes, on_batch),
                "seed": seed,
            }
    return metrics
