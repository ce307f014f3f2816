r"""Weka's `.arff` files of the time-series archive, univariate and relational.

    @attribute att0 numeric                  @attribute series relational
    @attribute att1 numeric                    @attribute att0 numeric
    @attribute target {walk,run}               @attribute att1 numeric
    @data                                    @end series
    0.1,0.2,walk                             @attribute target {walk,run}
                                             @data
                                             "0.1,0.2\n1.1,1.2",walk

A line is a sequence. Its numeric attributes are time steps; in a relational attribute, `\n`
separates the features. The reader of scipy holds the whole file in memory.

References
----------
https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from bothways.data.options import DataOptions
from bothways.data.readers.text import lines_of
from bothways.data.record import Array, Record, Source
from bothways.errors import DataError, suggest

_ATTRIBUTE = re.compile(r"""@attribute\s+('[^']*'|"[^"]*"|\S+)\s+(.+)""", re.IGNORECASE)
_RELATION = re.compile(r"""(["'])(.*)\1\s*,\s*(.*)""")
_NUMERIC = ("numeric", "real", "integer")


def read_arff(path: Path, options: DataOptions, *, labeled: bool = True) -> Source:
    """Return the sequences of an `.arff` file.

    Missing values (`?`) at the end of a sequence are padding.

    Raises
    ------
    DataError
        If the file has no nominal class attribute at its end, or a line does not fit the header.
    """
    lines = ((number, line) for number, line in lines_of(path) if not line.startswith("%"))
    classes, is_relational = _read_header(path, lines)
    records = _records(path, lines, classes, is_relational, labeled)
    first = next(records, None)
    if first is None:
        raise DataError(f"{path} has nothing after @data; expected a line for each sequence.")
    features = tuple(f"dimension {n}" for n in range(first.values.shape[1]))
    return Source(features, chain([first], records), classes=classes)


def _read_header(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[tuple[str, ...], bool]:
    """Return the classes, and whether the values are in a relational attribute."""
    kinds: list[str] = []
    is_inside = False
    for number, line in lines:
        tag = line.split()[0].lower()
        if tag == "@data":
            break
        if tag == "@end":
            is_inside = False
        if tag != "@attribute" or is_inside:
            continue
        found = _ATTRIBUTE.fullmatch(line)
        if found is None:
            raise DataError(
                f"{path}, line {number} is {line[:40]!r}; expected @attribute NAME TYPE. Fix it."
            )
        kinds.append(found[2].strip())
        is_inside = kinds[-1].lower() == "relational"
    else:
        raise DataError(f"{path} has no @data; expected it before the sequences. Copy it again.")
    *values, last = kinds or [""]
    if not last.startswith("{"):
        raise DataError(
            f"{path} has a last attribute of type {last!r}; expected the classes, such as "
            "{walk,run}. Regression is not supported."
        )
    is_relational = [kind.lower() for kind in values] == ["relational"]
    other = next((kind for kind in values if kind.split()[0].lower() not in _NUMERIC), None)
    if not is_relational and (other is not None or not values):
        raise DataError(
            f"{path} has an attribute of type {other!r} before its class; expected numeric "
            "attributes, or one relational attribute. Convert the file to a table."
        )
    return tuple(map(_unquoted, last.strip("{}").split(","))), is_relational


def _records(
    path: Path,
    lines: Iterator[tuple[int, str]],
    classes: tuple[str, ...],
    is_relational: bool,
    labeled: bool,
) -> Iterator[Record]:
    for index, (number, line) in enumerate(lines):
        where = f"{path}, line {number}"
        if is_relational:
            found = _RELATION.fullmatch(line)
            if found is None:
                raise DataError(
                    f'{where} is {line[:40]!r}; expected "VALUES",CLASS for the relational '
                    "attribute. Fix it."
                )
            series, label = found[2].split("\\n"), _unquoted(found[3])
        else:
            text, _, label = line.rpartition(",")
            series, label = [text], _unquoted(label)
        if label not in classes and (labeled or label != "?"):
            raise DataError(
                f"{where} has class {label!r}; {suggest(label, classes, 'expected one of')} "
                f"{', '.join(classes)}, as the last @attribute says. Fix it."
            )
        yield Record(
            name=str(index),
            place=f"line {number}",
            values=_values(series, where),
            label=None if label == "?" else label,
            named=False,
        )


def _values(series: list[str], where: str) -> Array:
    """Return the values (time, features) of lists of numbers, without the padding at their end."""
    columns = [text.split(",") for text in series]
    if len({len(cells) for cells in columns}) > 1:
        raise DataError(
            f"{where} has series of {', '.join(str(len(cells)) for cells in columns)} values; "
            "expected as many in each. Fix it."
        )
    try:
        values = np.array(
            [
                [np.nan if cell.strip() == "?" else float(cell) for cell in cells]
                for cells in columns
            ]
        ).T
    except ValueError as error:
        raise DataError(f"{where}: {error}; expected numbers, or ? if missing. Fix it.") from None
    present = np.flatnonzero(~np.isnan(values).all(axis=1))
    if not len(present):
        raise DataError(f"{where} has no values; expected at least one. Remove the line.")
    return np.ascontiguousarray(values[: present[-1] + 1])


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
