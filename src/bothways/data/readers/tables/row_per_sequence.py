"""Tables with one row for each sequence: its steps in numbered columns, or in lists."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bothways.data.options import DataOptions
from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.cells import missing_cell, numbers_of, texts_of
from bothways.data.readers.tables.roles import named_columns, usual_name
from bothways.data.readers.tables.row_per_step import part_of
from bothways.data.readers.tables.table import Table, first_rows
from bothways.data.record import Array, Record, Source
from bothways.errors import DataError, counted

_NUMBERED = re.compile(r"(.*?)(\d{1,9})", re.DOTALL)
_LEAST_STEPS = 10
"""Fewer numbered columns may be features of one time step."""

Layout = Mapping[str, tuple[str, ...]]
"""The columns of each feature, in order of time; a list column alone holds all steps."""


def sequence_layout(table: Table, options: DataOptions) -> Layout | None:
    """Return where a table with one row for each sequence has its steps, or None for other tables.

    The steps are in list columns, or in columns numbered from 0 or 1: `t0` to `t99`, `0` to `99`,
    or `x_1` to `x_50` and `y_1` to `y_50`. Numbered columns are steps if no column names a sequence
    or a time, or if no sequence has a second row. Otherwise they are features of a time step.
    """
    wanted = options.features
    lists = [name for name in table.names if arrow.is_list_of_numbers(table.types[name])]
    if lists:
        time = options.time or usual_name("time", lists)
        features = wanted or tuple(name for name in lists if name != time)
        is_lists = bool(features) and set(features) <= set(lists)
        return {name: (name,) for name in features} if is_lists else None
    groups = _numbered_columns(table)
    if wanted is not None:
        named = set(wanted) <= set(groups) and not set(wanted) <= set(table.names)
        return {name: groups[name] for name in wanted} if named else None
    steps = max((len(columns) for columns in groups.values()), default=0)
    if steps < _LEAST_STEPS:
        return None
    layout = {name: columns for name, columns in groups.items() if len(columns) == steps}
    used = {column for columns in layout.values() for column in columns}
    others = [name for name in table.names if name not in used]
    sequence = options.sequence or usual_name("sequence", others)
    if sequence is None:
        has_time = options.time or usual_name("time", others)
        return None if has_time else layout
    if sequence not in others:
        return None
    block = first_rows(table, [sequence], [sequence])
    if block is None or block.num_rows < 2:
        return None
    names = texts_of(block[sequence], table, sequence, np.arange(block.num_rows))
    return layout if len(np.unique(names)) == len(names) else None


def _numbered_columns(table: Table) -> dict[str, tuple[str, ...]]:
    """Return the numeric columns that differ in a number only, by the rest of their names."""
    found: dict[str, dict[int, str]] = {}
    for name in table.names:
        match = _NUMBERED.fullmatch(name)
        if match is not None and arrow.is_numeric(table.types[name]):
            found.setdefault(match[1].rstrip("_-. [") or "value", {})[int(match[2])] = name
    return {
        feature: tuple(columns[n] for n in sorted(columns))
        for feature, columns in found.items()
        if min(columns) in (0, 1) and max(columns) - min(columns) + 1 == len(columns)
    }


def read_sequences(
    table: Table, layout: Layout, options: DataOptions, *, labeled: bool = True
) -> Source:
    """Return the sequences of a table with one row for each sequence.

    Empty cells at the end of a row are padding: its sequence is shorter.

    Raises
    ------
    DataError
        If a column is missing, a row is empty, or a sequence has two rows.
    """
    found, guessed = named_columns(table, options, labeled=labeled)
    if labeled and found["label"] is None:
        raise DataError(
            f"{table.path} has columns {_some(table.names)}, none of them a usual name for the "
            "label; expected one. Name the column with --label."
        )
    used = {column for columns in layout.values() for column in columns} | set(found.values())
    notes = [f"guessed: one row for each sequence, with {_steps_in(layout)}"]
    if guessed:
        notes[0] += f"; {'; '.join(guessed)}"
    if labeled and (others := [name for name in table.names if name not in used]):
        notes.append(f"ignored columns that are no time steps: {_some(others)}")
    return Source(
        tuple(layout),
        _records(table, layout, found),
        notes=[*notes, *table.notes],
        has_columns=True,
    )


def _steps_in(layout: Layout) -> str:
    spans = [
        columns[0] if len(columns) == 1 else f"{columns[0]} to {columns[-1]}"
        for columns in layout.values()
    ]
    return f"time steps in {_some(spans)}"


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:8])}, …"


def _records(table: Table, layout: Layout, found: Mapping[str, Any]) -> Iterator[Record]:
    text = {
        role: found[role]
        for role in ("sequence", "label", "group", "split")
        if found[role] is not None
    }
    time = found["time"]
    has_times = time is not None and arrow.is_list_of_numbers(table.types[time])
    steps = [column for columns in layout.values() for column in columns]
    is_list = arrow.is_list_of_numbers(table.types[steps[0]])
    columns = list(dict.fromkeys([*text.values(), *([time] if has_times else []), *steps]))
    seen: set[str] = set()
    first = 0
    for block in table.blocks(columns, list(text.values()), [] if is_list else steps):
        rows = np.arange(first, first + block.num_rows)
        first += block.num_rows
        cells = {role: texts_of(block[name], table, name, rows) for role, name in text.items()}
        values = _lists(block, layout, table, rows) if is_list else _padded(block, layout)
        times = _list_column(block[time]) if has_times else [None] * len(rows)
        for n, (row, own, when) in enumerate(zip(rows.tolist(), values, times, strict=True)):
            if not len(own):
                raise missing_cell(table, next(iter(layout)), row)
            name = str(cells["sequence"][n]) if "sequence" in cells else str(row)
            if "sequence" in cells and name in seen:
                raise DataError(
                    f"{table.place(row)}: sequence {name!r} has a second row; "
                    "expected one row for each sequence. Give each row a different name."
                )
            seen.add(name)
            if when is not None and (len(when) != len(own) or (np.diff(when) < 0).any()):
                raise DataError(
                    f"{table.place(row)}: {time!r} has {len(when)} times for "
                    f"{counted(len(own), 'step')}; expected one for each, in order. Fix it."
                )
            yield Record(
                name=name,
                place=f"sequence {name!r}" if "sequence" in cells else table.row_name(row),
                values=own,
                label=str(cells["label"][n]) if "label" in cells else None,
                group=str(cells["group"][n]) if "group" in cells else None,
                part=part_of(str(cells["split"][n]), table, row) if "split" in cells else None,
                times=when,
                named="sequence" in cells,
            )
    if not first:
        raise DataError(f"{table.path} has no rows; expected one for each sequence. Check it.")


def _padded(block: Any, layout: Layout) -> Iterator[Array]:
    """Yield the values of each row, (time_i, features), without the empty cells at its end."""
    values = np.array(
        [[numbers_of(block[name]) for name in columns] for columns in layout.values()]
    ).transpose(2, 1, 0)  # (rows, time, features)
    for row in values:
        present = np.flatnonzero(~np.isnan(row).all(axis=1))
        yield row[: present[-1] + 1 if len(present) else 0]


def _lists(block: Any, layout: Layout, table: Table, rows: Array) -> Iterator[Array]:
    """Yield the values of each row, (time_i, features), from list columns of equal lengths."""
    features = [_list_column(block[name]) for name in layout]
    for row, lists in zip(rows.tolist(), zip(*features, strict=True), strict=True):
        lengths = [len(values) for values in lists]
        if len(set(lengths)) > 1:
            raise DataError(
                f"{table.place(row)}: {', '.join(layout)} have "
                f"{', '.join(map(str, lengths))} values; expected as many of each. Fix it."
            )
        yield np.stack(lists, axis=1)


def _list_column(column: Any) -> list[Array]:
    """Return the numbers in each list of a column, none if the list is missing."""
    compute = arrow.pyarrow().compute
    lengths = compute.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    return np.split(numbers_of(compute.list_flatten(column)), np.cumsum(lengths)[:-1])
