"""Score parts in several processes of this machine, each with its own model."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from bothways.errors import ProcessError
from bothways.models.loading import load
from bothways.models.scoring.parts import Part
from bothways.models.scoring.score import Scored, score_part
from bothways.models.trained_model import TrainedModel

_model: TrainedModel | None = None  # of a worker process


def score_in_processes(
    model: str | Path, parts: Sequence[Part], workers: int, *, threads: int
) -> Generator[Scored]:
    """Score parts in `workers` processes, and yield each when its file is complete.

    The processes end when the iterator is closed or when this process dies, in any way. Ctrl-C
    interrupts this process only.

    Parameters
    ----------
    model : str or Path
        Where each process loads the model from.
    parts : sequence of Part
    workers : int
    threads : int
        Threads of each process.

    Raises
    ------
    ConfigError, OSError
        As `score_part`.
    ProcessError
        If a process dies, for example because the memory is exhausted.
    """
    context = multiprocessing.get_context("spawn")
    count = max(1, min(workers, len(parts)))
    waits, lives = context.Pipe(duplex=False)  # only this process has the second end
    pool = ProcessPoolExecutor(
        count, mp_context=context, initializer=_start, initargs=(str(model), threads, waits)
    )
    try:
        with _uninterrupted():
            waiting = [pool.submit(_score, part) for part in parts]
        for done in as_completed(waiting):
            yield done.result()
    except BrokenProcessPool:
        raise ProcessError(
            "a process that predicts has died, perhaps because the memory is exhausted; "
            "expected it to finish. Run the same command again, with fewer --workers."
        ) from None
    finally:
        lives.close()
        pool.shutdown(cancel_futures=True)
        waits.close()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until processes have started, which themselves never get Ctrl-C.

    A process whose start is interrupted prints a traceback.
    """
    if threading.current_thread() is not threading.main_thread():  # which gets all signals
        yield
        return
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with _blocked_ctrl_c():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for one in received:
        signal.raise_signal(one)


@contextmanager
def _blocked_ctrl_c() -> Iterator[None]:
    """Block Ctrl-C in this thread and, for ever, in the processes that it starts."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(model: str, threads: int, waits: Connection) -> None:
    global _model
    threading.Thread(target=_end_with_parent, args=[waits], daemon=True).start()
    torch.set_num_threads(threads)
    _model = load(model)


def _end_with_parent(waits: Connection) -> None:
    """End this process when the other end of the pipe is closed, which nothing is written to."""
    waits.poll(None)
    os._exit(1)


def _score(part: Part) -> Scored:
    assert _model is not None  # _start has loaded it
    return score_part(_model, part)
