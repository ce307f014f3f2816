"""Summarize a dataset, for `inspect`."""

from dataclasses import dataclass

import torch

from bothways.data.dataset import Dataset
from bothways.data.problems import (
    axes_warning,
    content_warnings,
    group_warnings,
    some_of,
    suspicious_features,
)
from bothways.data.sequences import LabeledSequences

_HISTOGRAM_BINS = 8


@dataclass(frozen=True)
class FeatureSummary:
    """A feature of the training set.

    Parameters
    ----------
    name : str
    low, high : float
        The smallest and the largest value.
    missing : float
        The fraction of steps where the value is missing.
    tokens : tuple of str
        The categories of a categorical feature.
    """

    name: str
    low: float
    high: float
    missing: float
    tokens: tuple[str, ...] = ()

    @property
    def is_constant(self) -> bool:
        """Whether all values are equal."""
        return not self.low < self.high


@dataclass(frozen=True)
class PartSummary:
    """A part of a dataset.

    Parameters
    ----------
    count : int
        Number of sequences.
    per_class : dict
        Number of labels of each class.
    histogram : list of (shortest, longest, count)
        Number of sequences by length.
    """

    count: int
    per_class: dict[str, int]
    histogram: list[tuple[int, int, int]]


@dataclass(frozen=True)
class Inspection:
    """The summary of a dataset.

    Parameters
    ----------
    parts : dict of PartSummary
    features : list of FeatureSummary
    warnings : list of str
        The most serious first.
    """

    parts: dict[str, PartSummary]
    features: list[FeatureSummary]
    warnings: list[str]


def inspect_dataset(dataset: Dataset) -> Inspection:
    """Return the summary of a dataset; all sequences are read."""
    features = _features(dataset)
    axes = [warning for warning in [axes_warning(dataset.train)] if warning]
    parts = {name: _part(part, dataset.classes) for name, part in dataset.parts.items()}
    return Inspection(
        parts=parts,
        features=features,
        warnings=[
            *(warning for warning in dataset.warnings if warning not in axes),
            *content_warnings(dataset),
            *group_warnings(dataset),
            *axes,
            *suspicious_features(dataset),
            *_feature_warnings(features),
            *_class_warnings(dataset, parts["train"].per_class),
        ],
    )


def length_histogram(lengths: torch.Tensor) -> list[tuple[int, int, int]]:
    """Return (shortest, longest, count) for bins of equal width, or one bin for equal lengths.

    >>> length_histogram(torch.tensor([7, 7, 9, 22]))[0]
    (7, 8, 2)
    """
    low, high = int(lengths.min()), int(lengths.max())
    width = -(-(high - low + 1) // _HISTOGRAM_BINS)
    counts = torch.bincount((lengths - low) // width).tolist()
    starts = [low + width * n for n in range(len(counts))]
    return [(s, min(s + width - 1, high), n) for s, n in zip(starts, counts, strict=True)]


def _part(sequences: LabeledSequences, classes: tuple[str, ...]) -> PartSummary:
    counts = sequences.label_counts(len(classes)).tolist()
    return PartSummary(
        count=len(sequences),
        per_class=dict(zip(classes, counts, strict=True)),
        histogram=length_histogram(sequences.lengths),
    )


def _features(dataset: Dataset) -> list[FeatureSummary]:
    size = dataset.train.input_size
    low, high = torch.full((size,), torch.inf), torch.full((size,), -torch.inf)
    missing, total = torch.zeros(size, dtype=torch.float32), 0
    for steps, _ in dataset.train.chunks():
        absent = steps.isnan()
        low = torch.minimum(low, steps.masked_fill(absent, torch.inf).amin(dim=0))
        high = torch.maximum(high, steps.masked_fill(absent, -torch.inf).amax(dim=0))
        missing += absent.sum(dim=0)
        total += len(steps)
    offsets = torch.tensor(dataset.offsets or (0.0,) * size, dtype=torch.float64)
    low, high = low.double() + offsets, high.double() + offsets
    names = dataset.feature_names
    tokens = [dataset.vocabularies.get(name, ()) for name in names]
    rows = zip(names, low.tolist(), high.tolist(), (missing / total).tolist(), tokens, strict=True)
    return [FeatureSummary(*row) for row in rows]


def _feature_warnings(features: list[FeatureSummary]) -> list[str]:
    warnings = []
    constant = [feature.name for feature in features if feature.is_constant]
    if constant:
        warnings.append(f"constant features, which carry no information: {some_of(constant)}.")
    missing = [f"{f.name} ({f.missing:.1%})" for f in features if f.missing]
    if missing:
        warnings.append(
            f"values are missing in {some_of(missing)}: set --missing to mean, zero or mask."
        )
    return warnings


def _class_warnings(dataset: Dataset, per_class: dict[str, int]) -> list[str]:
    absent = [name for name, count in per_class.items() if not count]
    present = [count for count in per_class.values() if count]
    what = f"{dataset.target}s"
    warnings = []
    if absent:
        warnings.append(
            f"no training {dataset.target} has the class {some_of(absent)}: it cannot be learned."
        )
    if max(present) >= 10 * min(present):
        warnings.append(
            f"the largest class has {max(present):,} {what} and the smallest {min(present):,}: "
            "use balanced accuracy, and try --set class_weights=balanced."
        )
    return warnings
