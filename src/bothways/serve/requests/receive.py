"""Bodies of requests, received within limits of size, time and memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bothways.serve.errors import ClientGoneError, RequestError, busy
from bothways.serve.limits import Limits

Receive = Callable[[], Awaitable[Any]]


class HeldMemory:
    """The bodies and arrays of all requests in progress.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.requests = 0
        self.held_bytes = 0

    def admit(self) -> "Holding":
        """Return what a new request holds: nothing yet.

        Raises
        ------
        RequestError
            429 if there are too many requests.
        """
        if self.requests >= self._limits.queue:
            raise busy(f"{self.requests} requests are in progress")
        return Holding(self, self._limits.held_bytes)


class Holding:
    """The memory of one request, as a context that releases it.

    Parameters
    ----------
    memory : HeldMemory
    limit_bytes : int
        For all requests together.
    """

    def __init__(self, memory: HeldMemory, limit_bytes: int) -> None:
        self._memory = memory
        self._limit_bytes = limit_bytes
        self._own_bytes = 0

    def __enter__(self) -> "Holding":
        self._memory.requests += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Count this request and its memory no longer."""
        self._memory.requests -= 1
        self._memory.held_bytes -= self._own_bytes

    def set(self, size_bytes: int) -> None:
        """Replace the size of what this request holds.

        Raises
        ------
        RequestError
            429 if all requests together would hold too much.
        """
        total = self._memory.held_bytes + size_bytes - self._own_bytes
        if total > self._limit_bytes:
            raise busy(f"the requests in progress take {self._memory.held_bytes:,} bytes")
        self._memory.held_bytes = total
        self._own_bytes = size_bytes


async def read_body(headers: Any, receive: Receive, limits: Limits, holding: Holding) -> bytes:
    """Return the body of a request.

    Parameters
    ----------
    headers : mapping of str
    receive : callable
        Of ASGI.
    limits : Limits
    holding : Holding
        Counts the bytes while they arrive, whatever `Content-Length` says.

    Raises
    ------
    RequestError
        408 if the client is slow, 413 if the body is too large, 415 if it is compressed, 429 if
        all bodies together are too large.
    ClientGoneError
        If the client closes the connection.
    """
    coding = headers.get("content-encoding", "identity")
    if coding != "identity":
        raise RequestError(
            415,
            f"Content-Encoding is {coding[:100]!r}; expected none. Send the body uncompressed, or "
            "a compressed .npz file.",
        )
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limits.body_bytes:
        raise _too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.client_seconds):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > limits.body_bytes:
                    raise _too_large(limits)
                holding.set(len(body))
    except TimeoutError:
        raise RequestError(
            408,
            f"the body did not arrive within {limits.client_seconds:g} s; expected all of it. "
            "Send a smaller body, or use a faster connection.",
        ) from None
    return bytes(body)


def _too_large(limits: Limits) -> RequestError:
    return RequestError(
        413,
        f"the body is too large; expected at most {limits.body_bytes:,} bytes. Divide it into "
        "several requests.",
    )
