"""Predictions for files of any size, written as CSV or JSON lines while they are made."""

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from bothways.data.readers.unlabelled import Piece, check_readable, read_unlabelled
from bothways.data.record import Array
from bothways.errors import ConfigError
from bothways.evaluation.evaluate import BATCH_STEPS
from bothways.evaluation.segments import segments_of
from bothways.models.trained import TrainedClassifier, TrainedLabeler, TrainedModel
from bothways.storage.atomic import replacing


@dataclass(frozen=True)
class Span:
    """Steps `start` to `end` (not included) of a recording; when the first and last were.

    `times` are numbers, or time stamps as ISO 8601 has them; None where they are not known.
    """

    start: int
    end: int
    times: tuple[Any, Any] | None = None

    @classmethod
    def of(cls, start: int, end: int, times: Array | None, first: int = 0) -> "Span":
        """Return the span of steps `start` to `end` of an array of `times`, shifted by `first`."""
        when = None if times is None else (_when(times[start]), _when(times[end - 1]))
        return cls(first + start, first + end, when)

    def facts(self) -> dict[str, Any]:
        """Return all that is known of it, by name."""
        times = {} if self.times is None else dict(zip(_TIMES, self.times, strict=True))
        return {"start": self.start, "end": self.end, **times}

    def columns(self) -> dict[str, Any]:
        """Return the same, with empty cells for what is not known."""
        return {"start": "", "end": "", **dict.fromkeys(_TIMES, ""), **self.facts()}


_TIMES = ("start_time", "end_time")


def _when(time: Any) -> Any:
    return str(time) if isinstance(time, np.datetime64) else time.item()


class Answer(ABC):
    """What a model says of one sequence, as files have it."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Return its rows in a CSV file: the same columns in each."""

    @abstractmethod
    def line(self) -> dict[str, Any]:
        """Return its object in a file of JSON lines."""


@dataclass(frozen=True)
class Prediction(Answer):
    """The class of a sequence.

    Parameters
    ----------
    sequence : str
        The row's number, after its file's name if there are several; or the picture, or recording.
    label : str
    probabilities : dict
        Of each class.
    span : Span, optional
        Where it was cut, by a model of windows.
    """

    sequence: str
    label: str
    probabilities: dict[str, float]
    span: Span | None = None

    def rows(self) -> list[dict[str, Any]]:
        """Return one row, with a column a class."""
        where = {} if self.span is None else self.span.columns()
        of_classes = {f"probability_{n}": f"{p:.6g}" for n, p in self.probabilities.items()}
        return [{"sequence": self.sequence, **where, "label": self.label, **of_classes}]

    def line(self) -> dict[str, Any]:
        """Return the same, probabilities by class."""
        where = {} if self.span is None else self.span.facts()
        found = {"label": self.label, "probabilities": self.probabilities}
        return {"sequence": self.sequence, **where, **found}


@dataclass(frozen=True)
class LabelledSegment:
    """A run of steps with one label, and the mean of its probability there."""

    span: Span
    label: str
    probability: float


@dataclass(frozen=True)
class Labelling(Answer):
    """The class of each step of a sequence, and the runs that they make."""

    sequence: str
    labels: list[str]
    segments: list[LabelledSegment]

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a segment."""
        return [
            {
                "sequence": self.sequence,
                **segment.span.columns(),
                "label": segment.label,
                "probability": f"{segment.probability:.6g}",
            }
            for segment in self.segments
        ]

    def line(self) -> dict[str, Any]:
        """Return the labels of the steps, and the segments."""
        segments = [
            {**s.span.facts(), "label": s.label, "probability": s.probability}
            for s in self.segments
        ]
        return {"sequence": self.sequence, "labels": self.labels, "segments": segments}


def predict_files(
    model: TrainedModel, paths: Iterable[Path], on_note: Callable[[str], None]
) -> Iterator[Answer]:
    """Yield an answer for each sequence in `paths`; memory does not grow with the files.

    `on_note` is told what was done to pictures. Where steps are labelled, recordings are read
    whole, not in windows. See `bothways.data.read_unlabelled` for the formats and the errors.
    """
    paths = list(paths)
    for path in paths:
        if not path.is_dir():
            check_readable(path)  # all of them, before anything is written about the first
    return _answers(model, paths, on_note)


def _answers(
    model: TrainedModel, paths: list[Path], on_note: Callable[[str], None]
) -> Iterator[Answer]:
    config, reading = model.manifest.model, model.manifest.preprocessing.reading.for_use()
    missing = config.missing != "refuse"
    for path in paths:
        prefix = f"{path}:" if len(paths) > 1 else ""
        for piece in read_unlabelled(path, config.input_size, reading, missing=missing):
            if piece.note:
                on_note(piece.note)
            names = [n if n == str(path) else f"{prefix}{n}" for n in piece.names]
            if isinstance(model, TrainedLabeler):
                yield from _labellings(model, piece, names)
            elif isinstance(model, TrainedClassifier):
                yield from _predictions(model, piece, names, cut=reading.window is not None)


def _predictions(
    model: TrainedClassifier, piece: Piece, names: list[str], *, cut: bool
) -> Iterator[Prediction]:
    probabilities = model.predict_proba(piece.sequences)
    best = probabilities.argmax(axis=1)
    lengths = piece.sequences.lengths.tolist()
    for n, row in enumerate(probabilities.tolist()):
        span = None
        if cut:
            times = None if piece.times is None else piece.times[n]
            span = Span.of(0, lengths[n], times, 0 if piece.starts is None else piece.starts[n])
        by_class = dict(zip(model.classes, row, strict=True))
        yield Prediction(names[n], model.classes[best[n]], by_class, span)


def _labellings(model: TrainedLabeler, piece: Piece, names: list[str]) -> Iterator[Labelling]:
    ends = piece.sequences.lengths.cumsum(0)
    some = torch.bincount((ends - 1) // BATCH_STEPS).tolist()  # few steps at once: each has answers
    n = 0
    for rows in torch.arange(len(names)).split(some):
        if not len(rows):
            continue
        for probabilities in model.predict_proba(piece.sequences.subset(rows)):
            times = None if piece.times is None else piece.times[n]
            best = probabilities.argmax(axis=1)
            segments = [
                LabelledSegment(
                    Span.of(start, end, times),
                    model.classes[label],
                    float(probabilities[start:end, label].mean()),
                )
                for label, start, end in segments_of(best)
            ]
            yield Labelling(names[n], [model.classes[label] for label in best], segments)
            n += 1


def format_of(out: Path | None, wanted: str | None) -> str:
    """Return "csv" or "jsonl": what is wanted, or what the name of `out` says.

    Raises
    ------
    ConfigError
        If that is neither.
    """
    name = wanted or (out.suffix.removeprefix(".") if out is not None else "csv")
    if name not in _WRITERS:
        where = "--format" if wanted or out is None else f"the ending of out file {out}"
        raise ConfigError(f"{where} is {name!r}; expected csv or jsonl. Use one of the two.")
    return name


@contextmanager
def prediction_file(out: Path, force: bool) -> Iterator[IO[str]]:
    """Open a text file that replaces `out` when everything has been written.

    Raises
    ------
    ConfigError
        If `out` exists and `force` is not set.
    """
    if out.exists() and not force:
        raise ConfigError(
            f"out file {out} exists; expected a new one. Choose another, or replace it with "
            "--force."
        )
    if not out.parent.is_dir():
        raise ConfigError(f"out file {out} is in a folder that does not exist. Make it first.")
    with replacing(out) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        yield text
        text.detach()


def write_answers(answers: Iterable[Answer], file: IO[str], format: str) -> int:
    """Write answers as they come, in "csv" or "jsonl"; return how many."""
    return _WRITERS[format](answers, file)


def _write_csv(answers: Iterable[Answer], file: IO[str]) -> int:
    writer = None
    count = 0
    for answer in answers:
        rows = answer.rows()
        if writer is None:  # nothing is written of a file that cannot be read
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
        writer.writerows(rows)
        count += 1
    return count


def _write_jsonl(answers: Iterable[Answer], file: IO[str]) -> int:
    count = 0
    for answer in answers:
        file.write(json.dumps(answer.line(), ensure_ascii=False, allow_nan=False) + "\n")
        count += 1
    return count


_WRITERS: dict[str, Callable[[Iterable[Answer], IO[str]], int]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
}
