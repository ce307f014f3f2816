"""Columns of a block as numpy arrays; a missing or unusable cell is reported with its place."""

from typing import Any

import numpy as np

from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.csv_schema import is_number
from bothways.data.readers.tables.table import Table
from bothways.data.record import Array
from bothways.data.vocabulary import MAX_TOKENS, Vocabulary
from bothways.errors import DataError

_UNITS_PER_SECOND = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}


def numbers_of(column: Any) -> Array:
    """Return a numeric column as float64 (rows,), NaN where a value is missing."""
    numbers: Array = column.cast("float64").to_numpy(zero_copy_only=False)
    return numbers


def tokens_of(column: Any, vocabulary: Vocabulary, table: Table, name: str, rows: Array) -> Array:
    """Return a categorical column as token numbers (rows,).

    Raises
    ------
    DataError
        If the column has too many different values to be categorical.
    """
    numbers = vocabulary.numbers(texts_of(column, table, name, rows, optional=True))
    if len(vocabulary) > MAX_TOKENS:
        raise DataError(
            f"{table.path}: column {name!r} has more than {MAX_TOKENS:,} different values; "
            "expected categories. Remove it from --categorical."
        )
    return numbers


def texts_of(column: Any, table: Table, name: str, rows: Array, *, optional: bool = False) -> Array:
    """Return a column as an object array of str (rows,), empty where an optional value is missing.

    Parameters
    ----------
    column : pyarrow.Array
    table, name : Table, str
        Where the column is, for messages.
    rows : int64 array (rows,)
        The row number of each cell, for messages.
    optional : bool
        Whether values may be missing.

    Raises
    ------
    DataError
        If a value is missing and not `optional`, or the column is neither text nor numeric.
    """
    pa = arrow.pyarrow()
    if pa.types.is_floating(column.type):
        column = pa.compute.if_else(pa.compute.is_nan(column), None, column)
    try:
        encoded = column.cast("string").fill_null("").dictionary_encode()
        names = np.array(encoded.dictionary.to_pylist(), dtype=object)
    except (pa.ArrowException, UnicodeDecodeError):
        raise DataError(
            f"{table.path}: column {name!r} holds {column.type}; expected text or numbers. "
            "Convert it."
        ) from None
    codes = encoded.indices.to_numpy()
    if not optional and (empty := np.flatnonzero(names == "")).size:
        raise missing_cell(table, name, int(rows[(codes == empty[0]).argmax()]))
    texts: Array = names[codes]
    return texts


def times_of(column: Any, table: Table, name: str, rows: Array) -> Array:
    """Return a column of times (rows,): numbers or datetime64; times of day and durations in s.

    Raises
    ------
    DataError
        If a time is missing, or is neither a number nor a time stamp.
    """
    types = arrow.pyarrow().types
    if column.null_count:
        raise missing_cell(table, name, int(rows[column.is_null().to_pylist().index(True)]))
    kind = column.type
    if types.is_time(kind) or types.is_duration(kind):
        units = column.cast("int32" if kind.bit_width == 32 else "int64")
        seconds: Array = units.to_numpy(zero_copy_only=False) / _UNITS_PER_SECOND[kind.unit]
        return seconds
    if types.is_decimal(kind):
        column = column.cast("float64")
    elif not (types.is_integer(kind) or types.is_floating(kind) or types.is_temporal(kind)):
        cells = column.to_pylist()
        at = next((n for n, cell in enumerate(cells) if not is_number(str(cell))), 0)
        raise DataError(
            f"{table.place(int(rows[at]))}: time {name!r} is {cells[at]!r}; expected "
            "numbers or time stamps like 2026-01-31T09:30:00. Convert it, or name another --time."
        )
    times: Array = column.to_numpy(zero_copy_only=False)
    if times.dtype.kind == "f" and not np.isfinite(times).all():
        raise missing_cell(table, name, int(rows[(~np.isfinite(times)).argmax()]))
    return times


def missing_cell(table: Table, name: str, row: int) -> DataError:
    """Return the error for a missing value in column `name`."""
    return DataError(
        f"{table.place(row)}: {name!r} is missing; expected a value in each row. "
        "Fill it in, or drop the row."
    )
