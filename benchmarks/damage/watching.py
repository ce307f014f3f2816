"""Run readings in a process of its own, so that a hang or a crash ends only that process."""

import multiprocessing
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

MEMORY_BYTES = 4 << 30
"""Address space that a worker may add to that of its imports; more is a MemoryError."""

PATIENCE_SECONDS = 600.0
"""A worker that sends nothing for so long hangs; other programs may keep the processor from it."""


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
    try:
        while ours.poll(PATIENCE_SECONDS):
            try:
                yield ours.recv()
            except EOFError:
                break
        else:
            yield Death(f"no answer within {PATIENCE_SECONDS:.0f} s")
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
