"""Benchmark each published recipe against a plain PyTorch script with the same model.

    python benchmarks/training_speed.py                        # measure everything again
    python benchmarks/training_speed.py --recipe lstm-flatten  # add samples of one recipe

The parity gate comes first: with the same weights, both sides must compute the same loss and
gradients on the same batch. Then each side trains some steps in a separate process, alternating
A B A B; the ratio is that of the median sequences per second. At last, whole trainings of the most
accurate notebook and of recipe `fast` alternate, unless the record has them and `--recipe` is set.
The record is written to benchmarks/records/, the table to docs/training-speed.md. Close other
programs first.
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
from peak import peak_gflops
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from bothways import ModelConfig, SequenceClassifier, open_dataset
from bothways.cli.process import keep_freed_memory
from bothways.evaluation.evaluate import accuracy_and_loss
from bothways.recipes import Recipe, all_recipes, load_recipe
from bothways.training.fit import fit, prepare
from bothways.training.loop.events import StepDone
from bothways.training.loop.trainer import Training

HERE = Path(__file__).parent
RECORD = HERE / "records" / "training_speed.json"
PAGE = HERE.parent / "docs" / "training-speed.md"
WARM_UP = 10

WHOLE = {"plain": "bilstm-12-flatten", "bothways": "fast"}
"""The recipes that are trained to the end: the most accurate notebook, and the fast one."""


class PlainModel(nn.Module):
    """The model of the notebooks: an LSTM and a linear layer on the last or all outputs."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            config.input_size,
            config.hidden_size,
            config.num_layers,
            batch_first=True,
            bidirectional=config.bidirectional,
        )
        width = config.hidden_size * (2 if config.bidirectional else 1)
        self.flatten = config.readout == "flatten"
        self.fc = nn.Linear(width * 28 if self.flatten else width, config.num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs, _ = self.lstm(inputs)
        logits: Tensor = self.fc(outputs.flatten(1) if self.flatten else outputs[:, -1])
        return logits


class Digits(TorchDataset[tuple[Tensor, Tensor]]):
    """MNIST digits that are scaled on access, like torchvision's MNIST with ToTensor."""

    def __init__(self) -> None:
        train = open_dataset("mnist").train
        self.pixels = (train.steps * 255).round().to(torch.uint8).view(-1, 28, 28)
        self.labels = train.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.pixels[index].float().div(255), self.labels[index]


def config_of(recipe: Recipe) -> ModelConfig:
    return ModelConfig.for_data(recipe.model, input_size=28, num_classes=10, longest=28)


def batch_size_of(recipe: Recipe) -> int:
    size = recipe.training.batch_size
    assert isinstance(size, int)  # in all recipes for MNIST
    return size


def plain_seconds(recipe: Recipe, steps: int) -> float:
    """Train like the notebooks; return the seconds of the steps after the warm-up."""
    torch.manual_seed(0)
    model = PlainModel(config_of(recipe))
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.training.learning_rate)
    loader = DataLoader(Digits(), batch_size=batch_size_of(recipe), shuffle=True)
    criterion = nn.CrossEntropyLoss()
    started = 0.0
    for step, (images, labels) in enumerate(loader):
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == WARM_UP - 1:
            started = time.perf_counter()
        if step == WARM_UP + steps - 1:
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


def train_plain(recipe: Recipe) -> dict[str, float]:
    """Train a notebook's model to the end as the notebook does; return seconds and accuracy."""
    torch.manual_seed(recipe.training.seed)
    model = PlainModel(config_of(recipe))
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.training.learning_rate)
    loader = DataLoader(Digits(), batch_size=batch_size_of(recipe), shuffle=True)
    criterion = nn.CrossEntropyLoss()
    started = time.perf_counter()
    for _ in range(recipe.training.epochs or 0):
        for images, labels in loader:
            loss = criterion(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    seconds = time.perf_counter() - started
    test = open_dataset("mnist").test
    assert test is not None
    with torch.no_grad():
        predicted = model(test.steps.view(-1, 28, 28)).argmax(dim=1)
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


def measure_whole(rounds: int) -> dict[str, list[dict[str, float]]]:
    """Alternate whole trainings of `WHOLE` in separate processes; return the samples."""
    samples: dict[str, list[dict[str, float]]] = {side: [] for side in WHOLE}
    for seed in range(rounds):
        for side in WHOLE:
            command = [sys.executable, __file__, "--whole-side", side, "--seed", str(seed)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            samples[side].append(json.loads(output))
            print(WHOLE[side], samples[side][-1], flush=True)
    return samples


def whole_lines(samples: dict[str, list[dict[str, float]]]) -> list[str]:
    """Return the section about whole trainings."""
    lines = [
        "## A whole training",
        "",
        f"Notebook 004 as a plain PyTorch script, and recipe `{WHOLE['bothways']}`: seconds of the "
        "training, without starting Python and reading the digits, and test accuracy. Each "
        "training has another seed and a process of its own, and the sides alternate.",
        "",
        "| | trainings | seconds | test % |",
        "|---|---|---|---|",
    ]
    names = {"plain": "plain PyTorch", "bothways": "bothways"}
    for side, found in samples.items():
        seconds = [sample["seconds"] for sample in found]
        percent = [100 * sample["accuracy"] for sample in found]
        lines.append(
            f"| {names[side]}, `{WHOLE[side]}` | {len(found)} | {median(seconds):.1f} "
            f"({min(seconds):.1f} to {max(seconds):.1f}) | {median(percent):.2f} |"
        )
    return lines


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
        "[benchmarks/records/training_speed.json](../benchmarks/records/training_speed.json).",
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
    parser.add_argument("--whole-side", choices=list(WHOLE), help=argparse.SUPPRESS)
    parser.add_argument("--recipe", help="only this one, added to the record")
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help="of a sample; default: 60 or 300")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each side")
    arguments = parser.parse_args()
    if arguments.side:
        seconds = {"plain": plain_seconds, "bothways": our_seconds}[arguments.side]
        print(seconds(load_recipe(arguments.recipe), arguments.steps))
        return
    if arguments.whole_side:
        train = {"plain": train_plain, "bothways": train_ours}[arguments.whole_side]
        recipe = load_recipe(WHOLE[arguments.whole_side])
        print(json.dumps(train(recipe.with_settings({"seed": arguments.seed}))))
        return
    earlier = json.loads(RECORD.read_text()) if arguments.recipe else {"cases": []}
    cases = {case["recipe"]: case for case in earlier["cases"]}
    for recipe in all_recipes():
        if recipe.notebook and arguments.recipe in (None, recipe.name):
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
        "whole": earlier.get("whole") or measure_whole(arguments.rounds),
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    PAGE.write_text(page(record))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
