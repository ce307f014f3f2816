"""Parquet files, read block by block."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.table import Table
from bothways.errors import DataError


class ParquetTable(Table):
    """A Parquet file, or the Parquet files in a folder, in the order of their names.

    Raises
    ------
    DataError
        If a file is not Parquet, is damaged, or has other columns than the first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes = []
        self._files = []
        for file in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
            try:
                self._files.append(
                    arrow.pyarrow().parquet.ParquetFile(
                        file, buffer_size=arrow.BUFFER_BYTES, pre_buffer=False
                    )
                )
            except arrow.arrow_errors() as error:
                reason = " ".join(str(error).split())
                raise DataError(
                    f"{file} is not a Parquet file, or is damaged ({reason}). Write or copy it "
                    "again."
                ) from None
            _check_columns(file, self._files[-1].schema_arrow, self._files[0].schema_arrow)
        schemas = [file.schema_arrow for file in self._files]
        self.names = schemas[0].names
        kinds = zip(*(schema.types for schema in schemas), strict=True)
        self.types = dict(zip(self.names, map(_common_type, kinds), strict=True))

    def place(self, row: int) -> str:
        """Return the row's number: "row 12"."""
        return f"row {row}"

    def first_texts(self, names: Sequence[str]) -> dict[str, list[str | None]]:
        """Return {}: the file declares its column types."""
        return {}

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
        try:
            for file in self._files:
                rows = max(1, arrow.BLOCK_BYTES // self._row_bytes(file.metadata, columns))
                for batch in file.iter_batches(rows, columns=list(columns), use_threads=False):
                    yield self._with_common_types(batch)
            arrow.pyarrow().default_memory_pool().release_unused()
        except arrow.arrow_errors() as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{self.path} is damaged ({reason}). Copy it again.") from None

    def _with_common_types(self, batch: Any) -> Any:
        """Return a batch whose columns have the types of the table, and not those of its file."""
        kinds = [self.types[name] for name in batch.schema.names]
        if kinds == batch.schema.types:
            return batch
        columns = [column.cast(kind, safe=False) for column, kind in zip(batch, kinds, strict=True)]
        return arrow.pyarrow().RecordBatch.from_arrays(columns, batch.schema.names)

    def _row_bytes(self, metadata: Any, columns: Sequence[str]) -> int:
        """Return the approximate size of a row; that of lists is the average in the file."""
        if not any(arrow.is_list_of_numbers(self.types[name]) for name in columns):
            return 8 * len(columns)
        groups = range(metadata.num_row_groups)
        size = sum(metadata.row_group(n).total_byte_size for n in groups)
        return max(8 * len(columns), int(size // max(1, metadata.num_rows)))


def _common_type(kinds: Sequence[Any]) -> Any:
    """Return the type of a column that has these types in the files of a folder."""
    if all(kind == kinds[0] for kind in kinds) or not arrow.is_numeric(kinds[0]):
        return kinds[0]
    return arrow.pyarrow().float64()


def _check_columns(file: Path, schema: Any, first: Any) -> None:
    """Raise DataError if a file has other columns than the first, or numbers in other columns."""
    if schema.names != first.names:
        raise DataError(
            f"{file} has columns {', '.join(schema.names)}; expected those of the first file, "
            f"{', '.join(first.names)}. Rename them."
        )
    for name, kind, expected in zip(schema.names, schema.types, first.types, strict=True):
        for is_alike in (arrow.is_numeric, arrow.is_list_of_numbers):
            if is_alike(kind) != is_alike(expected):
                raise DataError(
                    f"{file}: column {name!r} has type {kind}; expected {expected}, as in the "
                    "first file. Convert it."
                )
