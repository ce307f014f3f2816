"""Check the records of a source, subtract their offsets and cut them into windows."""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from bothways.data.offsets import find_offsets, subtract_offsets, unresolved_features
from bothways.data.options import DataOptions
from bothways.data.record import Record, Source
from bothways.errors import DataError, counted

_SAMPLE_VALUES = 1 << 18  # read before the offsets are determined


def checked_records(
    path: str, source: Source, options: DataOptions, *, missing: bool = True
) -> Iterator[Record]:
    """Yield the validated records of a source, with float32 values, cut into windows if requested.

    A record without a group becomes its own group, which its windows share. Large constants are
    subtracted from the features: `options.offsets`, or those found in the first records.
    `source.offsets` contains them from then on.

    Parameters
    ----------
    path : str
        For messages.
    source : Source
    options : DataOptions
        Of which `offsets`, `window` and `stride` are used.
    missing : bool
        Whether values may be missing.

    Raises
    ------
    DataError
        If a record has another number of features than the source, or a value is infinite, or NaN
        without `missing`.
    """
    records: Iterator[Record]
    records = (_checked(path, source, record, missing) for record in source.records)
    if options.offsets is None:
        records = _with_offsets(source, records)
    else:
        source.offsets[:] = options.offsets
    for number, record in enumerate(records):
        record.values = subtract_offsets(record.values, tuple(source.offsets))
        record.recording = number
        if record.group is None:
            record.group = record.name if record.named else f"{path}:{record.name}"
        if options.window is None:
            yield record
        else:
            yield from _windows(record, options.window, options.stride or options.window)


def _with_offsets(source: Source, records: Iterator[Record]) -> Iterator[Record]:
    """Find the offsets in the first records, and yield all records."""
    sample: list[Record] = []
    size = 0
    for record in records:
        sample.append(record)
        size += record.values.size
        if size > _SAMPLE_VALUES:
            break
    if sample:
        values = np.concatenate([record.values for record in sample])
        categorical = [name in source.vocabularies for name in source.features]
        values = np.where(categorical, 0.0, values).astype(values.dtype, copy=False)
        source.offsets[:] = find_offsets(values)
        if lossy := unresolved_features(values, tuple(source.offsets)):
            names = ", ".join(source.features[n] for n in lossy)
            source.notes.append(
                f"most changes of {names} are lost in float32, which keeps 7 digits; subtract a "
                "constant from each sequence first"
            )
    return chain(sample, records)


def _checked(path: str, source: Source, record: Record, missing: bool) -> Record:
    """Return the record if it has the features of its source and no value that cannot be used."""
    values, size = record.values, len(source.features)
    if values.shape[1] != size:
        raise DataError(
            f"{path}, {record.place} has {counted(values.shape[1], 'feature')}; expected {size}, "
            "as in the first sequence. Fix or remove the sequence."
        )
    if values.dtype != np.float32:
        with np.errstate(over="ignore"):  # values beyond float32 become infinite
            values = values.astype(np.float32)
    bad = np.isinf(values) if missing else ~np.isfinite(values)
    if bad.any():
        step, feature = (int(n) for n in np.argwhere(bad)[0])
        what, advice = "infinite", ""
        if np.isnan(values[step, feature]):
            what, advice = "missing", ", or set missing=mean"
        elif np.isfinite(record.values[step, feature]):
            what = f"{record.values[step, feature]:g}, too large for float32,"
        raise DataError(
            f"{path}, {record.place}: {source.features[feature]!r} is {what} at step {step}; "
            f"expected finite numbers. Fix or remove the sequence{advice}."
        )
    return record


def _windows(record: Record, window: int, stride: int) -> Iterator[Record]:
    """Yield the windows of a record, or the record if it is shorter than a window."""
    steps = len(record.values)
    if steps < window:
        yield record
    for start in range(0, steps - window + 1, stride):
        yield record.cut(start, start + window)
