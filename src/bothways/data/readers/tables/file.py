"""A file of a table: on this machine or in an object store, perhaps compressed."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from bothways.data.readers.compression import format_suffix
from bothways.data.readers.remote import failure
from bothways.data.readers.tables import arrow
from bothways.errors import DataError

_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


@dataclass(frozen=True)
class TableFile:
    """A CSV or Parquet file.

    Parameters
    ----------
    name : str
        Path or URI, for messages.
    path : str
        Where `filesystem` has it.
    filesystem : pyarrow.fs.FileSystem, optional
        None: this machine.
    version : str, optional
        What an object store says of its content, for comparisons: size and time.
    keys : dict
        The value of each column that is in the names of its folders, None if it is missing.
    """

    name: str
    path: str
    filesystem: Any = None
    version: str | None = None
    keys: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def is_parquet(self) -> bool:
        """Whether the file is Parquet, by its suffix."""
        return format_suffix(PurePosixPath(self.path)) in (".parquet", ".pq")

    def stream(self) -> Any:
        """Open the file as an Arrow stream of its decompressed bytes."""
        codec = _CODECS.get(PurePosixPath(self.path).suffix.lower())
        if self.filesystem is None:
            return arrow.pyarrow().input_stream(self.path, compression=codec)
        return self.filesystem.open_input_stream(self.path, compression=codec)

    def reader(self) -> io.BufferedReader:
        """Open the decompressed bytes of the file."""
        return io.BufferedReader(self.stream())

    def random_access(self) -> Any:
        """Open the file for reads at any position, as Parquet files need them."""
        if self.filesystem is None:
            return self.path
        return self.filesystem.open_input_file(self.path)

    def damage(self, error: Exception, what: str = "cannot be read") -> DataError:
        """Return the error for a file that `error` says cannot be read."""
        if self.filesystem is not None and (found := failure(self.name, error)) is not None:
            return found
        text = " ".join(str(error).split()) or type(error).__name__
        reason = text.partition(". ")[0].rstrip(".")  # what follows repeats the message
        return DataError(f"{self.name} {what}: {reason}. Copy the file again.")
