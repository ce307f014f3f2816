"""Lines of text as records: JSON objects, or the rows of a CSV table with a header."""

import csv
import json
from collections.abc import Callable
from typing import Any

from bothways.data.readers.tables.csv_schema import MISSING
from bothways.errors import DataError
from bothways.models.following.records import Record, RecordReader
from bothways.models.manifest import Manifest

LINE_BYTES = 1 << 20
"""A longer line is not read."""

_DELIMITERS = ",;\t"


class RecordLines:
    """Divides text into lines as it comes, and reads each complete line as a record.

    The first JSON object, or header of a CSV table with the columns of the model, decides about the
    format. Other lines before it cannot be read.

    Parameters
    ----------
    manifest : Manifest
        Of the model.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._reader = RecordReader(manifest)
        self._rest = b""
        self._is_skipping = False  # the rest of a line that is too long
        self._number = 0
        self._read: Callable[[str, str], Record] | None = None

    def records(self, content: bytes) -> list[Record | DataError]:
        """Return the record of each line that is complete now, or why it cannot be read."""
        *complete, rest = (self._rest + content).split(b"\n")
        found = [record for line in complete if (record := self._record(line)) is not None]
        if len(rest) > LINE_BYTES and not self._is_skipping:
            self._number += 1
            found.append(_too_long(self._number))
            self._is_skipping = True
        self._rest = b"" if self._is_skipping else rest
        return found

    def last(self) -> list[Record | DataError]:
        """Return the record of a last line that no line break ends, if there is one."""
        return self.records(b"\n") if self._rest else []

    def _record(self, line: bytes) -> Record | DataError | None:
        if self._is_skipping:
            self._is_skipping = False
            return None
        self._number += 1
        where = f"line {self._number}"
        if len(line) > LINE_BYTES:
            return _too_long(self._number)
        try:
            text = line.decode("utf-8-sig" if self._number == 1 else "utf-8").rstrip("\r")
            return self._read_text(text, where) if text.strip() else None
        except UnicodeDecodeError as error:
            return DataError(
                f"{where} is not in UTF-8 (byte {error.start}); expected UTF-8. Fix it."
            )
        except DataError as error:
            return error

    def _read_text(self, text: str, where: str) -> Record | None:
        """Return the record of a line, if it is not the header."""
        if self._read is not None:
            return self._read(text, where)
        if text.lstrip().startswith("{"):
            record = self._read_json(text, where)
            self._read = self._read_json
            return record
        self._read = _CsvRows(text, self._reader, where).read
        return None

    def _read_json(self, text: str, where: str) -> Record:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:  # also very long numbers, deep nesting
            reason = str(error).split(";")[0].split(":")[0]
            raise DataError(
                f"{where} is not JSON ({reason}); expected an object. Fix it."
            ) from None
        if not isinstance(found, dict):
            raise DataError(f"{where} is {text[:40]}; expected an object. Fix it.")
        return self._reader.read(found, where)


class _CsvRows:
    """The rows of a table, each in a line.

    Raises
    ------
    DataError
        If the header does not have the columns that the model needs.
    """

    def __init__(self, header: str, reader: RecordReader, where: str) -> None:
        self._delimiter = max(_DELIMITERS, key=header.count)
        self._columns = [cell or "" for cell in self._cells(header, where)]
        self._reader = reader
        if not reader.has_needed(self._columns):
            raise DataError(
                f"{where} is neither a JSON object nor a header with {reader.needed}, but "
                f"{header[:40]!r}; expected one of both before all rows. Fix it."
            )

    def read(self, text: str, where: str) -> Record:
        """Return the record of a row."""
        cells = self._cells(text, where)
        if len(cells) != len(self._columns):
            raise DataError(
                f"{where} has {len(cells)} cells; expected {len(self._columns)}, as in the header. "
                "Fix it."
            )
        return self._reader.read(dict(zip(self._columns, cells, strict=True)), where)

    def _cells(self, text: str, where: str) -> list[Any]:
        try:
            (cells,) = csv.reader([text], delimiter=self._delimiter, strict=True)
        except (csv.Error, ValueError) as error:
            raise DataError(f"{where} is not CSV ({error}); expected one row. Fix it.") from None
        return [None if cell in MISSING else cell for cell in map(str.strip, cells)]


def _too_long(number: int) -> DataError:
    return DataError(
        f"line {number} is longer than {LINE_BYTES:,} bytes; expected the record of one time step. "
        "Check the source."
    )
