"""Measure the recipes for MNIST on the test digits, once, and describe the records.

`results.py` calls this module. The settings of the recipes `default`, `fast` and `best` are chosen
by `mnist_search.py`, on digits held out of the training digits.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from mnist_models import config_of
from mnist_search import RECORDS as SEARCH
from result_cells import (
    Record,
    percents,
    spread,
    spread_and_deviation,
    training_seconds,
    verdict,
    wall_seconds,
)
from search_jobs import read_records
from training_record import training_record, write_records

from bothways import SequenceClassifier
from bothways.recipes import Recipe, all_recipes, load_recipe

OWN = {"quick": 98.58, "fast": 99.0, "default": 99.35, "best": 99.65}
"""Our own recipes, and the mean test accuracy to reach, in percent."""

SEARCHED_FOR = {"fast": ("quick", "fast"), "default": ("default",), "best": ("best",)}
"""The groups of configurations in the search, and the recipes that were chosen from each."""

DEFAULT_LOWEST = 99.25
"""The test accuracy that `default` is to reach with every seed."""

OWN_SEEDS = (0, 1, 2, 3, 4)
NOTEBOOK_SEEDS = (0, 1, 2)

ALLOWANCE = 0.4
"""A mean up to this far below the published accuracy, in percent, counts as reproduced."""

UNPUBLISHED_TARGET = 97.0


def measure_mnist(records: Path, *, fresh: bool) -> None:
    """Train and test where no record exists, or everywhere."""
    for recipe in (*own_recipes(), *notebook_recipes()):
        seeds = OWN_SEEDS if recipe.name in OWN else NOTEBOOK_SEEDS
        write_records(records, recipe.name, seeds, partial(_measured_with, recipe), fresh=fresh)


def _measured_with(recipe: Recipe, seed: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bothways", "train", "mnist"]
    command += ["--recipe", recipe.name, "--seed", str(seed)]
    record = {"data": "mnist", "recipe": recipe.name, "seed": seed}
    return record | training_record(command)


def own_recipes() -> list[Recipe]:
    """Return our own recipes for MNIST, the fastest first."""
    return [load_recipe(name) for name in OWN]


def notebook_recipes() -> list[Recipe]:
    """Return the recipes that reproduce a notebook."""
    return [recipe for recipe in all_recipes() if recipe.notebook]


def short_table(records: Sequence[Record]) -> str:
    """Return the table for README.md."""
    lines = [
        "| recipe | model | published test % | test % here, mean (min to max) |",
        "|---|---|---|---|",
    ]
    for recipe in _measured((*own_recipes(), *notebook_recipes()), records):
        of_recipe = _of_recipe(records, recipe)
        source = f", notebook {recipe.notebook}" if recipe.notebook else ""
        lines.append(
            f"| `{recipe.name}`{source} | {recipe.summary} | {_published(recipe, 'test')} "
            f"| {spread(percents(of_recipe))} |"
        )
    return "\n".join(lines)


def mnist_section(records: Sequence[Record]) -> list[str]:
    """Return the section about MNIST; recipes without records are left out of the tables."""
    own, notebooks = _measured(own_recipes(), records), _measured(notebook_recipes(), records)
    return [
        "## MNIST",
        "",
        "Each run trains on the 60,000 training digits, or on a part of them if the recipe holds "
        "some out to choose its epoch, and is evaluated once on the 10,000 test digits. Training "
        "seconds are the sum of all steps; the whole command adds reading, evaluating 70,000 "
        "digits and saving. Seconds are means over the seeds, wall-clock, on shared virtual "
        "machines whose speed varies; the raw records are in "
        "`benchmarks/records/results`.",
        "",
        "### Our recipes",
        "",
        f"Seeds {OWN_SEEDS[0]} to {OWN_SEEDS[-1]}.",
        "",
        "| recipe | model | parameters | test %: mean (min to max), standard deviation | target "
        "| training, s | whole command, s |",
        "|---|---|---|---|---|---|---|",
        *(_own_row(recipe, _of_recipe(records, recipe)) for recipe in own),
        "",
        _machines(records, own),
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
        *(_notebook_row(recipe, _of_recipe(records, recipe)) for recipe in notebooks),
        "",
        _machines(records, notebooks),
        "",
    ]


def _machines(records: Sequence[Record], recipes: Sequence[Recipe]) -> str:
    """Describe the machines of these recipes, and the peak of their multiply-adds if measured."""
    shown = [record for recipe in recipes for record in _of_recipe(records, recipe)]
    machines = {
        f"{m['processor']}, {m['cores']} cores, {m['threads']} threads, torch {m['torch']}, "
        f"Python {m['python']}"
        for m in (record["machine"] for record in shown)
    }
    peaks = [record["peak_gflops"] for record in shown if "peak_gflops" in record]
    peak = ""
    if peaks:
        peak = (
            "; peak of float32 multiplications and additions, measured before each run: "
            f"{min(peaks):.0f} to {max(peaks):.0f} GFLOP/s"
        )
    return f"Machine: {'; '.join(sorted(machines))}{peak}."


def _search_section() -> list[str]:
    """Describe how the settings were chosen, from the records of the search."""
    found = [record for record in read_records(SEARCH) if "accuracy" in record]
    lines = [
        "How their settings were chosen: `benchmarks/mnist_search.py` trains each configuration on "
        "50,000 training digits and measures it on the other 10,000, with another split for each "
        "seed. The test digits had no part in it. The means of all configurations are printed by "
        "`python benchmarks/mnist_search.py --report`.",
        "",
        "| recipes | configurations tried | trainings | held-out % of the best configuration |",
        "|---|---|---|---|",
    ]
    for name, recipes in SEARCHED_FOR.items():
        group = [record for record in found if record["variant"].split()[0] == name]
        by_variant: dict[str, list[float]] = {}
        for record in group:
            by_variant.setdefault(record["variant"], []).append(100 * record["accuracy"])
        best = max(map(mean, by_variant.values()))
        names = ", ".join(f"`{recipe}`" for recipe in recipes)
        lines.append(f"| {names} | {len(by_variant)} | {len(group)} | {best:.2f} |")
    return [*lines, ""]


def _own_row(recipe: Recipe, records: Sequence[Record]) -> str:
    test = percents(records)
    target = f"{OWN[recipe.name]:.2f} {verdict(mean(test), OWN[recipe.name])}"
    if recipe.name == "default":
        target += f"; lowest {DEFAULT_LOWEST} {verdict(min(test), DEFAULT_LOWEST)}"
    return (
        f"| `{recipe.name}` | {recipe.summary} | {_parameter_count(recipe):,} "
        f"| {spread_and_deviation(test)} | {target} "
        f"| {training_seconds(records)} | {wall_seconds(records)} |"
    )


def _parameter_count(recipe: Recipe) -> int:
    model = SequenceClassifier(config_of(recipe))
    return sum(parameter.numel() for parameter in model.parameters())


def _notebook_row(recipe: Recipe, records: Sequence[Record]) -> str:
    test, train = percents(records), percents(records, "train")
    published = recipe.published.get("test_percent", UNPUBLISHED_TARGET + ALLOWANCE)
    target = published - ALLOWANCE
    return (
        f"| `{recipe.name}` | {_published(recipe, 'train')} / {_published(recipe, 'test')} "
        f"| {mean(train):.2f} | {spread(test)} | {target:.2f} {verdict(mean(test), target)} "
        f"| {training_seconds(records)} | {wall_seconds(records)} |"
    )


def _measured(recipes: Sequence[Recipe], records: Sequence[Record]) -> list[Recipe]:
    return [recipe for recipe in recipes if _of_recipe(records, recipe)]


def _of_recipe(records: Sequence[Record], recipe: Recipe) -> list[Record]:
    return [
        record
        for record in records
        if record["data"] == "mnist" and record["recipe"] == recipe.name
    ]


def _published(recipe: Recipe, part: str) -> str:
    return str(recipe.published.get(f"{part}_percent", "-"))
