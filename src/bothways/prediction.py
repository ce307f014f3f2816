"""Predictions for files of any size, written as CSV or JSON lines while they are made."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from bothways.data import check_readable, read_unlabelled
from bothways.errors import ConfigError
from bothways.inference import TrainedModel


class Prediction(NamedTuple):
    """What the model says of one sequence: `probabilities` in the order of its classes."""

    sequence: str  # the row's number, after its file's name if there are several, or the picture
    label: str
    probabilities: list[float]


def predict_files(
    model: TrainedModel, paths: Iterable[Path], on_note: Callable[[str], None]
) -> Iterator[Prediction]:
    """Yield a prediction for each sequence in `paths`; memory does not grow with the files.

    `on_note` is told what was done to pictures. See `bothways.data.read_unlabelled` for the
    formats and the errors.
    """
    paths = list(paths)
    for path in paths:
        if not path.is_dir():
            check_readable(path)  # all of them, before anything is written about the first
    return _predictions(model, paths, on_note)


def _predictions(
    model: TrainedModel, paths: list[Path], on_note: Callable[[str], None]
) -> Iterator[Prediction]:
    for path in paths:
        prefix = f"{path}:" if len(paths) > 1 else ""
        config, reading = model.manifest.model, model.manifest.preprocessing.reading
        missing = config.missing != "refuse"
        for piece in read_unlabelled(path, config.input_size, reading, missing=missing):
            if piece.note:
                on_note(piece.note)
            probabilities = model.predict_proba(piece.sequences)
            best = probabilities.argmax(axis=1)
            for name, label, row in zip(piece.names, best, probabilities.tolist(), strict=True):
                sequence = name if name == str(path) else f"{prefix}{name}"
                yield Prediction(sequence, model.classes[label], row)


def format_of(out: Path | None, wanted: str | None) -> str:
    """Return "csv" or "jsonl": what is wanted, or what the name of `out` says.

    Raises
    ------
    ConfigError
        If that is neither.
    """
    name = wanted or (out.suffix.removeprefix(".") if out is not None else "csv")
    if name not in _WRITERS:
        where = "--format" if wanted or out is None else f"the ending of out file {out}"
        raise ConfigError(f"{where} is {name!r}; expected csv or jsonl. Use one of the two.")
    return name


@contextmanager
def prediction_file(out: Path, force: bool) -> Iterator[IO[str]]:
    """Open a file that takes the place of `out` only when all has been written.

    Raises
    ------
    ConfigError
        If `out` exists and `force` is not set.
    """
    if out.exists() and not force:
        raise ConfigError(
            f"out file {out} exists; expected a new one. Choose another, or replace it with "
            "--force."
        )
    if not out.parent.is_dir():
        raise ConfigError(f"out file {out} has no folder to be in; expected one. Make it first.")
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            yield file
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


def write_predictions(
    predictions: Iterable[Prediction], classes: Iterable[str], file: IO[str], format: str
) -> int:
    """Write predictions as they come, in "csv" or "jsonl"; return how many."""
    return _WRITERS[format](predictions, list(classes), file)


def _write_csv(predictions: Iterable[Prediction], classes: list[str], file: IO[str]) -> int:
    writer = csv.writer(file, lineterminator="\n")
    count = 0
    for sequence, label, probabilities in predictions:
        if not count:  # nothing is written of a file that cannot be read
            writer.writerow(["sequence", "label", *(f"probability_{name}" for name in classes)])
        writer.writerow([sequence, label, *(f"{p:.6g}" for p in probabilities)])
        count += 1
    return count


def _write_jsonl(predictions: Iterable[Prediction], classes: list[str], file: IO[str]) -> int:
    count = 0
    for sequence, label, probabilities in predictions:
        named = dict(zip(classes, probabilities, strict=True))
        line = {"sequence": sequence, "label": label, "probabilities": named}
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
        count += 1
    return count


_WRITERS: dict[str, Callable[[Iterable[Prediction], list[str], IO[str]], int]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
}
