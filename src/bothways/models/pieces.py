"""Sequences to predict, from files of any format, in pieces of bounded size."""

from collections.abc import Iterator
from dataclasses import dataclass

from bothways.data.building.checking import checked_records
from bothways.data.options import DataOptions
from bothways.data.readers.locations import Location
from bothways.data.readers.registry import for_new_data, has_columns, open_source, reads_pictures
from bothways.data.record import Record
from bothways.data.sequences import Sequences
from bothways.errors import DataError, counted

PIECE_SEQUENCES = 1024
PIECE_BYTES = 1 << 26
"""A piece has at most these sizes, or one sequence."""


@dataclass(frozen=True)
class Piece:
    """Some sequences of a file.

    Parameters
    ----------
    records : list of Record
        With their names, times and, if they are windows, their recordings.
    sequences : Sequences
        The values of the records.
    """

    records: list[Record]
    sequences: Sequences


@dataclass(frozen=True)
class Pieces:
    """The sequences of a file.

    Parameters
    ----------
    pieces : iterator of Piece
    notes : list of str
        What was guessed or changed; complete when all pieces have been read.
    """

    pieces: Iterator[Piece]
    notes: list[str]


def read_pieces(
    location: Location,
    input_size: int,
    options: DataOptions | None = None,
    *,
    missing: bool = False,
) -> Pieces:
    """Read the sequences of a file of any format; labels are not read.

    Parameters
    ----------
    location : Path or TableFiles
    input_size : int
        Number of features of the model.
    options : DataOptions, optional
        How the training data were read.
    missing : bool
        Whether values may be missing.

    Raises
    ------
    DataError
        If the file is missing or damaged, has an unknown format, or has other features.
    """
    options = options or DataOptions()
    if options.categorical and not has_columns(location):
        raise DataError(
            f"{location} has no columns but the model has categorical features "
            f"{', '.join(options.categorical)}; expected a table with these columns. Convert it."
        )
    options = for_new_data(location, options)
    source = open_source(location, options, labeled=False)
    count = len(source.features)
    if count != input_size:
        what, advice = " per time step", "Check the axes: (count, time, features)."
        if reads_pictures(location):
            what, advice = (
                " per time step, because it is a picture",
                "Pass sequences, not pictures.",
            )
        if source.has_columns:
            what, advice = f", {', '.join(source.features)}", "Use the columns of training."
        raise DataError(
            f"{location} has {counted(count, 'feature')}{what}; expected {input_size}, as in "
            f"training. {advice}"
        )
    records = checked_records(str(location), source, options, missing=missing)
    return Pieces(_pieces(records), source.notes)


def _pieces(records: Iterator[Record]) -> Iterator[Piece]:
    waiting: list[Record] = []
    size_bytes = 0
    for record in records:
        if waiting and (len(waiting) == PIECE_SEQUENCES or size_bytes >= PIECE_BYTES):
            yield _piece(waiting)
            waiting, size_bytes = [], 0
        waiting.append(record)
        size_bytes += record.values.nbytes
    if waiting:
        yield _piece(waiting)


def _piece(records: list[Record]) -> Piece:
    return Piece(records, Sequences.from_arrays([record.values for record in records]))
