"""Follow standard input: answer the records of many sequences as they come."""

import json
import sys
from typing import Any

from bothways.cli.errors import problem_line
from bothways.cli.predictions.streams import Streams
from bothways.cli.process import keep_objects
from bothways.errors import DataError
from bothways.models.following import MOST_SEQUENCES, Follower, RecordLines
from bothways.models.trained_model import TrainedModel


def follow(model: TrainedModel, *, segments: bool, most_sequences: int | None) -> None:
    """Answer the lines of standard input on standard output, until it ends or a signal comes.

    Lines that cannot be read are named on standard error. In the end, all sequences are ended.

    Raises
    ------
    ConfigError
        If the model needs whole sequences, or `segments` is set and it does not label time steps,
        or standard input is closed.
    KeyboardInterrupt
        If the answers are not read after a signal, see `Streams`.
    """
    most = MOST_SEQUENCES if most_sequences is None else most_sequences
    follower = Follower(model.stream(), segments=segments, most_sequences=most)
    lines = RecordLines(model.manifest)
    keep_objects()
    with Streams().opened() as streams:
        for content in streams.contents():
            _write(streams, follower.answers(lines.records(content)))
        _write(streams, follower.answers(lines.last()))
        _write(streams, follower.close())


def _write(streams: Streams, answers: list[dict[str, Any] | DataError]) -> None:
    """Write answers to standard output, and then errors to standard error."""
    texts = [
        json.dumps(answer, ensure_ascii=False, allow_nan=False)
        for answer in answers
        if not isinstance(answer, DataError)
    ]
    problems = [problem_line(str(answer)) for answer in answers if isinstance(answer, DataError)]
    streams.write(sys.stdout, _encoded(texts))
    streams.write(sys.stderr, _encoded(problems))


def _encoded(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
