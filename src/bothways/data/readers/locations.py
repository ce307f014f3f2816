"""Where data are: a path, or the files of a table that a folder, a glob or a URI names."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from bothways.data.readers import remote
from bothways.data.readers.compression import format_suffix
from bothways.data.readers.step_csv import first_cells
from bothways.data.readers.tables.file import TableFile
from bothways.data.readers.tables.roles import usual_name
from bothways.errors import DataError

_PARQUET, _CSV = (".parquet", ".pq"), (".csv", ".tsv")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")
_WILDCARD = re.compile(r"[*?[]")
_KEY_AND_VALUE = re.compile(r"([^=]+)=(.*)")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class TableFiles:
    """The files of a table.

    Parameters
    ----------
    source : str
        What the user named: a folder, a glob or a URI.
    files : tuple of TableFile
        In the order of their names.
    """

    source: str
    files: tuple[TableFile, ...]

    def __str__(self) -> str:
        return self.source

    @property
    def name(self) -> str:
        """The last part of `source` before any wildcard that is not the value of a column."""
        fixed, _ = _fixed_and_pattern(PurePosixPath(_without_query(self.source)).parts)
        named = [part for part in fixed if not _KEY_AND_VALUE.fullmatch(part)]
        return named[-1] if named else self.source


Location = Path | TableFiles


def absolute(source: str) -> str:
    """Return a path or a glob as an absolute one, and the URI of an object store as it is.

    Raises
    ------
    DataError
        If the scheme of a URI is unknown.
    """
    source = _without_file_scheme(source)
    return source if _SCHEME.match(source) else str(Path(source).resolve())


def locate(source: str, sequence: str | None = None) -> Location:
    """Return where data are.

    Parameters
    ----------
    source : str
        A path, a glob of CSV or Parquet files, or a URI: file://, or s3:// or gs:// of a table.
    sequence : str, optional
        The column of the sequence. In a folder of CSV files, it tells a table from files with a
        sequence each; default: its usual names.

    Returns
    -------
    location : Path or TableFiles
        A path may not exist.

    Raises
    ------
    DataError
        If a glob or a URI names no files of a table, or a path or a store cannot be read.
    """
    source = _without_file_scheme(source)
    if _SCHEME.match(source):
        return _in_store(source)
    path = Path(source)
    try:
        is_folder = path.is_dir()
    except OSError as error:  # a name that is too long, for example
        raise DataError(
            f"data {source!r} cannot be read: {error.strerror}; expected an existing path. Check "
            "the path."
        ) from None
    if is_folder:
        return _in_folder(path, sequence)
    if _WILDCARD.search(source) and not path.exists():
        return _matched(source, map(_local, _in_glob(path)))
    return path


def _without_file_scheme(source: str) -> str:
    """Return the path of a file:// URI, and everything else as it is."""
    found = _SCHEME.match(source)
    if found is None or found[1] in remote.SCHEMES:
        return source
    if found[1] != "file":
        schemes = ", ".join(("file", *remote.SCHEMES))
        raise DataError(
            f"{found[1]}://{source.rpartition('@')[2].removeprefix(found[0])} has the scheme "
            f"{found[1]!r}; expected a path, or one of {schemes}. Download the data."
        )
    return url2pathname(urlsplit(source).path)


def _local(path: Path) -> TableFile:
    return TableFile(str(path), str(path.absolute()))


def _in_store(uri: str) -> TableFiles:
    store = remote.connect(uri)
    fixed, pattern = _fixed_and_pattern(store.path.split("/"))
    folder = "/".join(fixed)
    found = store.files(folder)
    if pattern:
        inside = ((path, path.removeprefix(f"{folder}/").split("/")) for path in found)
        found = [path for path, parts in inside if _is_visible(parts) and _matches(parts, pattern)]
    elif found != [store.path]:
        found = _of_table(found, store.path)
    files = [TableFile(store.uri(path), path, store.filesystem) for path in found]
    return _matched(_without_query(uri), files)


def _in_folder(path: Path, sequence: str | None) -> Location:
    """Return the files of the table in a folder, or the folder if it has class folders."""
    found = _of_table(map(str, filter(Path.is_file, path.rglob("*"))), str(path))
    if not found:
        return path
    table = _matched(str(path), (_local(Path(file)) for file in found))
    first = table.files[0]
    if not first.is_parquet and not first.keys:
        names = first_cells(Path(first.path))
        if sequence not in names and usual_name("sequence", names) is None:
            return path
    return table


def _in_glob(path: Path) -> Iterator[Path]:
    fixed, pattern = _fixed_and_pattern(path.parts)
    folder = Path(*fixed)
    for file in folder.glob("/".join(pattern)):
        if file.is_file() and _is_visible(file.relative_to(folder).parts):
            yield file


def _fixed_and_pattern(parts: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the parts of a glob before the first wildcard, and the others."""
    fixed = next((n for n, part in enumerate(parts) if _WILDCARD.search(part)), len(parts))
    return parts[:fixed], parts[fixed:]


def _is_visible(parts: Sequence[str]) -> bool:
    """Return whether no name begins with . or _, as those of temporary files do."""
    return not any(part.startswith((".", "_")) for part in parts)


def _of_table(paths: Iterable[str], folder: str) -> list[str]:
    """Return those files below a folder that are a table.

    These are all Parquet files or, if there is none, the CSV files in the folder itself and in
    folders whose names have the value of a column.
    """
    parquet, csv = [], []
    for path in paths:
        inside = PurePosixPath(path).relative_to(folder)
        if not _is_visible(inside.parts):
            continue
        suffix = format_suffix(inside)
        if suffix in _PARQUET:
            parquet.append(path)
        elif suffix in _CSV and all(map(_KEY_AND_VALUE.fullmatch, inside.parts[:-1])):
            csv.append(path)
    return parquet or csv


def _matched(source: str, files: Iterable[TableFile]) -> TableFiles:
    """Return the files in order and with the columns in their names.

    Raises
    ------
    DataError
        If there are none, or they are not CSV files alone or Parquet files alone.
    """
    files = sorted(files, key=lambda file: PurePosixPath(file.path).parts)
    if not files:
        raise DataError(f"{source} names no file; expected CSV or Parquet files. Check the path.")
    for file in files:
        suffix = format_suffix(PurePosixPath(file.path))
        if suffix not in _PARQUET + _CSV:
            raise DataError(
                f"{file.name} is not a table, but {source} is a glob or a URI; expected CSV or "
                "Parquet files. Copy the file to this machine, and name its path."
            )
        if file.is_parquet != files[0].is_parquet:
            raise DataError(
                f"{source} names {files[0].name} and {file.name}; expected files of one format. "
                "Name fewer files."
            )
    keyed = (TableFile(file.name, file.path, file.filesystem, _keys(file.path)) for file in files)
    return TableFiles(source, tuple(keyed))


def _keys(path: str) -> dict[str, str | None]:
    """Return the values in the names of the folders directly above a file, as Hive names them.

    >>> _keys("sensors/year=2025/site=A%2FB/part-0.csv")
    {'year': '2025', 'site': 'A/B'}
    """
    found: list[tuple[str, str | None]] = []
    for folder in reversed(PurePosixPath(path).parts[:-1]):
        match = _KEY_AND_VALUE.fullmatch(folder)
        if match is None:
            break
        found.append((unquote(match[1]), None if match[2] == _NO_VALUE else unquote(match[2])))
    return dict(reversed(found))


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether the parts of a path match those of a glob; ** stands for any folders.

    >>> _matches("a/b/c/d.csv".split("/"), "a/**/*.csv".split("/"))
    True
    >>> _matches("a/b/c.csv".split("/"), "a/*.csv".split("/"))
    False
    """
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[n:], pattern[1:]) for n in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _without_query(source: str) -> str:
    return source.partition("?")[0] if _SCHEME.match(source) else source
