"""A labelled data set: training and test sequences, and the names of the classes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bothways.errors import DataError
from bothways.sequences import Sequences


@dataclass(frozen=True)
class Dataset:
    """Labelled sequences to train on and, where there are any, to test on.

    Parameters
    ----------
    name : str
        "mnist", or the file's name.
    train : Sequences, labelled
    test : Sequences, labelled, optional
    classes : tuple of str
        The name of each label.

    Raises
    ------
    DataError
        If there are fewer than two classes or two of one name, labels are missing, one has no
        class, or the two parts differ in `input_size`.
    """

    name: str
    train: Sequences
    test: Sequences | None
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise DataError(
                f"{self.name}: there is one class, {', '.join(self.classes)}; expected at least 2. "
                "Label the other sequences too."
            )
        for name in self.classes:
            if self.classes.count(name) > 1:
                raise DataError(
                    f"{self.name}: classes has {name!r} twice; expected each name once. Rename one."
                )
        for part, sequences in (("train", self.train), ("test", self.test)):
            if sequences is None:
                continue
            if sequences.labels is None:
                raise DataError(f"{self.name}: the {part} sequences have no labels. Add them.")
            if int(sequences.labels.max()) >= len(self.classes):
                raise DataError(
                    f"{self.name}: a {part} label is {int(sequences.labels.max())} but there are "
                    f"{len(self.classes)} classes; expected 0..{len(self.classes) - 1}. "
                    "Name every class."
                )
            if sequences.input_size != self.train.input_size:
                raise DataError(
                    f"{self.name}: the test sequences have {sequences.input_size} features a "
                    f"step; expected {self.train.input_size} as in training."
                )


def check_finite(dataset: Dataset) -> None:
    """Raise DataError if any sequence, to train on or to test on, holds NaN or infinity."""
    dataset.train.check_finite(f"{dataset.name}[inputs]")
    if dataset.test is not None:
        dataset.test.check_finite(f"{dataset.name}[test_inputs]")


def hold_out(dataset: Dataset, fraction: float, seed: int) -> tuple[Sequences, Sequences | None]:
    """Return the part to train on and, where `fraction` is not 0, the validation split.

    Raises
    ------
    DataError
        If nothing can be held out, for no class has two sequences.
    """
    sequences = dataset.train
    if not fraction:
        return sequences, None
    assert sequences.labels is not None  # Dataset has checked
    training, held_out = stratified_split(sequences.labels, fraction, seed)
    if not len(held_out):
        raise DataError(
            f"{dataset.name}: no class has two sequences, so none can be held out for validation; "
            "expected more. Set validation_fraction=0."
        )
    return sequences.subset(training), sequences.subset(held_out)


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices to train on and those held out, each sorted.

    Parameters
    ----------
    labels : int64 Tensor (count,)
    fraction : float
        Part of each class that is held out, rounded; at least one where the class has two.
    seed : int
    """
    generator = torch.Generator().manual_seed(seed)
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        count = min(len(members) - 1, max(1, round(fraction * len(members))))
        held_out[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return (~held_out).nonzero()[:, 0], held_out.nonzero()[:, 0]
