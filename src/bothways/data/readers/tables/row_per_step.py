"""Tables with one row for each time step."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bothways.config import Target
from bothways.data.options import DataOptions
from bothways.data.readers.tables.cells import numbers_of, texts_of, times_of, tokens_of
from bothways.data.readers.tables.roles import Roles, choose_roles
from bothways.data.readers.tables.row_order import Block, ordered_blocks
from bothways.data.readers.tables.table import Table
from bothways.data.record import PARTS, Array, Part, Record, Source
from bothways.errors import DataError, suggest


def read_steps(table: Table, options: DataOptions, *, labeled: bool = True) -> Source:
    """Return the sequences of a table with one row for each time step.

    Only the current block and the current sequence are in memory, unless the rows have to be
    sorted.

    Raises
    ------
    DataError
        If a column is missing, a value is not a number, or the rows cannot be brought in order.
    """
    roles, notes = choose_roles(table, options, labeled=labeled)
    blocks, more = ordered_blocks(table, roles, options)
    return Source(
        roles.features,
        _records(table, roles, options.target, blocks),
        notes=[*notes, *more],
        has_columns=True,
        vocabularies=roles.vocabularies,
    )


@dataclass
class _Run:
    """Consecutive rows of one sequence in one block."""

    name: str
    rows: Array  # numbers in the file
    values: Array
    columns: dict[str, Array]  # label, group, split and time


def _records(
    table: Table, roles: Roles, target: Target, blocks: Iterable[Block]
) -> Iterator[Record]:
    """Yield a record for the runs of each sequence."""
    pending: list[_Run] = []
    for run in _runs(table, roles, target, blocks):
        if pending and run.name != pending[0].name:
            yield _record(table, pending, target)
            pending = []
        pending.append(run)
    if pending:
        yield _record(table, pending, target)


def _runs(table: Table, roles: Roles, target: Target, blocks: Iterable[Block]) -> Iterator[_Run]:
    for batch, rows in blocks:
        names = texts_of(batch[roles.sequence], table, str(roles.sequence), rows)
        values = np.empty((len(rows), len(roles.features)))
        for n, feature in enumerate(roles.features):
            vocabulary = roles.vocabularies.get(feature)
            column = batch[feature]
            values[:, n] = (
                numbers_of(column)
                if vocabulary is None
                else tokens_of(column, vocabulary, table, feature, rows)
            )
        columns = {}
        for role in ("label", "group", "split"):
            name = getattr(roles, role)
            if name is not None:
                optional = role == "label" and target == "step"
                columns[role] = texts_of(batch[name], table, name, rows, optional=optional)
        if roles.time is not None:
            columns["time"] = times_of(batch[roles.time], table, roles.time, rows)
        starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            part = slice(start, end)
            cells = {role: column[part] for role, column in columns.items()}
            yield _Run(str(names[start]), rows[part], values[part], cells)


def _record(table: Table, runs: list[_Run], target: Target) -> Record:
    """Return the record of one sequence, whose label, group and split may not change."""
    name = runs[0].name
    rows = np.concatenate([run.rows for run in runs])
    joined = {role: np.concatenate([run.columns[role] for run in runs]) for role in runs[0].columns}
    step_labels = joined.pop("label", None) if target == "step" else None
    for role in ("label", "group", "split"):
        column = joined.get(role)
        if column is not None and (column != column[0]).any():
            other = int((column != column[0]).argmax())
            advice = "Fix it, or use --target step if each time step has its own label."
            raise DataError(
                f"{table.place(int(rows[other]))}: {role} is {column[other]!r} but "
                f"{column[0]!r} before in sequence {name!r}; expected one for each sequence. "
                + (advice if role == "label" else "Fix it.")
            )
    first = {role: str(joined[role][0]) for role in ("label", "group", "split") if role in joined}
    return Record(
        name=name,
        place=f"sequence {name!r}",  # finding the line of a CSV file would take another pass
        values=np.concatenate([run.values for run in runs]),
        label=first.get("label"),
        step_labels=step_labels,
        group=first.get("group"),
        part=part_of(first.get("split"), table, int(rows[0])),
        times=joined.get("time"),
    )


def part_of(name: str | None, table: Table, row: int) -> Part | None:
    """Return the part that a cell of the split column means.

    Raises
    ------
    DataError
        If it means none.
    """
    if name is None:
        return None
    words = {"valid": "validation", "val": "validation", "dev": "validation", "training": "train"}
    part = words.get(name.lower(), name.lower())
    for known in PARTS:
        if part == known:
            return known
    raise DataError(
        f"{table.place(row)}: split is {name!r}; "
        f"{suggest(name, PARTS, 'expected')} {', '.join(PARTS)}. Fix it."
    )
