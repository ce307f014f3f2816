"""Which reader a file or folder of records has: told by its ending."""

from collections.abc import Callable
from pathlib import Path

from bothways.data.options import DataOptions
from bothways.data.readers.arff import read_arff
from bothways.data.readers.compression import format_suffix
from bothways.data.readers.folders import has_headers, read_folder
from bothways.data.readers.json_lines import read_json_lines
from bothways.data.readers.label_first import is_label_first, read_label_first
from bothways.data.readers.tables import read_table
from bothways.data.readers.ts import read_ts
from bothways.data.record import Source
from bothways.errors import DataError

RECORD_READERS: dict[str, Callable[..., Source]] = {
    ".csv": read_table,
    ".tsv": read_table,
    ".parquet": read_table,
    ".pq": read_table,
    ".txt": read_label_first,
    ".ts": read_ts,
    ".arff": read_arff,
    ".jsonl": read_json_lines,
}
KNOWN_ENDINGS = (
    f"{', '.join([*RECORD_READERS, '.npz'])}, .npy or IDX images with their labels beside them, or "
    "a folder of files a class"
)


def record_reader(path: Path) -> Callable[..., Source] | None:
    """Return read(path, options, labelled=...) for a file or folder, or None for other formats."""
    if path.is_dir():
        return read_table if any(path.rglob("*.parquet")) else read_folder
    suffix = format_suffix(path)
    if suffix == ".tsv" and path.is_file() and is_label_first(path):
        return read_label_first
    return RECORD_READERS.get(suffix)


def has_columns(path: Path) -> bool:
    """Return whether a file is a table, or a folder of CSV files with headers."""
    reader = record_reader(path)
    return reader is read_table or (reader is read_folder and has_headers(path))


def open_records(path: Path, options: DataOptions, *, labelled: bool = True) -> Source:
    """Read a file or folder that has a `record_reader`.

    Raises
    ------
    DataError
        As the reader, and if columns were asked for where there are none of that name.
    """
    reader = record_reader(path)
    assert reader is not None  # whoever opens has looked
    if reader is not read_table:
        for name, role in DataOptions.roles():
            given = getattr(options, name)
            key = role.json_key if reader is read_json_lines else None
            if reader is read_folder and (name in ("features", "time") or not labelled):
                continue  # of its CSV files
            if role.is_column and given and given != key:
                text = ",".join(given) if isinstance(given, tuple) else given
                known = "a table, which has columns" if key is None else f"its key {key!r}"
                raise DataError(
                    f"{path} has no columns, so --{name} {text} has no meaning; expected {known}. "
                    "Omit it, or convert the file to a table."
                )
    return reader(path, options, labelled=labelled)
