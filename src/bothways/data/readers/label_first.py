"""Text files with a sequence in each line, its label first: the UCR archive's `.tsv` and `.txt`.

    1	0.52	0.61	0.48
    2	-0.1	0.03	NaN

There is no header. Tabs, commas, semicolons or spaces separate the values. NaN at the end of a line
is padding.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from bothways.data.options import DataOptions
from bothways.data.readers.text import lines_of
from bothways.data.record import Record, Source
from bothways.errors import DataError

_SEPARATOR = re.compile(r"\s*[,;\t]\s*|\s+")
_MISSING = {"": "nan", "?": "nan", "NA": "nan"}


def read_label_first(path: Path, options: DataOptions, *, labeled: bool = True) -> Source:
    """Return the univariate sequences of a file without a header.

    Parameters
    ----------
    path : Path
    options : DataOptions
        Not used: the file has no columns.
    labeled : bool
        Not used: each line begins with a label.

    Raises
    ------
    DataError
        If the file is empty, or a value is not a number.
    """
    records = _records(path)
    first = next(records, None)
    if first is None:
        raise DataError(f"{path} is empty; expected a line for each sequence. Check the path.")
    notes = ["guessed: a line for each sequence, with its label first"]
    return Source(("value",), chain([first], records), notes=notes)


def is_label_first(path: Path) -> bool:
    """Return whether the first line of a file is a label and numbers, not a header.

    The numbers 0, 1, 2, … or 1, 2, 3, … are names of columns.
    """
    _, line = next(lines_of(path), (0, ""))
    cells = _SEPARATOR.split(line)
    try:
        numbers = np.array([float(_MISSING.get(cell, cell)) for cell in cells])
    except ValueError:
        return False
    return len(cells) > 2 and not bool((np.diff(numbers[1:]) == 1).all())


def _records(path: Path) -> Iterator[Record]:
    for index, (number, line) in enumerate(lines_of(path)):
        label, *cells = _SEPARATOR.split(line)
        try:
            values = np.array([float(_MISSING.get(cell, cell)) for cell in cells])
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}: {error}; expected a label and numbers. Fix it, or add a "
                "header if the file is a table."
            ) from None
        present = np.flatnonzero(~np.isnan(values))
        if not len(present):
            raise DataError(
                f"{path}, line {number} has no values after the label {label!r}; expected at least "
                "one. Remove the line."
            )
        yield Record(
            name=str(index),
            place=f"line {number}",
            values=values[: present[-1] + 1, None],
            label=_label(label),
            named=False,
        )


def _label(cell: str) -> str:
    """Return a label, "1" for the 1.0000000e+00 of old files."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    return str(int(number)) if number.is_integer() else cell
