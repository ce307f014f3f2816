"""Columns of CSV and Parquet files, a block at a time; pyarrow reads them."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from bothways.errors import DataError, MissingDependencyError

BLOCK_BYTES = 8 << 20
"""Tables are read in blocks of about this size; no line of a CSV file may be longer."""

BUFFER_BYTES = 1 << 16
"""A Parquet file is read so much at a time for each column, not whole row groups."""

_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"]


class CsvColumns:
    """A CSV file as blocks of columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            lines = iter(lambda: file.readline(BLOCK_BYTES), b"")
            filled = (line for line in lines if line.strip())
            header, first = next(filled, b""), next(filled, b"")
        if header and not first:
            raise DataError(f"{path} has no rows; expected one for each time step. Check it.")
        self._delimiter = max((",", ";", "\t"), key=lambda sign: header.count(sign.encode()))
        schema = self._open({}, None).schema
        try:
            self.names = schema.names
        except UnicodeDecodeError as error:
            raise self._refusal(error) from None
        self.types = {column.name: column.type for column in schema}

    def place(self, row: int) -> str:
        """Say where row `row`, from 0, stands; -1 is the header.

        Blank lines are no rows, and quotes hold line breaks, so the file is read again up to there:
        this is for messages alone.
        """
        with self.path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(file, delimiter=self._delimiter)
            line, left = 1, row + 1
            try:
                for cells in reader:
                    if cells and not left:
                        return f"line {line}"
                    left -= bool(cells)
                    line = reader.line_num + 1
            except csv.Error:  # a cell longer than it takes
                pass
        return f"row {row}"

    def stray_text(self, name: str) -> tuple[int, str] | None:
        """Return the first cell that holds no number in a column that mostly does, and its row.

        The first block is looked at: it has told what the columns hold.
        """
        cells = next(self.blocks([name], [name], [])).column(0).to_pylist()
        strays = [n for n, cell in enumerate(cells) if cell is not None and not is_number(cell)]
        if not strays or 2 * len(strays) >= sum(cell is not None for cell in cells):
            return None
        return strays[0], cells[strays[0]]

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
        arrow = _pyarrow().csv
        try:
            return arrow.open_csv(
                self.path,
                arrow.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
                arrow.ParseOptions(delimiter=self._delimiter),
                arrow.ConvertOptions(
                    column_types=types,
                    include_columns=columns,
                    null_values=_MISSING,
                ),
            )
        except _arrow_errors() as error:
            raise self._refusal(error) from None

    def _refusal(self, error: Exception) -> DataError:
        text = " ".join(str(error).split())
        number = re.search(r"[Rr]ow #(\d+)", text)  # from 1, the header's; blank lines are none
        where = f"{self.path}, {self.place(int(number[1]) - 2)}" if number else str(self.path)
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
        text = re.sub(r"(CSV parse error: )?Row #\d+: ", "", text)
        if "UTF8" in text or "utf-8" in text:
            return DataError(f"{where} is not in UTF-8; expected it. Convert it, with iconv say.")
        if "Empty CSV" in text:
            return DataError(f"{where} is empty; expected a header and rows. Check the path.")
        return DataError(f"{where} cannot be read as CSV ({text}). Mend it.")


class ParquetColumns:
    """A Parquet file as blocks of columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = _pyarrow().parquet.ParquetFile(
                path, buffer_size=BUFFER_BYTES, pre_buffer=False
            )
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

    def stray_text(self, name: str) -> tuple[int, str] | None:
        """Return None: what a column holds is stated, not guessed."""
        return None

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
            rows = max(1, BLOCK_BYTES // (8 * len(columns)))
            yield from self._file.iter_batches(rows, columns=columns, use_threads=False)
            _pyarrow().default_memory_pool().release_unused()
        except _arrow_errors() as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{self.path} is damaged ({reason}). Copy it again.") from None


def is_number(cell: Any) -> bool:
    """Return whether a cell can be read as a number."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


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
