"""Compressed files: which format they contain, and their bytes."""

import bz2
import gzip
import io
from pathlib import Path, PurePath

from bothways.optional import require

SUFFIXES = (".gz", ".bz2", ".zst")


def format_suffix(path: PurePath) -> str:
    """Return the suffix that tells the format, in lower case: ".csv" for x.csv and x.CSV.gz."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if len(suffixes) > 1 and suffixes[-1] in SUFFIXES:
        return suffixes[-2]
    return suffixes[-1] if suffixes else ""


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def open_bytes(path: Path) -> io.BufferedReader:
    """Open a file for reading, decompressed if its suffix says that it is compressed.

    Raises
    ------
    MissingDependencyError
        If a `.zst` file needs pyarrow and it is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return io.BufferedReader(gzip.open(path, "rb"))
    if suffix == ".bz2":
        return io.BufferedReader(bz2.open(path, "rb"))
    if suffix == ".zst":
        arrow = require("pyarrow", extra="tables", purpose=".zst files")
        return io.BufferedReader(arrow.input_stream(str(path), compression="zstd"))
    return path.open("rb")
