"""Answer the records of many sequences that come over a WebSocket."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from fastapi import WebSocket
from pydantic_core import to_json
from starlette.websockets import WebSocketDisconnect

from bothways.errors import ConfigError, DataError
from bothways.models.following import Follower, Record, RecordLines, truth
from bothways.models.streaming import RunningModel, Stream
from bothways.models.trained_model import TrainedModel
from bothways.serve.errors import RequestError, error_content, internal_error
from bothways.serve.limits import Limits
from bothways.serve.metrics import ServerMetrics
from bothways.serve.requests.receive import HeldMemory, Holding

_IDLE, _TOO_LARGE, _FAILED, _BUSY = 1001, 1009, 1011, 1013
"""Codes of RFC 6455, section 7.4.1, and of its registry, with which connections are closed."""


class StreamService:
    """Answers records; each connection has its own sequences.

    One thread runs the model for all connections, so that none delays the server.

    Parameters
    ----------
    model : TrainedModel
    limits : Limits
    memory : HeldMemory
        Of all requests; a connection is one of them.
    metrics : ServerMetrics
    """

    def __init__(
        self, model: TrainedModel, limits: Limits, memory: HeldMemory, metrics: ServerMetrics
    ) -> None:
        self._trained = model
        self._limits = limits
        self._memory = memory
        self._metrics = metrics
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="bothways-stream")

    def stop(self) -> None:
        """Finish what runs."""
        self._worker.shutdown()

    async def answer(self, socket: WebSocket) -> None:
        """Accept a connection, and answer its messages until it is closed."""
        try:
            with self._memory.admit() as holding:
                segments = _wants_segments(socket.query_params.get("segments", "false"))
                conversation = _Conversation(self._opened(segments), self._metrics)
                await socket.accept()
                await self._converse(socket, conversation, holding)
        except RequestError as error:  # before the connection is accepted
            await socket.send_denial_response(error.response())
        except WebSocketDisconnect:
            pass

    @cached_property
    def _model(self) -> RunningModel:
        # The range of the training data only serves warnings, which no client would see.
        manifest = self._trained.manifest
        reading = manifest.preprocessing.model_copy(update={"training_range": None})
        unwarned = manifest.model_copy(update={"preprocessing": reading})
        return RunningModel(self._trained.classifier, unwarned)

    def _opened(self, segments: bool) -> Follower:
        """Return what answers a new connection.

        Raises
        ------
        RequestError
            422 if the model cannot answer before the end of a sequence, or not in this way.
        """
        try:
            return Follower(
                Stream(self._model), segments=segments, most_sequences=self._limits.sequences
            )
        except ConfigError as error:
            raise RequestError(422, str(error)) from None

    async def _converse(
        self, socket: WebSocket, conversation: "_Conversation", holding: Holding
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(self._limits.idle_seconds):
                    message = await socket.receive()
            except TimeoutError:
                problem = (
                    f"nothing came for {self._limits.idle_seconds:g} s; expected records. Connect "
                    "again."
                )
                await self._close(socket, _IDLE, 408, problem)
                return
            if message["type"] == "websocket.disconnect":
                return
            content = message.get("bytes") or (message.get("text") or "").encode()
            if len(content) > self._limits.body_bytes:
                problem = (
                    f"the message is too large; expected at most {self._limits.body_bytes:,} "
                    "bytes. Divide it into several ones."
                )
                await self._close(socket, _TOO_LARGE, 413, problem)
                return
            try:
                found = await loop.run_in_executor(self._worker, conversation.answers, content)
                holding.set(conversation.state_bytes)
            except RequestError as error:
                await self._close(socket, _BUSY, error.status, str(error))
                return
            except Exception as error:
                internal_error(error)
                await self._close(socket, _FAILED, 500, "the server failed to answer. Report this.")
                return
            if not await self._send(socket, found):
                return

    async def _send(self, socket: WebSocket, contents: list[bytes]) -> bool:
        """Send messages; return whether the client reads them."""
        for content in contents:
            try:
                async with asyncio.timeout(self._limits.client_seconds):
                    await socket.send_text(content.decode())
            except TimeoutError:
                return False
        return True

    async def _close(self, socket: WebSocket, code: int, status: int, problem: str) -> None:
        if await self._send(socket, [error_content(status, problem)]):
            await socket.close(code)


class _Conversation:
    """The sequences of one connection, and the texts that come and go."""

    def __init__(self, follower: Follower, metrics: ServerMetrics) -> None:
        self._follower = follower
        self._metrics = metrics
        self._lines = RecordLines(follower.manifest)

    @property
    def state_bytes(self) -> int:
        """Memory of the states."""
        return self._follower.state_bytes

    def answers(self, content: bytes) -> list[bytes]:
        """Return the messages that answer the records in a message, one or more lines."""
        lines = self._lines.records(content + b"\n")
        found = self._follower.answers(lines)
        records = [line for line in lines if isinstance(line, Record)]
        if records:
            self._metrics.count_batch(len({record.sequence for record in records}), len(records))
        return [
            error_content(422, str(answer)) if isinstance(answer, DataError) else to_json(answer)
            for answer in found
        ]


def _wants_segments(text: str) -> bool:
    """Return the value of the parameter `segments`.

    Raises
    ------
    RequestError
        422 if it is neither true nor false.
    """
    if (found := truth(text)) is None:
        raise RequestError(422, f"segments is {text[:40]!r}; expected true or false. Correct it.")
    return found
