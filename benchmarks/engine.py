"""Benchmark the layers and the training step against torch, onnxruntime and OpenVINO.

    python benchmarks/engine.py                                    # measure all cases
    python benchmarks/engine.py --case bilstm-256 --work train     # measure one case, keep the rest
    python benchmarks/engine.py --page                             # only write the page again
    python benchmarks/engine.py --processor zen4                   # the record of another processor

The parity gate comes first: with the same weights, the outputs of all sides and the gradients of
bothways must match torch in float64. Then each side runs in a separate process in its default
environment, alternating A B C A B C. The record is written to benchmarks/records/engine.json, the
tables to docs/engine-speed.md; with `--processor`, its name is appended to those of the files.
Requires `pip install -e .[benchmark]`. Close other programs first.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from engine_cases import CASES, Case
from engine_page import page
from engine_sides import (
    AVX2_ENVIRONMENT,
    RUNTIMES,
    SIDES,
    TOLERANCE,
    parity_errors,
    run_side,
    tolerance_of,
)

HERE = Path(__file__).parent
RECORDS = HERE / "records"
DOCS = HERE.parent / "docs"


def measure(case: Case, work: str, rounds: int, machine: dict[str, Any], options: list[str]) -> Any:
    """Alternate the sides; return the samples (microseconds or megabytes) and the comparison."""
    samples: dict[str, list[list[float]]] = {side: [] for side in SIDES[work]}
    peaks = []
    for _ in range(1 if work == "memory" else rounds):
        peaks.append(round(_child("peak.py", str(machine["threads"])), 1))
        for side, processes in samples.items():
            sample = _child(
                *(Path(__file__).name, "--side", side, "--case", case.name, "--work", work),
                *options,
                environment=AVX2_ENVIRONMENT if work == "train-avx2" else {},
            )
            scale = 1 if work == "memory" else 1e6
            processes.append([round(scale * value, 1) for value in sample])
    shape = case.shape(work)
    return {
        "title": shape.title,
        "machine": machine,
        "quick": "--quick" in options,
        "flops": shape.flops(work),
        "peak_share": case.peak_share(work),
        "peak_gflops": peaks,
        "samples": samples,
        "lines": [] if work == "memory" else compare(case, work, samples),
    }


def compare(case: Case, work: str, samples: dict[str, list[list[float]]]) -> list[dict[str, Any]]:
    """Return the ratio to each other side: the median and the range over the rounds."""
    medians = {side: [median(one) for one in processes] for side, processes in samples.items()}
    ours = medians.pop("bothways")
    if work == "infer":
        of_runtimes = zip(*(medians[side] for side in RUNTIMES), strict=True)
        medians["best runtime"] = [min(pair) for pair in of_runtimes]
    targets = case.targets(work)
    lines = []
    for side, theirs in medians.items():
        ratios = [other / own for other, own in zip(theirs, ours, strict=True)]
        line = {"against": side, "ratio": median(ratios), "range": [min(ratios), max(ratios)]}
        if side in targets:
            line |= {"target": targets[side], "reached": median(ratios) >= targets[side]}
            line |= {"aim": case.aim} if work == "train" and case.aim else {}
        lines.append(line)
    return lines


def _child(*command: str, environment: dict[str, str] | None = None) -> Any:
    """Run a script of this folder and return the JSON that it prints."""
    program = [sys.executable, str(HERE / command[0]), *command[1:]]
    whole = os.environ | (environment or {})
    done = subprocess.run(program, check=True, stdout=subprocess.PIPE, env=whole)
    return json.loads(done.stdout)


def main() -> None:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=names, help="may be repeated")
    parser.add_argument("--work", action="append", choices=list(SIDES), help="may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few iterations, for a trial run")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    parser.add_argument("--processor", help="name of a processor with a record of its own: zen4")
    sides = sorted({side for of_work in SIDES.values() for side in of_work})
    parser.add_argument("--side", choices=[*sides, "parity"], help="one side, as JSON")
    parser.add_argument("--backend", default="compiled", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cases = [case for case in CASES if arguments.case is None or case.name in arguments.case]
    backend, threads = arguments.backend, arguments.threads
    record = RECORDS / f"engine{f'-{arguments.processor}' if arguments.processor else ''}.json"

    if arguments.side == "parity":
        print(json.dumps(parity_errors(cases[0], backend, threads)))
    elif arguments.side:
        work, quick = arguments.work[0], arguments.quick
        print(json.dumps(run_side(arguments.side, cases[0], work, backend, threads, quick)))
    elif not arguments.page:
        for case in cases:
            works = [work for work in case.works if work in (arguments.work or SIDES)]
            if works:
                run_case(case, works, record, arguments)
    if not arguments.side:
        write_page(record, arguments.processor)


def write_page(record: Path, processor: str | None) -> None:
    """Write the page of a record; the main page links to those of other processors."""
    others = [] if processor else sorted(RECORDS.glob("engine-*.json"))
    names = [other.stem.removeprefix("engine-") for other in others]
    written = DOCS / f"{record.stem.replace('engine', 'engine-speed', 1)}.md"
    written.write_text(page(json.loads(record.read_text()), processor, names))
    print(f"wrote {written}")


def run_case(case: Case, works: list[str], record: Path, arguments: argparse.Namespace) -> None:
    """Check parity, measure, and write the results to the record."""
    from machine import describe_machine  # imports torch, which some sides do not need

    machine = describe_machine()
    machine |= {name: version(name) for name in ("numba", *RUNTIMES)}
    machine["backend"] = arguments.backend
    options = ["--backend", arguments.backend, "--threads", str(machine["threads"])]
    errors = _child(Path(__file__).name, "--side", "parity", "--case", case.name, *options)
    print(f"{case.name}: errors {errors}", flush=True)
    red = [side for side, error in errors.items() if not error <= tolerance_of(side)]
    if red:
        raise SystemExit(
            f"{case.name}: {', '.join(red)} differs from torch in float64 by more than "
            f"{max(map(tolerance_of, red)):g}; expected the same results. No times were measured."
        )
    for work in works:
        result = measure(
            case, work, arguments.rounds, machine, options + ["--quick"] * arguments.quick
        )
        for line in result["lines"]:
            print(f"{case.name}, {work}: {line['ratio']:.2f} x {line['against']}", flush=True)
        keep(record, case, work, result | {"errors": errors})


def keep(path: Path, case: Case, work: str, result: dict[str, Any]) -> None:
    """Replace one result in the record, and keep all others and the notes on its limits."""
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"cases": {}}
    before = record["cases"].get(case.name, {"limits": {}, "work": {}})
    before["work"][work] = result
    after = record["cases"] | {case.name: before}
    order = [known.name for known in CASES if known.name in after]
    text = json.dumps({"tolerance": TOLERANCE, "cases": {n: after[n] for n in order}}, indent=1)
    # Write each list of samples on one line.
    text = re.sub(r"\[[\d\s.,-]+\]", lambda found: re.sub(r"\s+", "", found[0]), text)
    path.write_text(text + "\n")


if __name__ == "__main__":
    main()
