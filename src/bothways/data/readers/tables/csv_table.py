"""CSV files, read block by block."""

from collections.abc import Iterator, Sequence
from typing import Any

from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.csv_file import CsvFile
from bothways.data.readers.tables.csv_schema import CsvSchema, open_csv
from bothways.data.readers.tables.file import TableFile
from bothways.data.readers.tables.table import Table


class CsvTable(Table):
    """A CSV file with a header; commas, semicolons or tabs separate the cells.

    Parameters
    ----------
    file : TableFile
    schema : CsvSchema
        That of all files of the table.

    Raises
    ------
    DataError
        If the file is empty, or its header cannot be read.
    """

    has_declared_types = False

    def __init__(self, file: TableFile, schema: CsvSchema) -> None:
        self._file, self._schema = CsvFile(file), schema
        self.path, self.notes = file.name, schema.notes
        self.names, self.types, self.keys = self._file.names(schema.delimiter), schema.types, ()

    def place(self, row: int) -> str:
        """Return the file and the line of a row; see `Table.place`."""
        return self._file.place(row, self._schema.delimiter)

    def row_name(self, row: int) -> str:
        """Return the number of a row; see `Table.row_name`."""
        return f"row {row}"

    def blocks(
        self, columns: Sequence[str], text: Sequence[str] = (), numbers: Sequence[str] = ()
    ) -> Iterator[Any]:
        """Yield record batches of the named columns; see `Table.blocks`."""
        pa = arrow.pyarrow()
        types = self.types | dict.fromkeys(text, pa.string())
        for name in numbers:
            is_boolean = pa.types.is_boolean(self.types[name])
            types[name] = pa.bool_() if is_boolean else pa.float64()
        try:
            yield from self._open(types, columns)
        except arrow.arrow_errors() as error:
            raise self._file.refusal(error, self._schema.delimiter, self.names) from None

    def _open(self, types: dict[str, Any], columns: Sequence[str]) -> Any:
        encoding = self._file.arrow_encoding
        return open_csv(self._file.file.stream(), self._schema, types, columns, encoding)
