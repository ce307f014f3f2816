"""Lines of a text file, read one at a time, with their numbers."""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bothways.data.readers.compression import open_bytes
from bothways.data.readers.encoding import advice_for, encoding_of
from bothways.errors import DataError

MAX_LINE_BYTES = 64 << 20
"""A longer line raises an error: the file is not what it seems to be."""


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) and the text of each line that is not blank.

    Files that end in .gz, .bz2 or .zst are decompressed. The encoding is UTF-8 unless a byte-order
    mark states another.

    Raises
    ------
    DataError
        If the file is damaged, a line has another encoding, or is longer than `MAX_LINE_BYTES`.
    """
    try:
        with open_bytes(path) as file:
            start = file.peek(4)
            encoding = encoding_of(start)
            if encoding not in ("utf-8", "utf-8-sig"):
                text = io.BytesIO(file.read().decode(encoding).encode())
                yield from _lines(path, text, start)
            else:
                yield from _lines(path, file, start)
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path} cannot be read: {reason}. Copy the file again.") from None


def _lines(path: Path, file: IO[bytes], start: bytes) -> Iterator[tuple[int, str]]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise DataError(
                f"{path}, line {number} is longer than {MAX_LINE_BYTES:,} bytes; expected a "
                "shorter one. Check that this is the right file."
            )
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}, line {number} is not in UTF-8 (byte {error.start} is "
                f"0x{line[error.start]:02x}); expected UTF-8. {advice_for(start)}"
            ) from None
        if text:
            yield number, text
