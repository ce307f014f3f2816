"""Sequences to predict, from files of any known format, in bounded pieces."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from bothways.data.builder import checked_records
from bothways.data.offsets import reduced
from bothways.data.options import DataOptions
from bothways.data.readers.arrays import (
    Array,
    ArrayStream,
    npy_beside,
    open_idx,
    open_npy,
    open_npz,
    to_inputs,
)
from bothways.data.readers.images import read_digit
from bothways.data.readers.labelled import renamed
from bothways.data.readers.registry import KNOWN_ENDINGS, has_columns, open_records, record_reader
from bothways.data.record import Record, Source
from bothways.data.sequences import Sequences
from bothways.data.validation import check_finite, checked_offsets
from bothways.errors import DataError, ShapeError
from bothways.kernels.lengths import checked_lengths

CHUNK_ROWS = 1024
CHUNK_BYTES = 1 << 26
"""A piece holds no more rows, and no more bytes unless one row does."""


@dataclass(frozen=True)
class Piece:
    """A few sequences from a file.

    Parameters
    ----------
    names : list of str
        Number of the row in its file, the name of the picture, or the recording.
    sequences : Sequences
    note : str
        What was done to them, where the user should know.
    starts : list of int, optional
        Which step of its recording each begins with; 0 where not given.
    times : list of array (time_i,) or None, optional
        When each step was, where that is known.
    """

    names: list[str]
    sequences: Sequences
    note: str = ""
    starts: list[int] | None = None
    times: list[Array | None] | None = None


def read_unlabelled(
    path: Path, input_size: int, options: DataOptions | None = None, *, missing: bool = False
) -> Iterator[Piece]:
    """Yield the sequences in `path`, of any format that training reads, or pictures.

    Arrays (IDX, `.npy`, `.npz`) and pictures are told by their first bytes; arrays are (count,
    time, input_size), or (count, time) for input_size 1; a `.npz` has them as `inputs`, with
    `lengths` where ragged; `X.npy` may have its lengths in `X_lengths.npy`. Labels are not read.

    Parameters
    ----------
    path : Path
    input_size : int
        Features a step that the model takes.
    options : DataOptions, optional
        The columns of a table.
    missing : bool
        Whether values may be missing.

    Raises
    ------
    DataError
        If the file is missing, of another format, damaged, or does not fit `input_size`.
    """
    options = options or DataOptions()
    if options.categorical and not has_columns(path):
        raise DataError(
            f"{path} has no columns but the model knows {', '.join(options.categorical)} by names; "
            "expected a table with these columns. Make it a table."
        )
    if path.exists() and record_reader(path) is not None:
        options = options if has_columns(path) else options.without_columns()
        source = open_records(path, options, labelled=False)
        if len(source.features) != input_size:
            raise DataError(
                f"{path} has {len(source.features)} features, {', '.join(source.features)}; "
                f"expected the model's {input_size}. Name its columns as in training."
            )
        return _record_pieces(path, source, options, missing)
    start = check_readable(path)
    for magic, read in _READERS.items():
        if start.startswith(magic):
            return _windowed(path, read(path, input_size, missing, options), options)
    raise DataError(
        f"{path} starts with bytes {start.hex(' ') or '(none)'}; expected an IDX, .npy, .npz, PNG "
        f"or JPEG file, or {KNOWN_ENDINGS}. Convert it to one of them."
    )


def _windowed(path: Path, pieces: Iterator[Piece], options: DataOptions) -> Iterator[Piece]:
    """Yield the pieces, their sequences cut into windows if `options` ask for it."""
    if options.window is None:
        yield from pieces
        return
    for piece in pieces:
        records = (
            Record(name=name, place=name, values=steps.numpy())
            for name, steps in zip(piece.names, piece.sequences.rows(), strict=True)
        )
        source = Source(tuple(map(str, range(piece.sequences.input_size))), records)
        whole = options.model_copy(update={"offsets": ()})  # they are subtracted already
        for part in _record_pieces(path, source, whole, missing=True):
            yield replace(part, note=piece.note)


def _record_pieces(
    path: Path, source: Source, options: DataOptions, missing: bool
) -> Iterator[Piece]:
    """Yield records in pieces of bounded size."""
    waiting: list[Record] = []
    size_bytes = 0
    for record in checked_records(path, source, options, missing=missing):
        if waiting and (len(waiting) == CHUNK_ROWS or size_bytes >= CHUNK_BYTES):
            yield _piece(waiting)
            waiting, size_bytes = [], 0
        waiting.append(record)
        size_bytes += record.values.nbytes
    if waiting:
        yield _piece(waiting)


def _piece(records: list[Record]) -> Piece:
    return Piece(
        names=[record.name for record in records],
        sequences=Sequences.from_arrays([record.values for record in records]),
        starts=[record.start for record in records],
        times=[record.times for record in records],
    )


def check_readable(path: Path) -> bytes:
    """Return the first bytes of a file.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Check the path.") from None


def _idx(path: Path, input_size: int, missing: bool, options: DataOptions) -> Iterator[Piece]:
    with open_idx(path) as stream:
        yield from _pieces(stream, None, input_size, missing, options)


def _npy(path: Path, input_size: int, missing: bool, options: DataOptions) -> Iterator[Piece]:
    lengths, beside = None, npy_beside(path, "lengths")
    with open_npy(path) as stream:
        if beside.exists():
            with open_npy(beside) as found:
                lengths = _lengths(found, stream, path)
        yield from _pieces(stream, lengths, input_size, missing, options)


def _npz(path: Path, input_size: int, missing: bool, options: DataOptions) -> Iterator[Piece]:
    with open_npz(path) as found:
        streams = renamed(path, found)
        if "X_train" in found and "X" not in found:  # new data are the test part, if any
            streams["inputs"] = streams.get("test_inputs", streams["inputs"])
        if {"values", "offsets"} <= set(streams):
            yield from _flat_pieces(
                streams["values"], streams["offsets"], input_size, missing, options
            )
            return
        if "inputs" not in streams:
            raise DataError(
                f"{path} holds {', '.join(streams) or 'nothing'}; expected an array 'inputs', or "
                "'values' and 'offsets'. Save it with np.savez(path, inputs=…)."
            )
        inputs, lengths = streams["inputs"], None
        if "lengths" in streams:
            lengths = _lengths(streams["lengths"], inputs, path)
        yield from _pieces(inputs, lengths, input_size, missing, options)


def _lengths(found: ArrayStream, inputs: ArrayStream, path: Path) -> Any:
    lengths = found.whole()
    if lengths.shape != inputs.shape[:1]:
        raise DataError(
            f"{found.name} has shape {lengths.shape}; expected {inputs.shape[:1]}: one for each "
            "row of inputs."
        )
    if len(inputs.shape) > 1:
        try:
            checked_lengths(lengths, len(lengths), inputs.shape[1])
        except ShapeError as error:
            raise DataError(f"{path}: {error}") from None
    return lengths


def _picture(path: Path, input_size: int, missing: bool, options: DataOptions) -> Iterator[Piece]:
    digit = read_digit(path)
    if input_size != digit.pixels.shape[1]:
        raise DataError(
            f"{path} is read as rows of {digit.pixels.shape[1]} pixels but the model takes "
            f"{input_size} features a step; expected a model of MNIST digits."
        )
    sequences = Sequences.from_padded(digit.pixels[None])
    yield Piece([str(path)], sequences, f"{path}: {digit.changes}")


def _pieces(
    stream: ArrayStream, lengths: Any, input_size: int, missing: bool, options: DataOptions
) -> Iterator[Piece]:
    swapped = options.axes == "nct" and len(stream.shape) == 3
    shape = (stream.shape[0], stream.shape[2], stream.shape[1]) if swapped else stream.shape
    univariate = len(shape) == 2 and input_size == 1
    if not univariate and (len(shape) != 3 or shape[2] != input_size):
        raise DataError(
            f"{stream.name} has shape {shape}; expected (count, time, {input_size}). "
            "Reshape it; for a single sequence add a first axis of 1."
        )
    if 0 in shape:
        raise DataError(f"{stream.name} has shape {shape}: it holds no sequence. Check the file.")
    done = 0
    for chunk in stream.chunks(max(1, min(CHUNK_ROWS, CHUNK_BYTES // stream.row_bytes))):
        chunk = chunk.transpose(0, 2, 1) if swapped else chunk
        chunk = chunk[:, :, None] if univariate else chunk
        inputs = to_inputs(reduced(chunk, options.offsets or ()), stream.name)
        count = len(inputs)
        piece_lengths = None if lengths is None else lengths[done : done + count]
        sequences = Sequences.from_padded(inputs, piece_lengths)
        check_finite(sequences.chunks(), stream.name, first=done, missing=missing)
        yield Piece([str(n) for n in range(done, done + count)], sequences)
        done += count


def _flat_pieces(
    values: ArrayStream,
    offsets: ArrayStream,
    input_size: int,
    missing: bool,
    options: DataOptions,
) -> Iterator[Piece]:
    if len(values.shape) != 2 or values.shape[1] != input_size:
        raise DataError(
            f"{values.name} has shape {values.shape}; expected (total_steps, {input_size}), as in "
            "training. Reshape it."
        )
    try:
        edges = checked_offsets(offsets.whole(), values.shape[0])
    except ShapeError as error:
        raise DataError(f"{offsets.name}: {error}") from None
    most = max(1, CHUNK_BYTES // values.row_bytes)
    bounds = [0]  # of the pieces, in sequences
    for n in range(1, len(edges)):
        if n - bounds[-1] > CHUNK_ROWS or edges[n] - edges[bounds[-1]] > most:
            bounds += [n - 1] if n - 1 > bounds[-1] else []
    bounds.append(len(edges) - 1)
    counts = (edges[bounds][1:] - edges[bounds][:-1]).tolist()
    for (first, last), chunk in zip(pairwise(bounds), values.pieces(counts), strict=True):
        own = edges[first : last + 1] - edges[first]
        sequences = Sequences.from_flat(
            to_inputs(reduced(chunk, options.offsets or ()), values.name), own
        )
        check_finite(sequences.chunks(), values.name, first=first, missing=missing)
        yield Piece([str(n) for n in range(first, last)], sequences)


_READERS: dict[bytes, Callable[[Path, int, bool, DataOptions], Iterator[Piece]]] = {
    b"\x1f\x8b": _idx,
    b"\0\0": _idx,
    b"\x93NUMPY": _npy,
    b"PK": _npz,
    b"\x89PNG": _picture,
    b"\xff\xd8\xff": _picture,
}
