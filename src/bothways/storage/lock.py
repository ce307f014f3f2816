"""Lock a file for one process, until it closes the file or dies."""

import os
import sys
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import IO

_LOCKED_BYTE = 1 << 40
"""Windows denies others access to a locked byte; this one is past the end of all locked files."""

_RETRY_SECONDS = 0.02


def open_locked(path: Path, patience_seconds: float = 2.0) -> IO[bytes]:
    """Open an existing file and lock it.

    The operating system releases the lock when the file is closed, also if the process is killed.
    Others can still read the file: only this function respects the lock. A UserWarning is issued if
    the file system has no locks; the file is then open, and not locked.

    Parameters
    ----------
    path : Path
    patience_seconds : float
        How long to wait for another lock to end. On a busy machine, that of a killed process ends a
        little after the process.

    Raises
    ------
    BlockingIOError
        If the file is locked, or has just been moved or replaced.
    OSError
        If the file cannot be opened for writing, which NFS needs for a lock.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return _open_locked(path)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_RETRY_SECONDS)


def _open_locked(path: Path) -> IO[bytes]:
    with ExitStack() as failed:
        file = failed.enter_context(path.open("r+b"))
        try:
            _lock(file.fileno())
        except (BlockingIOError, PermissionError):  # Windows raises the second
            raise BlockingIOError(f"{path} is locked") from None
        except OSError as error:
            warnings.warn(
                f"{path} cannot be locked ({error.strerror}), because its file system has no "
                "locks; expected that no other process trains in this folder. Make sure of it.",
                stacklevel=4,
            )
        if not _is_at(path, file):
            raise BlockingIOError(f"{path} has just been moved or replaced")
        failed.pop_all()
        return file


def _is_at(path: Path, file: IO[bytes]) -> bool:
    """Return whether `path` is still the path of an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> None:
    """Lock an open file; two descriptors of one process exclude each other, too."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
