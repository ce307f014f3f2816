"""CSV files that hold the time steps of one sequence each, as in a folder for each class."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bothways.data.options import DataOptions
from bothways.data.readers.tables.roles import usual_name
from bothways.data.readers.tables.row_counters import only_counts_rows
from bothways.data.readers.text import lines_of
from bothways.data.record import Array
from bothways.errors import DataError, counted, suggest

_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
_EXAMINED_FILES = 20


@dataclass(frozen=True)
class StepColumns:
    """Which columns of the files are features, and which is the time.

    Parameters
    ----------
    features : tuple of str
        Names in the header, or "column 1", "column 2", … without a header.
    time : str, optional
    has_names : bool
        Whether the first file has a header.
    notes : list of str
    """

    features: tuple[str, ...]
    time: str | None
    has_names: bool
    notes: list[str] = field(default_factory=list)


def find_columns(files: Sequence[Path], options: DataOptions) -> StepColumns:
    """Return the columns to read: all but the time and row counts, or those that are named.

    The first files decide.

    Raises
    ------
    DataError
        If a named column does not exist, or a file cannot be read.
    """
    examined = [_Cells(file, options.decimal) for file in files[:_EXAMINED_FILES]]
    names, has_names = examined[0].names, examined[0].has_names
    time = options.time
    if not has_names and (time or options.features):
        raise DataError(
            f"{files[0]} has no header but --features or --time name columns; expected their names "
            "in the first line. Add it, or omit these options."
        )
    if time is None and has_names:
        time = usual_name("time", [name for name in names if name not in (options.features or ())])
    for role, columns in (("time", [time]), ("features", options.features or [])):
        if missing := [name for name in columns if name is not None and name not in names]:
            raise DataError(
                f"{files[0]} has no column {missing[0]!r}; "
                f"{suggest(missing[0], names, f'expected --{role} among')} "
                f"{', '.join(names)}. Check its name."
            )
    if options.features is not None:
        return StepColumns(options.features, time, has_names)
    alike = [cells for cells in examined if cells.names == names]
    codes = np.repeat(np.arange(len(alike)), [len(cells.rows) for cells in alike])
    words = [name for name in names if name != time and examined[0].is_text(name)]
    free = [name for name in names if name != time and name not in words]
    counting = [
        name
        for name in free
        if only_counts_rows(name, np.concatenate([cells.numbers(name) for cells in alike]), codes)
    ]
    features = tuple(name for name in free if name not in counting)
    if not features:
        raise DataError(
            f"{files[0]} has columns {', '.join(names)}: a time, row counts or text; expected at "
            "least one numeric feature. Name the features with --features."
        )
    notes = []
    if time is not None or counting or words:
        found = "" if time is None else f"time {time!r}; "
        notes.append(f"guessed: {found}features {', '.join(features)}")
    if counting:
        shown = ", ".join(name if name.strip() else repr(name) for name in counting)
        how = "add --features" if has_names else "add a header and --features"
        notes.append(f"ignored columns that count rows: {shown} ({how} to use them)")
    if words:
        notes.append(f"ignored non-numeric columns: {', '.join(words)}")
    return StepColumns(features, time, has_names, notes)


def read_steps_csv(
    file: Path, columns: StepColumns, options: DataOptions
) -> tuple[Array, Array | None]:
    """Return the values float64 (time, features) and the times (time,) of one file, in time order.

    Raises
    ------
    DataError
        If a cell is not a number, or a column is missing.
    """
    cells = _Cells(file, options.decimal)
    names, time = columns.features, columns.time
    if cells.has_names != columns.has_names:  # by position
        names, time = tuple(cells.names), None
    for name in (*names, time):
        if name is not None and name not in cells.names:
            raise DataError(
                f"{file} has columns {', '.join(cells.names)}; expected {name!r}, as in the first "
                "file. Add it."
            )
    values = np.stack([cells.numbers(name) for name in names], axis=1)
    if time is None:
        return values, None
    times = cells.times(time)
    order = np.argsort(times, kind="stable")
    return values[order], times[order]


def has_header(file: Path) -> bool:
    """Return whether the first line of a file names its columns."""
    return _Cells(file, None).has_names


def first_cells(file: Path) -> list[str]:
    """Return the cells of the first line: the names of the columns, if the file has a header."""
    return _split(next(lines_of(file), (0, ""))[1])[0]


def _split(line: str, delimiter: str | None = None) -> tuple[list[str], str]:
    """Return the cells of a line, and the delimiter: default, the one that occurs."""
    delimiter = delimiter or next((sign for sign in (";", "\t") if sign in line), ",")
    return [cell.strip().strip('"') for cell in line.split(delimiter)], delimiter


class _Cells:
    """The cells of a file as text."""

    def __init__(self, file: Path, decimal: str | None) -> None:
        self._file = file
        self._numbers: list[int] = []  # of the lines
        self.names: list[str] = []
        self.has_names = False
        self.rows: list[list[str]] = []
        delimiter: str | None = None
        for number, line in lines_of(file):
            cells, delimiter = _split(line, delimiter)
            if (decimal or ",") == "," and delimiter != ",":
                cells = [cell.replace(",", ".", 1) for cell in cells]
            if not self.names:
                self.has_names = any(not _is_number(cell) for cell in cells)
                self.names = cells if self.has_names else _numbered(len(cells))
                if self.has_names:
                    self._check_names()
                    continue
            if len(cells) != len(self.names):
                raise DataError(
                    f"{file}, line {number} has {counted(len(cells), 'column')}; expected "
                    f"{len(self.names)}, as before. Fix it."
                )
            self.rows.append(cells)
            self._numbers.append(number)
        if not self.rows:
            raise DataError(f"{file} is empty; expected a line for each time step. Check it.")

    def is_text(self, name: str) -> bool:
        """Return whether a column has values, none of which is a number."""
        present = [cell for cell in self._column(name) if cell not in _MISSING]
        return bool(present) and not any(map(_is_number, present))

    def numbers(self, name: str) -> Array:
        """Return a column as float64 (time,), NaN where a value is missing."""
        values = np.empty(len(self.rows))
        for n, cell in enumerate(self._column(name)):
            try:
                values[n] = np.nan if cell in _MISSING else float(cell)
            except ValueError:
                raise DataError(
                    f"{self._file}, line {self._numbers[n]}: {name!r} is {cell[:40]!r}; expected "
                    "a number. Fix it, or name the columns to use with --features."
                ) from None
        return values

    def times(self, name: str) -> Array:
        """Return a column as numbers or time stamps (time,)."""
        cells = self._column(name)
        if all(_is_number(cell) and cell not in _MISSING for cell in cells):
            return self.numbers(name)
        try:
            stamps: Array = np.array([cell.removesuffix("Z") for cell in cells], "datetime64[ns]")
        except ValueError:
            stamps = np.array([np.datetime64("NaT")])
        if np.isnat(stamps).any():
            raise DataError(
                f"{self._file}: time {name!r} begins with {cells[0][:40]!r}; expected numbers or "
                "time stamps like 2026-01-31T09:30:00 in each line. Fix it, or name another --time."
            )
        return stamps

    def _check_names(self) -> None:
        for name in self.names:
            if self.names.count(name) > 1:
                raise DataError(
                    f"{self._file} has two columns {name!r}; expected each name once. Rename one."
                )

    def _column(self, name: str) -> list[str]:
        at = self.names.index(name)
        return [row[at] for row in self.rows]


def _numbered(count: int) -> list[str]:
    return [f"column {n}" for n in range(1, count + 1)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell in _MISSING
    return True
