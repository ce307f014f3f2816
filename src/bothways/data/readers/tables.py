"""Long tables with one row per time step, CSV or Parquet, read by pyarrow in blocks.

Rows are expected in the order of sequence and time. A table that fits in the memory allowed is
sorted if need be; of a larger one, only a block and the current sequence are in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bothways.config import Target
from bothways.data.options import DataOptions
from bothways.data.readers.columns import Columns, CsvColumns, ParquetColumns, is_number
from bothways.data.readers.compression import format_suffix
from bothways.data.readers.roles import Roles, roles_of
from bothways.data.record import PARTS, Array, Part, Record, Source
from bothways.data.vocabulary import MAX_TOKENS, Vocabulary
from bothways.errors import DataError

_UNITS_A_SECOND = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}


def read_table(path: Path, options: DataOptions, *, labelled: bool = True) -> Source:
    """Read a CSV or Parquet file with one row per time step, or a folder of Parquet files.

    Parameters
    ----------
    path : Path
        CSV (with a header; commas, semicolons or tabs; perhaps compressed) unless it ends in
        .parquet or .pq.
    options : DataOptions
        The roles of the columns.
    labelled : bool
        Whether labels are needed.

    Raises
    ------
    DataError
        If a column is missing, a value is not a number, or the rows are not in
        order and cannot be sorted.
    MissingDependencyError
        If pyarrow is not installed.
    """
    is_parquet = path.is_dir() or format_suffix(path) in (".parquet", ".pq")
    table = ParquetColumns(path) if is_parquet else CsvColumns(path, options.decimal)
    roles, notes = roles_of(table, options, labelled)
    blocks = _blocks(table, roles)
    if options.sort or table.size_bytes <= options.memory_mb << 20:
        blocks = _in_order(table, roles, blocks, notes)
    return Source(
        roles.features,
        _records(table, roles, options.target, blocks),
        notes=notes,
        has_columns=True,
        vocabularies=roles.vocabularies,
    )


def _blocks(table: Columns, roles: Roles) -> Iterator[tuple[Any, Array]]:
    """Yield the blocks of the columns to read, and the row numbers of each."""
    named = [name for name in (roles.sequence, roles.label, roles.group, roles.split) if name]
    numeric = [name for name in roles.features if name not in roles.vocabularies]
    row = 0
    for block in table.blocks(roles.columns, [*named, *roles.vocabularies], numeric):
        if block.num_rows:
            yield block, np.arange(row, row + block.num_rows)
        row += block.num_rows


def _in_order(
    table: Columns, roles: Roles, blocks: Iterator[tuple[Any, Array]], notes: list[str]
) -> Iterator[tuple[Any, Array]]:
    """Yield the whole table as one block, sorted by sequence and time unless it already is.

    Sequences keep the order of their first rows. Without a time, the rows stay as they are.
    """
    import pyarrow as pa

    found = [block for block, _ in blocks]
    if not found:
        return
    whole = pa.Table.from_batches(found).combine_chunks().to_batches()[0]
    rows = np.arange(whole.num_rows)
    if roles.time is not None:
        names = _texts(whole[roles.sequence], table, roles.sequence, rows)
        _, first, codes = np.unique(names, return_index=True, return_inverse=True)
        codes = first[codes]  # a sequence is the row in which it begins
        times = _times(whole[roles.time], table, roles.time, rows)
        order = np.lexsort((times, codes))
        if (order != rows).any():
            whole, rows = whole.take(pa.array(order)), order
            notes.append("sorted the rows by sequence and time")
    yield whole, rows


@dataclass
class _Rows:
    """Rows of one sequence in one block."""

    name: str
    rows: Array  # their numbers in the file
    values: Array
    columns: dict[str, Array]  # label, group, split and time


def _records(
    table: Columns, roles: Roles, target: Target, blocks: Iterator[tuple[Any, Array]]
) -> Iterator[Record]:
    """Yield a record for each run of rows with the same sequence."""
    seen: set[str] = set()
    pending: list[_Rows] = []
    for rows in _runs(table, roles, target, blocks):
        if pending and rows.name != pending[0].name:
            yield _record(table, roles, target, pending)
            pending = []
        if not pending:
            if rows.name in seen:
                advice = "add --sort" if roles.time else "name the column of time with --time"
                raise DataError(
                    f"{table.path}, {table.place(int(rows.rows[0]))}: sequence {rows.name!r} "
                    "continues after others; expected its rows together. Sort the table by "
                    f"sequence and time, or {advice}."
                )
            seen.add(rows.name)
        pending.append(rows)
    if not pending:
        raise DataError(f"{table.path} has no rows; expected one for each time step. Check it.")
    yield _record(table, roles, target, pending)


def _runs(
    table: Columns, roles: Roles, target: Target, blocks: Iterator[tuple[Any, Array]]
) -> Iterator[_Rows]:
    """Yield the rows of each sequence in each block."""
    for block, rows in blocks:
        names = _texts(block[roles.sequence], table, roles.sequence, rows)
        values = np.empty((len(rows), len(roles.features)), np.float64)
        for n, feature in enumerate(roles.features):
            if feature in roles.vocabularies:
                texts = _texts(block[feature], table, feature, rows, optional=True)
                values[:, n] = _numbers(roles.vocabularies[feature], texts, table, feature)
            else:
                values[:, n] = block[feature].cast("float64").to_numpy(zero_copy_only=False)
        columns = {}
        for role in ("label", "group", "split"):
            column = getattr(roles, role)
            if column is not None:
                optional = role == "label" and target == "step"
                columns[role] = _texts(block[column], table, column, rows, optional=optional)
        if roles.time is not None:
            columns["time"] = _times(block[roles.time], table, roles.time, rows)
        starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            part = slice(start, end)
            own = {role: column[part] for role, column in columns.items()}
            yield _Rows(str(names[start]), rows[part], values[part], own)


def _numbers(vocabulary: Vocabulary, texts: Array, table: Columns, name: str) -> Array:
    numbers = vocabulary.numbers(texts)
    if len(vocabulary) > MAX_TOKENS:
        raise DataError(
            f"{table.path}: column {name!r} has more than {MAX_TOKENS:,} different values; "
            "expected categories. Remove it from --categorical."
        )
    return numbers


def _record(table: Columns, roles: Roles, target: Target, runs: list[_Rows]) -> Record:
    """Join the rows of one sequence, and check that its label, group and split are constant."""
    rows = np.concatenate([run.rows for run in runs])
    joined = {role: np.concatenate([run.columns[role] for run in runs]) for role in runs[0].columns}
    step_labels = joined.pop("label", None) if target == "step" else None
    for role in ("label", "group", "split"):
        column = joined.get(role)
        if column is not None and (column != column[0]).any():
            other = int((column != column[0]).argmax())
            advice = "Fix it."
            if role == "label":
                advice = "Fix it, or use --target step if each time step has its own label."
            raise DataError(
                f"{table.path}, {table.place(int(rows[other]))}: {role} is {column[other]!r} but "
                f"{column[0]!r} before in sequence {runs[0].name!r}; expected one for each "
                f"sequence. {advice}"
            )
    times = joined.get("time")
    if times is not None and (late := times[1:] < times[:-1]).any():
        row = int(rows[1 + int(late.argmax())])
        raise DataError(
            f"{table.path}, {table.place(row)}: time {roles.time!r} goes back in sequence "
            f"{runs[0].name!r}; expected rows in order. Sort the table by sequence and time, or "
            "add --sort."
        )
    return Record(
        name=runs[0].name,
        place=f"sequence {runs[0].name!r}",  # a line of CSV would have to be looked for
        values=np.concatenate([run.values for run in runs]),
        label=_first(joined, "label"),
        step_labels=step_labels,
        group=_first(joined, "group"),
        part=_part(_first(joined, "split"), table, int(rows[0])),
        times=times,
    )


def _first(columns: dict[str, Array], role: str) -> str | None:
    return str(columns[role][0]) if role in columns else None


def _part(name: str | None, table: Columns, row: int) -> Part | None:
    """Return the part that a value of a split column stands for."""
    if name is None:
        return None
    words = {"valid": "validation", "val": "validation", "dev": "validation", "training": "train"}
    part = words.get(name.lower(), name.lower())
    for known in PARTS:
        if part == known:
            return known
    raise DataError(
        f"{table.path}, {table.place(row)}: split is {name!r}; expected {', '.join(PARTS)}. Fix it."
    )


def _texts(column: Any, table: Columns, name: str, rows: Array, *, optional: bool = False) -> Array:
    """Return a column as text; missing or empty values raise an error unless `optional`."""
    from pyarrow import ArrowException, compute, types

    if types.is_floating(column.type):
        column = compute.if_else(compute.is_nan(column), None, column)
    try:
        values = column.cast("string").fill_null("").to_pylist()
    except (ArrowException, UnicodeDecodeError):
        raise DataError(
            f"{table.path}: column {name!r} holds {column.type}; expected text or numbers. "
            "Convert it."
        ) from None
    if "" in values and not optional:
        missing = next(n for n, value in enumerate(values) if not value)
        raise _missing(table, name, int(rows[missing]))
    return np.asarray(values, dtype=object)


def _times(column: Any, table: Columns, name: str, rows: Array) -> Array:
    """Return numbers or time stamps; times of day and durations become seconds."""
    from pyarrow import types

    if column.null_count:
        raise _missing(table, name, int(rows[column.is_null().to_pylist().index(True)]))
    kind = column.type
    if types.is_time(kind) or types.is_duration(kind):
        units = column.cast("int32" if kind.bit_width == 32 else "int64")
        seconds: Array = units.to_numpy(zero_copy_only=False) / _UNITS_A_SECOND[kind.unit]
        return seconds
    if types.is_decimal(kind):
        column = column.cast("float64")
    elif not (types.is_integer(kind) or types.is_floating(kind) or types.is_temporal(kind)):
        raise DataError(
            f"{table.path}, {table.place(int(rows[_first_text(column)]))}: time {name!r} is "
            f"{column[_first_text(column)].as_py()!r}; expected numbers or time stamps like "
            "2026-01-31T09:30:00. Convert it, or name another --time."
        )
    times: Array = column.to_numpy(zero_copy_only=False)
    if times.dtype.kind == "f" and not np.isfinite(times).all():
        raise _missing(table, name, int(rows[int((~np.isfinite(times)).argmax())]))
    return times


def _first_text(column: Any) -> int:
    """Return the first cell that is not a number, or 0 if all cells are text."""
    cells = column.to_pylist()
    return next((n for n, cell in enumerate(cells) if not is_number(cell)), 0)


def _missing(table: Columns, name: str, row: int) -> DataError:
    return DataError(
        f"{table.path}, {table.place(row)}: {name!r} is missing; expected a value in each row. "
        "Fill it in, or drop the row."
    )
