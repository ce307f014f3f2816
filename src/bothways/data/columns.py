"""Columns of CSV and Parquet files, a block at a time; pyarrow reads them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from bothways.errors import DataError, MissingDependencyError

BLOCK_BYTES = 8 << 20
"""A CSV file is read in blocks of this size; no line may be longer."""

_BLOCK_ROWS = 1 << 16
_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"]


class CsvColumns:
    """A CSV file as blocks of columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            header, first = file.readline(BLOCK_BYTES), file.readline(BLOCK_BYTES)
        if header.strip() and not first.strip():
            raise DataError(f"{path} has no rows; expected one for each time step. Check it.")
        self._delimiter = max((",", ";", "\t"), key=lambda sign: header.count(sign.encode()))
        schema = self._open({}, None).schema
        self.names = schema.names
        self.types = {column.name: column.type for column in schema}

    def place(self, row: int) -> str:
        """Say where row `row`, from 0, stands."""
        return f"line {row + 2}"

    def blocks(self, columns: list[str], text: list[str], numbers: list[str]) -> Iterator[Any]:
        """Yield blocks of the named columns; `text` and `numbers` say what some must be."""
        from pyarrow import float64, string

        types = dict.fromkeys(text, string()) | dict.fromkeys(numbers, float64())
        reader = self._open(types, columns)
        while True:
            try:
                yield reader.read_next_batch()
            except StopIteration:
                return
            except _arrow_errors() as error:
                raise self._refusal(error) from None

    def _open(self, types: dict[str, Any], columns: list[str] | None) -> Any:
        csv = _pyarrow().csv
        try:
            return csv.open_csv(
                self.path,
                csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
                csv.ParseOptions(delimiter=self._delimiter),
                csv.ConvertOptions(
                    column_types=types,
                    include_columns=columns,
                    null_values=_MISSING,
                ),
            )
        except _arrow_errors() as error:
            raise self._refusal(error) from None

    def _refusal(self, error: Exception) -> DataError:
        text = " ".join(str(error).split())
        line = re.search(r"[Rr]ow #(\d+)", text)
        where = f"{self.path}, line {line[1]}" if line else str(self.path)
        if "straddling" in text:
            return DataError(
                f"{where} has a line longer than {BLOCK_BYTES:,} bytes; expected shorter ones. "
                "Check that it is a table with one row for each time step."
            )
        if found := re.search(r"conversion error to \w+: invalid value '(.*?)'", text):
            column = re.search(r"In CSV column #(\d+)", text)
            name = f"column {list(self.types)[int(column[1])]!r} " if column else ""
            return DataError(
                f"{where}: {name}holds {found[1]!r}; expected a number. Mend it, or leave the "
                "column out with --features."
            )
        if "UTF8" in text:
            return DataError(f"{where} is not in UTF-8; expected it. Convert it, with iconv say.")
        if "Empty CSV" in text:
            return DataError(f"{where} is empty; expected a header and rows. Check the path.")
        return DataError(f"{where} cannot be read as CSV ({text}). Mend it.")


class ParquetColumns:
    """A Parquet file as blocks of columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = _pyarrow().parquet.ParquetFile(path)
        except _arrow_errors() as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"{path} is not a Parquet file, or is damaged ({reason}). Write or copy it again."
            ) from None
        schema = self._file.schema_arrow
        self.names = schema.names
        self.types = {column.name: column.type for column in schema}

    def place(self, row: int) -> str:
        """Say where row `row`, from 0, stands."""
        return f"row {row}"

    def blocks(self, columns: list[str], text: list[str], numbers: list[str]) -> Iterator[Any]:
        """Yield blocks of the named columns; `text` and `numbers` say what some must be."""
        from pyarrow import types

        for name in numbers:
            kind = self.types[name]
            if not (types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)):
                raise DataError(
                    f"{self.path}: column {name!r} holds {kind}; expected numbers. Convert it, or "
                    "leave it out with --features."
                )
        try:
            yield from self._file.iter_batches(_BLOCK_ROWS, columns=columns, use_threads=False)
        except _arrow_errors() as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{self.path} is damaged ({reason}). Copy it again.") from None


Columns: TypeAlias = CsvColumns | ParquetColumns


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError(
            "tables are read by pyarrow, which is not installed. "
            "Run: pip install 'bothways[tables]'"
        ) from None
    return pyarrow


def _arrow_errors() -> tuple[type[Exception], ...]:
    return (_pyarrow().ArrowException, OSError, UnicodeDecodeError)
