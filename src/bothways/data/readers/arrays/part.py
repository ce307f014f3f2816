"""One part of a dataset in arrays: from rows, or steps between offsets, to records."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bothways.config import Target
from bothways.data.options import DataOptions
from bothways.data.readers.arrays.streams import Array, ArrayStream, to_floats
from bothways.data.record import Part, Record
from bothways.data.validation import checked_offsets
from bothways.errors import BothwaysError, DataError
from bothways.kernels.lengths import checked_lengths

CHUNK_ROWS = 1024
CHUNK_BYTES = 1 << 24
"""Limits of what is read together."""

MAX_FEATURES = 1 << 20
"""Each feature has a name in memory, whatever the file really contains."""


@dataclass(frozen=True)
class ArrayPart:
    """The layout and the labels of the sequences of one part.

    Parameters
    ----------
    part : train, test or None
    shape : tuple of int
        (count, time, features) or (count, time) of padded arrays; (total_steps, features) of flat
        arrays; in the order of the file.
    swapped : bool
        Whether the axes of padded arrays are (count, features, time).
    lengths : int64 array (count,), optional
        Lengths of padded rows; default: no padding.
    offsets : int64 array (count + 1,), optional
        Of flat arrays: where each sequence begins, and the end of the last.
    labels : int64 array, optional
        Class numbers, or IGNORED: (count,), or of time steps (count, time) or (total_steps,).
    class_names : tuple of str
    groups : integer array (count,), optional
    target : sequence or step
    """

    part: Part | None
    shape: tuple[int, ...]
    swapped: bool = False
    lengths: Array | None = None
    offsets: Array | None = None
    labels: Array | None = None
    class_names: tuple[str, ...] = ()
    groups: Array | None = None
    target: Target = "sequence"

    @property
    def input_size(self) -> int:
        """Number of features."""
        if self.offsets is not None:
            return self.shape[1]
        return 1 if len(self.shape) == 2 else self.shape[1 if self.swapped else 2]

    @property
    def longest(self) -> int:
        """Length of the longest sequence of padded arrays."""
        if self.lengths is not None:
            return int(self.lengths.max())
        return self.shape[2] if self.swapped else self.shape[1]

    @property
    def most_labels(self) -> int:
        """Number of time steps, with padding: an array of labels is not larger."""
        if self.offsets is not None:
            return self.shape[0]
        return self.shape[0] * self.shape[2 if self.swapped else 1]

    def num_labels(self, target: Target) -> int:
        """Return the number of sequences, or of the steps of flat arrays."""
        if self.offsets is None or target == "step":
            return self.shape[0]
        return len(self.offsets) - 1

    def records(self, stream: ArrayStream, first: int) -> Iterator[Record]:
        """Yield the sequences of `stream`, named by their number from `first`."""
        names = np.array([*self.class_names, ""], dtype=object)  # IGNORED is -1, the last
        where = "sequence" if self.part is None else f"{self.part} sequence"
        for n, (values, steps) in enumerate(self._sequences(stream)):
            label = step_labels = None
            if self.labels is not None and self.target == "sequence":
                label = names[self.labels[n]]
            elif self.labels is not None:
                row = self.labels if self.offsets is not None else self.labels[n]
                step_labels = names[row[steps]]
            yield Record(
                name=str(first + n),
                place=f"{where} {n}",
                values=values,
                label=label,
                step_labels=step_labels,
                group=None if self.groups is None else str(self.groups[n]),
                part=self.part,
                named=False,
            )

    def _sequences(self, stream: ArrayStream) -> Iterator[tuple[Array, slice]]:
        """Yield the values (time, features) of each sequence, and its steps in its row or file."""
        if self.offsets is not None:
            yield from _flat_sequences(stream, self.offsets)
            return
        done = 0
        most = max(1, CHUNK_BYTES // max(1, stream.row_bytes))
        for chunk in stream.chunks(min(CHUNK_ROWS, most)):
            chunk = to_floats(chunk, stream.name)
            chunk = chunk.transpose(0, 2, 1) if self.swapped else chunk
            chunk = chunk[:, :, None] if chunk.ndim == 2 else chunk
            for n, values in enumerate(chunk, start=done):
                length = chunk.shape[1] if self.lengths is None else int(self.lengths[n])
                yield values[:length], slice(0, length)
            done += len(chunk)


def _flat_sequences(stream: ArrayStream, offsets: Array) -> Iterator[tuple[Array, slice]]:
    most = max(1, CHUNK_BYTES // max(1, stream.row_bytes))  # steps
    bounds = [0]  # of the chunks, in sequences
    for n in range(1, len(offsets) - 1):
        if offsets[n + 1] - offsets[bounds[-1]] > most:
            bounds.append(n)
    bounds.append(len(offsets) - 1)
    counts = np.diff(offsets[bounds]).tolist()
    for (first, last), chunk in zip(pairwise(bounds), stream.pieces(counts), strict=True):
        chunk = to_floats(chunk, stream.name)
        for start, end in pairwise(offsets[first : last + 1].tolist()):
            begin = offsets[first]
            yield chunk[start - begin : end - begin], slice(start, end)


def padded_part(
    stream: ArrayStream, lengths: ArrayStream | None, options: DataOptions, part: Part | None
) -> ArrayPart:
    """Return the layout of a padded array (count, time, features), or (count, time).

    Raises
    ------
    DataError
        If the shape is another one, or the lengths do not fit it.
    """
    shape = stream.shape
    swapped = options.axes == "nct" and len(shape) == 3
    if len(shape) not in (2, 3):
        raise DataError(
            f"{stream.name} has shape {shape}; expected (count, time, features), or (count, time) "
            "for one feature. Reshape it; a single sequence has count 1."
        )
    if 0 in shape:
        raise DataError(
            f"{stream.name} has shape {shape}: it holds no sequence; expected no size of 0. Check "
            "the file."
        )
    _check_features(stream.name, 1 if len(shape) == 2 else shape[1 if swapped else 2])
    if lengths is None:
        return ArrayPart(part, shape, swapped)
    time = shape[2] if swapped else shape[1]
    values = lengths.whole(shape[0])
    if values.shape != shape[:1]:
        raise DataError(
            f"{lengths.name} has shape {values.shape}; expected {shape[:1]}: one for each row of "
            "the inputs. Pass all of them."
        )
    try:
        checked = checked_lengths(values, shape[0], time)
    except BothwaysError as error:
        raise DataError(f"{lengths.name}: {error}") from None
    return ArrayPart(part, shape, swapped, lengths=checked.numpy())


def _check_features(name: str, count: int) -> None:
    """Raise DataError if an array says that it has more features than anything has."""
    if count > MAX_FEATURES:
        raise DataError(
            f"{name} says that it has {count:,} features for each time step; expected at most "
            f"{MAX_FEATURES:,}. Check the order of its axes, or copy the file again."
        )


def flat_part(stream: ArrayStream, offsets: ArrayStream, part: Part | None) -> ArrayPart:
    """Return the layout of a flat array (total_steps, features).

    Raises
    ------
    DataError
        If the shape is another one, or the offsets do not fit it.
    """
    shape = stream.shape
    if len(shape) != 2 or 0 in shape:
        raise DataError(
            f"{stream.name} has shape {shape}; expected (total_steps, features). Reshape it."
        )
    _check_features(stream.name, shape[1])
    try:
        edges = checked_offsets(offsets.whole(1 + shape[0]), shape[0])
    except BothwaysError as error:
        raise DataError(f"{offsets.name}: {error}") from None
    return ArrayPart(part, shape, offsets=edges.numpy())
