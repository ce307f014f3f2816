"""Jobs of a search, each in a process of its own, and their records in a file of JSON lines.

A job is a dict of values that JSON can represent, with the settings of the variant in `settings`.
Its record contains the job and its results, or an `error`.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

Job: TypeAlias = Mapping[str, Any]
Record: TypeAlias = dict[str, Any]


def run_all(script: Path, jobs: Iterable[Job], path: Path, processes: int) -> None:
    """Run the jobs that are not done, and append their records, also those of failures.

    Parameters
    ----------
    script : path
        With the arguments `--job JSON`, it runs a job and prints the results as the last line.
    jobs : iterable of dict
    path : Path
        The records.
    processes : int
        Jobs at a time.
    """
    lock = Lock()

    def run_one(job: Job) -> None:
        result = _result(script, job)
        with lock:
            with path.open("a") as file:
                file.write(json.dumps({**job, **result}) + "\n")
            shown = result.get("error") or f"{100 * result['accuracy']:.2f} %"
            print(f"{_title(job)}: {shown}", flush=True)

    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(run_one, not_done(jobs, read_records(path))))  # a list raises exceptions


def not_done(jobs: Iterable[Job], records: Sequence[Record]) -> list[Job]:
    """Return the jobs that have no record with the same values, settings included, and no error."""
    finished = [record for record in records if "error" not in record]

    def is_done(job: Job) -> bool:
        values = json.loads(json.dumps(job))  # as in records, which have lists instead of tuples
        return any({name: record[name] for name in values} == values for record in finished)

    return [job for job in jobs if not is_done(job)]


def read_records(path: Path) -> list[Record]:
    """Return all records, the oldest first."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _result(script: Path, job: Job) -> Record:
    """Run a job in a process of its own; return its results or its error."""
    command = [sys.executable, str(script), "--job", json.dumps(job)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode:
        message = outcome.stderr.strip() or f"exit status {outcome.returncode}"
        return {"error": message.splitlines()[-1]}
    result: Record = json.loads(outcome.stdout.splitlines()[-1])
    return result


def _title(job: Job) -> str:
    """Return the values of a job but its settings; the names of numbers precede them."""
    values = {name: value for name, value in job.items() if name != "settings"}
    return ", ".join(
        value if isinstance(value, str) else f"{name} {value}" for name, value in values.items()
    )
