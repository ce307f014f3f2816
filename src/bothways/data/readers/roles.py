"""The roles of a table's columns: named by the user, or guessed from their names and values."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.data.options import DataOptions
from bothways.data.readers.columns import Columns
from bothways.data.record import Array
from bothways.data.vocabulary import Vocabulary
from bothways.errors import DataError

# Usual names of columns, for roles that the user has not named.
_USUAL = {
    "sequence": ("sequence", "sequence_id", "series", "series_id", "session", "recording", "id"),
    "time": ("time", "t", "timestamp", "step", "datetime", "date"),
    "label": ("label", "class", "target", "activity"),  # not y: it is often a coordinate
}

# Names that pandas and others give to a column of row numbers.
_LEAST_RISES = 5  # fewer consecutive values may be chance
_ROW_NUMBERS = re.compile(r"|unnamed: ?\d+|index|level_\d+|row|__index_level_\d+__", re.IGNORECASE)


@dataclass(frozen=True)
class Roles:
    """The column of each role; None if a role has no column."""

    sequence: str
    time: str | None
    label: str | None
    group: str | None
    split: str | None
    features: tuple[str, ...]
    vocabularies: dict[str, Vocabulary]  # of the categorical features

    @property
    def columns(self) -> list[str]:
        """All columns to read."""
        named = (self.sequence, self.time, self.label, self.group, self.split)
        used = [name for name in named if name is not None] + list(self.features)
        return list(dict.fromkeys(used))  # a sequence may be its own group


def roles_of(table: Columns, options: DataOptions, labelled: bool) -> tuple[Roles, list[str]]:
    """Return the column of each role, and notes on what was guessed.

    Raises
    ------
    DataError
        If a column that is needed is missing, or a name stands for two columns.
    """
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
        features, remarks = _guessed_features(table, free, found["sequence"], options, labelled)
        guessed.append(f"features {', '.join(features)}")
    else:
        remarks = []
    features += tuple(name for name in options.categorical if name not in features)
    for name in features:
        if name not in free or features.count(name) > 1:
            what = "is not a column" if name not in columns else "has another role"
            what = "is named twice" if features.count(name) > 1 else what
            option = "--categorical" if name in options.categorical else "--features"
            raise DataError(
                f"{table.path}: feature {name!r} {what}; expected one of {', '.join(free)}. "
                f"Check {option}."
            )
    if not features:
        named = ", ".join(sorted(filter(None, taken)))
        raise DataError(
            f"{table.path} has no numeric feature besides {named}; expected at least one"
            f"{'; '.join(['', *remarks])}. Name columns with --features or --categorical."
        )
    known = options.vocabularies
    vocabularies = {
        name: Vocabulary(known.get(name, ()), grows=name not in known)
        for name in features
        if name in options.categorical
    }
    roles = Roles(features=features, vocabularies=vocabularies, **found)  # type: ignore[arg-type]
    notes = [f"guessed: {'; '.join(guessed)}"] if guessed else []
    return roles, [*notes, *remarks, *table.notes]


def _guessed_features(
    table: Columns, free: list[str], sequence: str | None, options: DataOptions, labelled: bool
) -> tuple[tuple[str, ...], list[str]]:
    """Return all numeric and categorical columns but row numbers, and remarks on the others."""
    from pyarrow import types

    def is_numeric(kind: Any) -> bool:
        return bool(types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind))

    numeric = [name for name in free if is_numeric(table.types[name])]
    counters = _row_numbers(table, numeric, sequence)
    features = tuple(
        name
        for name in free
        if (name in numeric and name not in counters) or name in options.categorical
    )
    remarks = []
    if counters and labelled:
        shown = ", ".join(repr(name) if name in ("", " ") else name for name in counters)
        remarks.append(f"ignored columns that count rows: {shown} (add --features to use them)")
    others = [name for name in free if name not in features and name not in counters]
    for name in others:
        if labelled and (stray := table.stray_text(name)) is not None:
            row, cell = stray
            raise DataError(
                f"{table.path}, {table.place(row)}: column {name!r} holds {cell!r} but numbers in "
                "most rows; expected numbers. Fix the cell, or name the columns to use with "
                "--features."
            )
    if others and labelled:
        shown = ", ".join(f"{name} ({table.example_of(name)!r})" for name in others)
        remarks.append(
            f"ignored non-numeric columns: {shown} (add --categorical {','.join(others)} to use "
            "them as categories)"
        )
    return features, remarks


def _row_numbers(table: Columns, numeric: list[str], sequence: str | None) -> list[str]:
    """Return the columns that only count rows, over the table or within each sequence.

    As features, they would tell the order of the file, and often the class. The first block of the
    table is examined.
    """
    candidates = [name for name in numeric if _may_count(table, name)]
    if not candidates:
        return []
    text = [] if sequence is None else [sequence]
    block = next(table.blocks([*text, *candidates], text, candidates))
    codes = np.zeros(block.num_rows, np.int64)
    if sequence is not None:
        names = np.asarray(block[sequence].cast("string").fill_null("").to_pylist(), dtype=object)
        codes = np.unique(names, return_inverse=True)[1]
    found = []
    for name in candidates:
        values = block[name].cast("float64").to_numpy(zero_copy_only=False)
        has_usual_name = _ROW_NUMBERS.fullmatch(name) and _are_integers(values)
        if has_usual_name or _counts(values, np.zeros_like(codes)) or _counts(values, codes):
            found.append(name)
    return found


def _may_count(table: Columns, name: str) -> bool:
    from pyarrow import types

    kind = table.types[name]
    is_float = types.is_floating(kind) and _ROW_NUMBERS.fullmatch(name) is not None
    return bool(types.is_integer(kind) or is_float)


def _are_integers(values: Array) -> bool:
    return bool((np.isnan(values) | (values == np.floor(values))).all())


def _counts(values: Array, codes: Array) -> bool:
    """Return whether the values of each code are consecutive integers, in whatever order."""
    order = np.lexsort((values, codes))
    values, codes = values[order], codes[order]
    rises = np.diff(values)[codes[1:] == codes[:-1]]
    return len(rises) >= _LEAST_RISES and bool((rises == 1).all())


def _named_columns(
    table: Columns, options: DataOptions, labelled: bool
) -> tuple[dict[str, str | None], list[str]]:
    """Return the column of each role except the features, and what was guessed."""
    columns = table.names
    found: dict[str, str | None] = {}
    guessed = []
    wanted = ("sequence", "time", "label", "group", "split") if labelled else ("sequence", "time")
    given = {role: getattr(options, role) for role in wanted}
    told_apart = [name for role, name in given.items() if role != "group"]  # may have two roles
    free = [name for name in columns if name not in told_apart]
    for role, told in given.items():
        if told is not None and told not in columns:
            raise DataError(
                f"{table.path} has no column {told!r}; expected --{role} to be one of "
                f"{', '.join(columns)}. Check its name."
            )
        found[role] = told or usual_column(role, free)
        if told is None and found[role] is not None:
            guessed.append(f"{role} {found[role]!r}")
    for role, needed in (("sequence", True), ("label", labelled)):
        if needed and found[role] is None:
            raise DataError(
                f"{table.path} has columns {', '.join(columns)}, none of them a usual name for the "
                f"{role}; expected one. Name the column with --{role}."
            )
    return dict.fromkeys(("sequence", "time", "label", "group", "split")) | found, guessed


def usual_column(role: str, columns: list[str]) -> str | None:
    """Return the column that has a usual name for a role, or None."""
    by_lower = {name.lower(): name for name in reversed(columns)}
    return next((by_lower[name] for name in _USUAL.get(role, ()) if name in by_lower), None)
