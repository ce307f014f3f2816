"""What a reader hands over: one sequence at a time, as it stands in the file.

A reader is a function `read(path, options)` that returns a `Source`: what its columns are called,
and a stream of `Record`s. All that follows, from classes to splits, is the same for every format.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from bothways.data.vocabulary import Vocabulary

Array = np.ndarray[Any, np.dtype[Any]]


Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Record:
    """One sequence as a reader found it.

    Parameters
    ----------
    name : str
        What it is called in its file, or its number there.
    place : str
        Where it stands, for messages: "line 12".
    values : float32 or float64 array (time, features)
        NaN for missing values.
    label : str, optional
        Its class.
    step_labels : object array (time,), optional
        In place of `label`: a class for each step, empty where a step counts for nothing.
    group : str, optional
    part : train, validation or test, optional
    times : array (time,), optional
        When each step was, in order.
    named : bool
        Whether the file calls it so; a mere number means nothing beside another file's.
    start : int
        Which step of the recording `name` it begins with.
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
    """A stream of records and what is known of all of them.

    Parameters
    ----------
    features : tuple of str
        A name for each, for messages at least.
    records : iterator of Record
        Read while it is iterated, once.
    classes : tuple of str, optional
        In their order, where the file states them.
    notes : list of str
        What was guessed, for the user to check.
    has_columns : bool
        Whether the file itself calls its features so.
    vocabularies : dict
        Of its categorical features; they may grow while records are read.
    offsets : list of float
        Subtracted from the features; found while the first records are read.
    """

    features: tuple[str, ...]
    records: Iterator[Record]
    classes: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)
    has_columns: bool = False
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)
    offsets: list[float] = field(default_factory=list)
