"""Parquet files, read block by block."""

from collections.abc import Iterator, Sequence
from typing import Any

from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.file import TableFile
from bothways.data.readers.tables.table import Table
from bothways.errors import DataError


class ParquetTable(Table):
    """A Parquet file.

    Raises
    ------
    DataError
        If the file is not Parquet, or is damaged.
    """

    has_declared_types = True

    def __init__(self, file: TableFile) -> None:
        self._file = file
        self.path, self.keys, self.notes = file.name, (), []
        try:
            self._parquet = arrow.pyarrow().parquet.ParquetFile(
                file.random_access(), buffer_size=arrow.BUFFER_BYTES, pre_buffer=False
            )
        except arrow.arrow_errors() as error:
            raise file.damage(error, "is not a Parquet file, or is damaged") from None
        schema = self._parquet.schema_arrow
        self.names = schema.names
        self.types = {column.name: column.type for column in schema}

    def place(self, row: int) -> str:
        """Return the file and the number of a row; see `Table.place`."""
        return f"{self.path}, row {row}"

    def row_name(self, row: int) -> str:
        """Return the number of a row; see `Table.row_name`."""
        return f"row {row}"

    def blocks(
        self, columns: Sequence[str], text: Sequence[str] = (), numbers: Sequence[str] = ()
    ) -> Iterator[Any]:
        """Yield record batches of the named columns; see `Table.blocks`."""
        for name in numbers:
            if not arrow.is_numeric(self.types[name]):
                raise DataError(
                    f"{self.path}: column {name!r} has type {self.types[name]}; expected numbers. "
                    "Convert it, or exclude it with --features."
                )
        rows = max(1, arrow.BLOCK_BYTES // self._row_bytes(columns))
        try:
            yield from self._parquet.iter_batches(rows, columns=list(columns), use_threads=False)
            arrow.pyarrow().default_memory_pool().release_unused()
        except arrow.arrow_errors() as error:
            raise self._file.damage(error, "is damaged") from None

    def _row_bytes(self, columns: Sequence[str]) -> int:
        """Return the approximate size of a row; that of lists is the average in the file."""
        if not any(arrow.is_list_of_numbers(self.types[name]) for name in columns):
            return 8 * len(columns)
        metadata = self._parquet.metadata
        groups = range(metadata.num_row_groups)
        size = sum(metadata.row_group(n).total_byte_size for n in groups)
        return max(8 * len(columns), int(size // max(1, metadata.num_rows)))
