"""A folder with a folder for each class, and in it a file for each sequence.

gestures/circle/anna-1.npy   float (time, features), or (time,)
gestures/circle/anna-2.csv   numbers, a line a step; a header line is skipped
gestures/swipe/ben-1.png     rows of grey pixels, in [0, 1], as steps
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bothways.data.options import DataOptions
from bothways.data.readers.arrays import Array, open_npy, to_inputs
from bothways.data.readers.images import read_rows
from bothways.data.readers.text import lines_of
from bothways.data.record import Record, Source
from bothways.errors import DataError


def read_folder(path: Path, options: DataOptions, *, labelled: bool = True) -> Source:
    """Read a folder of files a class; see `read_table` for what may be raised.

    With folders `train` and `test` (and `validation`) in it, each of them holds the classes.
    """
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in _READERS
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not files:
        raise DataError(
            f"{path} holds no {', '.join(_READERS)} file; expected a folder for each class with a "
            "file for each sequence. Check the path."
        )
    first = _values(files[0])
    features = tuple(f"feature {n}" for n in range(first.shape[1]))
    return Source(features, _records(path, files, labelled))


def _records(path: Path, files: list[Path], labelled: bool) -> Iterator[Record]:
    for file in files:
        inside = file.relative_to(path).parts
        part = inside[0] if inside[0] in ("train", "validation", "test") else None
        folders = inside[1:-1] if part else inside[:-1]
        if labelled and not folders:
            raise DataError(
                f"{file} is in no class's folder; expected {path}/CLASS/{file.name}. Move it."
            )
        yield Record(
            name=str(file.relative_to(path)),
            place=f"file {file.relative_to(path)}",
            values=_values(file),
            label=folders[0] if folders else None,
            part=part,  # type: ignore[arg-type]
        )


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
        return to_inputs(stream.whole(), str(file))


def _csv(file: Path) -> Array:
    rows: list[list[float]] = []
    for number, line in lines_of(file):
        cells = line.replace(";", ",").replace("\t", ",").split(",")
        try:
            row = [float(cell) if cell.strip() not in ("", "NA", "?") else np.nan for cell in cells]
        except ValueError:
            if not rows and number == 1:
                continue  # a header
            raise DataError(
                f"{file}, line {number} is {line[:40]!r}; expected numbers with commas between. "
                "Mend it."
            ) from None
        if rows and len(row) != len(rows[0]):
            raise DataError(
                f"{file}, line {number} has {len(row)} columns; expected {len(rows[0])}, as "
                "before. Mend it."
            )
        rows.append(row)
    if not rows:
        raise DataError(f"{file} is empty; expected a line a step. Check it.")
    return np.array(rows, np.float32)


_READERS: dict[str, Callable[[Path], Array]] = {
    ".npy": _npy,
    ".csv": _csv,
    ".png": read_rows,
    ".jpg": read_rows,
    ".jpeg": read_rows,
}
