"""Fuzz every reader with hypothesis for a given time, and record what it found.

    python benchmarks/fuzz_readers.py 3600             # one hour, on one core
    python benchmarks/fuzz_readers.py 60 --only ts npz
    python benchmarks/fuzz_readers.py 0 --report       # write the page from the record

The files and their mutations are those of `damaged_files.py`. hypothesis draws the random numbers,
so it looks for the smallest damage that shows a fault. Each finding is recorded with the damaged
file, in Base64. The seed of the first round is recorded; the others follow it. A run is added to
those of the record.
"""

import argparse
import base64
import json
import re
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import hypothesis
import hypothesis.strategies as st
from damage.judging import Examiner
from damage.page import ROBUSTNESS, write_marked
from damage.samples import write_samples
from damage.watching import Death, watched
from machine import describe_machine

from bothways.errors import counted

RECORD = Path(__file__).parent / "records" / "fuzz.json"
EXAMPLES = 50
"""Readings of one kind before the next has its turn."""

KEPT_BYTES = 4096
"""Larger damaged files are not recorded."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seconds", type=float)
    parser.add_argument("--only", nargs="*", default=[], help="kinds of files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", action="store_true", help="write the page only")
    arguments = parser.parse_args()
    if not arguments.report:
        run = fuzz(arguments.seconds, arguments.seed, arguments.only)
        RECORD.write_text(json.dumps([*read_runs(), run], indent=1) + "\n")
    write_marked(ROBUSTNESS, "benchmarks/fuzz_readers.py", line(read_runs()))


def read_runs() -> list[dict[str, Any]]:
    """Return the runs of the record."""
    return list(json.loads(RECORD.read_text())) if RECORD.exists() else []


def fuzz(seconds: float, seed: int, only: list[str]) -> dict[str, Any]:
    """Fuzz for that long and return the record of the run."""
    started = time.perf_counter()
    executions: Counter[str] = Counter()
    findings: dict[str, dict[str, Any]] = {}
    machine = describe_machine()
    rounds = 0
    while (left := seconds - (time.perf_counter() - started)) > 0:
        with tempfile.TemporaryDirectory() as folder:
            kind, file = "", Path()
            for message in watched(fuzz_all, folder, left, seed + rounds, only):
                if isinstance(message, tuple):
                    kind, file = message
                    executions[kind] += 1
                    continue
                rounds += message == ""  # a round is complete
                if not message:
                    continue
                reason = message.reason if isinstance(message, Death) else message
                known = f"{kind}: {re.sub(r'[0-9]+', '0', reason)[:100]}"
                if known not in findings:
                    findings[known] = {"kind": kind, "reason": reason, "file": _kept(file)}
                    print(kind, reason, flush=True)
            rounds += 1  # another seed, so that a fault does not come again
    return {
        "machine": machine,
        "seconds": round(time.perf_counter() - started),
        "seed": seed,
        "executions": dict(sorted(executions.items())),
        "findings": list(findings.values()),
    }


def _kept(file: Path) -> str | None:
    if not file.is_file() or file.stat().st_size > KEPT_BYTES:
        return None
    return base64.b64encode(file.read_bytes()).decode()


def fuzz_all(
    connection: Connection, folder: str, seconds: float, seed: int, only: list[str]
) -> None:
    """Send the kind and the file of each reading, "" after a round, and the first fault."""
    started = time.perf_counter()
    samples = [s for s in write_samples(Path(folder)) if not only or s.name in only]
    examiners = [Examiner(sample, Path(folder)) for sample in samples]
    while True:
        for examiner in examiners:
            if time.perf_counter() - started > seconds:
                return
            if fault := _fuzz_kind(connection, examiner, seed):
                connection.send(fault)
                return  # another process is fresh
        connection.send("")
        seed += 1


def _fuzz_kind(connection: Connection, examiner: Examiner, seed: int) -> str:
    """Return the fault that the smallest damage shows, or ""."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @hypothesis.given(st.randoms(use_true_random=False))
    def read(random: Random) -> None:
        connection.send((examiner.sample.name, examiner.path))
        verdict = examiner.examine(random)
        if verdict.outcome == "fault":
            raise AssertionError(verdict.reason)

    try:
        read()
    except AssertionError as error:  # of the smallest damage, which was the last to be read
        examiner.path.write_bytes(examiner.damaged)
        return str(error)
    return ""


def line(runs: list[dict[str, Any]]) -> str:
    """Return the sentence of the page."""
    seconds = sum(run["seconds"] for run in runs)
    executions = Counter[str]()
    for run in runs:
        executions.update(run["executions"])
    findings = sum(len(run["findings"]) for run in runs)
    return (
        f"{seconds / 60:.0f} minutes on one core that other programs used as well, "
        f"{sum(executions.values()):,} readings of {len(executions)} kinds of files, "
        f"{counted(findings, 'finding')}."
    )


if __name__ == "__main__":
    main()
