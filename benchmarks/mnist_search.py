"""Search for the settings of the MNIST recipes, on digits held out of the training digits.

    python benchmarks/mnist_search.py fast default    # run what has no record yet
    python benchmarks/mnist_search.py --report        # print a table of all records

Each job trains a variant on 50,000 of the 60,000 training digits and measures it, after its last
epoch, on the other 10,000; each seed has another split. The test digits are never read. A job is a
process with one thread, and `--jobs` of them run at a time; its seconds are therefore no measure of
speed. The variants are in mnist_variants.toml. Records are appended to
benchmarks/records/mnist_search.jsonl. A job with a record is not run again, unless it failed.
"""

import argparse
import json
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from search_jobs import Job, read_records, run_all

from bothways import open_dataset
from bothways.cli.process import keep_freed_memory
from bothways.evaluation.evaluate import accuracy_and_loss
from bothways.recipes import load_recipe
from bothways.training.fit import fit, prepare

HERE = Path(__file__).parent
RECORDS = HERE / "records" / "mnist_search.jsonl"
HELD_OUT = 1 / 6
VARIANTS = HERE / "mnist_variants.toml"


def run(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one variant and return its accuracy on the held-out digits."""
    keep_freed_memory()
    torch.set_num_threads(1)
    held = {"validation_fraction": HELD_OUT, "seed": seed}
    recipe = load_recipe("birnn-128").with_settings(settings | held)
    dataset = replace(open_dataset("mnist"), test=None)
    plan = prepare(dataset, recipe)
    assert plan.validation is not None  # HELD_OUT is not 0
    started = time.perf_counter()
    fitted = fit(replace(plan, validation=None))
    seconds = time.perf_counter() - started
    accuracy, loss = accuracy_and_loss(fitted.classifier, plan.validation)
    return {"accuracy": accuracy, "log_loss": loss, "seconds": seconds}


def jobs_of(
    variants: Mapping[str, Mapping[str, Any]], groups: Sequence[str], seeds: int
) -> list[Job]:
    """Return the jobs of these groups of variants, those of the first seed first."""
    return [
        {"variant": f"{group} {name}", "seed": seed, "settings": settings}
        for seed in range(seeds)
        for group in groups
        for name, settings in variants[group].items()
    ]


def report() -> None:
    """Print the mean accuracy of each variant, the best of a group first."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for record in read_records(RECORDS):
        if "accuracy" in record:
            by_name.setdefault(record["variant"], []).append(record)
    print("| variant | seeds | accuracy %, mean and deviation | log loss |\n|---|---|---|---|")
    for name in sorted(by_name, key=lambda name: (name.split()[0], -_mean_accuracy(by_name[name]))):
        found = by_name[name]
        deviation = f" +- {stdev(_accuracies(found)):.3f}" if len(found) > 1 else ""
        loss = mean(record["log_loss"] for record in found)
        print(f"| {name} | {len(found)} | {_mean_accuracy(found):.3f}{deviation} | {loss:.4f} |")


def _accuracies(records: list[dict[str, Any]]) -> list[float]:
    return [100 * record["accuracy"] for record in records]


def _mean_accuracy(records: list[dict[str, Any]]) -> float:
    return mean(_accuracies(records))


def main() -> None:
    variants = tomllib.loads(VARIANTS.read_text())
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", help=f"of variants: {', '.join(variants)}")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each variant")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--report", action="store_true", help="print the table only")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        job = json.loads(arguments.job)
        print(json.dumps(run(job["settings"], job["seed"])))
        return
    if arguments.report:
        report()
        return
    unknown = [group for group in arguments.groups if group not in variants]
    if unknown or not arguments.groups:
        parser.error(f"groups are {arguments.groups}; expected some of {', '.join(variants)}")
    jobs = jobs_of(variants, arguments.groups, arguments.seeds)
    run_all(Path(__file__), jobs, RECORDS, arguments.jobs)


if __name__ == "__main__":
    main()
