"""Tables and descriptions for the terminal; what they show comes from elsewhere."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bothways.data.batching import padding_waste, shuffled_batches
from bothways.data.dataset import Dataset
from bothways.data.summary import FeatureSummary, inspect_dataset
from bothways.evaluation.segments import F1_FIGURES
from bothways.models.card import describe_architecture, describe_origin, describe_readout
from bothways.models.manifest import Manifest
from bothways.models.trained import TrainedModel
from bothways.recipes import Recipe

_BAR_WIDTH = 30
_FEATURES_SHOWN = 20
_NAMES_SHOWN = 8
_BOUNDS = {
    "least": " (the least allowed: the validation split asks for yet surer probabilities)",
    "most": " (the most allowed: the validation split asks for yet less sure probabilities)",
}

_SEGMENT_FIGURES = {
    f"F1 at {100 * overlap:.0f} %": name for overlap, name in F1_FIGURES.items()
} | {"edit score": "edit_score"}

if TYPE_CHECKING:  # it brings scikit-learn
    from bothways.model_selection.compare import Comparison, Difference


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """Print a table; numbers stand to the right."""
    rows = [[str(value) for value in row] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for n, column in enumerate(columns):
        is_number = all(row[n][:1].isdigit() or row[n] in ("", "-") for row in rows)
        table.add_column(column, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    width = max(console.width, 200) if not console.is_terminal else console.width
    Console(highlight=False, width=width).print(table)


def got(figures: dict[str, Any]) -> str:
    """Return the accuracy in the notebooks' words."""
    return (
        f"Got {figures['correct']} / {figures['count']} "
        f"with accuracy {100 * figures['accuracy']:.2f}"
    )


def print_run(history: Sequence[dict[str, Any]], metrics: dict[str, Any]) -> None:
    """Print the closing table of a training run, and its final figures."""
    epochs = [line for line in history if line["kind"] == "epoch"]
    has_validation = metrics["validation"] is not None
    is_ragged = any(line["padding_waste"] > 0 for line in epochs)
    columns = ["epoch", "loss", "accuracy", "seconds", "sequences/s"]
    if has_validation:
        columns[3:3] = ["validation loss", "validation accuracy"]
    if is_ragged:
        columns.append("padding")
    rows = []
    for line in epochs:
        row = [
            line["epoch"],
            f"{line['loss']:.4f}",
            f"{line['accuracy']:.2%}",
            f"{line['seconds']:.1f}",
            f"{line['sequences_per_second']:,.0f}",
        ]
        if has_validation:
            row[3:3] = [f"{line['validation_loss']:.4f}", f"{line['validation_accuracy']:.2%}"]
        if is_ragged:
            row.append(f"{line['padding_waste']:.1%}")
        rows.append(row)
    print_table(columns, rows)
    if has_validation:
        print(f"epoch {metrics['validation']['epoch']} was kept, the best on validation")
        calibration = metrics["validation"].get("calibration")
        if calibration is not None:
            print(
                f"temperature {calibration['temperature']:.3f}"
                f"{_BOUNDS.get(calibration.get('bound'), '')}: on validation, log loss "
                f"{calibration['log_loss_before']:.4f} -> {calibration['log_loss_after']:.4f}, "
                f"calibration error {calibration['error_before']:.4f} -> "
                f"{calibration['error_after']:.4f}"
            )
    print_accuracies(metrics)


def print_accuracies(metrics: dict[str, Any]) -> None:
    """Print a line for each split that there is; of labels of steps, a table."""
    measured = {split: figures for split, figures in metrics.items() if figures is not None}
    if any("edit_score" in figures for figures in measured.values()):
        print_table(
            ["split", "steps", "right", "accuracy", *_SEGMENT_FIGURES],
            [
                [
                    split,
                    f"{figures['count']:,}",
                    f"{figures['correct']:,}",
                    f"{figures['accuracy']:.2%}",
                    *(f"{figures[name]:.3f}" for name in _SEGMENT_FIGURES.values()),
                ]
                for split, figures in measured.items()
            ],
        )
        return
    for split, figures in measured.items():
        print(f"{split + ':':<12}{got(figures)}")


def print_metrics(split: str, figures: dict[str, Any]) -> None:
    """Print all figures of one split."""
    print(f"{split}: {got(figures)}" + (" of steps" if "edit_score" in figures else ""))
    print(
        f"balanced accuracy {figures['balanced_accuracy']:.4f}, "
        f"macro F1 {figures['macro_f1']:.4f}, "
        f"log loss {figures['log_loss']:.4f}, "
        f"expected calibration error {figures['expected_calibration_error']:.4f}"
    )
    if "edit_score" in figures:
        segments = (f"{title} {figures[name]:.4f}" for title, name in _SEGMENT_FIGURES.items())
        print(f"segments: {', '.join(segments)}")
    per_class = figures["per_class"]
    print_table(
        ["class", "precision", "recall", "F1", "count"],
        [
            [name, f"{c['precision']:.4f}", f"{c['recall']:.4f}", f"{c['f1']:.4f}", c["count"]]
            for name, c in per_class.items()
        ],
    )
    matrix = zip(per_class, figures["confusion_matrix"], strict=True)
    print_table(
        ["true \\ predicted", *per_class],
        [[name, *row] for name, row in matrix],
    )


def print_recipes(recipes: Iterable[Recipe]) -> None:
    """Print a line a recipe, with what its author reported."""
    rows = []
    for recipe in recipes:
        training = recipe.training
        rows.append(
            [
                recipe.name,
                recipe.notebook or "-",
                recipe.summary,
                training.batch_size,
                f"{training.learning_rate:g}",
                training.epochs,
                recipe.published.get("train_percent", "-"),
                recipe.published.get("test_percent", "-"),
            ]
        )
    columns = ["recipe", "notebook", "model", "batch", "rate", "epochs", "train %", "test %"]
    print_table(columns, rows)
    print("train % and test %: accuracy as its author printed it; - where none was printed.")


def print_model(model: TrainedModel, status: str) -> None:
    """Print what a model is, how it reads, and what runs it."""
    manifest, classifier = model.manifest, model.classifier
    config = manifest.model
    parameters = sum(tensor.numel() for tensor in classifier.parameters())
    backend = classifier.layers.backend_choice
    known = manifest.preprocessing.training_range
    facts = {
        "model": describe_architecture(manifest),
        "parameters": f"{parameters:,}",
        "input": f"{config.input_size} features a step"
        + (f", at most {config.sequence_length} steps" if config.sequence_length else ""),
        "values": "not known" if known is None else f"{known[0]:g} to {known[1]:g} in training",
        **({"names": _describe_names(manifest)} if any(config.categories) else {}),
        "readout": describe_readout(manifest),
        "classes": f"{len(manifest.classes)}: {', '.join(manifest.classes)}",
        "backend": f"{backend.name}: {backend.reason}, {torch.get_num_threads()} threads",
        "from": describe_origin(manifest),
        "status": status,
    }
    _print_facts(facts)


def _describe_names(manifest: Manifest) -> str:
    vocabularies = manifest.preprocessing.reading.vocabularies
    return "; ".join(
        f"{feature}: {len(names)} ({_first_few(names)})" for feature, names in vocabularies.items()
    )


def print_dataset(dataset: Dataset) -> None:
    """Print what a data set holds, what was guessed about it, and what would spoil a model."""
    inspection = inspect_dataset(dataset)
    facts = {
        "data": dataset.name,
        "classes": f"{len(dataset.classes)}: {', '.join(dataset.classes)}"
        + (", one for each step" if dataset.target == "step" else ""),
        "features": f"{dataset.train.input_size} a step",
    }
    for part in ("train", "validation", "test"):
        summary = inspection.parts.get(part)
        facts[part] = "none" if summary is None else f"{summary.count:,} sequences"
    if dataset.train.groups is not None:
        facts["groups"] = f"{len(dataset.train.groups.unique()):,} in the training part"
    if dataset.train.is_ragged:
        generator = torch.Generator().manual_seed(0)
        batches = shuffled_batches(dataset.train.lengths, 64, generator)
        waste = padding_waste(dataset.train.lengths, batches)
        facts["padding"] = f"{waste:.1%} of the steps in batches of 64"
    _print_facts(facts)
    parts = inspection.parts
    print_table(
        [f"class, {dataset.target}s", *parts],
        [[name, *(f"{p.per_class[name]:,}" for p in parts.values())] for name in dataset.classes],
    )
    histogram = parts["train"].histogram
    largest = max(count for _, _, count in histogram)
    print_table(
        ["steps", "train", ""],
        [
            [
                str(low) if low == high else f"{low} to {high}",
                f"{count:,}",
                "█" * -(-_BAR_WIDTH * count // largest),
            ]
            for low, high, count in histogram
        ],
    )
    _print_features(inspection.features)
    for note in dataset.notes:
        print(note)
    for warning in inspection.warnings:
        print(f"warning: {warning}")


def _print_features(features: Sequence[FeatureSummary]) -> None:
    amounts = [feature for feature in features if not feature.tokens]
    shown = amounts[:_FEATURES_SHOWN]
    if shown:
        print_table(
            ["feature", "least", "most", "missing"],
            [
                [f.name, f"{f.low:g}", f"{f.high:g}", f"{f.missing:.1%}" if f.missing else "-"]
                for f in shown
            ],
        )
    if len(amounts) > len(shown):
        print(f"and {len(amounts) - len(shown)} more features\n")
    categorical = [feature for feature in features if feature.tokens]
    if categorical:
        print_table(
            ["feature", "names", "which are"],
            [[f.name, len(f.tokens), _first_few(f.tokens)] for f in categorical],
        )


def _first_few(names: Sequence[str]) -> str:
    shown = [name or "(empty)" for name in names[:_NAMES_SHOWN]]
    return ", ".join(shown + ["…"] * (len(names) > len(shown)))


def print_candidates(comparison: "Comparison") -> None:
    """Print how well each candidate does, and the two answers."""
    print_table(
        ["candidate", "accuracy, mean", "deviation", "rounds"],
        [
            [c.name, f"{c.mean:.2%}", f"{c.deviation:.2%}", len(c.accuracies)]
            for c in sorted(comparison.candidates, key=lambda c: -c.mean)
        ],
    )
    questions = {
        "Is a recurrent net worth it here?": comparison.recurrent_against_baseline,
        "Does reading both ways help?": comparison.both_ways_against_forward,
    }
    for question, difference in questions.items():
        if difference is not None:
            print(f"{question} {describe_difference(difference)}")


def describe_difference(difference: "Difference") -> str:
    """Say who is better, by how much, and whether that may be chance."""
    points = f"{difference.first} minus {difference.second}: {100 * difference.mean:+.2f} points"
    if math.isnan(difference.p_value):
        return f"{points}; too few rounds to tell it from chance. Use more --rounds."
    interval = (
        f"95 % interval {100 * difference.low:+.2f} to {100 * difference.high:+.2f}, "
        f"p = {difference.p_value:.2g}"
    )
    sure = difference.p_value < 0.05
    verdict = "Not to be told from chance"
    if sure:
        verdict = "Yes" if difference.mean > 0 else "No, it is worse"
    return f"{verdict}. {points} ({interval}, corrected paired t-test)."


def print_checkpoint(weights: Mapping[str, Tensor]) -> None:
    """Print the tensors of a checkpoint, and how to go on."""
    rows = [[name, "x".join(map(str, tensor.shape))] for name, tensor in weights.items()]
    print_table(["tensor", "shape"], rows)
    print("use it: bothways convert FILE --out my-model")


def _print_facts(facts: dict[str, str]) -> None:
    width = max(len(name) for name in facts) + 2
    for name, value in facts.items():
        print(f"{name:<{width}}{value}")


def print_comparison(milliseconds: dict[str, dict[str, float]]) -> None:
    """Print what `bench.compare` measured, ratio last."""
    ours, theirs = milliseconds["bothways.nn"], milliseconds["torch.nn"]
    rows = [
        [work, f"{ours[work]:.3g} ms", f"{theirs[work]:.3g} ms", f"{theirs[work] / ours[work]:.2f}"]
        for work in ours
    ]
    print_table(["", "bothways.nn", "torch.nn", "times as fast"], rows)
