"""Long tables, one row a time step: CSV and Parquet, read in blocks by pyarrow.

The rows of a sequence stand together, in the order of time. Only the block being read and the
sequence being put together are in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bothways.config import Target
from bothways.data.options import DataOptions
from bothways.data.readers.columns import Columns, CsvColumns, ParquetColumns, is_number
from bothways.data.record import PARTS, Array, Part, Record, Source
from bothways.data.vocabulary import MAX_TOKENS, Vocabulary
from bothways.errors import DataError

# Names that say what a column is, wherever someone has not said it.
_USUAL = {
    "sequence": ("sequence", "sequence_id", "series", "series_id", "session", "recording", "id"),
    "time": ("time", "t", "timestamp", "step", "datetime", "date"),
    "label": ("label", "class", "target", "activity"),  # not y: it is often a coordinate
}


_UNITS_A_SECOND = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True)
class _Roles:
    """Which column is what."""

    sequence: str
    time: str | None
    label: str | None
    group: str | None
    split: str | None
    features: tuple[str, ...]
    vocabularies: dict[str, Vocabulary]  # of the features that are categorical

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        named = (self.sequence, self.time, self.label, self.group, self.split)
        used = [name for name in named if name is not None] + list(self.features)
        return list(dict.fromkeys(used))  # a sequence may be its own group


def read_table(path: Path, options: DataOptions, *, labelled: bool = True) -> Source:
    """Read a CSV or Parquet file with a row for each time step.

    Parameters
    ----------
    path : Path
        CSV (with a header; commas, semicolons or tabs) unless it ends in .parquet or .pq.
    options : DataOptions
        Its columns.
    labelled : bool
        Whether a label is needed.

    Raises
    ------
    DataError
        If a column is missing, a value is not a number, or the rows of a sequence are apart.
    MissingDependencyError
        If pyarrow is not installed.
    """
    table = ParquetColumns(path) if path.suffix.lower() in (".parquet", ".pq") else CsvColumns(path)
    roles, notes = _roles(table, options, labelled)
    records = _records(table, roles, options.target)
    return Source(
        roles.features, records, notes=notes, has_columns=True, vocabularies=roles.vocabularies
    )


def _roles(table: Columns, options: DataOptions, labelled: bool) -> tuple[_Roles, list[str]]:
    """Say which column is what: as told, or by its name; and what was guessed."""
    from pyarrow import types

    columns = table.names
    if len(set(columns)) < len(columns):
        double = next(name for name in columns if columns.count(name) > 1)
        raise DataError(
            f"{table.path} has two columns {double!r}; expected each name once. Rename one."
        )
    found, guessed = _named_columns(table, options, labelled)
    taken = set(found.values())
    free = [name for name in columns if name not in taken]
    features = options.features
    if features is None:
        features = tuple(
            name
            for name in free
            if types.is_floating(table.types[name])
            or types.is_integer(table.types[name])
            or name in options.categorical  # here, for they keep their place
        )
        guessed.append(f"features {', '.join(features)}")
        others = [name for name in free if name not in features]
        for name in others:
            if labelled and (stray := table.stray_text(name)) is not None:
                row, cell = stray
                raise DataError(
                    f"{table.path}, {table.place(row)}: column {name!r} holds {cell!r} but numbers "
                    "in most rows; expected numbers. Mend it, or name the columns to use with "
                    "--features."
                )
        if others and labelled:
            guessed.append(
                f"left out, for they hold no numbers: {', '.join(others)} (--categorical takes "
                "columns of names)"
            )
    features += tuple(name for name in options.categorical if name not in features)
    for name in features:
        if name not in free or features.count(name) > 1:
            what = "is no column" if name not in columns else "has another part to play"
            what = "is named twice" if features.count(name) > 1 else what
            option = "--categorical" if name in options.categorical else "--features"
            raise DataError(
                f"{table.path}: feature {name!r} {what}; expected one of {', '.join(free)}. "
                f"Check {option}."
            )
    if not features:
        named = ", ".join(sorted(filter(None, taken)))
        raise DataError(
            f"{table.path} has no column of numbers beside {named}; "
            "expected at least one feature. Check the file, or name columns with --features or "
            "--categorical."
        )
    known = options.vocabularies
    vocabularies = {
        name: Vocabulary(known.get(name, ()), grows=name not in known)
        for name in features
        if name in options.categorical
    }
    roles = _Roles(features=features, vocabularies=vocabularies, **found)  # type: ignore[arg-type]
    return roles, [f"guessed: {'; '.join(guessed)}"] if guessed else []


def _named_columns(
    table: Columns, options: DataOptions, labelled: bool
) -> tuple[dict[str, str | None], list[str]]:
    """Return the column of each role but the features', and what was guessed of them."""
    columns = table.names
    found: dict[str, str | None] = {}
    guessed = []
    wanted = ("sequence", "time", "label", "group", "split") if labelled else ("sequence", "time")
    given = {role: getattr(options, role) for role in wanted}
    told_apart = [name for role, name in given.items() if role != "group"]  # it may be another too
    free = [name for name in columns if name not in told_apart]
    for role, told in given.items():
        if told is not None and told not in columns:
            raise DataError(
                f"{table.path} has no column {told!r}; expected --{role} to be one of "
                f"{', '.join(columns)}. Check its name."
            )
        found[role] = told or _usual(role, free)
        if told is None and found[role] is not None:
            guessed.append(f"{role} {found[role]!r}")
    for role, needed in (("sequence", True), ("label", labelled)):
        if needed and found[role] is None:
            raise DataError(
                f"{table.path} has columns {', '.join(columns)}, none of them a usual name for the "
                f"{role}; expected one. Name it with --{role}."
            )
    return dict.fromkeys(("sequence", "time", "label", "group", "split")) | found, guessed


def _usual(role: str, columns: list[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed(columns)}
    return next((by_lower[name] for name in _USUAL.get(role, ()) if name in by_lower), None)


@dataclass
class _Rows:
    """Rows of one sequence: from one block, or from several joined."""

    name: str
    first: int
    values: Array
    columns: dict[str, Array]  # label, group, split and time


def _records(table: Columns, roles: _Roles, target: Target) -> Iterator[Record]:
    """Yield a record for each run of rows with the same sequence."""
    seen: set[str] = set()
    pending: list[_Rows] = []
    for rows in _runs(table, roles, target):
        if pending and rows.name != pending[0].name:
            yield _record(table, roles, target, pending)
            pending = []
        if not pending:
            if rows.name in seen:
                raise DataError(
                    f"{table.path}, {table.place(rows.first)}: sequence {rows.name!r} goes on "
                    "after others; expected its rows together. Sort the table by sequence and time."
                )
            seen.add(rows.name)
        pending.append(rows)
    if not pending:
        raise DataError(f"{table.path} has no rows; expected one for each time step. Check it.")
    yield _record(table, roles, target, pending)


def _runs(table: Columns, roles: _Roles, target: Target) -> Iterator[_Rows]:
    """Yield the rows of each sequence in each block."""
    named = [name for name in (roles.sequence, roles.label, roles.group, roles.split) if name]
    text = [*named, *roles.vocabularies]
    amounts = [name for name in roles.features if name not in roles.vocabularies]
    row = 0
    for block in table.blocks(roles.columns, text, amounts):
        count = block.num_rows
        if not count:
            continue
        names = _texts(block[roles.sequence], table, roles.sequence, row)
        values = np.empty((count, len(roles.features)), np.float32)
        for n, feature in enumerate(roles.features):
            if feature in roles.vocabularies:
                texts = _texts(block[feature], table, feature, row, optional=True)
                values[:, n] = _numbers(roles.vocabularies[feature], texts, table, feature)
            else:
                values[:, n] = block[feature].cast("float64").to_numpy(zero_copy_only=False)
        columns = {}
        for role in ("label", "group", "split"):
            column = getattr(roles, role)
            if column is not None:
                optional = role == "label" and target == "step"
                columns[role] = _texts(block[column], table, column, row, optional=optional)
        if roles.time is not None:
            columns["time"] = _times(block[roles.time], table, roles.time, row)
        starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
        for start, end in zip(starts, [*starts[1:], count], strict=True):
            part = slice(start, end)
            own = {role: column[part] for role, column in columns.items()}
            yield _Rows(str(names[start]), row + int(start), values[part], own)
        row += count


def _numbers(vocabulary: Vocabulary, texts: Array, table: Columns, name: str) -> Array:
    numbers = vocabulary.numbers(texts)
    if len(vocabulary) > MAX_TOKENS:
        raise DataError(
            f"{table.path}: column {name!r} holds more than {MAX_TOKENS:,} different names; "
            "expected categories. Leave it out of --categorical."
        )
    return numbers


def _record(table: Columns, roles: _Roles, target: Target, runs: list[_Rows]) -> Record:
    """Join the rows of one sequence, and check what must be the same in all of them."""
    first = runs[0].first
    joined = {role: np.concatenate([run.columns[role] for run in runs]) for role in runs[0].columns}
    step_labels = joined.pop("label", None) if target == "step" else None
    for role in ("label", "group", "split"):
        column = joined.get(role)
        if column is not None and (column != column[0]).any():
            other = int((column != column[0]).argmax())
            advice = "Mend it, or, if each step has its own, use --target step."
            advice = advice if role == "label" else "Mend it."
            raise DataError(
                f"{table.path}, {table.place(first + other)}: {role} is {column[other]!r} but "
                f"{column[0]!r} before in sequence {runs[0].name!r}; expected one for each "
                f"sequence. {advice}"
            )
    times = joined.get("time")
    if times is not None and (late := times[1:] < times[:-1]).any():
        row = first + 1 + int(late.argmax())
        raise DataError(
            f"{table.path}, {table.place(row)}: time {roles.time!r} goes back in sequence "
            f"{runs[0].name!r}; expected rows in order. Sort the table by sequence and time first."
        )
    return Record(
        name=runs[0].name,
        place=f"sequence {runs[0].name!r}",  # a line of CSV would have to be looked for
        values=np.concatenate([run.values for run in runs]),
        label=_first(joined, "label"),
        step_labels=step_labels,
        group=_first(joined, "group"),
        part=_part(_first(joined, "split"), table, first),
        times=times,
    )


def _first(columns: dict[str, Array], role: str) -> str | None:
    return str(columns[role][0]) if role in columns else None


def _part(name: str | None, table: Columns, row: int) -> Part | None:
    """Return which part a word in a split column means."""
    if name is None:
        return None
    words = {"valid": "validation", "val": "validation", "dev": "validation", "training": "train"}
    part = words.get(name.lower(), name.lower())
    for known in PARTS:
        if part == known:
            return known
    raise DataError(
        f"{table.path}, {table.place(row)}: split is {name!r}; expected {', '.join(PARTS)}. "
        "Mend it."
    )


def _texts(column: Any, table: Columns, name: str, row: int, *, optional: bool = False) -> Array:
    """Return a column as text; nothing may be missing, or empty, unless it is `optional`."""
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
        raise _missing(table, name, row + missing)
    return np.asarray(values, dtype=object)


def _times(column: Any, table: Columns, name: str, row: int) -> Array:
    """Return a column of numbers, or time stamps; times of a day and durations in seconds."""
    from pyarrow import types

    if column.null_count:
        raise _missing(table, name, row + column.is_null().to_pylist().index(True))
    kind = column.type
    if types.is_time(kind) or types.is_duration(kind):
        units = column.cast("int32" if kind.bit_width == 32 else "int64")
        seconds: Array = units.to_numpy(zero_copy_only=False) / _UNITS_A_SECOND[kind.unit]
        return seconds
    if types.is_decimal(kind):
        column = column.cast("float64")
    elif not (types.is_integer(kind) or types.is_floating(kind) or types.is_temporal(kind)):
        raise DataError(
            f"{table.path}, {table.place(row + _first_text(column))}: time {name!r} is "
            f"{column[_first_text(column)].as_py()!r}; expected numbers or time stamps like "
            "2026-01-31T09:30:00. Convert it, or name another --time."
        )
    times: Array = column.to_numpy(zero_copy_only=False)
    if times.dtype.kind == "f" and not np.isfinite(times).all():
        raise _missing(table, name, row + int((~np.isfinite(times)).argmax()))
    return times


def _first_text(column: Any) -> int:
    """Return the first cell that is no number, or the first of all where all are text."""
    cells = column.to_pylist()
    return next((n for n, cell in enumerate(cells) if not is_number(cell)), 0)


def _missing(table: Columns, name: str, row: int) -> DataError:
    return DataError(
        f"{table.path}, {table.place(row)}: {name!r} is missing; expected a value in each row. "
        "Fill it in, or drop the row."
    )
