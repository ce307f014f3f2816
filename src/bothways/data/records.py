"""What a reader hands over: one sequence at a time, as it stands in the file.

A reader is a function `read(path, options)` that returns a `Source`: what its columns are called,
and a stream of `Record`s. All that follows, from classes to splits, is the same for every format.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from bothways.config import Settings, Target
from bothways.data.vocabulary import Vocabulary

Array = np.ndarray[Any, np.dtype[Any]]


class DataOptions(Settings):
    """How to understand a file, and how to split what is in it.

    Parameters
    ----------
    sequence, time, label, group, split : str, optional
        Columns of a table: which sequence a row belongs to, when it was, the sequence's class, whom
        or what it comes from, and its part (train, validation or test). `sequence`, `time` and
        `label` are guessed from the usual names where not given.
    features : tuple of str, optional
        Columns that are the inputs; all other columns of numbers where not given.
    categorical : tuple of str
        Features whose values are names, not amounts.
    vocabularies : dict
        The only tokens that count, for a categorical feature; those of the training part where not
        given.
    test, validation : str, optional
        Files with those parts.
    test_fraction : float
        Part of the sequences to hold out for the test, before anything else is done with them.
    by_time : bool
        Hold out the latest sequences, not any.
    split_seed : int
        Which sequences are held out for the test; of the validation split, `seed` says it.
    drop_copies : bool
        Drop training sequences that are, value for value, in the validation or test part.
    window, stride : int, optional
        Cut long recordings into windows of so many steps, so many steps apart.
    target : sequence or step
        What has a label.
    ignore : str, optional
        A label of steps that count for nothing, as those without a label do.
    memory_mb : int
        Steps that take more memory, in MiB, are kept in a temporary file. It is in the folder
        `TMPDIR`, or where that is not set in /var/tmp.
    """

    sequence: str | None = None
    time: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    features: tuple[str, ...] | None = None
    categorical: tuple[str, ...] = ()
    vocabularies: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    test: str | None = None
    validation: str | None = None
    test_fraction: float = Field(default=0.0, ge=0, lt=1)
    by_time: bool = False
    split_seed: int = Field(default=0, ge=0, lt=2**31)
    drop_copies: bool = False
    window: int | None = Field(default=None, ge=1)
    stride: int | None = Field(default=None, ge=1)
    target: Target = "sequence"
    ignore: str | None = None
    memory_mb: int = Field(default=1024, ge=1)

    def for_use(self) -> "DataOptions":
        """Return how a model reads new data: recordings whole, where it is steps that have labels.

        Each step has one answer then, and none of them stands at the edge of a window.
        """
        if self.target == "sequence":
            return self
        return self.model_copy(update={"window": None, "stride": None})

    def without_columns(self) -> "DataOptions":
        """Return what is left of them for a file that has no columns."""
        kept = {"target", "ignore", "window", "stride", "memory_mb"}
        return DataOptions(**self.model_dump(include=kept))

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.ignore is not None and self.target != "step":
            raise ValueError(
                f"ignore is {self.ignore!r} but labels are of sequences; expected labels of steps. "
                "Give --target step too, or leave those sequences out."
            )
        if self.stride is not None and self.window is None:
            raise ValueError(
                f"stride is {self.stride} but there is no window; expected both. Give --window too."
            )
        return self


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
    values : float32 array (time, features)
        NaN where a value is missing.
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
    """

    features: tuple[str, ...]
    records: Iterator[Record]
    classes: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)
    has_columns: bool = False
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)
