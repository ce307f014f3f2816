"""A CSV file as text: its encoding, its header, and where and why it cannot be read."""

import csv
import io
import re
from collections.abc import Sequence

from bothways.data.readers.encoding import advice_for, encoding_of
from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.file import TableFile
from bothways.errors import DataError


class CsvFile:
    """The text of a CSV file.

    Parameters
    ----------
    file : TableFile

    Attributes
    ----------
    header : str
        The first line that is not blank.

    Raises
    ------
    DataError
        If the file is empty, or its header cannot be read.
    """

    def __init__(self, file: TableFile) -> None:
        self.file = file
        try:
            with file.reader() as stream:
                self._start = stream.peek(4)
                self._encoding = encoding_of(self._start)
                self.header = self._header(stream)
        except UnicodeError:
            raise self._wrong_encoding(file.name) from None
        except arrow.arrow_errors() as error:
            raise file.damage(error) from None
        if not self.header:
            raise DataError(f"{file.name} is empty; expected a header and rows. Check the path.")
        if self.header.startswith("\ufeff"):  # pyarrow would take it for a part of the first name
            raise DataError(
                f"{file.name} begins with two byte-order marks; expected at most one. Save it "
                "again as UTF-8."
            )
        if "\0" in self.header:
            raise self._wrong_encoding(file.name)

    def _header(self, stream: io.BufferedReader) -> str:
        text = io.TextIOWrapper(
            stream, encoding=self._encoding, errors="surrogateescape", newline=""
        )
        lines = iter(lambda: text.readline(arrow.BLOCK_BYTES), "")
        header = next((line for line in lines if line.strip()), "")
        while (
            header.count('"') % 2 and len(header) < arrow.BLOCK_BYTES and (more := next(lines, ""))
        ):
            header += more  # a quoted name may hold line breaks
        header.encode()  # fails if it is not in the encoding
        return header

    @property
    def arrow_encoding(self) -> str:
        """The encoding, as pyarrow names it."""
        return "utf8" if self._is_utf8 else self._encoding

    @property
    def _is_utf8(self) -> bool:
        return self._encoding.removesuffix("-sig") == "utf-8"

    def names(self, delimiter: str) -> list[str]:
        """Return the names in the header."""
        return next(csv.reader(io.StringIO(self.header, newline=""), delimiter=delimiter))

    def first_rows(self) -> bytes:
        """Return the lines after the header in the first block of the file, in UTF-8."""
        size = arrow.BLOCK_BYTES
        try:
            with self.file.reader() as stream:
                if self._is_utf8:
                    text = stream.read(size)
                else:
                    decoded = io.TextIOWrapper(stream, encoding=self._encoding, newline="")
                    text = decoded.read(size).encode()
        except UnicodeError:
            raise self._wrong_encoding(self.file.name) from None
        except arrow.arrow_errors() as error:
            raise self.file.damage(error) from None
        rows = text.partition(self.header.encode())[2]
        return rows if len(text) < size else whole_lines(rows)

    def place(self, row: int, delimiter: str) -> str:
        """Return the line of row `row` (from 0; -1 is the header): "steps.csv, line 13".

        Blank lines are not rows, and quoted cells may hold line breaks. The file is therefore read
        again up to that row, which only error messages do.
        """
        text = io.TextIOWrapper(
            self.file.reader(), encoding=self._encoding, errors="replace", newline=""
        )
        with text:
            reader = csv.reader(text, delimiter=delimiter)
            line, left = 1, row + 1
            try:
                for cells in reader:
                    if cells and not left:
                        return f"{self.file.name}, line {line}"
                    left -= bool(cells)
                    line = reader.line_num + 1
            except csv.Error:  # a cell longer than the module accepts
                pass
        return f"{self.file.name}, row {row}"

    def refusal(self, error: Exception, delimiter: str, names: Sequence[str] = ()) -> DataError:
        """Return the error for what pyarrow could not read.

        Parameters
        ----------
        error : Exception
        delimiter : str
        names : sequence of str
            The columns, in file order.
        """
        text = " ".join(str(error).split())
        number = re.search(r"[Rr]ow #(\d+)", text)  # from 1, the header; blank lines do not count
        where = self.file.name if number is None else self.place(int(number[1]) - 2, delimiter)
        if "straddling" in text:
            return DataError(
                f"{where} has a line longer than {arrow.BLOCK_BYTES:,} bytes; expected shorter "
                "lines. Check that it is a table."
            )
        if found := re.search(r"conversion error to (\w+): invalid value '(.*?)'", text):
            column = re.search(r"In CSV column #(\d+)", text)
            name = f"column {names[int(column[1])]!r} " if column else ""
            rule = "true or false" if found[1] == "bool" else "a number"
            return DataError(
                f"{where}: {name}holds {found[2]!r}; expected {rule}. Fix it (remove units and "
                "thousands separators), or exclude the column with --features."
            )
        if isinstance(error, UnicodeError) or "UTF8" in text or "utf-8" in text:
            return self._wrong_encoding(where)
        if "Empty CSV" in text:
            return DataError(f"{where} is empty; expected a header and rows. Check the path.")
        if isinstance(error, OSError):
            return self.file.damage(error)
        text = re.sub(r"(CSV parse error: )?Row #\d+: ", "", text)
        return DataError(f"{where} cannot be read as CSV ({text}). Fix it.")

    def _wrong_encoding(self, where: str) -> DataError:
        advice = advice_for(self._start)
        return DataError(f"{where} is not in UTF-8; expected UTF-8. {advice}")


def whole_lines(text: bytes) -> bytes:
    r"""Return text without the part of a line at its end, if there is a whole line before it.

    >>> whole_lines(b"1,2\n3")
    b'1,2\n'
    """
    return text[: text.rfind(b"\n") + 1] or text
