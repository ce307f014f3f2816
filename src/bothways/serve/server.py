"""Run the app: socket, signals, and one line for whatever uvicorn reports."""

import logging
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import uvicorn

from bothways.errors import ConfigError
from bothways.models.trained_model import TrainedModel
from bothways.serve.access import Token, allowed_hosts, check_address
from bothways.serve.app import create_app
from bothways.serve.connections import bounded_by
from bothways.serve.errors import print_line
from bothways.serve.limits import Limits
from bothways.serve.page.examples import RunExamples
from bothways.serve.rows import RowwiseModel

_KEEP_ALIVE_SECONDS = 30


def serve(
    model: TrainedModel,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: Token | None = None,
    insecure: bool = False,
    limits: Limits | None = None,
    threads: int = 1,
    examples: RunExamples | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a model until SIGTERM or SIGINT, then finish the accepted requests and return.

    Parameters
    ----------
    model : TrainedModel
    host : str
        The address to listen on.
    port : int
        0: any free port.
    token : Token, optional
    insecure : bool
        Allow an address that other machines can reach without a token.
    limits : Limits, optional
    threads : int
        Threads of torch. More help large models on cores that nothing else uses: the connections
        need one core too, and a thread that waits for a core delays the batch.
    examples : RunExamples, optional
        Sequences that the page can show.
    on_ready : callable
        Called with the URL when requests are answered.

    Raises
    ------
    ConfigError
        If other machines could use the model without a token, or the port cannot be used.

    Examples
    --------
    >>> from bothways import load
    >>> serve(load("runs/gestures"), port=8000)  # doctest: +SKIP
    """
    limits = limits or Limits()
    check_address(host, token, insecure)
    torch.set_num_threads(threads)
    with listen(host, port) as listening:
        app = create_app(model, limits, token=token, hosts=allowed_hosts(host), examples=examples)
        _warm_up(model)
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listening.getsockname()[1]}"
        with _one_line_logs():
            server_of(app, limits, lambda: on_ready(url)).run([listening])


def server_of(
    app: Any, limits: Limits, on_ready: Callable[[], None] = lambda: None
) -> uvicorn.Server:
    """Return the uvicorn server of an app; its `run` takes the listening sockets."""
    config = uvicorn.Config(
        app,
        http=bounded_by(limits.client_seconds),
        loop="asyncio",
        ws="websockets-sansio",
        ws_max_size=limits.body_bytes,
        ws_per_message_deflate=False,  # a small message could become a large one
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(limits.seconds + limits.client_seconds),
    )
    return _Server(config, on_ready)


class _Server(uvicorn.Server):
    """A server that returns after a signal, and says when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on signals, without raising them again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _OneLine(logging.Handler):
    """Print errors without their traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith("ASGI callable returned without completing handshake"):
            return  # what uvicorn says of each WebSocket that is refused
        if record.exc_info and record.exc_info[0] is not None:
            message += f": {record.exc_info[0].__name__}: {record.exc_info[1]}"
        print_line(message)


@contextmanager
def _one_line_logs() -> Iterator[None]:
    handler = _OneLine(logging.ERROR)
    loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "asyncio")]
    before: list[tuple[int, bool, list[Any]]] = []
    for logger in loggers:
        before.append((logger.level, logger.propagate, logger.handlers))
        logger.level, logger.propagate, logger.handlers = logging.ERROR, False, [handler]
    try:
        yield
    finally:
        for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
            logger.level, logger.propagate, logger.handlers = level, propagate, handlers


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises
    ------
    ConfigError
        If the address is not one of this machine, or the port cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Without its protocol, asyncio would leave Nagle's algorithm on: 40 ms for some answers.
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"host is {host!r}: {getattr(error, 'strerror', error)}; expected an address of this "
            "machine. Try --host 127.0.0.1"
        ) from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"port {port} of {host} cannot be used: {error.strerror}; expected a free one. Choose "
            "another with --port, or --port 0 for any."
        ) from None
    return listening


def _warm_up(model: TrainedModel) -> None:
    """Compile the engine before the first request."""
    example = np.zeros((1, model.manifest.model.input_size), dtype=np.float32)
    RowwiseModel(model.classifier).probabilities([example])
