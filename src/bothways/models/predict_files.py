"""Predictions for files of any size."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch

from bothways.config import Target
from bothways.data.readers.locations import Location, TableFiles, locate
from bothways.data.readers.registry import check_readable
from bothways.data.record import Array, Record
from bothways.errors import ConfigError
from bothways.evaluation.evaluate import BATCH_STEPS
from bothways.models.answers import Answer, Labeling, Prediction, Span
from bothways.models.pieces import Piece, read_pieces
from bothways.models.trained_model import TrainedModel


def predict_files(
    model: TrainedModel,
    paths: Iterable[str | Location],
    on_note: Callable[[str], None],
    *,
    aggregate: bool = False,
) -> Iterator[Answer]:
    """Yield an answer for each sequence in `paths`; memory does not grow with the files.

    Parameters
    ----------
    model : TrainedModel
    paths : iterable of str, Path or TableFiles
        Files of any format, or globs and URIs of tables. Labelers read whole recordings, not
        windows.
    on_note : callable
        Called once with each note about how the files are read.
    aggregate : bool
        Predict whole recordings, with the mean probabilities of their windows.

    Raises
    ------
    ConfigError
        If `aggregate` is set but the model was not trained on windows.
    DataError
        If a file cannot be read, or has other features than the training data.
    """
    reading = model.manifest.preprocessing.reading.for_use()
    if aggregate and reading.window is None:
        raise ConfigError(
            "aggregate is set, but the model does not predict windows; expected a classifier that "
            "was trained with --window. Omit --aggregate."
        )
    locations = [
        path if isinstance(path, TableFiles) else locate(str(path), reading.sequence)
        for path in paths
    ]
    for location in locations:
        check_readable(location)  # all of them, before the first is predicted
    return _answers(model, locations, on_note, aggregate)


def _answers(
    model: TrainedModel, locations: list[Location], on_note: Callable[[str], None], aggregate: bool
) -> Iterator[Answer]:
    config, reading = model.manifest.model, model.manifest.preprocessing.reading.for_use()
    answers_of = _ANSWERS[config.target]
    noted: set[str] = set()

    def report(notes: list[str]) -> None:
        for note in notes:
            if note not in noted:
                on_note(note)
                noted.add(note)

    for location in locations:
        found = read_pieces(location, config.input_size, reading, missing=config.accepts_missing)
        report(found.notes)
        path = str(location) if len(locations) > 1 else None
        pieces = (_renamed(piece, path) for piece in found.pieces)
        if aggregate:
            yield from _aggregated(model, pieces)
        else:
            for piece in pieces:
                yield from answers_of(model, piece)
        report(found.notes)  # more may have been found


def _renamed(piece: Piece, path: str | None) -> Piece:
    """Return a piece whose records have the name of the file, if any, before their own."""
    if path is None:
        return piece
    records = [
        record if record.name == path else replace(record, name=f"{path}:{record.name}")
        for record in piece.records
    ]
    return replace(piece, records=records)


def _predictions(model: TrainedModel, piece: Piece) -> Iterator[Prediction]:
    """Yield the class of each sequence, with its steps if it is a window."""
    is_cut = model.manifest.preprocessing.reading.window is not None
    probabilities = model.predict_proba(piece.sequences)
    for record, row in zip(piece.records, probabilities, strict=True):
        span = Span.of(0, len(record.values), record.times, record.start) if is_cut else None
        yield Prediction.of(record.name, model.classes, row, span, record.named)


def _aggregated(model: TrainedModel, pieces: Iterator[Piece]) -> Iterator[Prediction]:
    """Yield the class of each recording; its windows follow one another."""
    current: Record | None = None
    total, count = np.zeros(len(model.classes)), 0
    for piece in pieces:
        probabilities = model.predict_proba(piece.sequences)
        for record, row in zip(piece.records, probabilities, strict=True):
            if current is not None and record.recording != current.recording:
                yield _mean(model, current, total / count)
                total, count = np.zeros(len(model.classes)), 0
            current = record
            total, count = total + row, count + 1
    if current is not None:
        yield _mean(model, current, total / count)


def _mean(model: TrainedModel, recording: Record, probabilities: Array) -> Prediction:
    return Prediction.of(recording.name, model.classes, probabilities, named=recording.named)


def _labelings(model: TrainedModel, piece: Piece) -> Iterator[Labeling]:
    """Yield the class of each time step of each sequence."""
    ends = piece.sequences.lengths.cumsum(0)
    some = torch.bincount((ends - 1) // BATCH_STEPS).tolist()  # bounds the memory of the answers
    records = iter(piece.records)
    for rows in torch.arange(len(piece.records)).split(some):
        if not len(rows):
            continue
        for probabilities in model.predict_proba(piece.sequences.subset(rows)):
            record = next(records)
            yield Labeling.of(record.name, model.classes, probabilities, record.times, record.named)


_ANSWERS: dict[Target, Callable[[TrainedModel, Piece], Iterator[Answer]]] = {
    "sequence": _predictions,
    "step": _labelings,
}
