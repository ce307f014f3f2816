"""Summarize a dataset and warn of problems in it, for `inspect` and `train`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from bothways.data.batching import IGNORED
from bothways.data.dataset import Dataset
from bothways.data.duplicates import content_digests
from bothways.data.record import Record, Source
from bothways.data.sequences import LabeledSequences, Sequences
from bothways.errors import counted

_HISTOGRAM_BINS = 8
_SHOWN = 3  # names that a warning lists


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


class RepeatedTimes:
    """Count sequences with repeated time stamps while they are read."""

    def __init__(self) -> None:
        self._count = 0
        self._first = ""

    def watch(self, source: Source) -> Source:
        """Return the same source with records that are counted as they are read."""
        return replace(source, records=self._watched(source.records))

    def _watched(self, records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            times = record.times
            if times is not None and (times[1:] == times[:-1]).any():
                self._count += 1
                self._first = self._first or record.place
            yield record

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the sequences read so far."""
        if not self._count:
            return ()
        return (
            f"repeated time stamps in {counted(self._count, 'sequence')}, first in "
            f"{self._first}: check whether two recordings have the same name.",
        )


def inspect_dataset(dataset: Dataset) -> Inspection:
    """Return the summary of a dataset; all sequences are read."""
    features = _features(dataset)
    parts = {name: _part(part, dataset.classes) for name, part in dataset.parts.items()}
    return Inspection(
        parts=parts,
        features=features,
        warnings=[
            *(w for w in dataset.warnings if w not in _axes_warnings(dataset.train)),
            *_content_warnings(dataset),
            *_group_warnings(dataset),
            *_axes_warnings(dataset.train),
            *suspicious_features(dataset),
            *_feature_warnings(features),
            *_class_warnings(dataset, parts["train"].per_class),
        ],
    )


def suspicious_features(dataset: Dataset) -> list[str]:
    """Return warnings of features that reveal the class, or count time steps.

    Sequences are read until no feature is suspicious: for most datasets, a few are enough.
    """
    return [*_leak_warnings(dataset), *_rising_warnings(dataset)]


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
    names = _feature_names(dataset)
    tokens = [dataset.vocabularies.get(name, ()) for name in names]
    rows = zip(names, low.tolist(), high.tolist(), (missing / total).tolist(), tokens, strict=True)
    return [FeatureSummary(*row) for row in rows]


def _feature_names(dataset: Dataset) -> tuple[str, ...]:
    return dataset.features or tuple(f"feature {n}" for n in range(dataset.train.input_size))


def _content_warnings(dataset: Dataset) -> list[str]:
    """Warn of sequences of zeros, and of duplicates within a part."""
    warnings = []
    for part, sequences in dataset.parts.items():
        zeros = sum(not bool(values.any()) for values in sequences.rows())
        if zeros:
            warnings.append(
                f"the {part} part has {counted(zeros, 'sequence')} of zeros only: fix or drop them."
            )
        repeated = len(sequences) - len(set(content_digests(sequences)))
        if repeated:
            warnings.append(f"the {part} part has {counted(repeated, 'duplicate sequence')}.")
    return warnings


def _group_warnings(dataset: Dataset) -> list[str]:
    sequences = dataset.train
    if sequences.groups is None or sequences.target == "step":
        return []
    pairs = torch.stack([sequences.groups, sequences.labels]).unique(dim=1)
    groups = sequences.groups.unique()
    if pairs.shape[1] == len(groups) < len(sequences):
        return [
            f"each of the {len(groups):,} groups has sequences of one class only: a model may "
            "recognize the group instead of the class."
        ]
    return []


def axes_warning(sequences: Sequences, how: str = "add --axes nct") -> str | None:
    """Return a warning if the axes of time and features look swapped, or None."""
    longest = sequences.longest
    if sequences.input_size <= longest or sequences.is_ragged or longest == 1:
        return None
    return (
        f"sequences have {counted(longest, 'time step')} of "
        f"{counted(sequences.input_size, 'feature')}: if the array has axes (sequences, features, "
        f"time steps), {how}."
    )


def _axes_warnings(sequences: Sequences) -> list[str]:
    warning = axes_warning(sequences)
    return [] if warning is None else [warning]


def _rising_warnings(dataset: Dataset) -> list[str]:
    """Warn of features that rise from each time step to the next, as row numbers and times do."""
    rising = torch.ones(dataset.train.input_size, dtype=torch.bool)
    compared = 0
    for steps, rows in dataset.train.chunks():
        inside = rows[1:] == rows[:-1]
        rising &= (steps.diff(dim=0)[inside] > 0).all(dim=0)
        compared += int(inside.sum())
        if not rising.any():
            return []
    if not compared:
        return []
    return [
        f"features that rise strictly in every sequence, like a time or a row number: "
        f"{_some(_chosen(dataset, rising))}. Exclude them unless their values are meant to be "
        "features."
    ]


def _leak_warnings(dataset: Dataset) -> list[str]:
    """Warn of features with a single value in each class, different from the other classes."""
    sequences = dataset.train
    shape = len(dataset.classes), sequences.input_size
    low, high = torch.full(shape, torch.inf), torch.full(shape, -torch.inf)
    for steps, labels in sequences.labeled_chunks():
        for label in labels[labels != IGNORED].unique().tolist():
            values = steps[labels == label]
            low[label] = torch.minimum(low[label], values.amin(dim=0))
            high[label] = torch.maximum(high[label], values.amax(dim=0))
        if not (low >= high).all(dim=0).any():  # no feature is constant in each class
            return []
    occurs = (low <= high).any(dim=1)
    values = low[occurs]
    leaks = (values == high[occurs]).all(dim=0)
    for n in leaks.nonzero().flatten().tolist():
        leaks[n] = len(values[:, n].unique()) == len(values) > 1
    if not leaks.any():
        return []
    return [
        "features with a single value in each class, which reveals the class: "
        f"{_some(_chosen(dataset, leaks))}. Exclude them."
    ]


def _chosen(dataset: Dataset, mask: torch.Tensor) -> list[str]:
    """Return the names of the features that a mask selects."""
    return [
        name for name, chosen in zip(_feature_names(dataset), mask.tolist(), strict=True) if chosen
    ]


def _feature_warnings(features: list[FeatureSummary]) -> list[str]:
    warnings = []
    constant = [feature.name for feature in features if feature.is_constant]
    if constant:
        warnings.append(f"constant features, which carry no information: {_some(constant)}.")
    missing = [f"{f.name} ({f.missing:.1%})" for f in features if f.missing]
    if missing:
        warnings.append(
            f"values are missing in {_some(missing)}: set --missing to mean, zero or mask."
        )
    return warnings


def _class_warnings(dataset: Dataset, per_class: dict[str, int]) -> list[str]:
    absent = [name for name, count in per_class.items() if not count]
    present = [count for count in per_class.values() if count]
    what = f"{dataset.target}s"
    warnings = []
    if absent:
        warnings.append(
            f"no training {dataset.target} has the class {_some(absent)}: it cannot be learned."
        )
    if max(present) >= 10 * min(present):
        warnings.append(
            f"the largest class has {max(present):,} {what} and the smallest {min(present):,}: "
            "use balanced accuracy, and try --set class_weights=balanced."
        )
    return warnings


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
