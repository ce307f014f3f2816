"""What is kept of a sequence whose steps still come, apart from the states of the model."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from bothways.data.record import Array
from bothways.errors import DataError
from bothways.models.answers import LabeledSegment, Prediction, Span
from bothways.models.following.records import Record


@dataclass
class OpenSequence:
    """An open sequence.

    Parameters
    ----------
    name : str
    answered : int
        Number of answered steps.
    times : deque
        The times of the steps that are not answered.
    last : float or datetime, optional
        The time of the last step.
    segment : _OpenSegment, optional
        Of the last answered steps.
    """

    name: str
    answered: int = 0
    times: deque[Any] = field(default_factory=deque)
    last: Any = None
    segment: "_OpenSegment | None" = None

    def note(self, record: Record) -> None:
        """Note the time of the step in a record, if there is one.

        Raises
        ------
        DataError
            If the step is refused: it is wrong, or earlier than the one before.
        """
        if record.refused is not None:
            raise record.refused
        if record.values is None:
            return
        if record.order is not None:
            self._check_time(record)
            self.last = record.order
        self.times.append(record.time)

    def _check_time(self, record: Record) -> None:
        try:
            is_earlier = self.last is not None and record.order < self.last
        except TypeError:  # a number and a time stamp, or time stamps with and without a zone
            is_earlier = True
        if is_earlier:
            raise DataError(
                f"{record.where}: time {record.time} of the sequence {self.name!r} does not follow "
                f"{self.last}; expected the steps in order. Drop it."
            )

    def prediction(self, row: Array, classes: tuple[str, ...]) -> dict[str, Any]:
        """Return the answer for the next step."""
        step, time = self._next()
        found = Prediction.of(self.name, classes, row).line()
        when = {} if time is None else {"time": time}
        return {"sequence": found.pop("sequence"), "step": step, **when, **found}

    def segment_before(self, row: Array, classes: tuple[str, ...]) -> list[dict[str, Any]]:
        """Add the next step to the open segment, or return that one and begin the next."""
        step, time = self._next()
        label = int(row.argmax())
        ended = []
        if self.segment is None or self.segment.label != classes[label]:
            ended = self.ended_segment(step)
            self.segment = _OpenSegment(classes[label], step, time)
        self.segment.last_time = time
        self.segment.total += float(row[label])
        return ended

    def ended_segment(self, end: int) -> list[dict[str, Any]]:
        """Return the open segment, if there is one, which ends before step `end`."""
        segment, self.segment = self.segment, None
        if segment is None:
            return []
        return [{"sequence": self.name, **segment.facts(end)}]

    def _next(self) -> tuple[int, Any]:
        """Return the number and the time of the next step."""
        self.answered += 1
        return self.answered - 1, self.times.popleft()


@dataclass
class _OpenSegment:
    """A segment whose end is not known.

    Parameters
    ----------
    label : str
    start : int
        Number of the first step.
    first_time, last_time : str or float, optional
    total : float
        Sum of the probabilities of the label.
    """

    label: str
    start: int
    first_time: Any
    last_time: Any = None
    total: float = 0.0

    def facts(self, end: int) -> dict[str, Any]:
        """Return what `bothways predict` says of a segment that ends before step `end`."""
        times = None if self.first_time is None else (self.first_time, self.last_time)
        probability = self.total / (end - self.start)
        segment = LabeledSegment(Span(self.start, end, times), self.label, probability)
        return segment.facts()
