"""Measure the recipes for MNIST on the test digits, once, and describe the records.

`results.py` calls this module. The settings of the recipes `default`, `fast` and `best` are chosen
by `mnist_search.py`, on digits held out of the training digits.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, TypeAlias

from mnist_search import read_records
from training_record import training_record

from bothways import ModelConfig, SequenceClassifier
from bothways.recipes import Recipe, all_recipes, load_recipe

OWN = {"fast": 98.58, "default": 99.35, "best": 99.65}
"""Our own recipes, and the mean test accuracy to reach, in percent."""

DEFAULT_LOWEST = 99.25
"""The test accuracy that `default` is to reach with every seed."""

OWN_SEEDS = (0, 1, 2, 3, 4)
NOTEBOOK_SEEDS = (0, 1, 2)

ALLOWANCE = 0.4
"""A mean up to this far below the published accuracy, in percent, counts as reproduced."""

UNPUBLISHED_TARGET = 97.0

Record: TypeAlias = Mapping[str, Any]


def measure_mnist(records: Path, *, fresh: bool) -> None:
    """Train and test where no record exists, or everywhere."""
    for recipe in (*own_recipes(), *notebook_recipes()):
        for seed in OWN_SEEDS if recipe.name in OWN else NOTEBOOK_SEEDS:
            path = records / f"{recipe.name}-seed{seed}.json"
            if path.exists() and not fresh:
                continue
            print(f"{recipe.name}, seed {seed}", flush=True)
            command = [sys.executable, "-m", "bothways", "train", "mnist"]
            command += ["--recipe", recipe.name, "--seed", str(seed)]
            record = {"data": "mnist", "recipe": recipe.name, "seed": seed}
            path.write_text(json.dumps(record | training_record(command), indent=1) + "\n")


def own_recipes() -> list[Recipe]:
    """Return our own recipes for MNIST, the fastest first."""
    return [load_recipe(name) for name in OWN]


def notebook_recipes() -> list[Recipe]:
    """Return the recipes that reproduce a notebook."""
    return [recipe for recipe in all_recipes() if recipe.notebook]


def short_table(records: Sequence[Record]) -> str:
    """Return the table for README.md."""
    lines = [
        "| recipe | model | published test % | test % here, mean (min to max) | training, s |",
        "|---|---|---|---|---|",
    ]
    for recipe in (*own_recipes(), *notebook_recipes()):
        of_recipe = _of_recipe(records, recipe)
        source = f", notebook {recipe.notebook}" if recipe.notebook else ""
        lines.append(
            f"| `{recipe.name}`{source} | {recipe.summary} | {_published(recipe, 'test')} "
            f"| {_spread(_percents(of_recipe))} | {_mean_of(of_recipe, 'training_seconds')} |"
        )
    return "\n".join(lines)


def mnist_section(records: Sequence[Record]) -> list[str]:
    """Return the section about MNIST."""
    shown = [record for record in records if record["data"] == "mnist"]
    machines = {
        f"{m['processor']}, {m['cores']} cores, {m['threads']} threads, torch {m['torch']}, "
        f"Python {m['python']}"
        for m in (record["machine"] for record in shown)
    }
    peaks = [record["peak_gflops"] for record in shown]
    return [
        "## MNIST",
        "",
        "Each run trains on the 60,000 training digits, or on a part of them if the recipe holds "
        "some out to choose its epoch, and is evaluated once on the 10,000 test digits. Training "
        "seconds are the sum of all steps; the whole command adds reading, evaluating 70,000 "
        "digits and saving.",
        "",
        "### Our recipes",
        "",
        f"Seeds {OWN_SEEDS[0]} to {OWN_SEEDS[-1]}.",
        "",
        "| recipe | model | parameters | test %: mean (min to max), standard deviation | target "
        "| training, s | whole command, s |",
        "|---|---|---|---|---|---|---|",
        *(_own_row(recipe, _of_recipe(records, recipe)) for recipe in own_recipes()),
        "",
        *_search_section(),
        "### The notebooks",
        "",
        f"Seeds {NOTEBOOK_SEEDS[0]} to {NOTEBOOK_SEEDS[-1]}. Published: the accuracies in the "
        f"author's notebook. Target: the published test accuracy minus {ALLOWANCE}, and "
        f"{UNPUBLISHED_TARGET} if none was published.",
        "",
        "| recipe | published train / test % | train % | test %: mean (min to max) | target | "
        "training, s | whole command, s |",
        "|---|---|---|---|---|---|---|",
        *(_notebook_row(recipe, _of_recipe(records, recipe)) for recipe in notebook_recipes()),
        "",
        f"Machine: {'; '.join(sorted(machines))}; peak of its multiply-adds, measured before each "
        f"run: {min(peaks):.0f} to {max(peaks):.0f} GFLOP/s. Seconds are means over the seeds, "
        "wall-clock, on a shared virtual machine whose speed varies; the raw records are in "
        "[benchmarks/records/results](../benchmarks/records/results).",
        "",
    ]


def _search_section() -> list[str]:
    """Describe how the settings were chosen, from the records of the search."""
    found = [record for record in read_records() if "accuracy" in record]
    lines = [
        "How their settings were chosen: `benchmarks/mnist_search.py` trains each configuration on "
        "50,000 training digits and measures it on the other 10,000, with another split for each "
        "seed. The test digits had no part in it. The means of all configurations are printed by "
        "`python benchmarks/mnist_search.py --report`.",
        "",
        "| recipe | configurations tried | trainings | held-out % of the best configuration |",
        "|---|---|---|---|",
    ]
    for name in OWN:
        group = [record for record in found if record["variant"].split()[0] == name]
        by_variant: dict[str, list[float]] = {}
        for record in group:
            by_variant.setdefault(record["variant"], []).append(100 * record["accuracy"])
        best = max(map(mean, by_variant.values()))
        lines.append(f"| `{name}` | {len(by_variant)} | {len(group)} | {best:.2f} |")
    return [*lines, ""]


def _own_row(recipe: Recipe, records: Sequence[Record]) -> str:
    test = _percents(records)
    target = f"{OWN[recipe.name]:.2f} {_reached(mean(test) >= OWN[recipe.name])}"
    if recipe.name == "default":
        target += f"; lowest {DEFAULT_LOWEST} {_reached(min(test) >= DEFAULT_LOWEST)}"
    return (
        f"| `{recipe.name}` | {recipe.summary} | {_parameter_count(recipe):,} "
        f"| {_spread(test)}, {stdev(test):.2f} | {target} "
        f"| {_mean_of(records, 'training_seconds')} | {_mean_of(records, 'wall_seconds')} |"
    )


def _parameter_count(recipe: Recipe) -> int:
    config = ModelConfig.for_data(recipe.model, input_size=28, num_classes=10, longest=28)
    return sum(parameter.numel() for parameter in SequenceClassifier(config).parameters())


def _notebook_row(recipe: Recipe, records: Sequence[Record]) -> str:
    test, train = _percents(records), _percents(records, "train")
    published = recipe.published.get("test_percent", UNPUBLISHED_TARGET + ALLOWANCE)
    target = published - ALLOWANCE
    return (
        f"| `{recipe.name}` | {_published(recipe, 'train')} / {_published(recipe, 'test')} "
        f"| {mean(train):.2f} | {_spread(test)} | {target:.2f} {_reached(mean(test) >= target)} "
        f"| {_mean_of(records, 'training_seconds')} | {_mean_of(records, 'wall_seconds')} |"
    )


def _of_recipe(records: Sequence[Record], recipe: Recipe) -> list[Record]:
    return [
        record
        for record in records
        if record["data"] == "mnist" and record["recipe"] == recipe.name
    ]


def _percents(records: Sequence[Record], part: str = "test") -> list[float]:
    return [100 * record["metrics"][part]["accuracy"] for record in records]


def _published(recipe: Recipe, part: str) -> str:
    return str(recipe.published.get(f"{part}_percent", "-"))


def _spread(percents: Sequence[float]) -> str:
    return f"**{mean(percents):.2f}** ({min(percents):.2f} to {max(percents):.2f})"


def _mean_of(records: Sequence[Record], name: str) -> str:
    seconds = mean(record[name] for record in records)
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"


def _reached(reached: bool) -> str:
    return "reached" if reached else "**missed**"
