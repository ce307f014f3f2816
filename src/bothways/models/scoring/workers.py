"""Score parts in several processes of this machine, each with its own model."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from bothways.errors import ProcessError
from bothways.models.scoring.parts import Part
from bothways.models.scoring.score import Scored, score_part
from bothways.models.trained import TrainedModel, load

_model: TrainedModel | None = None  # of a worker process


def score_in_processes(
    model: str | Path, parts: Sequence[Part], workers: int, *, threads: int, aggregate: bool = False
) -> Iterator[Scored]:
    """Score parts in `workers` processes, and yield each when its file is complete.

    Parameters
    ----------
    model : str or Path
        Where each process loads the model from.
    parts : sequence of Part
    workers : int
    threads : int
        Threads of each process.
    aggregate : bool
        As in `predict_files`.

    Raises
    ------
    ConfigError, DataError, OSError
        Those of the first part that fails; other parts that are being scored are finished.
    ProcessError
        If a process dies, for example because the memory is exhausted.
    """
    context = multiprocessing.get_context("spawn")
    count = max(1, min(workers, len(parts)))
    pool = ProcessPoolExecutor(
        count, mp_context=context, initializer=_start, initargs=(str(model), threads)
    )
    with pool:
        waiting = [pool.submit(_score, part, aggregate) for part in parts]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BrokenProcessPool:
            raise ProcessError(
                "a process that predicts has died, perhaps because the memory is exhausted; "
                "expected it to finish. Run the same command again, with fewer --workers."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _start(model: str, threads: int) -> None:
    global _model
    torch.set_num_threads(threads)
    _model = load(model)


def _score(part: Part, aggregate: bool) -> Scored:
    assert _model is not None  # _start has loaded it
    return score_part(_model, part, aggregate=aggregate)
