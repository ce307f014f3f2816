"""Files of predictions, in CSV or JSON lines, written while the predictions are made."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bothways.errors import ConfigError, suggest
from bothways.models.answers import Answer
from bothways.storage.atomic import replacing


def format_of(out: Path | None, wanted: str | None) -> str:
    """Return the format, "csv" or "jsonl": the requested one, or the extension of `out`.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    name = wanted or (out.suffix.removeprefix(".") if out is not None else "csv")
    if name not in _WRITERS:
        where = "--format" if wanted or out is None else f"the extension of out file {out}"
        rule = suggest(name, _WRITERS, f"expected {' or '.join(_WRITERS)}")
        raise ConfigError(f"{where} is {name!r}; {rule}. Choose one.")
    return name


@contextmanager
def prediction_file(out: Path, force: bool) -> Iterator[IO[str]]:
    """Open a text file that replaces `out` when it is complete.

    Raises
    ------
    ConfigError
        If `out` exists and `force` is not set.
    """
    if out.exists() and not force:
        raise ConfigError(
            f"out file {out} exists; expected a new one. Choose another name, or replace it with "
            "--force."
        )
    if not out.parent.is_dir():
        raise ConfigError(
            f"out file {out} is in a folder that does not exist; expected an existing one. Create "
            "the folder."
        )
    with replacing(out) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        yield text
        text.detach()


def write_answers(answers: Iterable[Answer], file: IO[str], format: str) -> int:
    """Write answers one by one, in the format "csv" or "jsonl", and return their number."""
    return _WRITERS[format](answers, file)


def _write_csv(answers: Iterable[Answer], file: IO[str]) -> int:
    writer = None
    count = 0
    for answer in answers:
        rows = answer.rows()
        if writer is None:  # no header if the first file cannot be read
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
        writer.writerows(rows)
        count += 1
    return count


def _write_jsonl(answers: Iterable[Answer], file: IO[str]) -> int:
    count = 0
    for answer in answers:
        file.write(json.dumps(answer.line(), ensure_ascii=False, allow_nan=False) + "\n")
        count += 1
    return count


_WRITERS: dict[str, Callable[[Iterable[Answer], IO[str]], int]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
}
