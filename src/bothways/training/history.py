"""The history of a run, `history.jsonl`; it can be read while it is written."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bothways.errors import CheckpointError
from bothways.storage.reading import read_file
from bothways.training.loop.events import EpochDone

HISTORY_BYTES = 1 << 32


class History:
    """An append-only file of JSON lines that can be truncated to an earlier size.

    Parameters
    ----------
    path : Path
    size : int
        Bytes to keep; later lines were written after the state from which training continues.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path} is not a regular file; expected one. Remove it.")
        self._file = path.open("ab")
        self._file.truncate(min(size, os.fstat(self._file.fileno()).st_size))

    def write(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Append one line, visible to readers at once."""
        self._file.write(json.dumps({"kind": kind, **facts}).encode() + b"\n")
        self._file.flush()

    def synced_size(self) -> int:
        """Write everything to the disk and return the size in bytes."""
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def check_size(path: Path, size: int) -> None:
    """Raise CheckpointError if the history is shorter than when the checkpoint was saved."""
    actual = path.stat().st_size if path.exists() else 0
    if actual < size:
        raise CheckpointError(
            f"{path} has {actual} bytes; expected at least {size}, according to the checkpoint. "
            "Restore it from a copy."
        )


def read_history(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a history, without a last line that is incomplete.

    Raises
    ------
    CheckpointError
        If a line is damaged.
    """
    lines = read_file(path, HISTORY_BYTES).split(b"\n")[:-1] if path.exists() else []
    try:
        return [dict(json.loads(line)) for line in lines]
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Restore it from a copy.") from None


def read_epochs(path: Path) -> list[EpochDone]:
    """Return the epochs of a history.

    Raises
    ------
    CheckpointError
        If a line is damaged.
    """
    lines = read_history(path)
    try:
        return epochs_of(lines)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Restore it from a copy.") from None


def read_length(path: Path) -> tuple[int, int, int | None]:
    """Return the optimizer steps, the epochs and, if it is known, the batch size of a history.

    Raises
    ------
    CheckpointError
        If a line is damaged.
    """
    epochs = read_epochs(path)
    starts = [line for line in read_history(path) if line.get("kind") == "start"]
    batch_size = starts[-1].get("batch_size") if starts else None
    return sum(epoch.step for epoch in epochs), len(epochs), batch_size


def epochs_of(lines: Iterable[Mapping[str, Any]]) -> list[EpochDone]:
    """Return the epochs among the lines of a history.

    Raises
    ------
    KeyError, TypeError
        If a line has no kind, or an epoch has other values.
    """
    records = (dict(line) for line in lines)
    return [EpochDone(**record) for record in records if record.pop("kind") == "epoch"]
