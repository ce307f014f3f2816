"""Columns of CSV and Parquet files, read by pyarrow one block at a time."""

import csv
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from bothways.data.readers.compression import is_compressed, open_bytes
from bothways.data.readers.encoding import advice_for, encoding_of
from bothways.errors import DataError
from bothways.optional import require

BLOCK_BYTES = 8 << 20
"""Size of the blocks in which tables are read; no line of a CSV file may be longer."""

BUFFER_BYTES = 1 << 16
"""Bytes read at a time for each column of a Parquet file, instead of whole row groups."""

_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"]


class CsvColumns:
    """A CSV file as blocks of columns.

    Parameters
    ----------
    path : Path
        May be compressed (.gz, .bz2, .zst). UTF-8, or as its byte-order mark states.
    decimal : str, optional
        The decimal separator; default: a comma if the first row shows one, otherwise a point.
    """

    def __init__(self, path: Path, decimal: str | None = None) -> None:
        self.path = path
        self.notes: list[str] = []
        with open_bytes(path) as file:
            try:
                start = file.peek(4)
                self._encoding = encoding_of(start)
                text = io.TextIOWrapper(file, self._encoding, errors="replace", newline="")
                lines = iter(lambda: text.readline(BLOCK_BYTES), "")
                filled = (line for line in lines if line.strip())
                header, first = next(filled, ""), next(filled, "")
            except (OSError, EOFError, UnicodeError, zlib.error) as error:
                raise self._damage(error) from None
        self._start = start
        if header and not first:
            raise DataError(f"{path} has no rows; expected one for each time step. Check it.")
        self._delimiter = max((",", ";", "\t"), key=header.count)
        if decimal is None and self._has_decimal_commas(first):
            decimal = ","
            self.notes.append("read decimal commas, as in 3,14 (use --decimal . if they are not)")
        self._decimal = decimal or "."
        schema = self._open({}, None).schema
        try:
            self.names = schema.names
        except UnicodeDecodeError as error:
            raise self._refusal(error) from None
        self.types = {column.name: column.type for column in schema}

    def _has_decimal_commas(self, row: str) -> bool:
        cells = [cell.strip().strip('"') for cell in row.split(self._delimiter)]
        return self._delimiter != "," and any(re.fullmatch(r"[-+]?\d+,\d+", c) for c in cells)

    @property
    def size_bytes(self) -> int:
        """About how much memory the whole table takes."""
        return self.path.stat().st_size * (10 if is_compressed(self.path) else 1)

    def place(self, row: int) -> str:
        """Return where row `row`, from 0, is in the file; -1 is the header.

        Blank lines are not rows, and quoted cells contain line breaks, so the file is read again up
        to there: this is for error messages only.
        """
        with open_bytes(self.path) as raw:
            file = io.TextIOWrapper(raw, self._encoding, errors="replace", newline="")
            reader = csv.reader(file, delimiter=self._delimiter)
            line, left = 1, row + 1
            try:
                for cells in reader:
                    if cells and not left:
                        return f"line {line}"
                    left -= bool(cells)
                    line = reader.line_num + 1
            except csv.Error:  # a cell longer than the csv module accepts
                pass
        return f"row {row}"

    def example_of(self, name: str) -> str | None:
        """Return the first value of a column in the first block."""
        cells = next(self.blocks([name], [name], [])).column(0).to_pylist()
        return next((cell for cell in cells if cell is not None), None)

    def stray_text(self, name: str) -> tuple[int, str] | None:
        """Return the row and text of the first cell that is not a number, if most cells are.

        Only the first block is searched: the types of the columns were inferred from it.
        """
        cells = next(self.blocks([name], [name], [])).column(0).to_pylist()
        strays = [n for n, cell in enumerate(cells) if cell is not None and not is_number(cell)]
        if not strays or 2 * len(strays) >= sum(cell is not None for cell in cells):
            return None
        return strays[0], cells[strays[0]]

    def blocks(self, columns: list[str], text: list[str], numbers: list[str]) -> Iterator[Any]:
        """Yield blocks of columns, those in `text` as text and those in `numbers` as numbers.

        Columns of true and false stay boolean.
        """
        from pyarrow import float64, string
        from pyarrow.types import is_boolean

        types = dict.fromkeys(text, string()) | {
            name: float64() for name in numbers if not is_boolean(self.types[name])
        }
        reader = self._open(types, columns)
        while True:
            try:
                yield reader.read_next_batch()
            except StopIteration:
                return
            except _arrow_errors() as error:
                raise self._refusal(error) from None

    def _open(self, types: dict[str, Any], columns: list[str] | None) -> Any:
        arrow = import_pyarrow().csv
        try:
            return arrow.open_csv(
                str(self.path),  # pyarrow decompresses by the suffix
                arrow.ReadOptions(
                    block_size=BLOCK_BYTES,
                    use_threads=False,
                    encoding="utf8" if self._encoding == "utf-8-sig" else self._encoding,
                ),
                arrow.ParseOptions(delimiter=self._delimiter),
                arrow.ConvertOptions(
                    column_types=types,
                    include_columns=columns,
                    null_values=_MISSING,
                    decimal_point=self._decimal,
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
                f"{where}: {name}holds {found[1]!r}; expected a number. Fix it (remove units and "
                "thousands separators), or exclude the column with --features."
            )
        text = re.sub(r"(CSV parse error: )?Row #\d+: ", "", text)
        if "UTF8" in text or "utf-8" in text:
            return DataError(f"{where} is not in UTF-8; expected UTF-8. {advice_for(self._start)}")
        if "Empty CSV" in text:
            return DataError(f"{where} is empty; expected a header and rows. Check the path.")
        return DataError(f"{where} cannot be read as CSV ({text}). Fix it.")

    def _damage(self, error: Exception) -> DataError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return DataError(f"{self.path} cannot be read: {reason}. Copy the file again.")


class ParquetColumns:
    """A Parquet file, or the Parquet files of a folder in the order of their names, as blocks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        parquet = import_pyarrow().parquet
        self._files = []
        for file in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
            try:
                self._files.append(
                    parquet.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False)
                )
            except _arrow_errors() as error:
                reason = " ".join(str(error).split())
                raise DataError(
                    f"{file} is not a Parquet file, or is damaged ({reason}). Write or copy it "
                    "again."
                ) from None
            if self._files[-1].schema_arrow.names != self._files[0].schema_arrow.names:
                raise DataError(
                    f"{file} has columns {', '.join(self._files[-1].schema_arrow.names)}; expected "
                    f"those of the first file, {', '.join(self._files[0].schema_arrow.names)}."
                )
        schema = self._files[0].schema_arrow
        self.names = schema.names
        self.types = {column.name: column.type for column in schema}

    @property
    def size_bytes(self) -> int:
        """About how much memory the whole table takes."""
        rows: int = sum(file.metadata.num_rows for file in self._files)
        return rows * 8 * len(self.names)

    def place(self, row: int) -> str:
        """Return where row `row`, from 0, is."""
        return f"row {row}"

    def stray_text(self, name: str) -> tuple[int, str] | None:
        """Return None: the types of the columns are stated in the file."""
        return None

    def example_of(self, name: str) -> str | None:
        """Return the first value of a column."""
        block = next(self._files[0].iter_batches(1, columns=[name]), None)
        return None if block is None or not block.num_rows else str(block.column(0)[0].as_py())

    def blocks(self, columns: list[str], text: list[str], numbers: list[str]) -> Iterator[Any]:
        """Yield blocks of the named columns; those in `numbers` must be numbers."""
        from pyarrow import types

        for name in numbers:
            kind = self.types[name]
            if not (types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)):
                raise DataError(
                    f"{self.path}: column {name!r} has type {kind}; expected numbers. Convert it, "
                    "or exclude it with --features."
                )
        try:
            rows = max(1, BLOCK_BYTES // (8 * len(columns)))
            for file in self._files:
                yield from file.iter_batches(rows, columns=columns, use_threads=False)
            import_pyarrow().default_memory_pool().release_unused()
        except _arrow_errors() as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{self.path} is damaged ({reason}). Copy it again.") from None


def is_number(cell: Any) -> bool:
    """Return whether a cell is a number."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


Columns: TypeAlias = CsvColumns | ParquetColumns


def import_pyarrow() -> Any:
    """Return pyarrow, with its readers imported."""
    for module in ("pyarrow.csv", "pyarrow.parquet"):
        require(module, extra="tables", purpose="tables")
    return require("pyarrow", extra="tables", purpose="tables")


def _arrow_errors() -> tuple[type[Exception], ...]:
    return (import_pyarrow().ArrowException, OSError, UnicodeDecodeError)
