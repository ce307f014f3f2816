"""Ctrl-C and SIGTERM: what they end, and when."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from bothways.cli.errors import INTERRUPTED, print_problem

_PATIENCE_SECONDS = 5.0


@contextmanager
def stop_on_signal(*, announces: bool = True) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop; a second Ctrl-C stops at once.

    Parameters
    ----------
    announces : bool
        Whether to say that the request has come.
    """
    requested = False

    def request(*_: Any) -> None:
        nonlocal requested
        requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if announces:
            print_problem("stopping …", before="\n")

    with on_signal(request), _ended_by_two():
        yield lambda: requested


@contextmanager
def _ended_by_two() -> Iterator[None]:
    """End this process soon after a second Ctrl-C, even if its main thread does not react.

    That thread alone runs handlers of signals, and not while C++ waits for another process.
    """
    has_ended = threading.Event()
    signals, wakeup = socket.socketpair()
    wakeup.setblocking(False)

    def watch() -> None:
        numbers = iter(lambda: signals.recv(1), b"")  # until the other end is closed
        interrupts = (number for number in numbers if ord(number) == signal.SIGINT)
        if len(list(islice(interrupts, 2))) == 2 and not has_ended.wait(_PATIENCE_SECONDS):
            print_problem(INTERRUPTED)
            os._exit(130)

    before = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, name="two interrupts", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        has_ended.set()
        wakeup.close()
        watcher.join()
        signals.close()


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt at SIGTERM too."""
    with on_signal(signal.default_int_handler):
        yield


@contextmanager
def on_signal(handle: Callable[..., None]) -> Iterator[None]:
    """Call `handle` at Ctrl-C and SIGTERM, until the context ends."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
