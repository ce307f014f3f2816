"""Find sequences that are both in the training set and in a held-out set."""

import hashlib
from dataclasses import replace

import torch

from bothways.data.dataset import Dataset
from bothways.data.sequences import LabeledSequences, Sequences
from bothways.errors import DataError, counted


def content_digests(sequences: Sequences) -> list[bytes]:
    """Return a digest of the values of each sequence."""
    return [
        hashlib.blake2b(values.numpy().tobytes(), digest_size=16).digest()
        for values in sequences.rows()
    ]


def is_duplicate(sequences: Sequences, others: Sequences) -> list[bool]:
    """Return whether each sequence has the same values as one of `others`."""
    known = set(content_digests(others))
    return [digest in known for digest in content_digests(sequences)]


def duplicates_note(part: str, count: int, *, dropped: bool) -> str:
    """Return a note about sequences of a held-out set that are also in the training set.

    >>> duplicates_note("test", 1, dropped=False)
    '1 test sequence is also in the training set: the test metrics will be optimistic'
    """
    what = counted(count, f"{part} sequence")
    if dropped:
        were, they = ("was", "it was") if count == 1 else ("were", "they were")
        return f"{what} {were} also in the training set, from which {they} dropped"
    are = "is" if count == 1 else "are"
    return f"{what} {are} also in the training set: the {part} metrics will be optimistic"


def report_duplicates(dataset: Dataset) -> Dataset:
    """Return the dataset with notes about duplicates across its parts, or without duplicates.

    With `dataset.drop_copies`, training sequences that are also in another part are dropped.

    Raises
    ------
    DataError
        If no training sequence is left.
    """
    train, notes = dataset.train, []
    for part in ("validation", "test"):
        held_out = dataset.parts.get(part)
        if held_out is None:
            continue
        count = sum(is_duplicate(held_out, dataset.train))
        if count:
            notes.append(duplicates_note(part, count, dropped=dataset.drop_copies))
            if dataset.drop_copies:
                train = without_duplicates(dataset.name, train, held_out)
    return replace(dataset, train=train, notes=(*dataset.notes, *notes)) if notes else dataset


def without_duplicates(
    name: str, training: LabeledSequences, held_out: Sequences
) -> LabeledSequences:
    """Return the training sequences that are not held out too.

    Parameters
    ----------
    name : str
        Name of the dataset, for messages.
    training : LabeledSequences
    held_out : Sequences

    Raises
    ------
    DataError
        If none is left.
    """
    kept = [n for n, duplicate in enumerate(is_duplicate(training, held_out)) if not duplicate]
    if not kept:
        raise DataError(
            f"{name}: all training sequences are also in a held-out set; expected some that are "
            "not. Omit --drop-copies, or split the data in another way."
        )
    return training.subset(torch.tensor(kept))
