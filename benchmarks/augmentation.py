"""Measure what augmentation adds to the time of training steps on MNIST.

    python benchmarks/augmentation.py

For each recipe with augmentation, and for each kind of augmentation alone, a training with it and
one without it take turns, `STEPS` steps each. The share is 1 - (seconds without / seconds with), of
medians. The record is benchmarks/records/augmentation.json; the table is written to
docs/guides/training.md. Close other programs first.
"""

import json
import re
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import describe_machine
from peak import peak_gflops

from bothways import open_dataset
from bothways.cli.process import keep_freed_memory
from bothways.config import Augmentation
from bothways.recipes import Recipe, load_recipe
from bothways.training.fit import prepare
from bothways.training.loop.trainer import Training, start_training

HERE = Path(__file__).parent
RECORD = HERE / "records" / "augmentation.json"
PAGE = HERE.parent / "docs" / "guides" / "training.md"
MARKERS = r"(<!-- augmentation -->\n)(.*?)(\n<!-- end -->)"
RECIPES = ("default", "best", "time-series")
STEPS, ROUNDS = 10, 30
ALONE = {
    "augment_time_shift": 0.2,
    "augment_time_warp": 0.2,
    "augment_scale": 0.2,
    "augment_noise": 0.2,
    "augment_time_mask": 0.2,
    "augment_feature_mask": 0.2,
    "augment_rotation": 10.0,
    "augment_elastic": 1.0,
}
OFF = dict.fromkeys(Augmentation.model_fields, 0.0)


def main() -> None:
    keep_freed_memory()
    cases = {f"`{name}`": load_recipe(name) for name in RECIPES}
    plain = load_recipe("default").with_settings(OFF)
    cases |= {
        f"`default` with `{name}={value:g}` only": plain.with_settings({name: value})
        for name, value in ALONE.items()
    }
    record = {
        "machine": describe_machine(),
        "peak_gflops": peak_gflops(torch.get_num_threads()),
        "steps": STEPS,
        "cases": {name: measure(recipe) for name, recipe in cases.items()},
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    before, begin, _, end, after = re.split(MARKERS, PAGE.read_text(), flags=re.DOTALL)
    PAGE.write_text(before + begin + table(record) + end + after)
    print(table(record))


def measure(recipe: Recipe) -> dict[str, list[float]]:
    """Return the seconds of `STEPS` steps with and without augmentation, `ROUNDS` times."""
    sides = {"with": make_steps(recipe), "without": make_steps(recipe.with_settings(OFF))}
    samples: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(ROUNDS + 1):
        for side, (training, events) in sides.items():
            started = time.perf_counter()
            for _ in range(STEPS):
                next(events)
            training.loss()
            if number:  # the first round compiles
                samples[side].append(time.perf_counter() - started)
    return samples


def make_steps(recipe: Recipe) -> tuple[Training, Any]:
    """Return a new training on MNIST and its events."""
    plan = prepare(open_dataset("mnist"), recipe)
    training = start_training(plan.manifest.model, plan.config, plan.train)
    return training, training.events()


def table(record: dict[str, Any]) -> str:
    """Return the table for the page."""
    lines = [
        "What it costs:",
        "",
        "| training | ms a step | without augmentation | share |",
        "|---|---|---|---|",
    ]
    for name, samples in record["cases"].items():
        with_it, without = (
            1000 * median(samples[side]) / record["steps"] for side in ("with", "without")
        )
        share = 1 - without / with_it
        lines.append(f"| {name} | {with_it:.2f} | {without:.2f} | {share:.0%} |")
    machine = record["machine"]
    lines += [
        "",
        f"Medians of {ROUNDS} x {STEPS} steps, with and without in turns; {machine['processor']}, "
        f"{machine['threads']} threads, peak {record['peak_gflops']:.0f} GFLOP/s "
        "(`python benchmarks/augmentation.py`).",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
