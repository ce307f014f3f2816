"""Kill trainings at random moments, resume them, and compare with uninterrupted ones.

    python benchmarks/kills.py               # 1,000 kills, about half an hour
    python benchmarks/kills.py --count 40
    python benchmarks/kills.py --count 250 --kind "two processes"    # measure this kind again
    python benchmarks/kills.py --report      # write the page from the record

Each run is started by the command, killed with SIGKILL after a random time, resumed, perhaps killed
again, and so on until it is finished. Then, its files are compared with those of a run that nothing
interrupted. The kinds of runs take turns. Of several processes that train together, a random one is
killed; the others end by themselves, or are ended as torchrun would. The processes are forked from
one that has imported torch, because that takes longer than the trainings.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from damage.page import RESUME, ROBUSTNESS, write_marked
from machine import describe_machine

from bothways.storage.tensors import load_tensors
from bothways.training.history import read_history

RECORD = Path(__file__).parent / "records" / "kills.json"
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "torch._dynamo",  # imported by the first optimizer
        "bothways.cli.main",
        "bothways.cli.print_data",
        "bothways.cli.print_metrics",
        "bothways.kernels.compiled",
        "bothways.training.run",
    ]
)
SETTINGS = {
    "hidden_size": 8,
    "num_layers": 1,
    "stem_channels": 8,
    "dropout": 0.2,
    "average_decay": 0.9,
    "normalization": "dataset",
    "augment_time_warp": 0.2,
    "validation_fraction": 0.25,
    "epochs": 4,
    "batch_size": 16,
    "log_every": 1,
    "checkpoint_every": 1,
}
MOMENTS = (
    "before the folder",
    "reading data",
    "starting",
    "training",
    "writing a file",
    "evaluating",
    "after the metrics",
)
"""What a process does, in this order."""

PATIENCE = 5.0
"""Seconds after which the other processes of a killed one are ended."""

LATER, EARLIER = 1.05, 0.8
"""Factors of the longest time until a kill, after a process was killed and after one was too fast.

So a training is killed four or five times, also if other programs slow it down.
"""


@dataclass(frozen=True)
class Kind:
    """A kind of training.

    Parameters
    ----------
    count, steps : int
        Sequences, and their most steps.
    ragged : bool
        Whether the sequences have different lengths.
    target : sequence or step
        What has a label.
    options : tuple of str
        More options of the command.
    processes : int
        That train together, with the environment of torchrun.
    """

    count: int = 96
    steps: int = 12
    ragged: bool = False
    target: str = "sequence"
    options: tuple[str, ...] = ()
    processes: int = 1

    def write(self, path: Path) -> None:
        """Write the data: three features, of which the largest tells the class."""
        rng = np.random.default_rng(0)
        labels = np.arange(self.count) % 3
        inputs = rng.normal(size=(self.count, self.steps, 3)).astype(np.float32)
        inputs[np.arange(self.count), :, labels] += 0.5
        arrays: dict[str, Any] = {"inputs": inputs, "labels": labels}
        if self.target == "step":
            arrays["labels"] = inputs.argmax(axis=2)
        if self.ragged:
            arrays["lengths"] = rng.integers(self.steps // 3, self.steps + 1, self.count)
        np.savez(path, **arrays)


KINDS = {
    "padded": Kind(),
    "ragged": Kind(ragged=True),
    "larger than memory": Kind(steps=1200, ragged=True, options=("--memory=1",)),
    "step labels": Kind(ragged=True, target="step", options=("--target=step",)),
    "two processes": Kind(ragged=True, processes=2),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(KINDS), help="measure this kind only")
    parser.add_argument("--report", action="store_true", help="write the page only")
    arguments = parser.parse_args()
    if not arguments.report:
        with tempfile.TemporaryDirectory() as folder:
            record = measure(Path(folder), arguments.count, arguments.seed, arguments.kind)
        if arguments.kind:
            record = merged(json.loads(RECORD.read_text()), record)
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    record = json.loads(RECORD.read_text())
    write_marked(RESUME, "benchmarks/kills.py", summary(record))
    write_marked(ROBUSTNESS, "benchmarks/kills.py", table(record))


def measure(folder: Path, count: int, seed: int, only: str | None) -> dict[str, Any]:
    """Kill that many times, or a few times more, and return the record."""
    started = time.perf_counter()
    names = [only] if only else list(KINDS)
    trials = {name: Trial(folder / name.replace(" ", "-"), KINDS[name]) for name in names}
    kinds: dict[str, dict[str, Any]] = {
        name: {"runs": 0, "kills": 0, "moments": Counter()} for name in trials
    }
    differences = []
    number = 0
    while sum(found["kills"] for found in kinds.values()) < count:
        name = names[number % len(names)]
        moments, differs = trials[name].run(random.Random(f"{seed} {number}"))
        found = kinds[name]
        found["runs"] += 1
        found["kills"] += len(moments)
        found["moments"].update(moments)
        if differs:
            differences.append({"run": number, "kind": name, "difference": differs})
        number += 1
        if number % 20 == 0:
            print(number, {name: found["kills"] for name, found in kinds.items()}, flush=True)
    return {
        "machine": describe_machine(),
        "seconds": round(time.perf_counter() - started),
        "seed": seed,
        "kinds": kinds,
        "differences": differences,
    }


def merged(record: dict[str, Any], newer: dict[str, Any]) -> dict[str, Any]:
    """Return a record in which the kinds of a newer one are replaced."""
    kept = [found for found in record["differences"] if found["kind"] not in newer["kinds"]]
    return record | {
        "seconds": record["seconds"] + newer["seconds"],
        "kinds": record["kinds"] | newer["kinds"],
        "differences": kept + newer["differences"],
    }


class Trial:
    """Trainings of one kind, and one that nothing interrupts.

    Parameters
    ----------
    folder : Path
        A new folder for its files.
    kind : Kind
    """

    def __init__(self, folder: Path, kind: Kind) -> None:
        folder.mkdir()
        self._data, self._log = folder / "data.npz", folder / "log"
        self._expected, self._folder = folder / "expected", folder / "run"
        self._processes = kind.processes
        self._options = [*kind.options, *(f"--set={name}={v}" for name, v in SETTINGS.items())]
        kind.write(self._data)
        self._finish(self._expected)  # imports what is not preloaded
        self._remove(self._expected)
        started = time.perf_counter()
        self._finish(self._expected)
        self._longest = time.perf_counter() - started

    def run(self, chance: random.Random) -> tuple[list[str], str]:
        """Train with random kills until the run is finished.

        Returns
        -------
        moments : list of str
            What the process did when it was killed, for each kill.
        difference : str
            The first file that differs from that of the uninterrupted run, or "".
        """
        self._remove(self._folder)
        moments = []
        while not (self._folder / "metrics.json").exists():
            started = time.time()
            processes = self._start(self._folder)
            victim = chance.choice(processes)
            victim.join(chance.uniform(0, self._longest))
            victim.kill()
            victim.join()
            killed = victim.exitcode == -signal.SIGKILL
            self._end([process for process in processes if process is not victim], killed)
            if killed:
                moments.append(self._moment(started))
                self._longest *= LATER
            elif any(process.exitcode for process in processes):
                codes = [process.exitcode for process in processes]
                return moments, f"exit codes {codes}: {self._log.read_text()[-500:]}"
            else:
                self._longest *= EARLIER
        self._finish(self._folder)
        return moments, difference(self._folder, self._expected)

    def _start(self, folder: Path) -> list[Any]:
        arguments = ["train", str(folder), "--resume"]
        if not folder.exists():
            arguments = ["train", str(self._data), f"--out={folder}", "--threads=1"]
            arguments += ["--no-report", *self._options]
        self._log.write_text("")
        environments: list[dict[str, str]] = [{}]
        if self._processes > 1:
            environments = torchrun_environments(self._processes)
        processes = [
            FORKS.Process(target=run_command, args=(arguments, self._log, environment))
            for environment in environments
        ]
        for process in processes:
            process.start()
        return processes

    def _finish(self, folder: Path) -> None:
        processes = self._start(folder)
        self._end(processes, killed=False)
        if any(process.exitcode for process in processes):
            raise RuntimeError(self._log.read_text())

    def _end(self, processes: list[Any], killed: bool) -> None:
        """Wait for the end of processes; if another one was killed, not longer than torchrun."""
        for process in processes:
            process.join(PATIENCE if killed else None)
            process.kill()
            process.join()

    def _remove(self, folder: Path) -> None:
        """Delete a run by moving it away, so that a part of it is never taken for a run."""
        if folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as away:
                folder.rename(Path(away) / "run")

    def _moment(self, started: float) -> str:
        """Return what a killed process did, from its files: one of `MOMENTS`."""
        if not self._folder.exists():
            return "before the folder"
        if not (self._folder / "config.json").exists():
            return "reading data"
        if (self._folder / "metrics.json").exists():
            return "after the metrics"
        for temporary in self._folder.rglob("*.tmp"):
            if temporary.stat().st_mtime >= started:
                return "writing a file"
        log = self._log.read_text()
        if "Evaluating" in log:
            return "evaluating"
        return "training" if "Epoch" in log else "starting"


def torchrun_environments(processes: int) -> list[dict[str, str]]:
    """Return the variables that torchrun sets for each of its processes on one machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [common | {"RANK": str(n), "LOCAL_RANK": str(n)} for n in range(processes)]


def run_command(arguments: list[str], log: Path, environment: dict[str, str]) -> None:
    """Run the command in this process, with its output in a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.environ.update(environment)
    sys.argv = ["bothways", *arguments]
    from bothways.cli.main import main as command

    command()


def difference(folder: Path, expected: Path) -> str:
    """Return the first file that differs, or ""."""
    for name in ("model.safetensors", "config.json", "metrics.json", "README.md"):
        if (folder / name).read_bytes() != (expected / name).read_bytes():
            return name
    states = [
        load_tensors(run / "checkpoints/training.safetensors")[0] for run in (folder, expected)
    ]
    if not all(torch.equal(states[0][name], value) for name, value in states[1].items()):
        return "training.safetensors"
    return "" if _untimed(folder) == _untimed(expected) else "history.jsonl"


def _untimed(folder: Path) -> list[dict[str, Any]]:
    """Return the history without times, and without the starts of processes."""
    timings = ("seconds", "sequences_per_second")
    lines = [line for line in read_history(folder / "history.jsonl") if line["kind"] != "start"]
    return [{key: line[key] for key in line if key not in timings} for line in lines]


def summary(record: dict[str, Any]) -> str:
    """Return the figures in one sentence."""
    kinds: dict[str, dict[str, Any]] = record["kinds"]
    kills = sum(found["kills"] for found in kinds.values())
    runs = sum(found["runs"] for found in kinds.values())
    different = len(record["differences"])
    return (
        f"{kills:,} kills at random moments, in {runs:,} trainings of {len(kinds)} kinds "
        f"({', '.join(kinds)}). All were resumed; {runs - different:,} of {runs:,} ended with the "
        "bytes of an uninterrupted training."
    )


def table(record: dict[str, Any]) -> str:
    """Return the summary, and a Markdown table of what the processes did when they were killed."""
    kinds: dict[str, dict[str, Any]] = record["kinds"]
    lines = [
        summary(record),
        "",
        f"| kind | trainings | kills | {' | '.join(MOMENTS)} |",
        "|---" * (3 + len(MOMENTS)) + "|",
    ]
    for name, found in kinds.items():
        cells = (str(found["moments"].get(moment, 0)) for moment in MOMENTS)
        lines.append(f"| {name} | {found['runs']} | {found['kills']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
