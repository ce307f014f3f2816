"""Where data are: a path, or the files of a table that a folder, a glob or a URI names."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from bothways.data.readers import remote
from bothways.data.readers.compression import format_suffix
from bothways.data.readers.step_csv import first_cells
from bothways.data.readers.tables.file import TableFile
from bothways.data.readers.tables.roles import usual_name
from bothways.errors import DataError, counted

_PARQUET, _CSV = (".parquet", ".pq"), (".csv", ".tsv")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")
_WILDCARD = re.compile(r"[*?[]")
_KEY_AND_VALUE = re.compile(r"([^=]+)=(.*)")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_MOST_IGNORED = 3  # that are named


@dataclass(frozen=True)
class TableFiles:
    """The files of a table.

    Parameters
    ----------
    source : str
        What the user named: a folder, a glob or a URI.
    files : tuple of TableFile
        In the order of their names.
    ignored : tuple of str
        What is there too and is not read, with the reasons: "b.csv (not a Parquet file)".
    """

    source: str
    files: tuple[TableFile, ...]
    ignored: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.source

    @property
    def name(self) -> str:
        """The last part of `source` before any wildcard that is not the value of a column."""
        fixed, _ = _fixed_and_pattern(PurePosixPath(_without_query(self.source)).parts)
        named = [part for part in fixed if not _KEY_AND_VALUE.fullmatch(part)]
        return named[-1] if named else self.source

    @property
    def notes(self) -> list[str]:
        """How many files there are and which are ignored; empty for a single file."""
        if len(self.files) == 1 and not self.ignored:
            return []
        found = f"found {counted(len(self.files), 'file')} in {self.source}"
        if not self.ignored:
            return [found]
        more = len(self.ignored) - _MOST_IGNORED
        named = [*self.ignored[:_MOST_IGNORED], *([f"{more:,} more"] if more > 0 else [])]
        return [f"{found}; ignored {', '.join(named)}"]


Location = Path | TableFiles


def absolute(source: str) -> str:
    """Return a path or a glob as an absolute one, and the URI of an object store as it is.

    Raises
    ------
    DataError
        If the scheme of a URI is unknown.
    """
    source = _without_file_scheme(source)
    return str(Path(source).resolve()) if _scheme(source) is None else source


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
    if _scheme(source) is not None:
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
        return _in_glob(source)
    return path


def _scheme(source: str) -> str | None:
    """Return the scheme of a URI in lower case, None for a path.

    Raises
    ------
    DataError
        If it is unknown.
    """
    found = _SCHEME.match(source)
    if found is None:
        return None
    schemes = ("file", *remote.SCHEMES)
    if found[1].lower() not in schemes:
        raise DataError(
            f"{found[1]}://{source.rpartition('@')[2].removeprefix(found[0])} has the scheme "
            f"{found[1]!r}; expected a path, or one of {', '.join(schemes)}. Download the data."
        )
    return found[1].lower()


def _without_file_scheme(source: str) -> str:
    """Return the path of a file:// URI, and everything else as it is."""
    return url2pathname(urlsplit(source).path) if _scheme(source) == "file" else source


def _local(path: Path) -> TableFile:
    return TableFile(str(path), str(path.absolute()))


def _in_store(uri: str) -> TableFiles:
    store = remote.connect(uri)
    fixed, pattern = _fixed_and_pattern(store.path.split("/"))
    folder = "/".join(fixed)
    versions = store.files(folder)
    found = list(versions)
    ignored: list[str] = []
    if pattern:
        inside = ((path, path.removeprefix(f"{folder}/").split("/")) for path in found)
        found = [path for path, parts in inside if _is_visible(parts) and _matches(parts, pattern)]
    elif found != [store.path]:
        found, ignored = _of_table(found, store.path)
    files = [TableFile(store.uri(path), path, store.filesystem, versions[path]) for path in found]
    return _as_table(_without_query(uri), files, ignored)


def _in_folder(path: Path, sequence: str | None) -> Location:
    """Return the files of the table in a folder, or the folder if it has class folders."""
    files, others = _files_and_others(path.rglob("*"), path, folder_suffixes=_CSV)
    found, ignored = _of_table(map(str, files), str(path))
    if not found:
        return path
    table = _as_table(str(path), (_local(Path(file)) for file in found), ignored + others)
    first = table.files[0]
    if not first.is_parquet and not first.keys:
        names = first_cells(Path(first.path))
        if sequence not in names and usual_name("sequence", names) is None:
            return path
    return table


def _in_glob(source: str) -> TableFiles:
    fixed, pattern = _fixed_and_pattern(Path(source).parts)
    folder = Path(*fixed)
    found = folder.glob("/".join(pattern))
    files, others = _files_and_others(found, folder, folder_suffixes=_CSV + _PARQUET)
    return _as_table(source, map(_local, files), others)


def _files_and_others(
    paths: Iterable[Path], folder: Path, folder_suffixes: Sequence[str]
) -> tuple[list[Path], list[str]]:
    """Return the visible files, and what only looks like files of a table, with the reasons.

    Parameters
    ----------
    paths : iterable of Path
    folder : Path
        It contains all of them.
    folder_suffixes : sequence of str
        Suffixes of folders that look like files.
    """
    files, others = [], []
    for path in sorted(paths):
        inside = path.relative_to(folder)
        if not _is_visible(inside.parts):
            continue
        if path.is_file():
            files.append(path)
        elif path.is_dir():
            if format_suffix(path) in folder_suffixes:
                others.append(f"{inside} (a folder)")
            elif path.is_symlink():
                others.append(f"{inside} (a link to a folder)")
        elif format_suffix(path) in _CSV + _PARQUET:
            others.append(f"{inside} (a broken link)")
    return files, others


def _fixed_and_pattern(parts: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the parts of a glob before the first wildcard, and the others."""
    fixed = next((n for n, part in enumerate(parts) if _WILDCARD.search(part)), len(parts))
    return parts[:fixed], parts[fixed:]


def _is_visible(parts: Sequence[str]) -> bool:
    """Return whether no name begins with . or _, as those of temporary files do."""
    return not any(part.startswith((".", "_")) for part in parts)


def _of_table(paths: Iterable[str], folder: str) -> tuple[list[str], list[str]]:
    """Return those files below a folder that are a table, and the others with the reasons.

    These are all Parquet files or, if there is none, the CSV files in the folder itself and in
    folders whose names have the value of a column.
    """
    named = ((path, PurePosixPath(path).relative_to(folder)) for path in paths)
    visible = {path: inside for path, inside in named if _is_visible(inside.parts)}
    has_parquet = any(format_suffix(inside) in _PARQUET for inside in visible.values())
    found, ignored = [], []
    for path, inside in visible.items():
        if format_suffix(inside) not in (_PARQUET if has_parquet else _CSV):
            ignored.append(f"{inside} (not a {'Parquet' if has_parquet else 'CSV'} file)")
        elif not has_parquet and not all(map(_KEY_AND_VALUE.fullmatch, inside.parts[:-1])):
            ignored.append(f"{inside} (not in a folder name=value)")
        else:
            found.append(path)
    return found, ignored


def _as_table(source: str, files: Iterable[TableFile], ignored: Iterable[str]) -> TableFiles:
    """Return files in order and with the columns in the names of their folders.

    Raises the errors of `_check_formats`.
    """
    in_order = sorted(files, key=lambda file: PurePosixPath(file.path).parts)
    _check_formats(source, in_order)
    keyed = (replace(file, keys=_keys(file.path)) for file in in_order)
    return TableFiles(source, tuple(keyed), tuple(ignored))


def _check_formats(source: str, files: Sequence[TableFile]) -> None:
    """Raise DataError if there are no files, or other files than CSV alone or Parquet alone."""
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
