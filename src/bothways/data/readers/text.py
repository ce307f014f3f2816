"""Lines of a text file, read one at a time, with their numbers."""

from collections.abc import Iterator
from pathlib import Path

from bothways.errors import DataError

MAX_LINE_BYTES = 64 << 20
"""Longer lines are refused: the file is not what it seems."""


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) and the text of each line that is not blank.

    Raises
    ------
    DataError
        If a line is not UTF-8, or longer than `MAX_LINE_BYTES`.
    """
    with path.open("rb") as file:
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
                    f"0x{line[error.start]:02x}); expected it. Convert it, with iconv say."
                ) from None
            if text:
                yield number, text
