"""Tables: CSV and Parquet files with a row for each time step or for each sequence.

pyarrow reads the files block by block, so that a table may be larger than memory. What belongs here
is what depends on columns and rows; formats without columns have modules beside this package.
"""

from pathlib import Path

from bothways.data.options import DataOptions
from bothways.data.readers.compression import format_suffix
from bothways.data.readers.tables.csv_table import CsvTable
from bothways.data.readers.tables.parquet_table import ParquetTable
from bothways.data.readers.tables.row_per_sequence import read_sequences, sequence_layout
from bothways.data.readers.tables.row_per_step import read_steps
from bothways.data.readers.tables.table import Table
from bothways.data.record import Source

__all__ = ["read_table"]


def read_table(path: Path, options: DataOptions, *, labeled: bool = True) -> Source:
    """Return the sequences of a CSV or Parquet file, or of a folder of Parquet files.

    Parameters
    ----------
    path : Path
        Parquet if it ends in .parquet or .pq, or is a folder of Parquet files; else CSV with a
        header, perhaps compressed.
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
    table: Table
    if path.is_dir() or format_suffix(path) in (".parquet", ".pq"):
        table = ParquetTable(path)
    else:
        table = CsvTable(path, options.decimal)
    layout = sequence_layout(table, options)
    if layout is not None:
        return read_sequences(table, layout, options, labeled=labeled)
    return read_steps(table, options, labeled=labeled)
