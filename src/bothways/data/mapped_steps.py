"""Where steps are kept while they are read: in memory, or beyond a limit in a file that is mapped.

A mapped tensor is used as any other. What was looked at counts as memory of the process until it
is released, so whoever reads much says how much: see `StepFile.touch`.
"""

import mmap
import os
import tempfile
import weakref
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from bothways.errors import DataError

RELEASE_BYTES = 1 << 25
"""So much of a file stays in memory after it was looked at."""

Array = np.ndarray[Any, np.dtype[Any]]


class StepFile:
    """Steps in an unnamed temporary file, mapped into memory; it goes with the process.

    Parameters
    ----------
    file : binary file
        float32, row by row.
    input_size : int
        Features of a step.

    Attributes
    ----------
    steps : float32 Tensor (total_steps, input_size)
    """

    def __init__(self, file: IO[bytes], input_size: int) -> None:
        self._map = mmap.mmap(file.fileno(), 0)
        self.steps = torch.frombuffer(self._map, dtype=torch.float32).view(-1, input_size)
        self._touched = 0

    def touch(self, size_bytes: int) -> None:
        """Take note that so much has been looked at, and let go of it if it is much."""
        self._touched += size_bytes
        if self._touched > RELEASE_BYTES:
            self._touched = 0
            if hasattr(mmap, "MADV_DONTNEED"):  # the file keeps them
                self._map.madvise(mmap.MADV_DONTNEED)


class StepWriter:
    """Takes sequences one by one, and keeps them in memory until it is told to `spill`."""

    def __init__(self) -> None:
        self._held: list[Array] = []
        self._file: IO[bytes] | None = None
        self._input_size = 0
        self.lengths: list[int] = []
        self.held_bytes = 0

    def append(self, values: Array) -> None:
        """Take the steps of a sequence, float32 (time, input_size)."""
        self._held.append(values)
        self._input_size = values.shape[1]
        self.lengths.append(len(values))
        self.held_bytes += values.nbytes

    def spill(self) -> None:
        """Move what is held in memory to the end of a temporary file.

        Raises
        ------
        DataError
            If there is no room for it.
        """
        if not self._held:
            return
        folder = roomy_folder()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0, dir=folder)  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            for values in self._held:
                left = np.ascontiguousarray(values, np.float32).data.cast("B")
                while left:
                    left = left[self._file.write(left) :]
        except OSError as error:
            raise DataError(
                f"steps that exceed the memory cannot be kept in {folder}: {error.strerror}; "
                "expected a folder with room for them all. Name it with TMPDIR, or allow more with "
                "--memory."
            ) from None
        self._held, self.held_bytes = [], 0

    def finish(self) -> tuple[Tensor, StepFile | None]:
        """Return all steps end to end, and the file they are in unless they are in memory."""
        if self._file is None:
            return torch.from_numpy(np.concatenate(self._held)), None
        self.spill()
        file = StepFile(self._file, self._input_size)
        return file.steps, file


def roomy_folder() -> str:
    """Return TMPDIR or, where that is not set, a folder that is not memory itself, as /tmp may be.

    TMPDIR is not replaced by another folder where it cannot be written to.
    """
    roomy = Path("/var/tmp")
    return os.environ.get("TMPDIR") or (str(roomy) if roomy.is_dir() else tempfile.gettempdir())
