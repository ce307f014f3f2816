"""Training runs: started, interrupted, resumed, always with the same result.

The directory of a run appears with its `request.json` before data are read. `config.json` is final
before the first step; all later files are replaced atomically. A run is finished if `metrics.json`,
its last file, exists.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bothways.data.dataset import Dataset
from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.errors import (
    CheckpointError,
    ConfigError,
    DataError,
)
from bothways.kernels.backends import choose_backend
from bothways.kernels.cells import cell_named
from bothways.models.manifest import CONFIG_FILE, read_manifest
from bothways.models.trained import TrainedModel, load
from bothways.recipes import Recipe
from bothways.storage.atomic import write_atomically
from bothways.training.fit import Plan, prepare
from bothways.training.loop.device import training_device
from bothways.training.loop.processes import Processes, joined_processes, restarts
from bothways.training.progress import Progress
from bothways.training.request import Request, make_request
from bothways.training.run_data import RunData
from bothways.training.run_directory import RunFolder, create_folder, find_unfinished
from bothways.training.run_metrics import RunMetrics
from bothways.training.run_recording import follow, record
from bothways.training.run_state import check_unchanged, warn_of_processes
from bothways.training.tensorboard import check_tensorboard


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
    CheckpointError
        If the run at `out` is being trained.
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
    place = None if out is None else Path(out)
    with joined_processes() as processes:
        request = request.model_copy(update={"processes": processes.count})
        if restarts():
            earlier = processes.from_first(lambda: find_unfinished(place, request))
            if earlier is not None:
                return _continue(earlier, data, progress, should_stop, processes)
        folder = processes.from_first(lambda: create_folder(place, request, force))
        lock = _lock(folder, processes)
        try:
            dataset, plan = processes.together(
                lambda: _dataset_and_plan(request, data, processes.device(device))
            )
            if processes.is_first:
                write_atomically(folder.path / CONFIG_FILE, plan.manifest.to_bytes())
        except BaseException:  # also Ctrl-C: nothing has been trained yet
            lock.close()
            if processes.is_first:
                folder.restore_replaced()
            raise
        with lock:
            if processes.is_first:
                folder.drop_replaced()
            return _run(folder, plan, dataset, progress, should_stop, processes)


def _lock(folder: RunFolder, processes: Processes) -> ExitStack:
    """Lock the folder of a run for all processes that train it together."""
    lock = ExitStack()

    def take() -> None:
        if processes.is_first:
            lock.enter_context(folder.lock())

    processes.together(take)
    return lock


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
        If the folder is not a run, another process is training it, or a file in it is damaged or
        was changed.
    DataError
        If the data are missing or have changed.

    Examples
    --------
    >>> run = resume("runs/gestures")
    >>> run.metrics.test.count
    8
    """
    run_folder = RunFolder(Path(folder))
    with joined_processes() as processes:
        return _continue(run_folder, data, progress, should_stop, processes)


def _continue(
    folder: RunFolder,
    data: Dataset | None,
    progress: Progress | None,
    should_stop: Callable[[], bool],
    processes: Processes,
) -> Run:
    """Continue a run with these processes; see `resume`."""
    request, metrics = processes.from_first(lambda: _request_and_metrics(folder))
    if metrics is None:
        with _lock(folder, processes):
            # Another process may just have finished the run.
            request, metrics = processes.from_first(lambda: _request_and_metrics(folder))
            if metrics is None:
                return _continue_locked(folder, request, data, progress, should_stop, processes)
    return Run(folder.path, metrics)


def _continue_locked(
    folder: RunFolder,
    request: Request,
    data: Dataset | None,
    progress: Progress | None,
    should_stop: Callable[[], bool],
    processes: Processes,
) -> Run:
    if data is None and request.source is None:
        raise DataError(
            f"{folder.path} was trained on data passed from Python; expected the same data. "
            "Call bothways.resume(folder, data)."
        )
    device = processes.device(training_device(request.training))
    try:
        dataset, plan = processes.together(lambda: _dataset_and_plan(request, data, device))
    except ConfigError as error:
        if not (folder.path / CONFIG_FILE).exists():  # it was never checked with the data
            raise
        raise CheckpointError(f"{folder.request} is damaged: {error}") from None
    processes.from_first(lambda: _check_or_write_config(folder, plan, request, processes.count))
    return _run(folder, plan, dataset, progress, should_stop, processes)


def _request_and_metrics(folder: RunFolder) -> tuple[Request, RunMetrics | None]:
    return folder.read_request(), folder.read_metrics() if folder.metrics.exists() else None


def _check_or_write_config(folder: RunFolder, plan: Plan, request: Request, processes: int) -> None:
    warn_of_processes(folder, request.processes, processes)
    config = folder.path / CONFIG_FILE
    if config.exists():
        before, _ = read_manifest(folder.path)
        check_unchanged(before, plan.manifest, folder, request.source or "the data")
    else:
        write_atomically(config, plan.manifest.to_bytes())


def _dataset_and_plan(
    request: Request, data: Dataset | None, device: torch.device
) -> tuple[Dataset, Plan]:
    dataset = data
    if dataset is None:
        missing = request.model.accepts_missing
        dataset = open_dataset(str(request.source), request.options, missing=missing)
    recipe = Recipe(request.recipe, "", request.model, request.training)
    plan = prepare(dataset, recipe, options=request.options, device=device, threads=request.threads)
    return dataset, plan


def _run(
    folder: RunFolder,
    plan: Plan,
    dataset: Dataset,
    progress: Progress | None,
    should_stop: Callable[[], bool],
    processes: Processes,
) -> Run:
    """Train in this process and, if it is the first one, record the training."""
    if processes.is_first:
        recorded = record(folder, plan, dataset, progress, should_stop, processes)
        return Run(folder.path, *recorded)
    return Run(folder.path, follow(folder, plan, should_stop, processes))
