"""Run variants of recipe `time-series` on the development data, and compare them.

    python benchmarks/series_search.py                           # what has no record yet
    python benchmarks/series_search.py --variant baseline --data shape --data order --rounds 5
    python benchmarks/series_search.py --report                  # the tables, without running

The variants are in `series_variants.py`, the data in `series_data.py`: cross-validated training
parts of the archive, and families of generated sequences with development seeds. A job trains one
variant on one dataset in one round, in a process of its own with one thread. Its record is appended
to benchmarks/records/series_search.jsonl. A job with a record is not run again, unless it failed.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from families import FAMILIES
from machine import describe_machine
from search_jobs import read_records, run_all
from series_data import ARCHIVE, development_data
from series_report import report
from series_variants import VARIANTS

from bothways.cli.process import keep_freed_memory
from bothways.config import Target
from bothways.evaluation.evaluate import evaluate
from bothways.recipes import Recipe, load_recipe
from bothways.training.fit import fit, prepare

HERE = Path(__file__).parent
RECORDS = HERE / "records" / "series_search.jsonl"
DATA = (*FAMILIES, *ARCHIVE)
ROUNDS = 3


@dataclass(frozen=True)
class Job:
    """One training: a variant, with these settings, on one dataset in one round."""

    variant: str
    settings: Mapping[str, Any]
    data: str
    round: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", action="append", choices=list(VARIANTS))
    parser.add_argument("--data", action="append", choices=DATA)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--report", action="store_true", help="print the tables only")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        print(json.dumps(run(Job(**json.loads(arguments.job)))))
        return
    variants, datasets = arguments.variant or list(VARIANTS), arguments.data or DATA
    if not arguments.report:
        jobs = [
            asdict(Job(variant, VARIANTS[variant], data, number))
            for number in range(arguments.rounds)
            for data in datasets
            for variant in variants
        ]
        run_all(Path(__file__), jobs, arguments.records, arguments.jobs)
    print(report(read_records(arguments.records), variants, datasets))


def run(job: Job) -> dict[str, Any]:
    """Train in this process, with one thread, as `bothways train` does; return the results."""
    keep_freed_memory()
    torch.set_num_threads(1)
    dataset = development_data(job.data, job.round)
    held_out = dataset.test
    assert held_out is not None  # development_data holds it out
    plan = prepare(replace(dataset, test=None), recipe_of(job, dataset.target))
    events: list[object] = []
    started = time.perf_counter()
    fitted = fit(plan, lambda training, event: events.append(event))
    seconds = time.perf_counter() - started
    metrics = evaluate(fitted.classifier, held_out, dataset.classes)
    on_train = evaluate(fitted.classifier, plan.train, dataset.classes)
    family = FAMILIES.get(job.data)
    return {
        "accuracy": metrics.accuracy,
        "balanced_accuracy": metrics.balanced_accuracy,
        "log_loss": metrics.log_loss,
        "train_accuracy": on_train.accuracy,
        "best_accuracy": None if family is None else float(family.best_hits(held_out).mean()),
        "seconds": seconds,
        "steps": len(events) - fitted.epochs,  # an epoch is an event, too
        "epochs": fitted.epochs,
        "train_count": len(plan.train),
        "train_steps": int(plan.train.lengths.sum()),
        "held_out_count": len(held_out),
        "data_sha256": dataset.train.fingerprint(),
        "commit": _commit(),
        "machine": describe_machine() | {"numpy": np.__version__},
    }


def recipe_of(job: Job, target: Target) -> Recipe:
    """Return the recipe of a job, for data whose sequences or steps have labels."""
    settings = dict(job.settings)
    of_steps = settings.pop("step", {})
    if target == "step":
        settings |= of_steps
    recipe = load_recipe("time-series").for_target(target)
    return recipe.with_settings(settings | {"seed": job.round})


def _commit() -> str:
    """Return the commit of the code, with "+" if the package has changed since."""

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", *command], cwd=HERE.parent, capture_output=True, text=True, check=True
        ).stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    return f"{commit}+" if git("status", "--short", "src") else commit


if __name__ == "__main__":
    main()
