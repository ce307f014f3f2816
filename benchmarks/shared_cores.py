"""Measure trainings that share their cores with other trainings, by how long idle threads spin.

    python benchmarks/shared_cores.py

For each GOMP_SPINCOUNT (none: the default of GNU OpenMP), trains recipe `fast` for one epoch on
9,000 digits, alone (three times) and then two and three at once, with as many threads as there are
cores in each process. Prints the seconds of each process.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bothways import open_dataset
from bothways.cli.process import keep_freed_memory
from bothways.recipes import load_recipe
from bothways.training.fit import fit, prepare

SPIN_COUNTS = ("none", "1000", "4000", "10000")


def train() -> float:
    """Return the seconds of the second of two trainings, when everything is compiled."""
    keep_freed_memory()
    recipe = load_recipe("fast").with_settings({"epochs": 1, "validation_fraction": 0.85})
    plan = prepare(replace(open_dataset("mnist"), test=None), recipe)
    plan = replace(plan, validation=None)
    fit(plan)
    started = time.perf_counter()
    fit(plan)
    return time.perf_counter() - started


def train_in_process(spin_count: str) -> float:
    """Return the seconds of `train` in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if spin_count != "none":
        environment["GOMP_SPINCOUNT"] = spin_count
    command = [sys.executable, __file__, "--train"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Print a table of all counts."""
    if sys.argv[1:] == ["--train"]:
        print(train())
        return
    print("| GOMP_SPINCOUNT | alone, s | two at once, s | three at once, s |\n|---|---|---|---|")
    for count in SPIN_COUNTS:
        alone = sorted(train_in_process(count) for _ in range(3))
        cells = [", ".join(f"{value:.2f}" for value in alone)]
        for processes in (2, 3):
            with ThreadPoolExecutor(processes) as pool:
                seconds = pool.map(train_in_process, [count] * processes)
            cells.append(", ".join(f"{value:.2f}" for value in sorted(seconds)))
        print(f"| {count} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
