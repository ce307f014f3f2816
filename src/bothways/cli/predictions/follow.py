"""Follow standard input: answer the records of many sequences as they come."""

import json
import sys
from io import BufferedReader
from typing import Any, cast

from bothways.cli.errors import print_problem
from bothways.cli.process import keep_objects
from bothways.cli.signals import until_signal
from bothways.models.following import MOST_SEQUENCES, Follower, RecordLines
from bothways.models.trained import TrainedModel

_READ_BYTES = 1 << 16
"""What is answered in one batch at most: as much as a pipe holds."""


def follow(model: TrainedModel, *, segments: bool, most_sequences: int | None) -> None:
    """Answer the lines of standard input on standard output, until it ends or a signal comes.

    Lines that cannot be read are named on standard error. In the end, all sequences are ended.

    Raises
    ------
    ConfigError
        If the model needs whole sequences, or `segments` is set and it does not label time steps.
    DataError
        If the header of a table is not that of the training data.
    """
    most = MOST_SEQUENCES if most_sequences is None else most_sequences
    follower = Follower(model.stream(), segments=segments, most_sequences=most)
    lines = RecordLines(model.manifest, print_problem)
    keep_objects()
    source = cast(BufferedReader, sys.stdin.buffer)
    for content in until_signal(lambda: source.read1(_READ_BYTES)):
        _write(follower.answers(lines.records(content), print_problem))
    _write(follower.answers(lines.last(), print_problem))
    _write(follower.close())


def _write(answers: list[dict[str, Any]]) -> None:
    if answers:
        texts = (json.dumps(answer, ensure_ascii=False, allow_nan=False) for answer in answers)
        sys.stdout.write("".join(f"{text}\n" for text in texts))
        sys.stdout.flush()
