"""Batches of concurrent requests: the model runs once on the sequences that wait."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from bothways.serve.rows import Floats, Probabilities

BATCH_SEQUENCES = 128
"""Sequences that are run together, so that no request waits long for those of another one."""

AT_ONCE_WORK = 1 << 28
"""Multiply-adds of a batch that runs in the event loop, about 5 ms. Another thread would have to
wait for Python's lock after each operator: up to 100 ms in all if the event loop is busy."""


class Model(Protocol):
    """What runs on the batches: a `RowwiseModel`."""

    def probabilities(self, arrays: Sequence[Floats]) -> list[Probabilities]:
        """Return one array for each array."""
        ...

    def multiply_adds(self, lengths: Sequence[int]) -> int:
        """Return the amount of work."""
        ...


@dataclass(eq=False)
class _Job:
    """A request: its sequences, and the answers so far."""

    arrays: Sequence[Floats]
    future: asyncio.Future[list[Probabilities]]
    taken: int = 0
    answers: list[Probabilities] = field(default_factory=list)


_Batch = list[tuple[_Job, Sequence[Floats]]]


class Batcher:
    """Run a model on the sequences of concurrent requests, as few times as possible.

    A batch contains the sequences that wait when the model becomes idle, a part of each request in
    turn: a large request does not delay small ones. Large batches run in a thread, so that the
    event loop goes on.

    Parameters
    ----------
    model : Model
    batch_steps : int
        Time steps after which no further sequence is added to a batch, at least 1.
    on_batch : callable
        Called with the number of sequences and of steps before each batch.
    """

    def __init__(
        self, model: Model, batch_steps: int, on_batch: Callable[[int, int], None]
    ) -> None:
        self._model = model
        self._batch_steps = batch_steps
        self._on_batch = on_batch
        self._waiting: deque[_Job] = deque()
        self._is_busy = False
        self._idle = asyncio.Event()
        self._stopping = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bothways-model")

    @property
    def is_running(self) -> bool:
        """Whether requests are answered."""
        return not self._stopping

    @property
    def num_waiting(self) -> int:
        """Number of requests with sequences that no batch has taken yet."""
        return len(self._waiting)

    async def stop(self) -> None:
        """Answer what waits, then stop."""
        self._stopping = True
        if self._is_busy:
            await self._idle.wait()
        self._thread.shutdown()

    def submit(self, arrays: Sequence[Floats]) -> asyncio.Future[list[Probabilities]]:
        """Return the future answers to the sequences of a request; cancel it to give up."""
        loop = asyncio.get_running_loop()
        job = _Job(arrays, loop.create_future())
        self._waiting.append(job)
        if not self._is_busy:
            self._is_busy = True
            self._idle.clear()
            loop.call_soon(self._run_next)  # after the requests that have arrived at the same time
        return job.future

    def _run_next(self) -> None:
        """Run the next batch, if anything waits."""
        batch = self._take()
        if not batch:
            self._is_busy = False
            self._idle.set()
            return
        arrays = [array for _, some in batch for array in some]
        lengths = list(map(len, arrays))
        self._on_batch(len(lengths), sum(lengths))
        if self._model.multiply_adds(lengths) > AT_ONCE_WORK:
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._thread, self._model.probabilities, arrays)
            running.add_done_callback(lambda done: self._finish(batch, done.result))
        else:
            self._finish(batch, lambda: self._model.probabilities(arrays))

    def _take(self) -> _Batch:
        """Return the jobs of the next batch with some of their sequences."""
        taken: _Batch = []
        unfinished = []
        sequences, steps = BATCH_SEQUENCES, self._batch_steps
        while self._waiting and sequences > 0 and steps > 0:
            job = self._waiting.popleft()
            if job.future.done():  # canceled, or failed in an earlier batch
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

    def _finish(self, batch: _Batch, result: Callable[[], list[Probabilities]]) -> None:
        """Give the answers of a batch, or its error, to its jobs; then run the next batch."""
        try:
            answers = iter(result())
        except Exception as error:  # only the requests of this batch fail
            for job, _ in batch:
                if not job.future.done():
                    job.future.set_exception(error)
        else:
            for job, some in batch:
                job.answers += [next(answers) for _ in some]
                if len(job.answers) == len(job.arrays) and not job.future.done():
                    job.future.set_result(job.answers)
        asyncio.get_running_loop().call_soon(self._run_next)
