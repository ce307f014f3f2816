"""Answers to records of several sequences, as they come."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from bothways.data.record import Array
from bothways.errors import ConfigError, DataError
from bothways.models.following.open_sequence import OpenSequence
from bothways.models.following.records import Record
from bothways.models.manifest import Manifest
from bothways.models.streaming import Stream

MOST_SEQUENCES = 10_000
"""Default of the number of sequences that may be open at the same time."""

_MOST_REFUSED = 1000  # bounds the memory of their names


class Follower:
    """Answers records of many sequences, all that are waiting in one batch.

    Parameters
    ----------
    stream : Stream
    segments : bool
        Answer with segments of equal labels, when they end, instead of with each step.
    most_sequences : int
        How many sequences may be open at the same time; records of others are refused.

    Raises
    ------
    ConfigError
        If `segments` is set but the model does not label time steps.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        segments: bool = False,
        most_sequences: int = MOST_SEQUENCES,
    ) -> None:
        if segments and stream.manifest.model.target != "step":
            raise ConfigError(
                "segments is set, but the model labels sequences; expected a model that labels "
                "time steps. Do not set it."
            )
        self._stream = stream
        self._segments = segments
        self._most = most_sequences
        self._open: dict[str, OpenSequence] = {}
        self._refused: set[str] = set()  # names of sequences that were not opened
        self._is_full = False

    def __len__(self) -> int:
        """Return the number of open sequences."""
        return len(self._open)

    @property
    def manifest(self) -> Manifest:
        """The content of the model's `config.json`."""
        return self._stream.manifest

    @property
    def state_bytes(self) -> int:
        """Memory of the states of the open sequences."""
        return self._stream.state_bytes

    def answers(self, lines: Iterable[Record | DataError]) -> list[dict[str, Any] | DataError]:
        """Return the answers that follow from some lines, and what is wrong with lines, in order.

        Parameters
        ----------
        lines : iterable of Record or DataError
            Errors are returned in their place. They are also returned for records that are refused:
            the time is before that of an earlier step, the end is that of no open sequence, or too
            many sequences are open. The latter is returned once, and again after a sequence has
            ended. A refused step that ends its sequence still does so.
        """
        found: list[dict[str, Any] | DataError] = []
        batch: list[Record | DataError] = []
        ending: set[str] = set()
        for line in lines:
            if isinstance(line, DataError):
                batch.append(line)
                continue
            if line.sequence in ending:  # it ends, and another one has its name
                found += self._answer(batch)
                batch, ending = [], set()
            batch += self._admitted(line, len(self._open) - len(ending))
            if line.ends and line.sequence in self._open:
                ending.add(line.sequence)
                self._is_full = False
        return found + self._answer(batch)

    def close(self) -> list[dict[str, Any] | DataError]:
        """End all open sequences, and return the answers that are pending."""
        return self._answer([Record("", name, None, ends=True) for name in self._open])

    def _admitted(self, record: Record, open_count: int) -> list[Record | DataError]:
        """Return what is answered of a record, after what is wrong with it, and note its time.

        Parameters
        ----------
        record : Record
        open_count : int
            Number of open sequences, without those that end in the same batch.
        """
        name = record.sequence
        if name not in self._open:
            if record.refused is not None:
                return [record.refused]
            if record.values is None:
                return self._ended_unopened(record)
            if open_count >= self._most:
                return self._without_room(record)
            self._refused.discard(name)
            self._open[name] = OpenSequence(name)
        try:
            self._open[name].note(record)
        except DataError as error:
            return [error, replace(record, values=None)] if record.ends else [error]
        return [record]

    def _ended_unopened(self, record: Record) -> list[Record | DataError]:
        """Return the error for the end of a sequence that is not open, unless it was refused."""
        if record.sequence in self._refused:
            self._refused.remove(record.sequence)
            return []
        return [
            DataError(
                f"{record.where} ends the sequence {record.sequence!r}, which is not open; "
                "expected the name of an open one. Check it."
            )
        ]

    def _without_room(self, record: Record) -> list[Record | DataError]:
        """Return the error for one sequence too many, if it is the first one."""
        if record.ends:
            self._refused.discard(record.sequence)
        elif len(self._refused) < _MOST_REFUSED:
            self._refused.add(record.sequence)
        was_full, self._is_full = self._is_full, True
        if was_full:
            return []
        return [
            DataError(
                f"{record.where} opens the sequence {record.sequence!r}, but {self._most:,} are "
                "open; expected no more. End others, or allow more with --max-sequences; until "
                "then, new ones are refused."
            )
        ]

    def _answer(self, batch: list[Record | DataError]) -> list[dict[str, Any] | DataError]:
        """Return the answers to admitted records, and the errors; an end is its sequence's last."""
        records = [line for line in batch if isinstance(line, Record)]
        chunks: dict[str | int, list[list[float]]] = {}
        for record in records:
            if record.values is not None:
                chunks.setdefault(record.sequence, []).append(record.values)
        pushed = {key: np.array(values, np.float64) for key, values in chunks.items()}
        probabilities = self._stream.push(pushed)
        pending = self._stream.close_all([record.sequence for record in records if record.ends])
        # A step may be answered by a later record; the last records have an answer each.
        silent = {key: len(chunks[key]) - len(rows) for key, rows in probabilities.items()}
        rows = {key: iter(found) for key, found in probabilities.items()}
        answers: list[dict[str, Any] | DataError] = []
        for line in batch:
            if isinstance(line, DataError):
                answers.append(line)
                continue
            sequence = self._open[line.sequence]
            if line.values is not None:
                silent[line.sequence] -= 1
                if silent[line.sequence] < 0:
                    answers += self._lines(sequence, next(rows[line.sequence]))
            if line.ends:
                for row in pending[line.sequence]:
                    answers += self._lines(sequence, row)
                answers += sequence.ended_segment(sequence.answered)
                del self._open[line.sequence]
        return answers

    def _lines(self, sequence: OpenSequence, row: Array) -> list[dict[str, Any]]:
        """Return the answers for the next step of a sequence, with probabilities (num_classes,)."""
        if self._segments:
            return sequence.segment_before(row, self._stream.classes)
        return [sequence.prediction(row, self._stream.classes)]
