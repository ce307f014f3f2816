"""Decide what each column of a table is: sequence, time, label, group, split, feature, ignored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bothways.data.options import DataOptions
from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.csv_schema import MISSING, is_number
from bothways.data.readers.tables.row_counters import counting_columns
from bothways.data.readers.tables.table import Table, first_rows
from bothways.data.vocabulary import Vocabulary
from bothways.errors import DataError, suggest

_USUAL_NAMES = {
    "sequence": (
        "sequence", "sequence_id", "series", "series_id", "session", "session_id", "recording",
        "recording_id", "id",
    ),
    "time": ("time", "t", "timestamp", "step", "datetime", "date"),
    "label": ("label", "class", "target", "activity", "gesture"),  # y is often a coordinate
}  # fmt: skip


@dataclass(frozen=True)
class Roles:
    """The columns of a table by their role.

    Parameters
    ----------
    sequence, time, label, group, split : str, optional
    features : tuple of str
    vocabularies : dict
        The vocabulary of each categorical feature.
    """

    sequence: str | None
    time: str | None
    label: str | None
    group: str | None
    split: str | None
    features: tuple[str, ...]
    vocabularies: dict[str, Vocabulary]

    @property
    def texts(self) -> list[str]:
        """The columns that are read as text."""
        named = (self.sequence, self.label, self.group, self.split)
        return [*(name for name in named if name is not None), *self.vocabularies]

    @property
    def numeric_features(self) -> list[str]:
        """The features that are numbers."""
        return [name for name in self.features if name not in self.vocabularies]

    @property
    def columns(self) -> list[str]:
        """All columns that are read, each once."""
        time = [] if self.time is None else [self.time]
        return list(dict.fromkeys([*self.texts, *time, *self.features]))


def choose_roles(
    table: Table, options: DataOptions, *, labeled: bool = True
) -> tuple[Roles, list[str]]:
    """Return the role of each column of a table with one row per time step, and notes on guesses.

    Raises
    ------
    DataError
        If a column that is needed or named does not exist, or a feature is not numeric.
    """
    found, guessed = named_columns(table, options, labeled=labeled)
    for role, needed in (("sequence", True), ("label", labeled)):
        if needed and found[role] is None:
            raise DataError(
                f"{table.path} has columns {', '.join(table.names)}, none of them a usual name for "
                f"the {role}; expected one. Name it with --{role}."
            )
    taken = set(found.values())
    free = [name for name in table.names if name not in taken]
    features, ignored = options.features, list[str]()
    if features is None:
        numeric = [name for name in free if arrow.is_numeric(table.types[name])]
        counting = counting_columns(
            table, [name for name in numeric if name not in options.categorical], found["sequence"]
        )
        features = tuple(
            name
            for name in free
            if (name in numeric and name not in counting) or name in options.categorical
        )
        guessed.append(f"features {', '.join(features)}")
        if labeled:
            ignored = ignored_columns(table, [n for n in free if n not in features], counting)
    features += tuple(name for name in options.categorical if name not in features)
    _check_features(table, features, free, options)
    if not features:
        named = ", ".join(sorted(filter(None, taken)))
        raise DataError(
            f"{table.path} has no numeric feature besides {named}; expected at least one"
            f"{'; '.join(['', *ignored])}. Name columns with --features or --categorical."
        )
    roles = Roles(**found, features=features, vocabularies=vocabularies_of(features, options))
    return roles, [*([f"guessed: {'; '.join(guessed)}"] if guessed else []), *ignored, *table.notes]


def named_columns(
    table: Table, options: DataOptions, *, labeled: bool = True
) -> tuple[dict[str, Any], list[str]]:
    """Return the column of each role except the features, None if it has none, and the guesses.

    Raises
    ------
    DataError
        If a named column does not exist, or two columns have the same name.
    """
    columns = table.names
    if len(set(columns)) < len(columns):
        double = next(name for name in columns if columns.count(name) > 1)
        raise DataError(
            f"{table.path} has two columns {double!r}; expected each name once. Rename one."
        )
    found: dict[str, Any] = dict.fromkeys(("sequence", "time", "label", "group", "split"))
    guessed = []
    wanted = found if labeled else ("sequence", "time")
    given = {role: getattr(options, role) for role in wanted}
    free = [name for name in columns if name not in (given | {"group": None}).values()]
    for role, name in given.items():
        if name is not None and name not in columns:
            raise DataError(
                f"{table.path} has no column {name!r}; "
                f"{suggest(name, columns, f'expected --{role} to be one of')} "
                f"{', '.join(columns)}. Check its name."
            )
        # The names of folders are text, which is no time.
        may_be = [name for name in free if role != "time" or name not in table.keys]
        found[role] = name or usual_name(role, may_be)
        if name is None and found[role] is not None:
            guessed.append(f"{role} {found[role]!r}")
    return found, guessed


def usual_name(role: str, columns: Sequence[str]) -> str | None:
    """Return the column whose name is usual for a role, if there is one."""
    by_lower = {name.lower(): name for name in reversed(columns)}
    return next((by_lower[name] for name in _USUAL_NAMES.get(role, ()) if name in by_lower), None)


def usual_names(role: str) -> tuple[str, ...]:
    """Return the names that are usual for a role, in lower case."""
    return _USUAL_NAMES[role]


def vocabularies_of(features: Sequence[str], options: DataOptions) -> dict[str, Vocabulary]:
    """Return the vocabulary of each categorical feature: the known one, or one that grows."""
    known = options.vocabularies
    return {
        name: Vocabulary(known.get(name, ()), grows=name not in known)
        for name in features
        if name in options.categorical
    }


def ignored_columns(table: Table, names: list[str], counting: list[str]) -> list[str]:
    """Return notes on the columns that are no feature.

    Raises
    ------
    DataError
        If most cells of one are numbers, but not all.
    """
    notes = []
    if counting:
        shown = ", ".join(name if name.strip() else repr(name) for name in counting)
        notes.append(f"ignored columns that count rows: {shown} (add --features to use them)")
    others = [name for name in names if name not in (*counting, *table.keys)]
    examples = {}
    for name, cells in _first_texts(table, others).items():
        present = [cell for cell in cells if cell is not None]
        strays = [n for n, cell in enumerate(cells) if cell is not None and not is_number(cell)]
        if strays and 2 * len(strays) < len(present):
            raise DataError(
                f"{table.place(strays[0])}: column {name!r} holds "
                f"{cells[strays[0]]!r} but numbers in most rows; expected numbers. Fix the cell, "
                "or name the columns to use with --features."
            )
        if present and present[0].lstrip("+-")[:1].isdigit():  # perhaps a number with a unit
            examples[name] = f" ({present[0]!r})"
    if others:
        shown = ", ".join(f"{name}{examples.get(name, '')}" for name in others)
        notes.append(
            f"ignored non-numeric columns: {shown} (add --categorical {','.join(others)} to use "
            "them as features, or --group for a column of groups, such as persons)"
        )
    return notes


def _first_texts(table: Table, names: Sequence[str]) -> dict[str, list[str | None]]:
    """Return the first cells of text columns, None where a value is missing.

    A format that declares its column types has no numbers in text columns.
    """
    is_text = arrow.pyarrow().types.is_string
    text = [name for name in names if is_text(table.types[name])]
    if not text or table.has_declared_types:
        return {}
    block = first_rows(table, text, text)
    return {
        name: [None if cell in MISSING else cell for cell in block[name].to_pylist()]
        for name in text
    }


def _check_features(
    table: Table, features: Sequence[str], free: list[str], options: DataOptions
) -> None:
    for name in features:
        if name in free and features.count(name) == 1:
            continue
        if options.offsets is not None and name not in table.names:  # only models have them
            raise DataError(
                f"{table.path} lacks the column {name}, a feature of the model; expected it among "
                f"{', '.join(free)}. Rename or add the column."
            )
        what = "is not a column" if name not in table.names else "has another role"
        what = "is named twice" if features.count(name) > 1 else what
        option = "--categorical" if name in options.categorical else "--features"
        others = [column for column in free if column != name]
        raise DataError(
            f"{table.path}: feature {name!r} {what}; {suggest(name, others, 'expected one of')} "
            f"{', '.join(free)}. Check {option}."
        )
