"""Write files atomically."""

import errno
import hashlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def replacing(path: Path, *, unique: bool = False) -> Iterator[IO[bytes]]:
    """Open a file that replaces `path` when the block ends without an error.

    After a crash at any moment, `path` is the old or the new file. The temporary file beside it has
    a name that begins with a dot, which readers of folders skip.

    Parameters
    ----------
    path : Path
    unique : bool
        Whether several processes may replace the file at once. A temporary file that a crash has
        left behind is then removed by `remove_leftovers`; otherwise, the next write replaces it.

    Raises
    ------
    OSError
        If the file cannot be written (a full disk, for example); the old file is then intact.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    suffix = f"{_own_mark()}.{os.getpid()}.tmp" if unique else ".tmp"
    temporary = path.with_name(f".{path.name}{suffix}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_atomically(path: Path, content: bytes, *, unique: bool = False) -> None:
    """Replace `path` by `content`; see `replacing`."""
    with replacing(path, unique=unique) as file:
        file.write(content)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of `replacing`, with `unique`, whose processes have died.

    Those of other machines, which may share the folder, are kept.
    """
    for temporary in folder.glob(f".*{_own_mark()}.*.tmp"):
        process = temporary.name.split(".")[-2]
        if process.isdecimal() and not _is_alive(int(process)):
            temporary.unlink(missing_ok=True)


def _own_mark() -> str:
    """Return what the names of temporary files of this machine contain."""
    return f".{socket.gethostname().replace('.', '-')}"


def _is_alive(process: int) -> bool:
    """Return whether a process of this machine exists; on Windows, which has no such test, True."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, PermissionError)  # it is of another user
    return True


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, if the system allows opening folders."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_bytes(content: Any) -> bytes:
    """Return `content` as indented JSON, with its keys in order."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
