"""Print what a dataset contains."""

from collections.abc import Sequence

import torch

from bothways.cli.tables import first_few, print_facts, print_table
from bothways.data.batching import padding_waste, shuffled_batches
from bothways.data.dataset import Dataset
from bothways.data.summary import FeatureSummary, inspect_dataset
from bothways.errors import counted

_BAR_WIDTH = 30
_FEATURES_SHOWN = 20


def print_dataset(dataset: Dataset) -> None:
    """Print the content of a dataset, what was guessed, and warnings."""
    inspection = inspect_dataset(dataset)
    facts = {
        "data": dataset.name,
        "classes": f"{len(dataset.classes)}: {', '.join(dataset.classes)}"
        + (", one for each time step" if dataset.target == "step" else ""),
        "features": f"{dataset.train.input_size} per time step",
    }
    for part in ("train", "validation", "test"):
        summary = inspection.parts.get(part)
        facts[part] = "none" if summary is None else counted(summary.count, "sequence")
    if dataset.train.groups is not None:
        facts["groups"] = f"{len(dataset.train.groups.unique()):,} in the training set"
    if dataset.train.is_ragged:
        generator = torch.Generator().manual_seed(0)
        lengths = dataset.train.lengths
        waste = padding_waste(lengths[rows] for rows in shuffled_batches(lengths, 64, generator))
        facts["padding"] = f"{waste:.1%} of the time steps in batches of 64"
    print_facts(facts)
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
    numeric = [feature for feature in features if not feature.tokens]
    shown = numeric[:_FEATURES_SHOWN]
    if shown:
        print_table(
            ["feature", "minimum", "maximum", "missing"],
            [
                [f.name, f"{f.low:g}", f"{f.high:g}", f"{f.missing:.1%}" if f.missing else "-"]
                for f in shown
            ],
        )
    if len(numeric) > len(shown):
        print(f"and {counted(len(numeric) - len(shown), 'more feature')}\n")
    categorical = [feature for feature in features if feature.tokens]
    if categorical:
        print_table(
            ["feature", "categories", "values"],
            [[f.name, len(f.tokens), first_few(f.tokens)] for f in categorical],
        )
