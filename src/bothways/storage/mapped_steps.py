"""Store the steps of sequences in memory or, beyond a limit, in a memory-mapped temporary file."""

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

Array = np.ndarray[Any, np.dtype[Any]]


class StepWriter:
    """Collect the steps of sequences in memory until `spill` moves them to a temporary file.

    The file has no name and is deleted when neither the writer nor its tensor exists any more.

    Attributes
    ----------
    lengths : list of int
        Number of steps of each sequence.
    held_bytes : int
        Size of the steps that are in memory.
    """

    def __init__(self) -> None:
        self._held: list[Array] = []
        self._file: IO[bytes] | None = None
        self._input_size = 0
        self.lengths: list[int] = []
        self.held_bytes = 0

    def append(self, values: Array) -> None:
        """Add the steps of one sequence, float32 (time, input_size)."""
        self._held.append(values)
        self._input_size = values.shape[1]
        self.lengths.append(len(values))
        self.held_bytes += values.nbytes

    def spill(self) -> None:
        """Move the steps in memory to the end of the temporary file.

        Raises
        ------
        DataError
            If the file cannot be written.
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
                f"steps that exceed the memory limit cannot be written to {folder}: "
                f"{error.strerror}; expected a folder with room for all of them. Set TMPDIR to "
                "one, or allow more memory with --memory."
            ) from None
        self._held, self.held_bytes = [], 0

    def finish(self) -> tuple[Tensor, bool]:
        """Return all steps.

        Returns
        -------
        steps : float32 Tensor (total_steps, input_size)
        in_file : bool
            Whether the tensor is mapped from the file. The kernel reads its pages on access and
            drops them when memory is short, so they need no memory that other processes could use.
        """
        if self._file is None:
            return torch.from_numpy(np.concatenate(self._held)), False
        self.spill()
        mapped = mmap.mmap(self._file.fileno(), 0)
        return torch.frombuffer(mapped, dtype=torch.float32).view(-1, self._input_size), True


def roomy_folder() -> str:
    """Return the folder for temporary files: TMPDIR, or else one that is on a disk.

    /tmp is often in memory, so /var/tmp is preferred. A TMPDIR that cannot be written to is not
    replaced by another folder.
    """
    roomy = Path("/var/tmp")
    return os.environ.get("TMPDIR") or (str(roomy) if roomy.is_dir() else tempfile.gettempdir())
