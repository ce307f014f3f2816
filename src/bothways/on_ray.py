"""Training and predictions on a Ray cluster: the same loops, in processes that Ray starts."""

import logging
import os
import pickle
import shutil
import signal
import threading
import uuid
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import torch

from bothways.data.dataset import Dataset
from bothways.data.options import DataOptions
from bothways.errors import BothwaysError, ConfigError, ProcessError
from bothways.models.loading import load
from bothways.models.scoring import Part, Scored, score_part
from bothways.optional import require
from bothways.training.loop.processes import TIMEOUT
from bothways.training.request import make_request
from bothways.training.run import Run, resume
from bothways.training.run_directory import RunFolder, create_folder


def train_on_ray(
    data: str | Dataset,
    recipe: str | None = None,
    *,
    workers: int,
    threads: int = 1,
    use_gpu: bool = False,
    max_failures: int = 0,
    options: DataOptions | None = None,
    out: str | Path | None = None,
    force: bool = False,
    **settings: Any,
) -> Run:
    """Train as `bothways.train`, in several processes of a Ray cluster.

    The cluster is that of `ray.init`; without one, Ray starts one on this machine. Each process
    reads the data, and the first one writes the run folder: both must be on storage that all nodes
    share.

    Parameters
    ----------
    data, recipe, options, out, force, **settings
        As in `bothways.train`.
    workers : int
        Processes.
    threads : int
        Threads, and so cores, of each process.
    use_gpu : bool
        Whether each process needs a GPU.
    max_failures : int
        How often processes may die. The training is then continued from its last saved state, on
        nodes that are alive.

    Returns
    -------
    Run

    Raises
    ------
    ConfigError, DataError, BackendError, NonFiniteLossError, OSError
        As `bothways.train`.
    ProcessError
        If processes have died more than `max_failures` times.
    MissingDependencyError
        If Ray is not installed.

    Examples
    --------
    >>> run = train_on_ray(
    ...     "gestures.csv", out="runs/on-ray", workers=2, steps=50
    ... )  # doctest: +SKIP
    """
    require("ray", extra="ray", purpose="training on Ray")
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    if workers < 1 or threads < 1:
        name, value = ("workers", workers) if workers < 1 else ("threads", threads)
        raise ConfigError(f"{name} is {value}; expected at least 1. Correct the value.")
    request = make_request(data, recipe, options, settings)
    request = request.model_copy(update={"threads": threads, "processes": workers})
    folder = create_folder(None if out is None else Path(out), request, force)
    path = folder.path.absolute()
    storage = path.parent / f".ray-{uuid.uuid4().hex}"
    resources = {"CPU": threads} | ({"GPU": 1} if use_gpu else {})
    trainer = TorchTrainer(
        _train_here,
        train_loop_config={
            "folder": str(path),
            "data": data if isinstance(data, Dataset) else None,
            "threads": threads,
        },
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu=use_gpu, resources_per_worker=resources
        ),
        torch_config=TorchConfig(timeout_s=int(TIMEOUT.total_seconds())),
        run_config=RunConfig(
            storage_path=str(storage), failure_config=FailureConfig(max_failures=max_failures)
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        advice = "continue with bothways.resume(folder) or more max_failures"
        raise _without_layers(error, "training", advice) from None
    finally:
        # These are Ray's own files; the run folder has all of ours.
        shutil.rmtree(storage, ignore_errors=True)
        if not folder.config.exists():  # nothing has been trained
            folder.restore_replaced()
    return Run(path, RunFolder(path).read_metrics())


def score_on_ray(
    model: str | Path,
    parts: Sequence[Part],
    workers: int,
    *,
    threads: int = 1,
) -> Generator[Scored]:
    """Score parts in actors of Ray Data, each with its own model; see `score_in_processes`.

    The files, the model and the folder of the predictions must be on storage that all nodes share;
    the model may also be an address of the hub.

    Raises
    ------
    ConfigError, OSError
        As `score_part`.
    ProcessError
        If actors have died too often.
    MissingDependencyError
        If Ray is not installed.
    """
    if not parts:
        return
    ray_data = require("ray.data", extra="ray", purpose="predictions on Ray")
    _join_quietly()
    context = ray_data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    items = [{"part": pickle.dumps(part)} for part in parts]  # a column of bytes, which Arrow knows
    dataset = ray_data.from_items(items, override_num_blocks=len(parts))
    scored = dataset.map_batches(
        _Scorer,
        fn_constructor_args=(str(Path.cwd()), str(model), threads),
        batch_size=1,
        batch_format="numpy",
        num_cpus=threads,
        compute=ray_data.ActorPoolStrategy(size=min(workers, len(parts))),
    )
    try:
        for row in scored.iter_rows():
            found = pickle.loads(row["scored"])
            if isinstance(found, Exception):
                raise found
            yield found
    except Exception as error:
        advice = "predict the same files again: finished parts are kept"
        raise _without_layers(error, "predicting", advice) from None


def _join_quietly() -> None:
    """Join the cluster, if this process has not, without Ray's messages and signal handler."""
    ray = require("ray", extra="ray", purpose="predictions on Ray")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        return
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(logging_level=logging.ERROR, log_to_driver=False)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


class _Scorer:
    """Scores parts in a process of Ray."""

    def __init__(self, folder: str, model: str, threads: int) -> None:
        if Path(folder).is_dir():
            os.chdir(folder)  # relative paths are those of the process that started this
        torch.set_num_threads(threads)
        self._model = load(model)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        scored = [self._score(pickle.loads(part)) for part in batch["part"]]
        return {"scored": [pickle.dumps(one) for one in scored]}

    def _score(self, part: Part) -> Scored | BothwaysError | OSError:
        """Return an error instead of raising it, because Ray Data would keep only its text."""
        try:
            return score_part(self._model, part)
        except (BothwaysError, OSError) as error:
            return error


def _train_here(config: dict[str, Any]) -> None:
    """Train in one process of Ray, which has joined all of them, or continue after a failure."""
    torch.set_num_threads(config["threads"])
    resume(config["folder"], config["data"])


def _without_layers(error: Exception, work: str, advice: str) -> Exception:
    """Return the error that a process has raised, without those that Ray puts around it.

    If Ray itself has failed, the error says in which work, and what to do.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, BothwaysError | OSError):
            return found
        inner = getattr(found, "worker_failures", None) or {}
        found = next(iter(inner.values()), None) or found.__cause__ or getattr(found, "cause", None)
    reason = str(error).strip().partition("\n")[0]
    return ProcessError(
        f"{work} on Ray has failed: {reason}; expected all processes to run. Look at Ray's log, "
        f"and {advice}."
    )
