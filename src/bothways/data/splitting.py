"""Split datasets: stratified by class, by group, or by time."""

from dataclasses import replace

import torch
from torch import Tensor

from bothways.data.dataset import Dataset
from bothways.data.duplicates import without_duplicates
from bothways.data.sequences import LabeledSequences
from bothways.errors import DataError


def hold_out(
    dataset: Dataset, fraction: float, seed: int
) -> tuple[LabeledSequences, LabeledSequences | None]:
    """Return the training set and the validation set of a dataset.

    Parameters
    ----------
    dataset : Dataset
        If it has a validation set, that part is returned.
    fraction : float
        Otherwise, the fraction of the training set that is held out; 0 for none.
    seed : int
        Seed of the split.

    Returns
    -------
    train : LabeledSequences
    validation : LabeledSequences or None

    Raises
    ------
    DataError
        If nothing can be held out, because no class has two sequences or groups.
    """
    sequences = dataset.train
    if dataset.validation is not None or not fraction:
        return sequences, dataset.validation
    training, held_out = _held_out_rows(dataset, fraction, seed)
    if not len(held_out):
        raise DataError(
            f"{dataset.name}: no class has two sequences, so none can be held out for validation; "
            "expected more sequences. Set validation_fraction=0."
        )
    train, validation = sequences.subset(training), sequences.subset(held_out)
    if dataset.drop_copies:
        train = without_duplicates(dataset.name, train, validation)
    return train, validation


def with_test_part(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """Return the dataset with a test set held out of its training set.

    Parameters
    ----------
    dataset : Dataset
    fraction : float
        The fraction of the training set that is held out; 0 returns the dataset unchanged.
    seed : int
        Seed of the split.

    Raises
    ------
    DataError
        If the dataset already has a test set, or nothing can be held out.
    """
    if not fraction:
        return dataset
    if dataset.test is not None:
        raise DataError(
            f"{dataset.name} already has a test set; expected none with --test {fraction:g}. "
            "Omit --test."
        )
    rest, held_out = _held_out_rows(dataset, fraction, seed)
    if not len(held_out):
        raise DataError(
            f"{dataset.name}: no class has two sequences or groups, so none can be held out for "
            "the test; expected more sequences. Omit --test."
        )
    train, test = dataset.train.subset(rest), dataset.train.subset(held_out)
    return replace(dataset, train=train, test=test)


def _held_out_rows(dataset: Dataset, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the training sequences to keep and to hold out, both sorted.

    If the dataset is in time order, the last sequences or the groups that begin last are held out.
    """
    if dataset.in_time_order:
        return _latest(dataset.train, fraction)
    return random_split(dataset.train, len(dataset.classes), fraction, seed)


def random_split(
    sequences: LabeledSequences, num_classes: int, fraction: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Return the indices to keep and to hold out, both sorted.

    The split is stratified by class and does not divide groups.

    Parameters
    ----------
    sequences : LabeledSequences
    num_classes : int
    fraction : float
    seed : int

    Returns
    -------
    kept, held_out : int64 Tensor (some,)
        `held_out` is empty if nothing can be held out.
    """
    if sequences.groups is None and sequences.target == "sequence":
        return stratified_split(sequences.labels, fraction, seed)
    groups = torch.arange(len(sequences)) if sequences.groups is None else sequences.groups
    return group_split(sequences.class_counts(num_classes), groups, fraction, seed)


def _latest(sequences: LabeledSequences, fraction: float) -> tuple[Tensor, Tensor]:
    """Split sequences that are in time order; a group is at the time of its first sequence."""
    count = min(len(sequences) - 1, max(1, round(fraction * len(sequences))))
    rows = torch.arange(len(sequences))
    if sequences.groups is None:
        return rows[:-count], rows[-count:]
    numbers, of_row = sequences.groups.unique(return_inverse=True)
    begins = torch.full((len(numbers),), len(rows)).scatter_reduce(0, of_row, rows, "amin")
    held_out = torch.zeros(len(numbers), dtype=torch.bool)
    for group in begins.argsort(descending=True)[:-1].tolist():  # one group remains for training
        if int(held_out[of_row].sum()) >= count:
            break
        held_out[group] = True
    return rows[~held_out[of_row]], rows[held_out[of_row]]


def group_split(
    class_counts: Tensor, groups: Tensor, fraction: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Return the indices to keep and to hold out, both sorted, without dividing groups.

    Groups are visited in random order. A group is held out if the held-out counts of the classes
    are then nearer to `fraction` of their totals.

    Parameters
    ----------
    class_counts : int64 Tensor (count, num_classes)
        See `LabeledSequences.class_counts`.
    groups : int64 Tensor (count,)
    fraction : float
    seed : int

    Returns
    -------
    kept, held_out : int64 Tensor (some,)
    """
    generator = torch.Generator().manual_seed(seed)
    numbers = groups.unique()
    counts = torch.zeros(int(groups.max()) + 1, class_counts.shape[1], dtype=torch.float64)
    counts.index_add_(0, groups, class_counts.double())
    lacking = fraction * counts.sum(dim=0)
    held_out = torch.zeros(len(counts), dtype=torch.bool)
    for group in numbers[torch.randperm(len(numbers), generator=generator)].tolist():
        if (lacking - counts[group]).abs().sum() < lacking.abs().sum():
            held_out[group] = True
            lacking = lacking - counts[group]
    if not bool(held_out.any()) and len(numbers) > 1:  # all groups are too large: the nearest
        costs = (lacking - counts[numbers]).abs().sum(dim=1)
        held_out[numbers[costs.argmin()]] = True
    if bool(held_out[numbers].all()):  # the smallest remains for training
        held_out[numbers[counts[numbers].sum(dim=1).argmin()]] = False
    rows = held_out[groups]
    return (~rows).nonzero()[:, 0], rows.nonzero()[:, 0]


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices to keep and to hold out, both sorted.

    Parameters
    ----------
    labels : int64 Tensor (count,)
    fraction : float
        Fraction of each class that is held out, rounded; at least one sequence of each class that
        has two.
    seed : int

    Returns
    -------
    kept, held_out : int64 Tensor (some,)
    """
    generator = torch.Generator().manual_seed(seed)
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        count = min(len(members) - 1, max(1, round(fraction * len(members))))
        held_out[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return (~held_out).nonzero()[:, 0], held_out.nonzero()[:, 0]
