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
from bothways.errors import CheckpointError, ConfigError, DataError
from bothways.kernels.backends import choose_backend
from bothways.kernels.cells import cell_named
from bothways.models.loading import load
from bothways.models.trained_model import TrainedModel
from bothways.recipes import Recipe
from bothways.training.fit import Plan, prepare
from bothways.training.loop.device import layers_precision, training_device
from bothways.training.loop.joining import is_restarted, joined_processes
from bothways.training.loop.processes import Processes
from bothways.training.progress import Progress
from bothways.training.request import Request, make_request
from bothways.training.run_data import RunData
from bothways.training.run_directory import RunFolder, create_folder, find_unfinished
from bothways.training.run_metrics import RunMetrics
from bothways.training.run_recording import Session, assist, record
from bothways.training.run_state import check_or_write_config, warn_of_processes
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
    with joined_processes() as processes:
        processes.together(lambda: _check_settings(request))
        request = request.model_copy(update={"processes": processes.count})
        place = None if out is None else Path(out)
        folder = processes.from_first(lambda: _started_folder(place, request, force))
        try:
            return _continue(folder, data, Session(progress, should_stop, processes))
        except BaseException:  # also Ctrl-C: if the data were not read, nothing has been trained
            if processes.is_first and not folder.config.exists():
                folder.restore_replaced()
            raise


def _started_folder(out: Path | None, request: Request, force: bool) -> RunFolder:
    """Return a new folder or, if a launcher has started the processes again, that of before."""
    before = find_unfinished(out, request) if is_restarted() else None
    return before or create_folder(out, request, force)


def _check_settings(request: Request) -> None:
    """Raise an error if this machine cannot train as requested."""
    device = training_device(request.training)
    cell = cell_named(request.model.cell, request.model.nonlinearity)
    choose_backend(
        request.training.backend,
        cell,
        device,
        torch.float32,
        precision=layers_precision(request.training, device),
    )
    if request.training.tensorboard:
        check_tensorboard()


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
    with joined_processes() as processes:
        return _continue(RunFolder(Path(folder)), data, Session(progress, should_stop, processes))


def _continue(folder: RunFolder, data: Dataset | None, session: Session) -> Run:
    """Train the run of a folder to its end, unless it is finished."""
    processes = session.processes
    with ExitStack() as locked:

        def lock() -> None:
            locked.enter_context(folder.lock())

        if not processes.from_first(folder.metrics.exists):
            processes.from_first(lock)
        request, metrics = processes.from_first(lambda: _request_and_metrics(folder))
        if metrics is not None:
            return Run(folder.path, metrics)
        dataset, plan = processes.together(
            lambda: _dataset_and_plan(folder, request, data, processes)
        )
        processes.from_first(lambda: _accept(folder, request, plan, processes))
        try:
            if processes.is_first:
                return Run(folder.path, *record(folder, plan, dataset, session))
            return Run(folder.path, assist(folder, plan, session))
        except OSError as error:
            error.add_note(f"To continue, run: bothways train {folder.path} --resume")
            raise


def _request_and_metrics(folder: RunFolder) -> tuple[Request, RunMetrics | None]:
    return folder.read_request(), folder.read_metrics() if folder.metrics.exists() else None


def _dataset_and_plan(
    folder: RunFolder, request: Request, data: Dataset | None, processes: Processes
) -> tuple[Dataset, Plan]:
    if data is None and request.source is None:
        raise DataError(
            f"{folder.path} was trained on data passed from Python; expected the same data. "
            "Call bothways.resume(folder, data)."
        )
    device = processes.device(training_device(request.training))
    recipe = Recipe(request.recipe, "", request.model, request.training)
    options, threads = request.options, request.threads
    try:
        dataset = data
        if dataset is None:
            missing = request.model.accepts_missing
            dataset = open_dataset(str(request.source), options, missing=missing)
        return dataset, prepare(dataset, recipe, options=options, device=device, threads=threads)
    except ConfigError as error:
        if not folder.config.exists():  # it was never checked with the data
            raise
        raise CheckpointError(f"{folder.request} is damaged: {error}") from None


def _accept(folder: RunFolder, request: Request, plan: Plan, processes: Processes) -> None:
    """Check that a run has the same data as before, or record them if it has just read them."""
    warn_of_processes(folder, request.processes, processes.count)
    check_or_write_config(folder, plan.manifest, request.source or "the data")
    folder.drop_replaced()
