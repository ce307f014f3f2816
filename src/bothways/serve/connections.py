"""Connections that slow or broken clients cannot keep open.

uvicorn itself waits without end for the headers of a request, and for a client that does not read
its answer; and its parser keeps headers of any size.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEADER_BYTES = 1 << 16
_FRAMING = 16
"""Bytes of framing that may come with each byte of a body, which may arrive in small chunks."""


class BoundedConnection(HttpToolsProtocol):
    """A connection that is closed if its client is too slow, or sends endless headers.

    `client_seconds` is set by `bounded_by`.
    """

    client_seconds: float

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._headers_due: asyncio.TimerHandle | None = None
        self._reading_due: asyncio.TimerHandle | None = None
        self._received_bytes = 0  # since the request began
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect headers."""
        super().connection_made(transport)
        self._headers_due = self._after(self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._headers_due = _stop(self._headers_due)
        self._reading_due = _stop(self._reading_due)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Close the connection if a request has too much that is not its body."""
        self._received_bytes += len(data)
        super().data_received(data)
        if self._received_bytes > _HEADER_BYTES + _FRAMING * self._body_bytes:
            self.transport.abort()
        elif self.cycle is not None and not self.cycle.response_complete:
            self._headers_due = _stop(self._headers_due)
        elif self._headers_due is None:
            self._headers_due = self._after(self.transport.abort)

    def on_message_begin(self) -> None:
        """Count the bytes of the next request."""
        self._received_bytes = self._body_bytes = 0
        super().on_message_begin()

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
        self._reading_due = _stop(self._reading_due)
        super().resume_writing()

    def _expect_reading(self) -> None:
        """Close the connection if the client reads nothing for some time."""
        _stop(self._reading_due)
        left_bytes = self.transport.get_write_buffer_size()

        def check() -> None:
            self._reading_due = None
            if left_bytes and self.transport.get_write_buffer_size() >= left_bytes:
                self.transport.abort()
            elif self.transport.get_write_buffer_size():
                self._expect_reading()

        self._reading_due = self._after(check)

    def _after(self, call: Any) -> asyncio.TimerHandle:
        return self.loop.call_later(self.client_seconds, call)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def bounded_by(client_seconds: float) -> type[BoundedConnection]:
    """Return the protocol with a limit.

    Parameters
    ----------
    client_seconds : float
        Time for the headers of a request, and for reading each part of an answer.
    """
    limited = type("LimitedConnection", (BoundedConnection,), {"client_seconds": client_seconds})
    return cast(type[BoundedConnection], limited)
