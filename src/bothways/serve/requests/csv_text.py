"""One sequence as CSV text: a line for each time step."""

import csv
import io
import math
from typing import Any

from bothways.serve.errors import RequestError
from bothways.serve.requests.forms import RequestForm

_MISSING = ("", "?", "nan", "na", "null", "none")


def csv_rows(body: bytes, form: RequestForm) -> list[list[Any]]:
    """Return the values of each time step, NaN where a number is missing.

    The first line contains the names of the features, in any order and among other columns, or it
    is the first time step. Columns are separated by commas, semicolons or tabs.

    Raises
    ------
    RequestError
        422 if the text is not UTF-8, columns are missing, or a value is not a number; 413 if there
        are too many lines.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(f"it is not UTF-8 at byte {error.start}", "UTF-8 text") from None
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        return _rows(lines, form)
    except csv.Error as error:
        raise _unreadable(f"line {lines.line_num}: {error}", "CSV") from None


def _rows(lines: Any, form: RequestForm) -> list[list[Any]]:
    columns: list[int] | None = None
    rows: list[list[Any]] = []
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if columns is None:
            columns, is_header = _columns(cells, form, lines.line_num)
            if is_header:
                continue
        if len(cells) <= max(columns):
            raise _unreadable(
                f"line {lines.line_num} has {len(cells)} values", f"at least {max(columns) + 1}"
            )
        if len(rows) == form.longest:
            raise RequestError(
                413,
                f"the CSV has more than {form.longest:,} time steps; expected at most that. "
                "Cut it.",
            )
        rows.append([_value(cells[at], n, lines.line_num, form) for n, at in enumerate(columns)])
    if not rows:
        raise _unreadable("it has no time step", "a line for each")
    return rows


def _columns(cells: list[str], form: RequestForm, line: int) -> tuple[list[int], bool]:
    """Return the column of each feature, and whether the line contains their names."""
    names = [cell.strip() for cell in cells]
    if all(feature in names for feature in form.features):
        return [names.index(feature) for feature in form.features], True
    numeric = [cell for n, cell in enumerate(names) if n not in form.vocabularies]
    if len(names) == len(form.features) and all(map(_is_number_or_missing, numeric)):
        return list(range(len(names))), False
    missing = next(feature for feature in form.features if feature not in names)
    raise _unreadable(
        f"line {line} has {len(names)} columns and no column {missing!r}",
        f"the {len(form.features)} features of the model, or their names",
    )


def _is_number_or_missing(text: str) -> bool:
    return text.lower() in _MISSING or _number(text) is not None


def _number(text: str) -> float | None:
    """Return a number; Python's own form with underscores is none."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _value(text: str, feature: int, line: int, form: RequestForm) -> Any:
    text = text.strip()
    if feature in form.vocabularies:
        return text
    if text.lower() in _MISSING:
        return math.nan
    number = _number(text)
    if number is None:
        raise _unreadable(f"line {line}: {form.features[feature]!r} is {text[:60]!r}", "a number")
    return number


def _unreadable(what: str, expected: str) -> RequestError:
    return RequestError(
        422, f"the CSV cannot be read: {what}; expected {expected}. Correct the text."
    )
