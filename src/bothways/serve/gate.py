"""The outermost layer of the app: who may enter, what every response has, and what never leaves."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from starlette.websockets import WebSocket

from bothways.serve.access import Token, host_name
from bothways.serve.errors import ClientGoneError, RequestError, internal_error
from bothways.serve.metrics import ServerMetrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS = [
    (name.encode(), value.encode())
    for name, value in {
        "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; object-src 'none'",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cache-control": "no-store",
    }.items()
]
_PART_BYTES = 1 << 16
_LINGER_SECONDS, _IDLE_SECONDS = 2.0, 0.2


class Gate:
    """ASGI middleware: host names, tokens, security headers, errors and metrics.

    Parameters
    ----------
    app : ASGI app
    metrics : ServerMetrics
    paths : collection of str
        Known paths, for the metrics.
    public : collection of str
        Paths that need no token.
    token : Token, optional
    hosts : frozenset of str, optional
        Allowed names in the header `Host`; default: any.
    """

    def __init__(
        self,
        app: App,
        *,
        metrics: ServerMetrics,
        paths: Collection[str],
        public: Collection[str],
        token: Token | None = None,
        hosts: frozenset[str] | None = None,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(paths)
        self._public = frozenset(public)
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; the only exceptions that leave are those of a canceled task."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        response = _Outgoing(scope, receive, send)
        begin = time.perf_counter()
        try:
            try:
                self._check(scope)
                await self._app(scope, response.receive, response.send)
            except RequestError as error:
                await error.response()(scope, response.receive, response.send)
        except ClientGoneError:
            response.status = 499  # as nginx counts them
        except Exception as error:
            failure = internal_error(error)
            if not response.status:
                await failure(scope, response.receive, response.send)
        path = scope["path"] if scope["path"] in self._paths else "other"
        self._metrics.count_request(path, response.status, time.perf_counter() - begin)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a WebSocket; one that is not accepted gets the response of a request."""
        begin, status = time.perf_counter(), 101

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)  # of a response instead
            await send(message)

        try:
            self._check(scope)
            _check_origin(dict(scope["headers"]))
            await self._app(scope, receive, watched)
        except RequestError as error:
            await WebSocket(scope, receive, watched).send_denial_response(error.response())
        except Exception as error:
            status = internal_error(error).status_code
        path = scope["path"] if scope["path"] in self._paths else "other"
        self._metrics.count_request(path, status, time.perf_counter() - begin)

    def _check(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        if self._hosts is not None and host_name(headers.get(b"host", b"")) not in self._hosts:
            raise RequestError(
                421,
                "the header Host names another server; expected "
                f"{' or '.join(sorted(self._hosts))}. Use one of these names.",
            )
        if self._token is None or scope["path"] in self._public:
            return
        if not self._token.is_in(headers.get(b"authorization", b"")):
            raise RequestError(
                401,
                "the token is missing or wrong; expected the header 'Authorization: Bearer TOKEN'. "
                "Ask who runs this server for its token.",
                {"WWW-Authenticate": "Bearer"},
            )


def _check_origin(headers: dict[bytes, bytes]) -> None:
    """Raise RequestError if a browser connects for a page of another server.

    Browsers let every page open WebSockets to any server; the header `Origin` names the page.
    """
    origin, host = headers.get(b"origin"), headers.get(b"host", b"")
    if origin is not None and origin.partition(b"://")[2].lower() != host.lower():
        raise RequestError(
            403,
            "the header Origin names a page of another server; expected one of this server, or no "
            "Origin. Connect from a program.",
        )


class _Outgoing:
    """A response with security headers, sent as fast as the client reads it.

    If the app answers before it has received the whole body, the rest is received and dropped for
    a short time, and the connection is closed: a client that is still sending would otherwise lose
    the response.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.status = 0
        self._receive, self._send = receive, send
        headers = dict(scope["headers"])
        self._has_body = b"transfer-encoding" in headers or (
            headers.get(b"content-length", b"0") != b"0"
        )

    async def receive(self) -> Message:
        """Receive, and notice the end of the body."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._has_body = False
        return message

    async def send(self, message: Message) -> None:
        """Send; large bodies in parts, each when the client has read most of the one before."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", []), *_HEADERS]
            if self._has_body:
                headers.append((b"connection", b"close"))
            await self._send({**message, "headers": headers})
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        last = max(0, len(body) - 1) // _PART_BYTES * _PART_BYTES
        for first in range(0, last, _PART_BYTES):
            part = body[first : first + _PART_BYTES]
            await self._send({**message, "body": part, "more_body": True})
        if self._has_body and not more:
            await self._send({**message, "body": body[last:], "more_body": True})
            await self._drop_body()
            await self._send({**message, "body": b"", "more_body": False})
        else:
            await self._send({**message, "body": body[last:], "more_body": more})

    async def _drop_body(self) -> None:
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while self._has_body:
                    async with asyncio.timeout(_IDLE_SECONDS):
                        await self.receive()
        except TimeoutError:
            pass
