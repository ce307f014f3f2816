"""Tables: CSV and Parquet files with a row for each time step or for each sequence.

pyarrow reads the files block by block, so that a table may be larger than memory. What belongs here
is what depends on columns and rows; formats without columns have modules beside this package.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from bothways.data.options import DataOptions
from bothways.data.readers.tables.csv_file import CsvFile
from bothways.data.readers.tables.csv_schema import find_schema
from bothways.data.readers.tables.csv_table import CsvTable
from bothways.data.readers.tables.file import TableFile
from bothways.data.readers.tables.joined_table import JoinedTable
from bothways.data.readers.tables.parquet_table import ParquetTable
from bothways.data.readers.tables.row_per_sequence import read_sequences, sequence_layout
from bothways.data.readers.tables.row_per_step import read_steps
from bothways.data.readers.tables.table import Table
from bothways.data.record import Source

__all__ = ["read_files", "read_table"]


def read_table(path: Path, options: DataOptions, *, labeled: bool = True) -> Source:
    """Return the sequences of a CSV or Parquet file; see `read_files`.

    Parameters
    ----------
    path : Path
        Parquet if it ends in .parquet or .pq; else CSV with a header, perhaps compressed.
    options : DataOptions
    labeled : bool
    """
    name = str(path)
    return read_files(name, [TableFile(name, name)], options, labeled=labeled)


def read_files(
    path: str, files: Sequence[TableFile], options: DataOptions, *, labeled: bool = True
) -> Source:
    """Return the sequences of CSV or Parquet files that are one table.

    Parameters
    ----------
    path : str
        What names the files, for messages.
    files : sequence of TableFile
        All CSV or all Parquet, in the order of their rows.
    options : DataOptions
        The role of each column.
    labeled : bool
        Whether each sequence needs a label.

    Raises
    ------
    DataError
        If a column is missing, a value is not a number, or the rows cannot be brought in order.
    MissingDependencyError
        If pyarrow is not installed.
    """
    table = _open(path, files, options.decimal)
    layout = sequence_layout(table, options)
    if layout is not None:
        return read_sequences(table, layout, options, labeled=labeled)
    return read_steps(table, options, labeled=labeled)


def _open(path: str, files: Sequence[TableFile], decimal: str | None) -> Table:
    if files[0].is_parquet:
        return _joined(path, files, ParquetTable)
    schema = find_schema(map(CsvFile, files), decimal)
    return _joined(path, files, lambda file: CsvTable(file, schema))


def _joined(
    path: str, files: Sequence[TableFile], open_file: Callable[[TableFile], Table]
) -> Table:
    if len(files) == 1 and not files[0].keys:
        return open_file(files[0])
    return JoinedTable(path, files, open_file)
