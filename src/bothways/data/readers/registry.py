"""The file formats. To add one, write its reader and add it to `FORMATS`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bothways.data.options import DataOptions, Option
from bothways.data.readers.arff import read_arff
from bothways.data.readers.arrays import read_idx, read_npy, read_npz
from bothways.data.readers.compression import format_suffix
from bothways.data.readers.folders import has_headers, read_folder
from bothways.data.readers.images import read_image
from bothways.data.readers.json_lines import read_json_lines
from bothways.data.readers.label_first import is_label_first, read_label_first
from bothways.data.readers.locations import Location, TableFiles
from bothways.data.readers.tables import read_files, read_table
from bothways.data.readers.ts import read_ts
from bothways.data.record import Source
from bothways.errors import DataError


class Reader(Protocol):
    """A function that opens a file or folder as a stream of records."""

    def __call__(self, path: Path, options: DataOptions, *, labeled: bool = True) -> Source:
        """Return the records; without `labeled`, labels are not needed and not read."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Parameters
    ----------
    read : Reader
    endings : tuple of str
        File name extensions, without that of a compression.
    magic : tuple of bytes
        First bytes of files with other extensions.
    columns : table, csv files, keys or none
        What options such as `--label` name: the columns of a table, or of CSV files in class
        folders, the fixed keys of JSON lines, or nothing.
    has_ignored_label : bool
        Whether `--ignore` has a meaning.
    """

    read: Reader
    endings: tuple[str, ...] = ()
    magic: tuple[bytes, ...] = ()
    columns: Literal["table", "csv files", "keys", "none"] = "none"
    has_ignored_label: bool = True

    def accepts(self, name: str, role: Option, value: object, *, labeled: bool) -> bool:
        """Return whether an option that names columns has a meaning."""
        if name == "ignore":
            return self.has_ignored_label
        if not role.is_column or self.columns == "table":
            return True
        if self.columns == "csv files":
            return name in ("features", "time") or not labeled
        return self.columns == "keys" and value == role.json_key


TABLE = Format(read_table, (".csv", ".tsv", ".parquet", ".pq"), columns="table")
LABEL_FIRST = Format(read_label_first, (".txt",))
CLASS_FOLDERS = Format(read_folder, columns="csv files")
FORMATS = (
    TABLE,
    LABEL_FIRST,
    Format(read_ts, (".ts",)),
    Format(read_arff, (".arff",)),
    Format(read_json_lines, (".jsonl",), columns="keys"),
    Format(read_npz, (".npz",), (b"PK",), has_ignored_label=False),
    Format(read_npy, (".npy",), (b"\x93NUMPY",), has_ignored_label=False),
    Format(read_idx, (), (b"\0\0", b"\x1f\x8b"), has_ignored_label=False),
    Format(read_image, (".png", ".jpg", ".jpeg"), (b"\x89PNG", b"\xff\xd8\xff")),
)
KNOWN_FORMATS = (
    f"a {', '.join(ending for known in FORMATS for ending in known.endings)} file, IDX images, a "
    "folder or a glob of CSV or Parquet files, or a folder with a folder for each class"
)


def find_format(location: Location) -> Format:
    """Return the format of data, by the extension of a file or by its first bytes.

    Raises
    ------
    DataError
        If it cannot be read, or has no known format.
    """
    if isinstance(location, TableFiles):
        return TABLE
    path = location
    if path.is_dir():
        return CLASS_FOLDERS
    start = check_readable(path)
    suffix = format_suffix(path)
    if suffix == ".tsv" and is_label_first(path):
        return LABEL_FIRST
    for known in FORMATS:
        if suffix in known.endings:
            return known
    for known in FORMATS:
        if start.startswith(known.magic):
            return known
    raise DataError(
        f"{path} has no known format: its extension is {path.suffix!r}, and it starts with bytes "
        f"{start.hex(' ') or '(none)'}; expected {KNOWN_FORMATS}. Convert it."
    )


def check_readable(location: Location) -> bytes:
    """Return the first bytes of a file; b"" of a folder or of several files.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    if isinstance(location, TableFiles) or location.is_dir():
        return b""
    path = location
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Check the path.") from None


def has_columns(location: Location) -> bool:
    """Return whether the features of a file have names: of a table, or of CSV files with headers.

    Raises the errors of `find_format`.
    """
    found = find_format(location)
    if isinstance(location, TableFiles) or found.columns == "table":
        return True
    return found.columns == "csv files" and has_headers(location)


def reads_pictures(location: Location) -> bool:
    """Return whether a file is a PNG or JPEG picture. Raises the errors of `find_format`."""
    return find_format(location).read is read_image


def for_new_data(location: Location, options: DataOptions) -> DataOptions:
    """Return the options of a model that have a meaning for the format of a file."""
    if has_columns(location):
        return options
    kept = options.without_columns()
    if find_format(location).has_ignored_label:
        return kept
    return kept.model_copy(update={"ignore": None})


def open_source(location: Location, options: DataOptions, *, labeled: bool = True) -> Source:
    """Return the records of a file, a folder or several files.

    Parameters
    ----------
    location : Path or TableFiles
    options : DataOptions
    labeled : bool
        Whether labels are needed; otherwise they are not read.

    Raises
    ------
    DataError
        If it cannot be read, or an option names a column of a file without columns.
    """
    found = find_format(location)
    for name, role in DataOptions.roles():
        value = getattr(options, name)
        if value and not found.accepts(name, role, value, labeled=labeled):
            text = ",".join(value) if isinstance(value, tuple) else value
            keyed = found.columns == "keys" and role.json_key is not None
            expected = f"its key {role.json_key!r}" if keyed else "a table, which has columns"
            raise DataError(
                f"{location} has no columns, so --{name} {text} has no meaning; expected "
                f"{expected}. Omit it, or convert the file to a table."
            )
    if isinstance(location, TableFiles):
        source = read_files(location.source, location.files, options, labeled=labeled)
        source.notes[:0] = location.notes
        return source
    return found.read(location, options, labeled=labeled)
