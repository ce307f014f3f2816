"""Data sets by name or path: one reader a format."""

from pathlib import Path

from bothways.data.dataset import Dataset, stratified_split
from bothways.data.labelled import read_npz
from bothways.data.mnist import mnist
from bothways.data.unlabelled import Piece, read_unlabelled
from bothways.errors import DataError

__all__ = ["Dataset", "Piece", "open_dataset", "read_unlabelled", "stratified_split"]

_BUILT_IN = {"mnist": mnist}


def check_source(source: str) -> None:
    """Raise DataError if `source` is neither a built-in data set nor a file that can be read."""
    if source in _BUILT_IN or Path(source).is_file():
        return
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
    check_source(source)
    if source in _BUILT_IN:
        return _BUILT_IN[source]()
    return read_npz(Path(source))
