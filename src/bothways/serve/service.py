"""Answer prediction requests within the limits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request, Response

from bothways.evaluation.evaluate import batch_steps
from bothways.models.trained_model import TrainedModel
from bothways.serve.answers import predictions
from bothways.serve.batching import Batcher
from bothways.serve.errors import ClientGoneError, busy
from bothways.serve.limits import Limits
from bothways.serve.metrics import ServerMetrics
from bothways.serve.page.examples import RunExamples
from bothways.serve.page.playing import check_playable, played
from bothways.serve.requests.forms import RequestForm
from bothways.serve.requests.read import JSON, reader_of
from bothways.serve.requests.receive import HeldMemory, Holding, Receive, read_body
from bothways.serve.rows import Floats, RowwiseModel
from bothways.serve.streaming import StreamService

T = TypeVar("T")

_AT_ONCE_BYTES = 1 << 16  # larger bodies and answers are converted in a thread
_WATCH_SECONDS = 0.1  # after this time, a waiting request notices that its client has gone


class PredictionService:
    """Answers prediction requests within the limits, from their bodies to their responses.

    Parameters
    ----------
    model : TrainedModel
    limits : Limits
    """

    def __init__(self, model: TrainedModel, limits: Limits) -> None:
        self._limits = limits
        self.manifest = model.manifest
        self.form = RequestForm(model.manifest, limits)
        self._memory = HeldMemory(limits)
        self.metrics = ServerMetrics(
            lambda: self.batcher.num_waiting, lambda: self._memory.held_bytes
        )
        rowwise = RowwiseModel(model.classifier)
        steps = batch_steps(model.manifest.model)
        self.batcher = Batcher(rowwise, steps, self.metrics.count_batch)
        self.streams = StreamService(model, limits, self._memory, self.metrics)
        self._model = model
        self._options = model.manifest.preprocessing.reading.for_use()
        self._converter = ThreadPoolExecutor(1, thread_name_prefix="bothways-convert")
        self._player = ThreadPoolExecutor(1, thread_name_prefix="bothways-playback")

    @asynccontextmanager
    async def running(self, app: Any) -> AsyncIterator[None]:
        """At the end, answer what has been accepted."""
        try:
            yield
        finally:
            await self.batcher.stop()
            self._converter.shutdown()
            self._player.shutdown()
            self.streams.stop()

    async def predict(self, request: Request) -> Response:
        """Return the answer to a request.

        Raises
        ------
        RequestError, ClientGoneError
            See `read_body`, `reader_of` and the functions that it returns; and 429 if the answer
            takes too long.
        """

        async def predicted(arrays: Sequence[Floats]) -> bytes:
            size_bytes = sum(array.nbytes for array in arrays)
            found = await self._wait(self.batcher.submit(arrays), request.receive)
            return await self._convert(size_bytes, predictions, self.manifest, found)

        return await self._respond(request, predicted)

    async def play(self, request: Request) -> Response:
        """Return the prediction and the playback of one sequence.

        Raises
        ------
        RequestError, ClientGoneError
            As `predict`, and see `check_playable`.
        """

        async def playback(arrays: Sequence[Floats]) -> bytes:
            check_playable(arrays)
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._player, played, self._model, arrays)
            return await self._wait(future, request.receive)

        return await self._respond(request, playback)

    async def examples(self, examples: RunExamples, request: Request) -> list[dict[str, Any]]:
        """Return examples of the data; one thread makes them, once for all requests.

        Raises
        ------
        RequestError, ClientGoneError
            429 if there are too many requests, or that takes too long; the next request may find
            them ready.
        """
        loop = asyncio.get_running_loop()
        with self._memory.admit():
            future = loop.run_in_executor(self._player, examples.get)
            return await self._wait(future, request.receive)

    async def _respond(
        self, request: Request, answer: Callable[[Sequence[Floats]], Awaitable[bytes]]
    ) -> Response:
        """Read a request within the limits, and return its answer as JSON."""
        read = reader_of(request.headers.get("content-type", ""), self.form, self._options)
        with ExitStack() as stack:
            holding = stack.enter_context(self._memory.admit())
            body = await read_body(request.headers, request.receive, self._limits, holding)
            arrays = await self._convert(len(body), read, body)
            del body
            holding.set(sum(array.nbytes for array in arrays))
            content = await answer(arrays)
            holding.set(len(content))
            stack.pop_all()
            return _HeldResponse(content, holding)

    async def _convert(self, size_bytes: int, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function; for much data, in a thread, so that other requests do not wait."""
        if size_bytes <= _AT_ONCE_BYTES:
            return function(*arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._converter, function, *arguments)

    async def _wait(self, future: asyncio.Future[T], receive: Receive) -> T:
        """Wait for the model, but not longer than the client does or the limit allows."""
        try:
            soon = min(_WATCH_SECONDS, self._limits.seconds)
            done, _ = await asyncio.wait({future}, timeout=soon)
            if not done:
                await self._wait_or_leave(future, receive, self._limits.seconds - soon)
            return future.result()
        finally:
            future.cancel()

    async def _wait_or_leave(
        self, future: asyncio.Future[Any], receive: Receive, seconds: float
    ) -> None:
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            done, _ = await asyncio.wait(
                {future, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            leaving.cancel()
        if leaving in done:
            raise ClientGoneError
        if not done:
            raise busy(f"there was no answer within {self._limits.seconds:g} s")


class _HeldResponse(Response):
    """A response whose memory counts until it is sent."""

    def __init__(self, content: bytes, holding: Holding) -> None:
        super().__init__(content, media_type=JSON)
        self._holding = holding

    async def __call__(self, *arguments: Any) -> None:
        try:
            await super().__call__(*arguments)
        finally:
            self._holding.release()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
