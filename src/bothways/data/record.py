"""What readers return: a stream of sequences, as they are in the file.

A reader is a function that returns a `Source`: the names of the features, and an iterator of
`Record`s. Everything after that, from classes to splits, is the same for every format.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from bothways.data.vocabulary import Vocabulary

Array = np.ndarray[Any, np.dtype[Any]]


Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


def numbered_features(count: int) -> tuple[str, ...]:
    """Return names for features that have none in their file.

    >>> numbered_features(2)
    ('feature 0', 'feature 1')
    """
    return tuple(f"feature {n}" for n in range(count))


@dataclass(slots=True)
class Record:
    """One sequence.

    Parameters
    ----------
    name : str
        Its name in the file, or its number.
    place : str
        Where it is in the file, for messages: "line 12".
    values : float32 or float64 array (time, features)
        NaN for missing values.
    label : str, optional
        Its class.
    step_labels : object array (time,), optional
        A class for each step, "" for ignored steps; instead of `label`.
    group : str, optional
    part : train, validation or test, optional
    times : array (time,), optional
        The time of each step, in order.
    named : bool
        Whether the name is in the file; numbers of different files are not compared.
    start : int
        The first step of a window in its recording.
    recording : int
        Number of the recording in its source, the same for all its windows.
    """

    name: str
    place: str
    values: Array
    label: str | None = None
    step_labels: Array | None = None
    group: str | None = None
    part: Part | None = None
    times: Array | None = None
    named: bool = True
    start: int = 0
    recording: int = 0

    def cut(self, start: int, end: int) -> "Record":
        """Return the steps from `start` to `end`."""
        part = slice(start, end)
        return replace(
            self,
            start=start,
            values=self.values[part],
            step_labels=None if self.step_labels is None else self.step_labels[part],
            times=None if self.times is None else self.times[part],
        )


@dataclass(frozen=True)
class Source:
    """A stream of records, and what they have in common.

    Parameters
    ----------
    features : tuple of str
        Names, at least for messages.
    records : iterator of Record
        Reads the file; can be iterated once.
    classes : tuple of str, optional
        In their order, if the file states them.
    notes : list of str
        What was guessed or ignored, for the user to check.
    has_columns : bool
        Whether the names of the features are in the file.
    vocabularies : dict
        Categories of the categorical features; they may grow while records are read.
    offsets : list of float
        Subtracted from the features; see `bothways.data.building.checking.checked_records`.
    """

    features: tuple[str, ...]
    records: Iterator[Record]
    classes: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)
    has_columns: bool = False
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)
    offsets: list[float] = field(default_factory=list)
