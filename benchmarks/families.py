"""Print the table of all families of generated sequences, with their Bayes accuracies.

    python benchmarks/families.py
    python benchmarks/families.py --family order --family shape

The Bayes accuracy is that of the classifier that knows the generator and chooses the most probable
class. Its likelihoods are exact, or integrals over one parameter on a fine grid; its accuracy is
estimated by simulation. Each family is in `generators/`.
"""

import argparse

from generators.family import Family
from generators.logs import EventLog, Rhythm
from generators.processes import Decades, Delay, Frequency, Imbalance, LevelAndScale
from generators.recordings import Activities
from generators.templates import (
    HeavyTails,
    LevelAndShape,
    LongStretches,
    Order,
    RareEvent,
    Shape,
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Frequency(),
        Shape(),
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
    train = family.dataset(0).train
    shortest, longest = int(train.lengths.min()), train.longest
    return (
        f"{len(train):,} of {shortest:,} to {longest:,} steps, {train.input_size} "
        f"feature{'s' * (train.input_size > 1)}, {len(family.classes)} classes"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append", choices=list(FAMILIES))
    arguments = parser.parse_args()
    print("| family | what it tests | training sequences | Bayes % |")
    print("|---|---|---|---|")
    for name in arguments.family or FAMILIES:
        family = FAMILIES[name]
        accuracy, error = family.bayes_accuracy()
        print(
            f"| {name} | {family.tests} | {describe_size(family)} "
            f"| {100 * accuracy:.2f} ± {100 * error:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
