"""Whole trainings of the most accurate notebook in plain PyTorch, and of two recipes.

`training_speed.py` calls this module. It runs itself for each training, in a process of its own:

    python benchmarks/whole_trainings.py --side plain --seed 0
"""

import argparse
import json
import subprocess
import sys
import time
from statistics import median

import torch
from mnist_models import PlainTraining

from bothways import open_dataset
from bothways.cli.process import keep_freed_memory
from bothways.evaluation.evaluate import accuracy_and_loss
from bothways.recipes import Recipe, load_recipe
from bothways.training.fit import fit, prepare

WHOLE = {"plain": "bilstm-12-flatten", "quick": "quick", "fast": "fast"}
"""The recipes that are trained to the end: the most accurate notebook, and our fastest ones."""


def measure_whole(rounds: int) -> dict[str, list[dict[str, float]]]:
    """Alternate whole trainings of `WHOLE` in separate processes; return the samples."""
    samples: dict[str, list[dict[str, float]]] = {side: [] for side in WHOLE}
    for seed in range(rounds):
        for side in WHOLE:
            command = [sys.executable, __file__, "--side", side, "--seed", str(seed)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            samples[side].append(json.loads(output))
            print(WHOLE[side], samples[side][-1], flush=True)
    return samples


def whole_lines(samples: dict[str, list[dict[str, float]]]) -> list[str]:
    """Return the section about whole trainings."""
    lines = [
        "## A whole training",
        "",
        "Notebook 004 as a plain PyTorch script, and our fastest recipes: seconds of the training, "
        "without starting Python and reading the digits, and test accuracy. Each training has "
        "another seed and a process of its own, and the sides alternate.",
        "",
        "| | trainings | seconds | test % |",
        "|---|---|---|---|",
    ]
    for side, found in samples.items():
        name = "plain PyTorch" if side == "plain" else "bothways"
        seconds = [sample["seconds"] for sample in found]
        percent = [100 * sample["accuracy"] for sample in found]
        lines.append(
            f"| {name}, `{WHOLE[side]}` | {len(found)} | {median(seconds):.1f} "
            f"({min(seconds):.1f} to {max(seconds):.1f}) | {median(percent):.2f} |"
        )
    return lines


def train_plain(recipe: Recipe) -> dict[str, float]:
    """Train a notebook's model to the end as the notebook does; return seconds and accuracy."""
    torch.manual_seed(recipe.training.seed)
    training = PlainTraining(recipe)
    started = time.perf_counter()
    for _ in range(recipe.training.epochs or 0):
        for _ in training.epoch():
            pass
    seconds = time.perf_counter() - started
    test = open_dataset("mnist").test
    assert test is not None
    with torch.no_grad():
        predicted = training.model(test.steps.view(-1, 28, 28)).argmax(dim=1)
    return {"seconds": seconds, "accuracy": (predicted == test.labels).double().mean().item()}


def train_ours(recipe: Recipe) -> dict[str, float]:
    """Train a recipe to the end; return seconds and accuracy."""
    keep_freed_memory()
    dataset = open_dataset("mnist")
    plan = prepare(dataset, recipe)
    started = time.perf_counter()
    fitted = fit(plan)
    seconds = time.perf_counter() - started
    assert dataset.test is not None
    accuracy, _ = accuracy_and_loss(fitted.classifier, dataset.test)
    return {"seconds": seconds, "accuracy": accuracy}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", required=True, choices=list(WHOLE))
    parser.add_argument("--seed", required=True, type=int)
    arguments = parser.parse_args()
    train = train_plain if arguments.side == "plain" else train_ours
    recipe = load_recipe(WHOLE[arguments.side]).with_settings({"seed": arguments.seed})
    print(json.dumps(train(recipe)))


if __name__ == "__main__":
    main()
