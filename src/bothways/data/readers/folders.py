"""A folder with a folder for each class that contains a file for each sequence.

gestures/circle/anna-1.npy   float (time, features), or (time,)
gestures/circle/anna-2.csv   a line for each time step; with or without a header
gestures/swipe/ben-1.png     rows of gray pixels, in [0, 1], as time steps
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from bothways.data.options import DataOptions
from bothways.data.readers.arrays.streams import Array, open_npy, to_floats
from bothways.data.readers.compression import format_suffix
from bothways.data.readers.images import read_rows
from bothways.data.readers.step_csv import StepColumns, find_columns, has_header, read_steps_csv
from bothways.data.record import Record, Source, numbered_features
from bothways.errors import DataError


def read_folder(path: Path, options: DataOptions, *, labeled: bool = True) -> Source:
    """Return the sequences in a folder that has a folder for each class.

    The class folders may be in folders named `train`, `test` and `validation`. A column of times
    and columns that only count rows are not features of CSV files unless `options.features` names
    them.

    Raises
    ------
    DataError
        If a file cannot be read, or is not in the folder of a class.
    """
    files = _files_in(path)
    if not files:
        raise DataError(
            f"{path} holds no {', '.join([*_READERS, '.csv'])} file; expected a folder for each "
            "class with a file for each sequence. Check the path."
        )
    tables = [file for file in files if _is_csv(file)]
    columns = find_columns(tables, options) if tables else None
    first, _ = _steps(files[0], columns, options)
    has_columns = columns is not None and columns.has_names and _is_csv(files[0])
    features = numbered_features(first.shape[1])
    return Source(
        columns.features if columns is not None and has_columns else features,
        _records(path, files, columns, options, labeled),
        notes=[] if columns is None else list(columns.notes),
        has_columns=has_columns,
    )


def has_headers(path: Path) -> bool:
    """Return whether the first file of a folder is a CSV file with a header."""
    files = _files_in(path)[:1]
    return bool(files) and _is_csv(files[0]) and has_header(files[0])


def _files_in(path: Path) -> list[Path]:
    return sorted(
        file
        for file in path.rglob("*")
        if (_is_csv(file) or file.suffix.lower() in _READERS)
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )


def _is_csv(file: Path) -> bool:
    return format_suffix(file) == ".csv"


def _records(
    path: Path,
    files: list[Path],
    columns: StepColumns | None,
    options: DataOptions,
    labeled: bool,
) -> Iterator[Record]:
    for file in files:
        inside = file.relative_to(path).parts
        part = inside[0] if inside[0] in ("train", "validation", "test") else None
        folders = inside[1:-1] if part else inside[:-1]
        if labeled and not folders:
            raise DataError(
                f"{file} is in no class's folder; expected {path}/CLASS/{file.name}. Move it, or "
                f"read files of one table with a glob, '{path}/*{file.suffix}'."
            )
        values, times = _steps(file, columns, options)
        yield Record(
            name=str(file.relative_to(path)),
            place=f"file {file.relative_to(path)}",
            values=values,
            label=folders[0] if folders else None,
            part=part,  # type: ignore[arg-type]
            times=times,
            named=False,  # another folder may have files of the same names
        )


def _steps(
    file: Path, columns: StepColumns | None, options: DataOptions
) -> tuple[Array, Array | None]:
    """Return the values (time, features) of a file, and its times (time,) if it has any."""
    if columns is not None and _is_csv(file):
        return read_steps_csv(file, columns, options)
    return _values(file), None


def _values(file: Path) -> Array:
    values = _READERS[file.suffix.lower()](file)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(
            f"{file} has shape {values.shape}; expected (time, features), or (time,). Reshape it."
        )
    return values


def _npy(file: Path) -> Array:
    with open_npy(file) as stream:
        return to_floats(stream.whole(), str(file))


_READERS: dict[str, Callable[[Path], Array]] = {
    ".npy": _npy,
    ".png": read_rows,
    ".jpg": read_rows,
    ".jpeg": read_rows,
}
