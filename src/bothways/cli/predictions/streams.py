"""The standard streams of a program that answers lines until it is stopped by a signal."""

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, TextIO

from bothways.cli.signals import on_signal
from bothways.errors import ConfigError

_READ_BYTES = 1 << 16
"""What is answered in one batch at most: as much as a pipe holds."""

_PATIENCE_SECONDS = 5.0
"""How long, after a signal, the reader of a stream may take nothing."""


class Streams:
    """Standard input and output, for whole lines of bytes, and the signals Ctrl-C and SIGTERM.

    The first signal ends the input; what has been read can still be answered. A second signal ends
    the output too, and so does a reader that takes nothing for 5 s after a signal. The output ends
    between two lines, unless its reader does not take the rest of a line.

    Raises
    ------
    ConfigError
        If standard input is closed.
    """

    def __init__(self) -> None:
        if sys.stdin is None:
            raise ConfigError(
                "standard input is closed; expected lines of records. Run: PROGRAM | bothways "
                "predict MODEL - --follow"
            )
        self._input = sys.stdin.fileno()
        self._signals = 0
        self._wake = -1

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """Count the signals until the context ends, instead of what they do otherwise."""
        self._wake, woken = os.pipe()
        os.set_blocking(woken, False)  # as signal.set_wakeup_fd needs
        before = signal.set_wakeup_fd(woken)
        try:
            with on_signal(_do_nothing):
                yield self
        finally:
            signal.set_wakeup_fd(before)
            os.close(self._wake)
            os.close(woken)

    def contents(self) -> Iterator[bytes]:
        """Yield what comes on standard input, until it ends or a signal comes."""
        while True:
            self._wait([self._input], [])
            content = b"" if self._signals else os.read(self._input, _READ_BYTES)
            if not content:
                return
            yield content

    def write(self, stream: TextIO, content: bytes) -> None:
        """Write whole lines to a standard stream.

        Raises
        ------
        KeyboardInterrupt
            If the output is ended, see `Streams`.
        """
        target, place = stream.fileno(), 0
        while place < len(content):
            is_line_start = place == 0 or content[place - 1 : place] == b"\n"
            before = self._signals
            is_ready = self._wait([], [target])
            gives_up = not is_ready and self._signals == before
            if gives_up or (is_line_start and self._signals > 1):
                raise KeyboardInterrupt
            if is_ready:
                # A pipe that is ready takes PIPE_BUF bytes at once.
                end = content.rfind(b"\n", place, place + select.PIPE_BUF) + 1
                part = content[place : end or place + select.PIPE_BUF]
                place += os.write(target, part)

    def _wait(self, reading: list[int], writing: list[int]) -> bool:
        """Return whether a stream is ready; wait for it until a signal comes, or 5 s after one."""
        seconds = _PATIENCE_SECONDS if self._signals else None
        readable, writable, _ = select.select([*reading, self._wake], writing, [], seconds)
        if self._wake in readable:
            self._signals += len(os.read(self._wake, _READ_BYTES))
            readable.remove(self._wake)
        return bool(readable or writable)


def _do_nothing(*_: Any) -> None:
    """Handle a signal, so that Python writes its number to the pipe that wakes `Streams`."""
