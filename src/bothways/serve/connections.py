"""Connections that slow or broken clients cannot keep open.

uvicorn itself waits without end for the headers of a request, and for a client that does not read
its answer; and its parser keeps headers of any size.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEADER_BYTES = 1 << 16
_FRAMING = 16
"""Bytes of framing that may come with each byte of a body, which may arrive in small chunks."""


class _Timer:
    """Calls a function some time after it was started, unless it is stopped before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        return self._handle is not None

    def start(self, function: Callable[[], None]) -> None:
        self.stop()
        self._handle = self._loop.call_later(self._seconds, function)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class BoundedConnection(HttpToolsProtocol):
    """A connection that is closed if its client is too slow, or sends endless headers.

    `client_seconds` is set by `bounded_by`.
    """

    client_seconds: float

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._headers_timer = _Timer(self.loop, self.client_seconds)
        self._reading_timer = _Timer(self.loop, self.client_seconds)
        self._in_headers = self._is_upgraded = False
        self._received_bytes = 0  # since the request began
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect headers."""
        super().connection_made(transport)
        self._headers_timer.start(self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._headers_timer.stop()
        self._reading_timer.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Close the connection if a request has too much that is not its body."""
        self._received_bytes += len(data)
        super().data_received(data)
        if self._is_upgraded:
            return
        if self._received_bytes > _HEADER_BYTES + _FRAMING * self._body_bytes:
            self.transport.abort()
        elif self._in_headers or self.cycle is None or self.cycle.response_complete:
            if not self._headers_timer.is_running:
                self._headers_timer.start(self.transport.abort)
        else:
            self._headers_timer.stop()

    def handle_websocket_upgrade(self) -> None:
        """Pass the connection on; another protocol reads it from now on."""
        self._is_upgraded = True
        self._headers_timer.stop()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """Count the bytes of the next request."""
        self._in_headers = True
        self._received_bytes = self._body_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the headers are complete."""
        self._in_headers = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the bytes of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Expect that the client reads the rest of the answer."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._expect_reading()

    def pause_writing(self) -> None:
        """Expect that the client reads."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        self._reading_timer.stop()
        super().resume_writing()

    def _expect_reading(self) -> None:
        """Close the connection if the client reads nothing for some time."""
        left_bytes = self.transport.get_write_buffer_size()

        def check() -> None:
            now_bytes = self.transport.get_write_buffer_size()
            if 0 < left_bytes <= now_bytes:
                self.transport.abort()
            elif now_bytes:
                self._expect_reading()

        self._reading_timer.start(check)


def bounded_by(client_seconds: float) -> type[BoundedConnection]:
    """Return the protocol with a limit.

    Parameters
    ----------
    client_seconds : float
        Time for the headers of a request, and for reading each part of an answer.
    """
    limited = type("LimitedConnection", (BoundedConnection,), {"client_seconds": client_seconds})
    return cast(type[BoundedConnection], limited)
