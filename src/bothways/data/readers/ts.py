"""`.ts` files of the time-series archive: any number of dimensions, lengths, missing values.

    @dimensions 2
    @classLabel true walk run
    @data
    0.1,0.2,0.3:1.5,1.4,1.2:walk
    (0,0.3),(10,0.5):(0,?),(10,1.7):run

A line is a sequence; colons separate its dimensions and, at the end, its class. aeon's loader is
the reference for the format, but it reads whole files and does not report the line of an error.

References
----------
https://www.aeon-toolkit.org, "The ts file format".
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bothways.data.options import DataOptions
from bothways.data.readers.text import lines_of
from bothways.data.record import Array, Record, Source
from bothways.errors import DataError, counted, suggest


def read_ts(path: Path, options: DataOptions, *, labeled: bool = True) -> Source:
    """Return the sequences of a `.ts` file.

    Raises
    ------
    DataError
        If the file has no classes although `labeled` is set, or a line does not fit the header.
    """
    lines = ((n, line) for n, line in lines_of(path) if not line.startswith(("#", "%")))
    tags = _read_header(lines, path)
    stated = tags.get("classlabel", "false").split()
    has_classes = bool(stated) and stated[0].lower() == "true"
    if labeled and tags.get("targetlabel", "false").split()[:1] == ["true"]:
        raise DataError(
            f"{path} has @targetLabel true, so it is a regression dataset; expected classes. "
            "Regression is not supported."
        )
    if labeled and not has_classes:
        raise DataError(
            f"{path} has @classLabel {tags.get('classlabel', '(missing)')}; expected true and the "
            "classes. Add labels."
        )
    first = next(lines, None)
    if first is None:
        raise DataError(
            f"{path} has nothing after @data; expected a line for each sequence. Copy it again."
        )
    dimensions = len(_fields(first[1])) - has_classes
    stated_dimensions = tags.get("dimensions", str(max(1, dimensions)))
    if stated_dimensions != str(dimensions):
        raise DataError(
            f"{path}, line {first[0]} has {counted(dimensions, 'dimension')}; expected at least "
            f"1, and {stated_dimensions} as in @dimensions. Correct one of them."
        )
    parser = _Parser(path, tags.get("timestamps", "").lower() == "true", has_classes, dimensions)
    classes = tuple(stated[1:]) if has_classes else None
    return Source(
        features=tuple(f"dimension {n}" for n in range(dimensions)),
        records=_records(parser, first, lines, classes),
        classes=classes,
    )


def _read_header(lines: Iterator[tuple[int, str]], path: Path) -> dict[str, str]:
    """Return the tags before @data, in lower case."""
    tags: dict[str, str] = {}
    for number, line in lines:
        if not line.startswith("@"):
            raise DataError(
                f"{path}, line {number} is {line[:40]!r}; expected a tag such as @classLabel, and "
                "@data before the first sequence. Check that it is a .ts file."
            )
        name, _, value = line[1:].partition(" ")
        if name.lower() == "data":
            return tags
        tags[name.lower()] = value.strip()
    raise DataError(f"{path} has no @data; expected it before the sequences. Copy it again.")


class _Parser:
    """Parses the lines after the header."""

    def __init__(self, path: Path, timestamps: bool, has_classes: bool, dimensions: int) -> None:
        self.path = path
        self.timestamps = timestamps
        self.has_classes = has_classes
        self.dimensions = dimensions

    def record(self, index: int, number: int, line: str) -> Record:
        """Return the sequence of a line."""
        fields = _fields(line)
        label = fields.pop().strip() if self.has_classes else None
        where = f"{self.path}, line {number}"
        if len(fields) != self.dimensions or label == "":
            raise DataError(
                f"{where} has "
                f"{counted(len(fields), 'dimension')}{' and no class' if label == '' else ''}; "
                f"expected {self.dimensions}{' and a class' if self.has_classes else ''}, as in "
                "the first line. It may be truncated: copy the file again."
            )
        times = None
        dimensions = []
        for n, text in enumerate(fields):
            if self.timestamps:
                own_times, values = _stamped(text, f"{where}, dimension {n}")
                if times is not None and not np.array_equal(times, own_times):
                    raise DataError(
                        f"{where}: dimension {n} has different time stamps from dimension 0; "
                        "expected equal ones. Resample the dimensions to the same times."
                    )
                times = own_times
            else:
                values = _numbers(text.split(","), f"{where}, dimension {n}")
            dimensions.append(values)
        lengths = sorted({len(values) for values in dimensions})
        if len(lengths) > 1:
            raise DataError(
                f"{where} has dimensions of {lengths[0]} and {counted(lengths[-1], 'step')}; "
                "expected equal lengths. Fill the shorter ones with ?."
            )
        return Record(
            name=str(index),
            place=f"line {number}",
            values=np.stack(dimensions, axis=1),
            label=label,
            times=times,
            named=False,
        )


def _records(
    parser: _Parser,
    first: tuple[int, str],
    lines: Iterator[tuple[int, str]],
    classes: tuple[str, ...] | None,
) -> Iterator[Record]:
    index = 0
    pending: tuple[int, str] | None = first
    while pending is not None:
        number, line = pending
        record = parser.record(index, number, line)
        if classes is not None and record.label not in classes:
            raise DataError(
                f"{parser.path}, line {number} has class {record.label!r}; "
                f"{suggest(str(record.label), classes, 'expected one of')} {', '.join(classes)}, "
                "as in @classLabel. Correct one of them."
            )
        yield record
        index += 1
        pending = next(lines, None)


def _fields(line: str) -> list[str]:
    """Split at colons, except in parentheses, where they belong to a time stamp."""
    if "(" not in line:
        return line.split(":")
    fields, depth, begin = [], 0, 0
    for place, sign in enumerate(line):
        depth += (sign == "(") - (sign == ")")
        if sign == ":" and depth == 0:
            fields.append(line[begin:place])
            begin = place + 1
    return [*fields, line[begin:]]


def _numbers(texts: list[str], where: str) -> Array:
    values = np.empty(len(texts), np.float64)
    for n, text in enumerate(texts):
        text = text.strip()
        try:
            values[n] = np.nan if text == "?" else float(text)
        except ValueError:
            raise DataError(
                f"{where}, step {n} is {text[:40]!r}; expected a number, or ? for a missing value. "
                "Fix it."
            ) from None
    return values


def _stamped(text: str, where: str) -> tuple[Array, Array]:
    """Return the times and values of `(time,value),(time,value)`; times are numbers or dates."""
    stamps, values = [], []
    for pair in text.strip().removesuffix(")").split("),"):
        stamp, comma, value = pair.strip().removeprefix("(").rpartition(",")
        if not comma or not pair.strip().startswith("("):
            raise DataError(
                f"{where} contains {pair[:40]!r}; expected (time,value) pairs, because of "
                "@timeStamps true. Fix it."
            )
        stamps.append(stamp)
        values.append(value)
    try:
        times: Array = np.array([float(stamp) for stamp in stamps])
    except ValueError:
        try:
            times = np.array(stamps, dtype="datetime64[ns]")
        except ValueError:
            raise DataError(
                f"{where} has a time stamp {stamps[0]!r}; expected a number, or a time such as "
                "2026-01-31 09:30:00. Fix it."
            ) from None
    if times.dtype.kind == "f" and not np.isfinite(times).all():
        raise DataError(f"{where} has a non-finite time stamp; expected finite numbers. Fix it.")
    if (late := times[1:] < times[:-1]).any():
        raise DataError(
            f"{where}: the time stamp {stamps[int(late.argmax()) + 1]} is earlier than the one "
            "before; expected steps in time order. Sort them."
        )
    return times, _numbers(values, where)
