"""CSV files, read block by block: delimiter, encoding, compression and decimal separator."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bothways.data.readers.compression import open_bytes
from bothways.data.readers.encoding import advice_for, encoding_of
from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.table import Table
from bothways.errors import DataError

MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"]
"""Cells that stand for a missing value."""

_INTEGER = re.compile(r"[+-]?\d+")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


class CsvTable(Table):
    """A CSV file with a header; commas, semicolons or tabs separate the cells.

    Parameters
    ----------
    path : Path
        A file that ends in .gz, .bz2 or .zst is decompressed while it is read.
    decimal : "." or ",", optional
        The decimal separator (default: decimal commas are recognized in the first block).

    Raises
    ------
    DataError
        If the file is empty, or its encoding or its header cannot be read.
    """

    def __init__(self, path: Path, decimal: str | None = None) -> None:
        self.path = path
        self.notes = []
        try:
            with open_bytes(path) as stream:
                self._start = stream.peek(4)
            self._encoding = encoding_of(self._start)
            with self._lines() as file:
                lines = iter(lambda: file.readline(arrow.BLOCK_BYTES), "")
                filled = (line for line in lines if line.strip())
                header, first = next(filled, ""), next(filled, "")
        except arrow.arrow_errors() as error:
            raise self._damage(error) from None
        if "\0" in header:
            raise self._wrong_encoding(str(path))
        if header and not first:
            raise DataError(f"{path} has no rows; expected one for each time step. Check it.")
        self._delimiter = max((",", ";", "\t"), key=header.count)
        self._decimal = decimal or "."
        self._read_schema()
        if decimal is None and (example := self._decimal_comma()):
            self._decimal = ","
            self._read_schema()
            self.notes.append(
                f"read decimal commas, as in {example!r} (use --decimal . if they are not)"
            )

    def _read_schema(self) -> None:
        schema = self._open({}, None).schema
        try:
            self.names = schema.names
        except UnicodeDecodeError as error:
            raise self._refusal(error) from None
        self.types = {column.name: column.type for column in schema}

    def _decimal_comma(self) -> str | None:
        """Return a cell that shows that the file has decimal commas, if there is one.

        1,234 may have a thousands separator. A file with decimal points has no decimal commas.
        """
        types = arrow.pyarrow().types
        if any(types.is_floating(kind) for kind in self.types.values()):
            return None
        for cells in self.first_texts(self.names).values():
            commas = [cell for cell in cells if cell is not None and "," in cell]
            if all(
                _DECIMAL_COMMA.fullmatch(cell) or _INTEGER.fullmatch(cell)
                for cell in cells
                if cell is not None
            ):
                for cell in commas:
                    if not _THOUSANDS.fullmatch(cell):
                        return cell
        return None

    def place(self, row: int) -> str:
        """Return the line of row `row` (from 0; -1 is the header): "line 13".

        Blank lines are not rows, and quoted cells may hold line breaks. The file is therefore read
        again up to that row, which only error messages do.
        """
        with self._lines() as file:
            reader = csv.reader(file, delimiter=self._delimiter)
            line, left = 1, row + 1
            try:
                for cells in reader:
                    if cells and not left:
                        return f"line {line}"
                    left -= bool(cells)
                    line = reader.line_num + 1
            except csv.Error:  # a cell longer than the module accepts
                pass
        return f"row {row}"

    def first_texts(self, names: Sequence[str]) -> dict[str, list[str | None]]:
        """Return the cells of text columns in the first block; see `Table.first_texts`."""
        is_text = arrow.pyarrow().types.is_string
        text = [name for name in names if is_text(self.types[name])]
        if not text or len(set(text)) < len(text):
            return {}
        block = next(self.blocks(text, text))
        return {
            name: [None if cell in MISSING else cell for cell in block[name].to_pylist()]
            for name in text
        }

    def blocks(
        self, columns: Sequence[str], text: Sequence[str] = (), numbers: Sequence[str] = ()
    ) -> Iterator[Any]:
        """Yield record batches of the named columns; see `Table.blocks`."""
        pa = arrow.pyarrow()
        types = dict.fromkeys(text, pa.string())
        for name in numbers:
            is_boolean = pa.types.is_boolean(self.types[name])
            types[name] = pa.bool_() if is_boolean else pa.float64()
        reader = self._open(types, list(columns))
        while True:
            try:
                yield reader.read_next_batch()
            except StopIteration:
                return
            except arrow.arrow_errors() as error:
                raise self._refusal(error) from None

    def _lines(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(
            open_bytes(self.path), encoding=self._encoding, errors="replace", newline=""
        )

    def _open(self, types: dict[str, Any], columns: list[str] | None) -> Any:
        pa_csv = arrow.pyarrow().csv
        encoding = self._encoding.removesuffix("-sig").replace("utf-8", "utf8")  # without a mark
        try:
            return pa_csv.open_csv(
                str(self.path),  # decompressed by its suffix
                pa_csv.ReadOptions(
                    block_size=arrow.BLOCK_BYTES, use_threads=False, encoding=encoding
                ),
                pa_csv.ParseOptions(delimiter=self._delimiter),
                pa_csv.ConvertOptions(
                    column_types=types,
                    include_columns=columns,
                    null_values=MISSING,
                    decimal_point=self._decimal,
                ),
            )
        except arrow.arrow_errors() as error:
            raise self._refusal(error) from None

    def _refusal(self, error: Exception) -> DataError:
        """Return the error for what pyarrow could not read."""
        text = " ".join(str(error).split())
        number = re.search(r"[Rr]ow #(\d+)", text)  # from 1, the header; blank lines do not count
        where = f"{self.path}, {self.place(int(number[1]) - 2)}" if number else str(self.path)
        if "straddling" in text:
            return DataError(
                f"{where} has a line longer than {arrow.BLOCK_BYTES:,} bytes; expected shorter "
                "lines. Check that it is a table."
            )
        if found := re.search(r"conversion error to (\w+): invalid value '(.*?)'", text):
            column = re.search(r"In CSV column #(\d+)", text)
            name = f"column {list(self.types)[int(column[1])]!r} " if column else ""
            rule = "true or false" if found[1] == "bool" else "a number"
            return DataError(
                f"{where}: {name}holds {found[2]!r}; expected {rule}. Fix it (remove units and "
                "thousands separators), or exclude the column with --features."
            )
        text = re.sub(r"(CSV parse error: )?Row #\d+: ", "", text)
        if isinstance(error, UnicodeError) or "UTF8" in text or "utf-8" in text:
            return self._wrong_encoding(where)
        if "Empty CSV" in text:
            return DataError(f"{where} is empty; expected a header and rows. Check the path.")
        return DataError(f"{where} cannot be read as CSV ({text}). Fix it.")

    def _wrong_encoding(self, where: str) -> DataError:
        advice = advice_for(self._start)
        return DataError(f"{where} is not in UTF-8; expected UTF-8. {advice}")

    def _damage(self, error: Exception) -> DataError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return DataError(f"{self.path} cannot be read: {reason}. Copy the file again.")


def is_number(cell: str | None) -> bool:
    """Return whether a cell can be read as a number."""
    try:
        float(cell or "")
    except ValueError:
        return False
    return True
