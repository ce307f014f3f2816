"""Labeled datasets: training, validation and test sequences, and the names of the classes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

import torch

from bothways.config import Target
from bothways.data.record import numbered_features
from bothways.data.sequences import LabeledSequences, as_labeled
from bothways.data.validation import check_finite
from bothways.data.vocabulary import UNKNOWN
from bothways.errors import DataError, counted


@dataclass(frozen=True)
class Dataset:
    """Labeled sequences for training and, optionally, for validation and test.

    Parameters
    ----------
    name : str
        For messages and records: "mnist", or the name of the file.
    train : LabeledSequences
    test : LabeledSequences, optional
    classes : tuple of str
        The name of each class number.
    validation : LabeledSequences, optional
        Used to select the model; default: `hold_out` takes a fraction of the training set.
    features : tuple of str
        The names of the features, or () if they have none.
    vocabularies : dict
        For each categorical feature, its categories in the order of their numbers, which start
        at 1. Number 0 is any other category.
    offsets : tuple of float
        What was subtracted from each feature in float64 before it was rounded to float32, or ()
        for nothing. See `bothways.data.offsets`.
    drop_copies : bool
        Whether training sequences that are also in a held-out set are dropped.
    in_time_order : bool
        Whether the training set is sorted by time; its latest sequences are then held out.
    notes : tuple of str
        Guesses about the file, for the user to check.
    warnings : tuple of str
        Problems found while reading, reported by `inspect_dataset`.

    Raises
    ------
    DataError
        If there are fewer than two classes, two classes have one name, labels are missing, a
        label has no class, all steps of a sequence are ignored, a vocabulary belongs to no feature,
        or parts differ in `input_size` or `target`.

    Examples
    --------
    >>> import numpy as np
    >>> from bothways import Sequences
    >>> train = Sequences.from_arrays([np.ones((3, 2)), np.zeros((5, 2))], labels=[0, 1])
    >>> Dataset("flags", train, None, ("up", "down")).train
    LabeledSequences(2 of 3 to 5 steps, input_size=2)
    """

    name: str
    train: LabeledSequences
    test: LabeledSequences | None
    classes: tuple[str, ...]
    validation: LabeledSequences | None = None
    features: tuple[str, ...] = ()
    vocabularies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    offsets: tuple[float, ...] = ()
    drop_copies: bool = False
    in_time_order: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise DataError(
                f"{self.name} has {counted(len(self.classes), 'class')}, "
                f"{', '.join(self.classes) or 'none'}; expected at least 2. Add sequences of other "
                "classes."
            )
        for name in self.vocabularies:
            if name not in self.features:
                raise DataError(
                    f"{self.name}: vocabularies has {name!r}, which is not a feature; expected "
                    f"some of {', '.join(self.features) or '(no names)'}. Name the features."
                )
        name, times = Counter(self.classes).most_common(1)[0]
        if times > 1:
            raise DataError(
                f"{self.name}: classes has {name!r} twice; expected each name once. Rename one."
            )
        target = as_labeled(self.train, f"{self.name}: the train sequences").target
        for part, sequences in self.parts.items():
            as_labeled(sequences, f"{self.name}: the {part} sequences", target)
            if sequences.largest_label >= len(self.classes):
                raise DataError(
                    f"{self.name}: a {part} label is {sequences.largest_label} but there are "
                    f"{counted(len(self.classes), 'class')}; expected 0..{len(self.classes) - 1}. "
                    "Add the missing names."
                )
            empty = sequences.fully_ignored
            if len(empty):
                raise DataError(
                    f"{self.name}: all steps of {part} sequence {int(empty[0])} are ignored; "
                    "expected at least one label. Remove the sequence."
                )
            if sequences.input_size != self.train.input_size:
                raise DataError(
                    f"{self.name}: the {part} sequences have "
                    f"{counted(sequences.input_size, 'feature')} per step; expected "
                    f"{self.train.input_size}, as in the training set. Check the columns, or the "
                    "order of the axes."
                )

    @property
    def target(self) -> Target:
        """What has a label: each sequence or each step."""
        return self.train.target

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, or their numbers if they have no names."""
        return self.features or numbered_features(self.train.input_size)

    @property
    def categories(self) -> tuple[int, ...]:
        """The number of categories of each feature, 0 if it is numeric; () if all are numeric."""
        if not self.vocabularies:
            return ()
        return tuple(len(self.vocabularies.get(name, ())) for name in self.features)

    @property
    def parts(self) -> dict[str, LabeledSequences]:
        """The parts of the dataset that exist, by name."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: sequences for name, sequences in named.items() if sequences is not None}


def check_values(dataset: Dataset, *, missing: bool = False) -> None:
    """Raise an error for values that a model cannot process.

    Parameters
    ----------
    dataset : Dataset
    missing : bool
        Whether NaN is allowed.

    Raises
    ------
    DataError
        If a value is infinite, NaN without `missing`, or not the number of a category.
    """
    for part, sequences in dataset.parts.items():
        name = dataset.name if len(dataset.parts) == 1 else f"{dataset.name}[{part}]"
        check_finite(sequences.chunks(), name, missing=missing, features=dataset.features)
        for feature, count in enumerate(dataset.categories):
            for steps, _ in sequences.chunks() if count else ():
                numbers = steps[:, feature]
                wrong = ~((numbers >= 0) & (numbers <= count) & (numbers == numbers.round()))
                if bool(wrong.any()):
                    raise DataError(
                        f"{name} holds {float(numbers[wrong][0]):g} in "
                        f"{dataset.features[feature]!r}; expected the number of a category, "
                        f"0 to {count}. Number the categories as in vocabularies."
                    )


def with_trained_vocabularies(dataset: Dataset) -> Dataset:
    """Return the dataset with the categories of its training set only.

    Categories that occur only in other parts become unknown, as they will be to the model. The
    remaining ones are numbered in alphabetical order, so that their numbers do not depend on the
    size of the blocks and files that were read.
    """
    kept, numbers = {}, {}
    for name, tokens in dataset.vocabularies.items():
        feature = dataset.features.index(name)
        occurs = torch.zeros(len(tokens) + 1, dtype=torch.bool)
        for steps, _ in dataset.train.chunks():
            occurs[steps[:, feature].long()] = True
        own = [n for n, token in sorted(enumerate(tokens, 1), key=itemgetter(1)) if occurs[n]]
        renumbered = torch.full((len(tokens) + 1,), UNKNOWN)
        renumbered[own] = torch.arange(1, len(own) + 1)
        if not torch.equal(renumbered, torch.arange(len(tokens) + 1)):
            numbers[feature] = renumbered
        kept[name] = tuple(tokens[n - 1] for n in own)
    parts: dict[str, Any] = {}
    if numbers:
        stores = {id(part.steps): part for part in dataset.parts.values()}  # parts may share steps
        new = {key: part.renumber(numbers).steps for key, part in stores.items()}
        parts = {n: replace(part, steps=new[id(part.steps)]) for n, part in dataset.parts.items()}
    return replace(dataset, vocabularies=kept, **parts)
