"""Read files from untrusted folders: regular files only, of limited size."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from bothways.errors import CheckpointError

JSON_BYTES = 1 << 28
"""Size limit of JSON files; large ones contain the vocabularies of many features."""


def read_file(path: Path, limit_bytes: int) -> bytes:
    """Return the content of a regular file.

    Pipes and devices, and links to them, raise an error without blocking.

    Parameters
    ----------
    path : Path
    limit_bytes : int
        A larger file raises an error and is not read.

    Raises
    ------
    CheckpointError
        If it is not a regular file, too large, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise CheckpointError(
            f"{path} cannot be read: {getattr(error, 'strerror', error)}; expected the file of a "
            "bothways model or run. Check the path."
        ) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise CheckpointError(
            f"{path} is not a regular file; expected a file of a bothways model or run. "
            "Replace it by a copy."
        )
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > limit_bytes:
            raise CheckpointError(
                f"{path} has {status.st_size:,} bytes; expected at most {limit_bytes:,}. "
                "Restore it from a copy."
            )
        try:
            return file.read(status.st_size)  # files of /proc may be endless
        except OSError as error:
            raise CheckpointError(
                f"{path} cannot be read: {error.strerror}; expected a readable file. Check the "
                "disk."
            ) from None


def parse_json(content: bytes, path: Path) -> Any:
    """Return the value of a JSON file.

    Raises
    ------
    CheckpointError
        If it is not JSON, or nested too deeply.
    """
    try:
        value = json.loads(content)
        if b"\\u" in content:  # half of a surrogate pair is no text; nothing could save or print it
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise CheckpointError(
            f"{path} is damaged: it is nested too deeply. Restore it from a copy."
        ) from None
    except ValueError as error:  # also a number with thousands of digits
        reason = str(error).split(";")[0]
        raise CheckpointError(f"{path} is damaged: {reason}. Restore it from a copy.") from None
    return value
