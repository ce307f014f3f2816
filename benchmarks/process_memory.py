"""The time of a command, and the memory of all its processes."""

import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

INTERVAL_SECONDS = 1.0  # reading the memory of Ray's 20 processes takes 0.04 s
PROC = Path("/proc")


class Measured(NamedTuple):
    """A command that has ended.

    Parameters
    ----------
    seconds : float
    peak_bytes : int
        The largest sample of `memory_of_tree`.
    """

    seconds: float
    peak_bytes: int


def measure_command(command: Sequence[str], environment: Mapping[str, str]) -> Measured:
    """Run a command without its output, and sample its memory every second.

    Raises
    ------
    SystemExit
        If it fails, with what it has printed.
    """
    peak = 0
    started = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while True:
            try:
                printed, _ = process.communicate(timeout=INTERVAL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, memory_of_tree(process.pid))
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} has failed: {printed}")
    return Measured(seconds, peak)


def memory_of_tree(root: int) -> int:
    """Return the bytes of memory of a process and its descendants, on Linux.

    It is the sum of the proportional set sizes: a page that several processes share is counted
    once.
    """
    children = defaultdict(list)
    for stat in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # the process has ended
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children[parent].append(int(stat.parent.name))
    found, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        waiting += children[process]
        with suppress(OSError):
            lines = (PROC / str(process) / "smaps_rollup").read_text().splitlines()
            found += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found
