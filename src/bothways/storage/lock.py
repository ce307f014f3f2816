"""Lock a file for one process, until it closes the file or dies."""

import os
import sys
import warnings
from pathlib import Path
from typing import IO

_LOCKED_BYTE = 1 << 40
"""Windows denies others access to a locked byte; this one is past the end of all locked files."""


def open_locked(path: Path) -> IO[bytes]:
    """Open an existing file and lock it, without waiting.

    The operating system releases the lock when the file is closed, also if the process is killed.
    Others can still read the file: only this function respects the lock. A UserWarning is issued if
    the file system has no locks; the file is then open, and not locked.

    Parameters
    ----------
    path : Path

    Raises
    ------
    BlockingIOError
        If the file is locked, or has just been moved or replaced.
    OSError
        If the file cannot be opened for writing, which NFS needs for a lock.
    """
    file = path.open("r+b")
    try:
        _lock(file.fileno())
        if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise FileNotFoundError(path)
    except (BlockingIOError, PermissionError, FileNotFoundError):  # Windows raises the second
        file.close()
        raise BlockingIOError(f"{path} is locked") from None
    except OSError as error:
        warnings.warn(
            f"{path} cannot be locked ({error.strerror}), because its file system has no locks; "
            "expected that no other process trains in this folder. Make sure of it.",
            stacklevel=2,
        )
    return file


def _lock(descriptor: int) -> None:
    """Lock an open file; two descriptors of one process exclude each other, too."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
