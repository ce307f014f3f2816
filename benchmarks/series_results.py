"""Measure recipe `time-series` on test data, once, and describe the records in docs/results.md.

`results.py` calls this module. To try the measurement on other data than those of the tests:

    python benchmarks/series_results.py --data order --seed 900 --records /tmp/records

The test data are the test sets of two datasets of the archive, with `TEST_SEEDS` of the training,
and the families of generated sequences, with `TEST_SEEDS` of both the data and the training. The
settings of the recipe are chosen by `series_search.py`, on other data.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import families
import learning_curves
from families import FAMILIES, TEST_SEEDS, describe_size
from result_cells import Record, percents, spread_and_deviation, verdict
from search_jobs import read_records
from series_data import archive_file
from series_search import RECORDS as SEARCH
from training_record import training_record, write_records

import bothways

ARCHIVE_TARGETS = {"JapaneseVowels": 98.5, "BasicMotions": 100.0}
"""Target test accuracy, in percent."""

FAMILY_TARGET = 95.0
"""Target test accuracy, in percent of that of the classifier that knows the generator."""


def measure_series(
    records: Path, data: Iterable[str], seeds: Iterable[int], *, fresh: bool
) -> None:
    """Train and test where no record exists, or everywhere.

    Without aeon, the records of the archive remain as they are.
    """
    for name in data:
        try:
            write_records(records, name, seeds, partial(_measured_on, name), fresh=fresh)
        except ModuleNotFoundError as error:
            print(error)


def _measured_on(name: str, seed: int) -> dict[str, Any]:
    record: dict[str, Any] = {"data": name, "recipe": "time-series", "seed": seed}
    record |= training_record(_command(name, seed))
    record["epochs"] = len(record["epochs"])
    if name in FAMILIES:
        test = FAMILIES[name].dataset(seed).test
        assert test is not None  # every family has one
        record["best_accuracy"] = float(FAMILIES[name].best_hits(test).mean())
    return record


def _command(name: str, seed: int) -> list[str]:
    if name in FAMILIES:
        return [sys.executable, __file__, "--train", "--data", name, "--seed", str(seed)]
    source = str(archive_file(name))
    return [
        *(sys.executable, "-m", "bothways", "train", source),
        *("--recipe", "time-series", "--seed", str(seed)),
    ]


def series_section(records: Sequence[Record]) -> list[str]:
    """Return the section about recipe `time-series`."""
    tables = [*archive_table(records), *families_table(records)]
    return [
        "## Time series",
        "",
        f"Recipe `time-series` is the default for every file. {_search_text()}",
        "",
        *(tables or ["These settings have not been measured on test data yet.", ""]),
        "### More training sequences",
        "",
        "What the same recipe reaches with 3 and 10 times the training sequences, on a development "
        "draw of some families (one training each, `benchmarks/learning_curves.py`): if the share "
        "rises, the number of sequences limits the result, and not the network.",
        "",
        *learning_curves.table(learning_curves.read_records()),
        "",
    ]


def archive_table(records: Sequence[Record]) -> list[str]:
    """Return the section about the archive, or nothing without records."""
    rows = []
    for name, target in ARCHIVE_TARGETS.items():
        selected = [record for record in records if record["data"] == name]
        if not selected:
            continue
        test = percents(selected)
        counts = [selected[0]["metrics"][part]["count"] for part in ("train", "test")]
        rows.append(
            f"| {name} | {counts[0]} / {counts[1]} | {spread_and_deviation(test)} | {target:.1f} "
            f"{verdict(mean(test), target)} |"
        )
    return rows and [
        "### The time-series archive",
        "",
        f"{_seeds()}, evaluated once on the archive's test sets. Three earlier recipes had been "
        "evaluated on these test sets (97.3, 98.0 and 98.05 %; 95.0, 99.5 and 100 %); those "
        "results did not influence the choice.",
        "",
        "| dataset | train / test sequences | test %: mean (min to max), standard deviation | "
        "target |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def _search_text() -> str:
    """Describe how the settings were chosen, from the records of the search."""
    found = [record for record in read_records(SEARCH) if "error" not in record]
    variants = {json.dumps(record["settings"], sort_keys=True) for record in found}
    return (
        f"Its settings were chosen by `benchmarks/series_search.py`: {len(variants)} "
        f"configurations in {len(found):,} trainings, on held-out sets of the training sets of "
        "seven datasets of the archive, and on draws of families of generated sequences "
        "(`benchmarks/families.py`) that are not used again."
    )


def families_table(records: Sequence[Record]) -> list[str]:
    """Return the section about the families, or nothing without records."""
    bayes = families.read_record()
    rows = []
    measured = {record["data"] for record in records}
    for name, family in FAMILIES.items():
        selected = [record for record in records if record["data"] == name]
        if not selected:
            continue
        test = percents(selected)
        share = 100 * mean(test) / mean(100 * record["best_accuracy"] for record in selected)
        rows.append(
            f"| {name} | {family.tests} | {describe_size(family)} "
            f"| {bayes[name]['percent']:.1f} ± {bayes[name]['error']:.1f} "
            f"| {spread_and_deviation(test)} "
            f"| {share:.1f} {verdict(share, FAMILY_TARGET)} |"
        )
    return rows and [
        "### Families of generated sequences",
        "",
        f"{_seeds()}, each of which also draws the data. Each family "
        "tests one thing, and the best possible answer is known: that of the classifier that knows "
        "the generator (Bayes; estimated by simulation, with its standard error). Share: the test "
        "accuracy in percent of that classifier's on the same sequences; the target is "
        f"{FAMILY_TARGET:.0f}. The recipe was chosen on other draws of these families.",
        "",
        "An earlier measurement on these draws, where the convolutions did not start with "
        "[differences](decisions/0055-stem-starts-with-differences.md), gave 57.97 % (32.17 to "
        "98.50) for `long`. This led to the change, which was chosen on other draws, too.",
        "",
        "| family | what it tests | training sequences | Bayes % | test %: mean (min to max), "
        "standard deviation | share, % |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        *_without_records([name for name in FAMILIES if name not in measured]),
    ]


def _without_records(names: Sequence[str]) -> list[str]:
    return [f"Not measured yet: {', '.join(names)}.", ""] if names else []


def _seeds() -> str:
    return f"Seeds {TEST_SEEDS[0]} to {TEST_SEEDS[-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, choices=list(FAMILIES))
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--records", type=Path, default=Path(), help="folder for the record")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    name, seed = arguments.data, arguments.seed
    if arguments.train:
        bothways.train(FAMILIES[name].dataset(seed), out=arguments.out, seed=seed)
        return
    arguments.records.mkdir(parents=True, exist_ok=True)
    measure_series(arguments.records, [name], [seed], fresh=True)
    records = [json.loads((arguments.records / f"{name}-seed{seed}.json").read_text())]
    print("\n".join(families_table(records)))


if __name__ == "__main__":
    main()
