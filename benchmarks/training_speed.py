"""Benchmark each published recipe against a plain PyTorch script with the same model.

    python benchmarks/training_speed.py                        # measure everything again
    python benchmarks/training_speed.py --recipe lstm-flatten  # add samples of one recipe
    python benchmarks/training_speed.py --whole                # only the whole trainings again

The parity gate comes first: with the same weights, both sides must compute the same loss and
gradients on the same batch. Then each side trains some steps in a separate process, alternating
A B A B; the ratio is that of the median sequences per second. Finally, whole trainings alternate
(`whole_trainings.py`), unless `--recipe` is set. The record is written to
benchmarks/records/, the table to docs/training-speed.md. Close other programs first.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import describe_machine
from mnist_models import PlainModel, PlainTraining, batch_size_of, config_of
from peak import peak_gflops
from torch import nn
from whole_trainings import measure_whole, whole_lines

from bothways import SequenceClassifier, open_dataset
from bothways.cli.process import keep_freed_memory
from bothways.recipes import Recipe, all_recipes, load_recipe
from bothways.training.loop.events import StepDone
from bothways.training.loop.trainer import Training

HERE = Path(__file__).parent
RECORD = HERE / "records" / "training_speed.json"
PAGE = HERE.parent / "docs" / "training-speed.md"
WARM_UP = 10


def plain_seconds(recipe: Recipe, steps: int) -> float:
    """Train like the notebooks; return the seconds of the steps after the warm-up."""
    torch.manual_seed(0)
    training = PlainTraining(recipe)
    started = 0.0
    for step in training.epoch():
        if step == WARM_UP:
            started = time.perf_counter()
        if step == WARM_UP + steps:
            break
    return time.perf_counter() - started


def our_seconds(recipe: Recipe, steps: int) -> float:
    """Train like `bothways train`; return the seconds of the steps after the warm-up."""
    keep_freed_memory()
    torch.manual_seed(0)
    model = SequenceClassifier(config_of(recipe))
    training = Training(model, open_dataset("mnist").train, recipe.training)
    started = 0.0
    for event in training.events():
        if isinstance(event, StepDone):
            if event.step == WARM_UP:
                started = time.perf_counter()
            if event.step == WARM_UP + steps:
                training.loss()
                break
    return time.perf_counter() - started


def check_parity(recipe: Recipe) -> None:
    """Raise AssertionError if both sides differ in loss or gradients with the same weights.

    Tolerance: float32 sums over 64 sequences of 28 steps in another order.
    """
    torch.manual_seed(0)
    plain = PlainModel(config_of(recipe))
    ours = SequenceClassifier(config_of(recipe))
    ours.layers.load_state_dict(plain.lstm.state_dict())
    ours.linear.load_state_dict(plain.fc.state_dict())
    inputs, labels = torch.rand(64, 28, 28), torch.randint(0, 10, (64,))
    losses = [nn.functional.cross_entropy(model(inputs), labels) for model in (plain, ours)]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-6, rtol=1e-6)
    gradients = [
        torch.autograd.grad(loss, list(model.parameters()))
        for loss, model in zip(losses, (plain, ours), strict=True)
    ]
    for expected, mine in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-6, rtol=1e-4)


def measure(recipe: Recipe, steps: int, rounds: int) -> dict[str, Any]:
    """Alternate both sides in separate processes; return the samples."""
    samples: dict[str, list[float]] = {"plain": [], "bothways": []}
    for _ in range(rounds):
        for side in samples:
            command = [sys.executable, __file__, "--side", side, "--recipe", recipe.name]
            command += ["--steps", str(steps)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            samples[side].append(steps * batch_size_of(recipe) / float(output))
    return {"recipe": recipe.name, "steps": steps, "sequences_per_second": samples}


def page(record: dict[str, Any]) -> str:
    machine = record["machine"]
    lines = [
        "# Training speed against plain PyTorch",
        "",
        "Sequences per second while training on MNIST: each published recipe as a plain PyTorch "
        "script with a DataLoader, and with bothways. Each side runs in separate processes in its "
        "default environment, and the sides alternate. Figures are medians with (minimum to "
        "maximum).",
        "",
        "| recipe | samples per side | plain PyTorch | bothways | ratio |",
        "|---|---|---|---|---|",
    ]
    for case in record["cases"]:
        plain, ours = (case["sequences_per_second"][side] for side in ("plain", "bothways"))
        cells = [f"{median(s):,.0f} ({min(s):,.0f} to {max(s):,.0f})" for s in (plain, ours)]
        ratio = median(ours) / median(plain)
        lines.append(
            f"| `{case['recipe']}` | {len(ours)} | {cells[0]} | {cells[1]} | **{ratio:.2f}** |"
        )
    lines += ["", *whole_lines(record["whole"])]
    lines += [
        "",
        f"Machine: {machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"torch {machine['torch']}; a shared virtual machine whose peak, in float32 "
        f"multiplications and additions, was {record['peak_gflops']:.0f} GFLOP/s. Raw samples: "
        "`benchmarks/records/training_speed.json`.",
        "",
        "This page is generated by `python benchmarks/training_speed.py`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--side", choices=["plain", "bothways"], help="run one side and print seconds"
    )
    parser.add_argument("--recipe", help="only this one, added to the record")
    parser.add_argument("--whole", action="store_true", help="only the whole trainings")
    parser.add_argument("--steps", type=int, help="of a sample; default: 60 or 300")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each side")
    arguments = parser.parse_args()
    if arguments.side:
        seconds = {"plain": plain_seconds, "bothways": our_seconds}[arguments.side]
        print(seconds(load_recipe(arguments.recipe), arguments.steps))
        return
    keeps = arguments.recipe or arguments.whole
    earlier = json.loads(RECORD.read_text()) if keeps else {"cases": []}
    cases = {case["recipe"]: case for case in earlier["cases"]}
    for recipe in all_recipes():
        if recipe.notebook and not arguments.whole and arguments.recipe in (None, recipe.name):
            check_parity(recipe)
            steps = arguments.steps or (300 if recipe.model.hidden_size < 64 else 60)
            case = measure(recipe, steps, arguments.rounds)
            print(recipe.name, case["sequences_per_second"], flush=True)
            before = cases.setdefault(recipe.name, case)
            if before is not case:
                for side, samples in case["sequences_per_second"].items():
                    before["sequences_per_second"][side] += samples
    record = {
        "machine": describe_machine(),
        "peak_gflops": peak_gflops(torch.get_num_threads()),
        "warm_up_steps": WARM_UP,
        "cases": [*cases.values()],
        "whole": earlier["whole"] if arguments.recipe else measure_whole(arguments.rounds),
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    PAGE.write_text(page(record))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
