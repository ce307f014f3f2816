"""Measure what limits recipe `time-series` on families of generated sequences: data or network.

    python benchmarks/learning_curves.py decades delay    # what has no record yet

Trains the recipe on 1, 3 and 10 times the training sequences of each family, with a development
seed, and compares with the classifier that knows the generator on the same test sequences. If the
share of its accuracy rises with the number of sequences, the network can learn the family, and the
training set limits the result. Records are appended to records/learning_curves.jsonl, and all
records are printed as a table.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from families import FAMILIES, FIRST_DEVELOPMENT_SEED

import bothways

RECORDS = Path(__file__).parent / "records" / "learning_curves.jsonl"
TIMES = (1, 3, 10)


def measure(name: str, times: int) -> dict[str, Any]:
    """Train on `times` as many sequences and return the record."""
    family = FAMILIES[name]
    dataset = family.dataset(FIRST_DEVELOPMENT_SEED, family.train_count * times)
    assert dataset.test is not None  # every family has one
    with tempfile.TemporaryDirectory() as folder:
        metrics = bothways.train(dataset, out=Path(folder) / "run", seed=0).metrics
    assert metrics.test is not None
    return {
        "data": name,
        "train_count": len(dataset.train),
        "accuracy": metrics.test.accuracy,
        "train_accuracy": metrics.train.accuracy,
        "best_accuracy": float(family.best_hits(dataset.test).mean()),
    }


def read_records() -> list[dict[str, Any]]:
    """Return the records so far."""
    lines = RECORDS.read_text().splitlines() if RECORDS.exists() else []
    return [json.loads(line) for line in lines]


def table(records: list[dict[str, Any]]) -> list[str]:
    """Return a line for each family: the shares of the best accuracy by training sequences."""
    lines = [
        "| family | training sequences | accuracy % on the training set | test % | share, % |",
        "|---|---|---|---|---|",
    ]
    for record in sorted(
        records, key=lambda r: (list(FAMILIES).index(r["data"]), r["train_count"])
    ):
        share = 100 * record["accuracy"] / record["best_accuracy"]
        lines.append(
            f"| {record['data']} | {record['train_count']:,} | {record['train_accuracy']:.1%} "
            f"| {record['accuracy']:.1%} | {share:.1f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*", choices=[*FAMILIES, []], default=[])
    measured = {(record["data"], record["train_count"]) for record in read_records()}
    for name in parser.parse_args().families:
        for times in TIMES:
            if (name, FAMILIES[name].train_count * times) in measured:
                continue
            record = measure(name, times)
            with RECORDS.open("a") as file:
                file.write(json.dumps(record) + "\n")
    print("\n".join(table(read_records())))


if __name__ == "__main__":
    main()
