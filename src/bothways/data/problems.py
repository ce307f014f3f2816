"""Problems of a dataset that a user should know of, as warnings of one line."""

import torch

from bothways.data.batching import IGNORED
from bothways.data.dataset import Dataset
from bothways.data.duplicates import content_digests
from bothways.data.sequences import Sequences
from bothways.errors import counted

_SHOWN = 3  # names that a warning lists


def suspicious_features(dataset: Dataset) -> list[str]:
    """Return warnings of features that reveal the class, or count time steps.

    Sequences are read until no feature is suspicious: for most datasets, a few are enough.
    """
    return [*_leak_warnings(dataset), *_rising_warnings(dataset)]


def content_warnings(dataset: Dataset) -> list[str]:
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


def group_warnings(dataset: Dataset) -> list[str]:
    """Warn if each group has sequences of one class only."""
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
        f"{some_of(_chosen(dataset, rising))}. Exclude them unless their values are meant to be "
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
        f"{some_of(_chosen(dataset, leaks))}. Exclude them."
    ]


def _chosen(dataset: Dataset, mask: torch.Tensor) -> list[str]:
    """Return the names of the features that a mask selects."""
    return [
        name for name, chosen in zip(dataset.feature_names, mask.tolist(), strict=True) if chosen
    ]


def some_of(names: list[str]) -> str:
    """Return the first names as text, and how many more there are."""
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
