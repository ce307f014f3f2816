"""All families of generated sequences; print their table, with their Bayes accuracies.

    python benchmarks/families.py                                # all, and write the record
    python benchmarks/families.py --family order --family shape

The Bayes accuracy is that of the classifier that knows the generator and chooses the most probable
class. Its likelihoods are exact, or integrals over one parameter on a fine grid; its accuracy is
estimated by simulation. The families are in `generators/`, the record is
benchmarks/records/families.json.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from generators.channels import Delay
from generators.family import Family
from generators.logs import EventLog, Rhythm
from generators.long import LongStretches, RareEvent
from generators.oscillations import Frequency, Imbalance
from generators.places import LevelAndShape, ManyShapes, Order, Shape
from generators.recordings import Activities
from generators.scales import Decades, HeavyTails, LevelAndScale

RECORD = Path(__file__).parent / "records" / "families.json"

TEST_SEEDS = (0, 1, 2, 3, 4)
"""Seeds of the families' final measurement."""

FIRST_DEVELOPMENT_SEED = 1000
"""The seed of the first round; the seeds from here on are for development."""

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Frequency(),
        Shape(),
        ManyShapes(),
        Order(),
        LevelAndShape(),
        LevelAndScale(),
        Decades(),
        HeavyTails(),
        LongStretches(),
        RareEvent(),
        Imbalance(),
        Delay(),
        EventLog(),
        Rhythm(),
        Activities(),
    )
}
"""All families by name."""


def describe_size(family: Family) -> str:
    """Return the number of training sequences, of classes, and the range of the lengths."""
    train = family.dataset(FIRST_DEVELOPMENT_SEED).train
    shortest, longest = int(train.lengths.min()), train.longest
    return (
        f"{len(train):,} of {shortest:,} to {longest:,} steps, {train.input_size} "
        f"feature{'s' * (train.input_size > 1)}, {len(family.classes)} classes"
    )


def read_record() -> dict[str, dict[str, Any]]:
    """Return the Bayes accuracy of each family, in percent, its standard error, and its sample."""
    record: dict[str, dict[str, Any]] = json.loads(RECORD.read_text())
    return record


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", action="append", choices=list(FAMILIES))
    arguments = parser.parse_args()
    print("| family | what it tests | training sequences | Bayes % |")
    print("|---|---|---|---|")
    record = {}
    for name in arguments.family or FAMILIES:
        family = FAMILIES[name]
        percent, error = (100 * value for value in family.bayes_accuracy())
        record[name] = {"percent": percent, "error": error, "simulated": family.simulated}
        size = describe_size(family)
        print(f"| {name} | {family.tests} | {size} | {percent:.2f} ± {error:.2f} |", flush=True)
    if not arguments.family:
        RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
