"""Run readings in a process of its own, so that a hang or a crash ends only that process."""

import multiprocessing
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from damage.judging import SECONDS

MEMORY_BYTES = 4 << 30
"""Address space that a worker may add to that of its imports; more is a MemoryError."""


@dataclass(frozen=True)
class Death:
    """The end of a worker that did not end by itself."""

    reason: str


Work = Callable[..., None]
"""Called with a connection, to which it sends its results, and the arguments of `watched`."""


def watched(work: Work, *arguments: Any) -> Iterator[Any]:
    """Yield what a worker sends and, if it hangs or crashes, a `Death` at the end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_limited, args=(work, theirs, *arguments))
    process.start()
    theirs.close()
    wait_seconds = 120.0  # imports, and the training of a model
    try:
        while ours.poll(wait_seconds):
            try:
                yield ours.recv()
            except EOFError:
                break
            wait_seconds = 5 * SECONDS
        else:
            yield Death(f"no answer within {wait_seconds:.0f} s")
            return
        process.join()
        if process.exitcode:
            yield Death(f"the process ended with exit code {process.exitcode}")
    finally:
        process.kill()
        process.join()
        ours.close()


def _limited(work: Work, connection: Connection, *arguments: Any) -> None:
    torch.set_num_threads(1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    work(connection, *arguments)
