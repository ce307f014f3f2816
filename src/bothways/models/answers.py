"""Predictions of one sequence, and their form in CSV files and JSON lines."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.data.record import Array
from bothways.evaluation.segments import segments_of

_TIMES = ("start_time", "last_time")


@dataclass(frozen=True)
class Span:
    """Time steps of a recording.

    Parameters
    ----------
    start, end : int
        The first step, and the one after the last.
    times : tuple, optional
        Times of the first and the last step: numbers, or time stamps in ISO 8601.
    """

    start: int
    end: int
    times: tuple[Any, Any] | None = None

    @classmethod
    def of(cls, start: int, end: int, times: Array | None, first: int = 0) -> "Span":
        """Return the span of steps `start` to `end` of an array of times, shifted by `first`."""
        when = None if times is None else (_plain(times[start]), _plain(times[end - 1]))
        return cls(first + start, first + end, when)

    def facts(self) -> dict[str, Any]:
        """Return all known values by name."""
        times = {} if self.times is None else dict(zip(_TIMES, self.times, strict=True))
        return {"start": self.start, "end": self.end, **times}

    def columns(self) -> dict[str, Any]:
        """Return all values by name, None for unknown ones."""
        return {**dict.fromkeys(_TIMES), **self.facts()}


def _plain(time: Any) -> Any:
    return str(time) if isinstance(time, np.datetime64) else time.item()


class Answer(ABC):
    """The prediction for one sequence; see the parameters of `Prediction`."""

    sequence: str
    named: bool

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """Return its rows in a table, all with the same columns."""

    def rows(self) -> list[dict[str, Any]]:
        """Return its rows in a CSV file: rounded probabilities, and empty texts for None."""
        return [
            {name: _cell(name, value) for name, value in record.items()}
            for record in self.records()
        ]

    @abstractmethod
    def line(self) -> dict[str, Any]:
        """Return its object in a file of JSON lines."""


def _cell(name: str, value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.6g}" if name.startswith("probability") else value


@dataclass(frozen=True)
class Prediction(Answer):
    """The class of a sequence.

    Parameters
    ----------
    sequence : str
        The name of the sequence, or its number in the file, after the name of the file if there
        are several files.
    label : str
        The most probable class.
    probabilities : dict
        By class.
    span : Span, optional
        The steps of a window in its recording.
    named : bool
        Whether `sequence` is a name in the file, and not a number.
    """

    sequence: str
    label: str
    probabilities: dict[str, float]
    span: Span | None = None
    named: bool = True

    @classmethod
    def of(
        cls,
        sequence: str,
        classes: Sequence[str],
        probabilities: Array,
        span: Span | None = None,
        named: bool = True,
    ) -> "Prediction":
        """Return the prediction for probabilities (num_classes,)."""
        by_class = dict(zip(classes, probabilities.tolist(), strict=True))
        return cls(sequence, classes[int(probabilities.argmax())], by_class, span, named)

    def records(self) -> list[dict[str, Any]]:
        """Return one row, with a column for each class."""
        where = {} if self.span is None else self.span.columns()
        of_classes = {f"probability_{n}": p for n, p in self.probabilities.items()}
        return [{"sequence": self.sequence, **where, "label": self.label, **of_classes}]

    def line(self) -> dict[str, Any]:
        """Return the same values, probabilities by class."""
        where = {} if self.span is None else self.span.facts()
        found = {"label": self.label, "probabilities": self.probabilities}
        return {"sequence": self.sequence, **where, **found}


@dataclass(frozen=True)
class LabeledSegment:
    """A segment of time steps with one label, and the mean of its probability there."""

    span: Span
    label: str
    probability: float

    def facts(self) -> dict[str, Any]:
        """Return all known values by name."""
        return {**self.span.facts(), "label": self.label, "probability": self.probability}


@dataclass(frozen=True)
class Labeling(Answer):
    """The class of each time step of a sequence, and the segments of equal classes."""

    sequence: str
    labels: list[str]
    segments: list[LabeledSegment]
    named: bool = True

    @classmethod
    def of(
        cls,
        sequence: str,
        classes: Sequence[str],
        probabilities: Array,
        times: Array | None = None,
        named: bool = True,
    ) -> "Labeling":
        """Return the labeling for probabilities (time, num_classes), and times (time,) if any."""
        best = probabilities.argmax(axis=1)
        segments = [
            LabeledSegment(
                Span.of(start, end, times),
                classes[label],
                float(probabilities[start:end, label].mean()),
            )
            for label, start, end in segments_of(best)
        ]
        return cls(sequence, [classes[label] for label in best], segments, named)

    def records(self) -> list[dict[str, Any]]:
        """Return a row for each segment."""
        return [
            {
                "sequence": self.sequence,
                **segment.span.columns(),
                "label": segment.label,
                "probability": segment.probability,
            }
            for segment in self.segments
        ]

    def line(self) -> dict[str, Any]:
        """Return the labels of the time steps and the segments."""
        segments = [segment.facts() for segment in self.segments]
        return {"sequence": self.sequence, "labels": self.labels, "segments": segments}
