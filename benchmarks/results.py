"""Train the recipes with several seeds, and write docs/results.md and the table in README.md.

    python benchmarks/results.py                     # run what has no record yet
    python benchmarks/results.py --fresh             # run everything again
    python benchmarks/results.py --only mnist        # or series, for recipe time-series

Each run is `bothways train` in a separate process; its record is written to
benchmarks/records/results/. Close other programs first, because seconds are wall-clock time. The
datasets of the archive are those in aeon's wheel (`pip install --no-deps aeon==1.6.0`); without it,
their existing records are kept.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from families import FAMILIES, TEST_SEEDS
from series_results import ARCHIVE_TARGETS, archive_section, families_section, measure
from training_record import training_record

from bothways.recipes import Recipe, all_recipes

HERE = Path(__file__).parent
RECORDS = HERE / "records" / "results"
PAGE = HERE.parent / "docs" / "results.md"
README = HERE.parent / "README.md"
MARKERS = r"(<!-- make results -->\n)(.*)(\n<!-- end -->)"
SEEDS = (0, 1, 2)

# A mean up to this far below the published accuracy counts as reproduced, in percent.
ALLOWANCE = 0.4
UNPUBLISHED_TARGET = 97.0
DEFAULT_TARGET = 98.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--only", choices=["mnist", "series"])
    arguments = parser.parse_args()
    RECORDS.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS if arguments.only != "series" else ():
        for recipe in on_mnist():
            path = RECORDS / f"{recipe.name}-seed{seed}.json"
            if arguments.fresh or not path.exists():
                print(f"{recipe.name}, seed {seed}", flush=True)
                command = [sys.executable, "-m", "bothways", "train", "mnist"]
                command += ["--recipe", recipe.name, "--seed", str(seed)]
                record = {"data": "mnist", "recipe": recipe.name, "seed": seed}
                path.write_text(json.dumps(record | training_record(command), indent=1) + "\n")
    if arguments.only != "mnist":
        measure(RECORDS, [*ARCHIVE_TARGETS, *FAMILIES], TEST_SEEDS, fresh=arguments.fresh)
    everything = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))]
    records = [record for record in everything if record.get("data", "mnist") == "mnist"]
    series = [record for record in everything if record not in records]
    PAGE.write_text(_page(records, series))
    before, begin, _, end, after = re.split(MARKERS, README.read_text(), flags=re.DOTALL)
    README.write_text(before + begin + _short_table(records) + end + after)
    print(f"wrote {PAGE} and the table in {README}")


def on_mnist() -> list[Recipe]:
    """Return the recipes for MNIST: the default one and those of the notebooks."""
    return [recipe for recipe in all_recipes() if recipe.name == "default" or recipe.notebook]


def _short_table(records: list[dict[str, Any]]) -> str:
    """Return the table for README.md."""
    lines = ["| recipe | notebook | model | published test % | test % here, mean (min to max) |"]
    lines.append("|---|---|---|---|---|")
    for recipe in on_mnist():
        test = _test_percents(records, recipe)
        published = recipe.published.get("test_percent", "-")
        lines.append(
            f"| `{recipe.name}` | {recipe.notebook or '-'} | {recipe.summary} | {published} "
            f"| **{mean(test):.2f}** ({min(test):.2f} to {max(test):.2f}) |"
        )
    return "\n".join(lines)


def _test_percents(records: list[dict[str, Any]], recipe: Recipe) -> list[float]:
    return [
        100 * record["metrics"]["test"]["accuracy"]
        for record in records
        if record["recipe"] == recipe.name
    ]


def _page(records: list[dict[str, Any]], series: list[dict[str, Any]]) -> str:
    """Return the Markdown page of all records."""
    machines = {
        f"{m['processor']}, {m['cores']} cores, {m['threads']} threads, torch {m['torch']}, "
        f"Python {m['python']}"
        for m in (record["machine"] for record in records)
    }
    lines = [
        "# Results",
        "",
        "## MNIST",
        "",
        "Each recipe is trained with seeds 0, 1 and 2 on the 60,000 training digits and evaluated "
        "once on the 10,000 test digits. Published: the accuracies in the author's notebook. "
        "Training seconds are the sum of all steps; the whole command adds reading, evaluating "
        "70,000 digits and saving.",
        "",
        "| recipe | published train / test % | train % | test %: mean (min to max) | target | "
        "training, s | whole command, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe in on_mnist():
        selected = [record for record in records if record["recipe"] == recipe.name]
        lines.append(_row(recipe, selected))
    lines += [
        "",
        f"Target: the published test accuracy minus {ALLOWANCE}; {UNPUBLISHED_TARGET} if none was "
        f"published; {DEFAULT_TARGET} for `default`, which holds out a validation split of the "
        "training digits to choose its epoch.",
        "",
        f"Machine: {'; '.join(sorted(machines))}. Seconds are means over the seeds, wall-clock, on "
        "a shared virtual machine whose speed varies; the raw records are in "
        "[benchmarks/records/results](../benchmarks/records/results).",
        "",
        *archive_section(series),
        *families_section(series),
        "This page is generated by `make results`.",
        "",
    ]
    return "\n".join(lines)


def _row(recipe: Recipe, records: list[dict[str, Any]]) -> str:
    test = _test_percents(records, recipe)
    train = [100 * record["metrics"]["train"]["accuracy"] for record in records]
    seconds = [sum(epoch["seconds"] for epoch in record["epochs"]) for record in records]
    wall = [record["wall_seconds"] for record in records]
    if recipe.name == "default":
        target = DEFAULT_TARGET
    elif "test_percent" in recipe.published:
        target = recipe.published["test_percent"] - ALLOWANCE
    else:
        target = UNPUBLISHED_TARGET
    reached = "reached" if mean(test) >= target else "**missed**"
    published = " / ".join(
        str(recipe.published.get(f"{part}_percent", "-")) for part in ("train", "test")
    )
    return (
        f"| `{recipe.name}` | {published} | {mean(train):.2f} | **{mean(test):.2f}** "
        f"({min(test):.2f} to {max(test):.2f}) | {target:.2f} {reached} | {mean(seconds):.0f} "
        f"| {mean(wall):.0f} |"
    )


if __name__ == "__main__":
    main()
