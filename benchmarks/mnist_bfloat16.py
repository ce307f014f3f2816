"""Train recipes for MNIST with both precisions, and compare the accuracies on the test digits.

    python benchmarks/mnist_bfloat16.py            # train where no record exists
    python benchmarks/mnist_bfloat16.py --fresh    # train everywhere

Needs a processor with AVX512_BF16. Evaluation is in float32. The record is written to
benchmarks/records/mnist_bfloat16/, a file for each training; the table is printed.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from result_cells import percents, spread_and_deviation
from training_record import training_record, write_records

from bothways.kernels import PRECISIONS

RECORDS = Path(__file__).parent / "records" / "mnist_bfloat16"
RECIPES = ("quick", "fast")
SEEDS = (0, 1, 2, 3, 4)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", action="append", choices=RECIPES, help="may be repeated")
    parser.add_argument("--fresh", action="store_true", help="train again")
    arguments = parser.parse_args()
    RECORDS.mkdir(exist_ok=True)
    print("| recipe | float32: test % | bfloat16: test % | difference of the means | its error |")
    print("|---|---|---|---|---|")
    for recipe in arguments.recipe or RECIPES:
        accuracies = []
        for precision in PRECISIONS:
            name = f"{recipe}-{precision}"
            measure = partial(_trained, recipe, precision)
            write_records(RECORDS, name, SEEDS, measure, fresh=arguments.fresh)
            files = [RECORDS / f"{name}-seed{seed}.json" for seed in SEEDS]
            accuracies.append(percents([json.loads(file.read_text()) for file in files]))
        cells = map(spread_and_deviation, accuracies)
        plain, reduced = accuracies
        # The standard error of a difference of two means.
        error = ((stdev(plain) ** 2 + stdev(reduced) ** 2) / len(SEEDS)) ** 0.5
        difference = mean(reduced) - mean(plain)
        print(f"| `{recipe}` | {' | '.join(cells)} | {difference:+.3f} | {error:.3f} |")


def _trained(recipe: str, precision: str, seed: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bothways", "train", "mnist", "--recipe", recipe]
    command += ["--seed", str(seed), "--set", f"precision={precision}"]
    record = {"data": "mnist", "recipe": recipe, "precision": precision, "seed": seed}
    return record | training_record(command)


if __name__ == "__main__":
    main()
