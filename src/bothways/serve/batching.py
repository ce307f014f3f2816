"""Batches of concurrent requests: one thread runs the model on all sequences that wait."""

import threading
from asyncio import AbstractEventLoop, Future, get_running_loop
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bothways.evaluation.evaluate import BATCH_STEPS
from bothways.serve.rows import Floats, Probabilities

BATCH_SEQUENCES = 128
"""Sequences that are run together, so that no request waits long for those of another one."""

Model = Callable[[Sequence[Floats]], list[Probabilities]]


@dataclass(eq=False)
class _Job:
    """A request: its sequences, and the answers so far."""

    arrays: Sequence[Floats]
    loop: AbstractEventLoop
    future: Future[list[Probabilities]]
    taken: int = 0
    answers: list[Probabilities] = field(default_factory=list)


class Batcher:
    """Run a model on the sequences of concurrent requests, as few times as possible.

    A batch contains the sequences that wait when the thread becomes idle, a part of each request in
    turn: a large request does not delay small ones.

    Parameters
    ----------
    model : callable
        Returns one array for each of its arrays; runs in a thread of its own.
    on_batch : callable
        Called in that thread with the number of sequences and of steps before each batch.
    """

    def __init__(self, model: Model, on_batch: Callable[[int, int], None]) -> None:
        self._model = model
        self._on_batch = on_batch
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="bothways-model", daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive() and not self._stopping

    @property
    def num_waiting(self) -> int:
        """Number of requests with sequences that no batch has taken yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what waits, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def submit(self, arrays: Sequence[Floats]) -> Future[list[Probabilities]]:
        """Return the future answers to the sequences of a request; cancel it to give up."""
        loop = get_running_loop()
        job = _Job(arrays, loop, loop.create_future())
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._stopping:
                    self._changed.wait()
                if not self._waiting:
                    return
                taken = self._take()
            if taken:
                self._answer(taken)

    def _take(self) -> list[tuple[_Job, Sequence[Floats]]]:
        """Return the jobs of the next batch with some of their sequences."""
        taken = []
        sequences, steps = BATCH_SEQUENCES, BATCH_STEPS
        unfinished = []
        while self._waiting and sequences > 0 and steps > 0:
            job = self._waiting.popleft()
            if job.future.cancelled():
                continue
            first = job.taken
            while job.taken < len(job.arrays) and sequences > 0 and steps > 0:
                sequences -= 1
                steps -= len(job.arrays[job.taken])
                job.taken += 1
            taken.append((job, job.arrays[first : job.taken]))
            if job.taken < len(job.arrays):
                unfinished.append(job)
        self._waiting.extend(unfinished)
        return taken

    def _answer(self, taken: list[tuple[_Job, Sequence[Floats]]]) -> None:
        arrays = [array for _, some in taken for array in some]
        try:
            self._on_batch(len(arrays), sum(map(len, arrays)))
            answers = iter(self._model(arrays))
        except Exception as error:  # the requests of this batch fail, and the thread goes on
            for job, _ in taken:
                job.taken = len(job.arrays)
                _call(job.loop, _fail, job.future, error)
            with self._changed:
                failed = {job for job, _ in taken}
                self._waiting = deque(job for job in self._waiting if job not in failed)
            return
        done = []
        for job, some in taken:
            job.answers += [next(answers) for _ in some]
            if len(job.answers) == len(job.arrays):
                done.append(job)
        if done:
            _call(done[0].loop, _finish, done)


def _finish(jobs: list[_Job]) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_result(job.answers)


def _fail(future: Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _call(loop: AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, *arguments)
