"""Data sets by name or path: one reader a format."""

from pathlib import Path

from bothways.data.dataset import Dataset, check_finite, hold_out
from bothways.data.labelled import read_npz
from bothways.data.mnist import mnist
from bothways.data.unlabelled import Piece, check_readable, read_unlabelled
from bothways.errors import DataError

__all__ = [
    "Dataset",
    "Piece",
    "check_finite",
    "check_readable",
    "hold_out",
    "open_dataset",
    "read_unlabelled",
]

_BUILT_IN = {"mnist": mnist}


def find_source(source: str) -> str:
    """Return what names the data set from any folder: "mnist", or the file's absolute path.

    Raises
    ------
    DataError
        If `source` is neither a built-in data set nor a file.
    """
    if source in _BUILT_IN:
        return source
    if Path(source).is_file():
        return str(Path(source).resolve())
    what = "a folder" if Path(source).is_dir() else "not found"
    raise DataError(
        f"data {source!r} is {what}; expected {', '.join(_BUILT_IN)} or a .npz file with arrays "
        "'inputs' and 'labels'. Check the path."
    )


def open_dataset(source: str) -> Dataset:
    """Return the labelled data set that `source` names: "mnist", or the path of a `.npz` file.

    Raises
    ------
    DataError
        If there is no such data set, or it cannot be used.
    """
    if find_source(source) in _BUILT_IN:
        return _BUILT_IN[source]()
    return read_npz(Path(source))
