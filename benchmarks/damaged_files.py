"""Damage model, checkpoint and data files at random, read them, and record what happened.

    python benchmarks/damaged_files.py             # 10,000 files, a few minutes
    python benchmarks/damaged_files.py --count 300
    python benchmarks/damaged_files.py --seed 1234 # one file again: what damages it, what it gives
    python benchmarks/damaged_files.py --report    # write the page from the record

File number n is of kind n modulo the number of kinds, and n is the seed of its damage. A damaged
file must be refused in one line that names it, or be read with values that are possible. See
`damage.judging` for what counts as a fault.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from damage.judging import Examiner, Verdict
from damage.page import ROBUSTNESS, write_marked
from damage.samples import write_samples
from damage.watching import Death, watched
from machine import describe_machine

RECORD = Path(__file__).parent / "records" / "damaged_files.json"
OUTCOMES = ("refused", "same", "other values", "fault")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, help="read one file only, and print what happens")
    parser.add_argument("--report", action="store_true", help="write the page only")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        for _, name, verdict in verdicts(arguments.seed, arguments.seed + 1):
            print(name, verdict)
        return
    if not arguments.report:
        RECORD.write_text(json.dumps(measure(arguments.count), indent=1) + "\n")
    write_marked(ROBUSTNESS, "benchmarks/damaged_files.py", table(json.loads(RECORD.read_text())))


def measure(count: int) -> dict[str, Any]:
    """Read `count` damaged files and return the record."""
    started = time.perf_counter()
    kinds: dict[str, Counter[str]] = {}
    faults = []
    for seed, name, verdict in verdicts(0, count):
        kinds.setdefault(name, Counter())[verdict.outcome] += 1
        if verdict.outcome == "fault":
            faults.append(
                {
                    "seed": seed,
                    "kind": name,
                    "mutations": verdict.mutations,
                    "reason": verdict.reason,
                }
            )
            print(faults[-1], flush=True)
        if seed % 500 == 499:
            print(f"{seed + 1} files, {len(faults)} faults", flush=True)
    return {
        "machine": describe_machine(),
        "seconds": round(time.perf_counter() - started),
        "seeds": [0, count],
        "kinds": {
            name: {outcome: kinds[name][outcome] for outcome in OUTCOMES} for name in sorted(kinds)
        },
        "faults": faults,
    }


def verdicts(first: int, end: int) -> Iterator[tuple[int, str, Verdict]]:
    """Yield the seed, the kind and the verdict of each damaged file, in order."""
    seed, name = first, ""
    while seed < end:
        with tempfile.TemporaryDirectory() as folder:
            for message in watched(examine_all, folder, seed, end):
                if isinstance(message, Death):
                    yield seed, name, Verdict("fault", message.reason)
                    seed += 1
                elif isinstance(message, str):
                    name = message
                else:
                    yield seed, name, message
                    seed += 1


def examine_all(connection: Connection, folder: str, first: int, end: int) -> None:
    """Send the kind and the verdict of each file, up to a fault; then, another process is fresh."""
    samples = write_samples(Path(folder))
    examiners: dict[str, Examiner] = {}
    for seed in range(first, end):
        sample = samples[seed % len(samples)]
        connection.send(sample.name)
        if sample.name not in examiners:
            examiners[sample.name] = Examiner(sample, Path(folder))
        verdict = examiners[sample.name].examine(Random(seed))
        connection.send(verdict)
        if verdict.outcome == "fault":
            return


def table(record: dict[str, Any]) -> str:
    """Return the Markdown table of the page."""
    kinds: dict[str, dict[str, int]] = record["kinds"]
    total = Counter[str]()
    for counts in kinds.values():
        total.update(counts)
    lines = [
        f"{sum(total.values()):,} damaged files (seeds {record['seeds'][0]} to "
        f"{record['seeds'][1] - 1}), {record['seconds'] / 60:.0f} minutes.",
        "",
        "| kind | refused in one line | read, same values | read, other values | faults |",
        "|---|---|---|---|---|",
    ]
    for name, counts in {**kinds, "**all**": total}.items():
        cells = (f"{counts[outcome]:,}" for outcome in OUTCOMES)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
