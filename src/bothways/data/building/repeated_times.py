"""Repeated time stamps in the records of a source."""

from collections.abc import Iterator
from dataclasses import replace

from bothways.data.record import Record, Source
from bothways.errors import counted


class RepeatedTimes:
    """Count sequences with repeated time stamps while they are read."""

    def __init__(self) -> None:
        self._count = 0
        self._first = ""

    def watch(self, source: Source) -> Source:
        """Return the same source with records that are counted as they are read."""
        return replace(source, records=self._watched(source.records))

    def _watched(self, records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            times = record.times
            if times is not None and (times[1:] == times[:-1]).any():
                self._count += 1
                self._first = self._first or record.place
            yield record

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the sequences read so far."""
        if not self._count:
            return ()
        return (
            f"repeated time stamps in {counted(self._count, 'sequence')}, first in "
            f"{self._first}: check whether two recordings have the same name.",
        )
