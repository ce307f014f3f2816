"""What the first block of CSV files tells: delimiter, decimal separator and the type of columns."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.csv_file import CsvFile, whole_lines
from bothways.data.readers.tables.table import check_names
from bothways.errors import DataError

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
"""Cells that stand for a missing value."""

_INTEGER = re.compile(r"[+-]?\d+")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


@dataclass(frozen=True)
class CsvSchema:
    """How to read CSV files of the same columns.

    Parameters
    ----------
    delimiter : ",", ";" or tab
    decimal : "." or ","
    names : list of str
        The columns in file order.
    types : dict
        The Arrow type of each column.
    notes : list of str
        What was guessed.
    """

    delimiter: str
    decimal: str
    names: list[str] = field(default_factory=list)
    types: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_schema(files: Iterable[CsvFile], decimal: str | None) -> CsvSchema:
    """Return the schema of files that are one table: that of the file that would join them.

    Only as many files are read as the first block of that file would contain.

    Parameters
    ----------
    files : iterable of CsvFile
    decimal : "." or ",", optional
        Default: decimal commas are recognized.

    Raises
    ------
    DataError
        If there are no rows, a file has other columns than the first, or cannot be read.
    """
    rows: list[tuple[CsvFile, bytes]] = []
    delimiter, left = ",", arrow.BLOCK_BYTES
    for file in files:
        if not rows:
            delimiter = max((",", ";", "\t"), key=file.header.count)
            left -= len(file.header.encode())
        else:
            check_names(file.file.name, file.names(delimiter), rows[0][0].names(delimiter))
        text = file.first_rows()
        rows.append((file, text if len(text) <= left else whole_lines(text[:left])))
        left -= len(text)
        if left <= 0:
            break
    first = rows[0][0]
    if not any(text.strip() for _, text in rows):
        raise DataError(
            f"{first.file.name} has no rows; expected one for each time step. Check it."
        )
    schema = _typed(rows, CsvSchema(delimiter, decimal or "."))
    if decimal is None and (example := _decimal_comma(rows, schema)):
        note = f"read decimal commas, as in {example!r} (use --decimal . if they are not)"
        return _typed(rows, replace(schema, decimal=",", notes=[note]))
    return schema


def open_csv(
    stream: Any,
    schema: CsvSchema,
    types: Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
    encoding: str = "utf8",
) -> Any:
    """Return the pyarrow reader of a CSV stream.

    Parameters
    ----------
    stream : Arrow stream
    schema : CsvSchema
    types : mapping, optional
        The Arrow types of columns; those of others are inferred from the first block.
    columns : sequence of str, optional
        Default: all.
    encoding : str
        As pyarrow names it.
    """
    pa_csv = arrow.pyarrow().csv
    return pa_csv.open_csv(
        stream,
        pa_csv.ReadOptions(block_size=arrow.BLOCK_BYTES, use_threads=False, encoding=encoding),
        pa_csv.ParseOptions(delimiter=schema.delimiter),
        pa_csv.ConvertOptions(
            column_types=types,
            include_columns=columns,
            null_values=list(MISSING),
            decimal_point=schema.decimal,
        ),
    )


def _typed(rows: Sequence[tuple[CsvFile, bytes]], schema: CsvSchema) -> CsvSchema:
    """Return the schema with the types of the columns in the rows of all files."""
    first = rows[0][0]
    try:
        reader = _joined(rows, schema)
        types = {column.name: column.type for column in reader.schema}
        return replace(schema, names=reader.schema.names, types=types)
    except arrow.arrow_errors() as error:
        for file, text in rows if len(rows) > 1 else ():
            _typed([(file, text)], schema)  # the error of a file names its line
        raise first.refusal(error, schema.delimiter) from None


def _joined(
    rows: Sequence[tuple[CsvFile, bytes]], schema: CsvSchema, types: Mapping[str, Any] | None = None
) -> Any:
    ended = (text if text.endswith((b"\n", b"\r")) else text + b"\n" for _, text in rows)
    text = b"".join([rows[0][0].header.encode(), *ended])
    return open_csv(arrow.pyarrow().BufferReader(text), schema, types)


def _decimal_comma(rows: Sequence[tuple[CsvFile, bytes]], schema: CsvSchema) -> str | None:
    """Return a cell that shows that the files have decimal commas, if there is one.

    1,234 may have a thousands separator. A file with decimal points has no decimal commas.
    """
    pa = arrow.pyarrow()
    if any(pa.types.is_floating(kind) for kind in schema.types.values()):
        return None
    if len(schema.types) < len(schema.names):  # two columns have the same name
        return None
    text = [name for name, kind in schema.types.items() if pa.types.is_string(kind)]
    if not text:
        return None
    block = _joined(rows, schema, dict.fromkeys(text, pa.string())).read_next_batch()
    for name in text:
        cells = [cell for cell in block[name].to_pylist() if cell not in MISSING]
        if all(_DECIMAL_COMMA.fullmatch(cell) or _INTEGER.fullmatch(cell) for cell in cells):
            for cell in cells:
                if "," in cell and not _THOUSANDS.fullmatch(cell):
                    return str(cell)
    return None


def is_number(cell: str | None) -> bool:
    """Return whether a cell can be read as a number."""
    try:
        float(cell or "")
    except ValueError:
        return False
    return True
