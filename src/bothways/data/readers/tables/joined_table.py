"""Several files as one table, with columns from the names of their folders."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.file import TableFile
from bothways.data.readers.tables.table import Table, check_names
from bothways.errors import DataError


class JoinedTable(Table):
    """The rows of several CSV or Parquet files, one file after another.

    One file is open at a time. The names of folders such as `year=2025` are text columns. Columns
    have the type of the first file.

    Parameters
    ----------
    path : str
        What names the files, for messages.
    files : sequence of TableFile
        In the order of their rows.
    open_file : callable
        Opens a file as a table.

    Raises
    ------
    DataError
        If the first file cannot be read, or a folder has the name of a column.
    """

    def __init__(
        self, path: str, files: Sequence[TableFile], open_file: Callable[[TableFile], Table]
    ) -> None:
        self._files, self._open = files, open_file
        self._starts: list[int] = []  # the first row of each file that has been read so far
        first = open_file(files[0])
        self.path, self.keys = path, tuple(files[0].keys)
        for key in self.keys:
            if key in first.names:
                raise DataError(
                    f"{first.path} has a column {key!r} and is in a folder {key}=…; expected the "
                    "name once. Rename the column or the folder."
                )
        string = arrow.pyarrow().string()
        self._own_names = first.names
        self.names = [*first.names, *self.keys]
        self.types = first.types | dict.fromkeys(self.keys, string)
        self.has_declared_types = first.has_declared_types
        self.notes = list(first.notes)
        if self.keys:
            self.notes.append(
                f"columns from the names of folders: {', '.join(self.keys)} (text, no features "
                "without --categorical)"
            )

    def place(self, row: int) -> str:
        """Return the file and the place of a row that has been read; see `Table.place`."""
        file, inside = self._find(row)
        return self._open(file).place(inside)

    def row_name(self, row: int) -> str:
        """Return the file and the number in it of a row that has been read."""
        file, inside = self._find(row)
        return f"{file.name}, row {inside}"

    def _find(self, row: int) -> tuple[TableFile, int]:
        number = bisect_right(self._starts, row) - 1
        return self._files[number], row - self._starts[number]

    def blocks(
        self, columns: Sequence[str], text: Sequence[str] = (), numbers: Sequence[str] = ()
    ) -> Iterator[Any]:
        """Yield record batches of the named columns; see `Table.blocks`."""
        for name in numbers:
            if name in self.keys:
                raise DataError(
                    f"{self.path}: column {name!r} is in the names of folders, which are text; "
                    "expected numbers. Name it with --categorical, or exclude it with --features."
                )
        own = [name for name in columns if name not in self.keys] or self._own_names[:1]
        own_text = [name for name in text if name in own]
        row = 0
        for number, file in enumerate(self._files):
            self._starts[number:] = [row]
            table = self._open(file)
            check_names(file.name, table.names, self._own_names)
            self._check_keys(file)
            for batch in table.blocks(own, own_text, numbers):
                yield self._completed(batch, file, columns, numbers)
                row += batch.num_rows

    def _check_keys(self, file: TableFile) -> None:
        if tuple(file.keys) != self.keys:
            raise DataError(
                f"{file.name} is in {_folders(file.keys)}, but the first file, "
                f"{self._files[0].name}, is in {_folders(self.keys)}; expected the same names. "
                "Move one of them."
            )

    def _completed(
        self, batch: Any, file: TableFile, columns: Sequence[str], numbers: Sequence[str]
    ) -> Any:
        """Return a batch with the columns from the names of folders, and types as in all files."""
        pa = arrow.pyarrow()
        arrays = []
        for name in columns:
            if name in self.keys:
                value = pa.scalar(file.keys[name], pa.string())
                arrays.append(pa.repeat(value, batch.num_rows))
            else:
                arrays.append(self._typed(batch[name], name, file, name in numbers))
        return pa.RecordBatch.from_arrays(arrays, names=list(columns))

    def _typed(self, column: Any, name: str, file: TableFile, is_number: bool) -> Any:
        """Return a column with the type that it has in all files: float64, or the first file's."""
        pa = arrow.pyarrow()
        kind = self.types[name]
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if is_number and self.has_declared_types:
            kind = pa.float64()
        if not self.has_declared_types or column.type == kind:
            return column
        try:
            return column.cast(kind)
        except arrow.arrow_errors():
            raise DataError(
                f"{file.name}: column {name!r} holds {column.type}; expected {kind}, as in the "
                "first file. Write the files with one schema."
            ) from None


def _folders(keys: Iterable[str]) -> str:
    """Return what folders with these names are called in a message."""
    names = "/".join(f"{key}=…" for key in keys)
    return f"a folder {names}" if names else "no folder name=value"
