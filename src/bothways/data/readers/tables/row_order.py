"""Bring the rows of a table in order: each sequence in one piece, and in order of time."""

import mmap
import tempfile
import weakref
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from bothways.data.options import DataOptions
from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.cells import texts_of, times_of
from bothways.data.readers.tables.roles import Roles
from bothways.data.readers.tables.table import Table
from bothways.data.record import Array
from bothways.errors import DataError
from bothways.storage.mapped_steps import roomy_folder


class Block(NamedTuple):
    """Some rows of a table: a record batch, and the number of each row in the file."""

    batch: Any
    rows: Array


def ordered_blocks(
    table: Table, roles: Roles, options: DataOptions
) -> tuple[Iterator[Block], list[str]]:
    """Return the blocks of a table with its rows in order, and a note if they had to be sorted.

    The sequence and time columns are read once beforehand. Rows that are in order are streamed.
    Other rows are sorted by sequence, in the order in which sequences first occur, and by time.
    They are sorted in memory if they take no more than `options.memory_mb`, and with `options.sort`
    in a temporary file. Sorting is stable.

    Raises
    ------
    DataError
        If the rows are out of order and nothing orders them, or they are too large to sort.
    """
    disorder = _disorder(table, roles)
    if disorder is None:
        return _in_file_order(table, roles), []
    if roles.time is None and not options.sort:
        raise DataError(
            f"{disorder}; expected its rows together. Sort the table by sequence and time, name "
            "the column of time with --time, or group the rows in file order with --sort."
        )
    keys = "sequence" if roles.time is None else "sequence and time"
    return _sorted(table, roles, options, disorder), [f"sorted the rows by {keys}: {disorder}"]


def _in_file_order(table: Table, roles: Roles) -> Iterator[Block]:
    return _numbered(table.blocks(roles.columns, roles.texts, roles.numeric_features))


def _numbered(batches: Iterator[Any]) -> Iterator[Block]:
    row = 0
    for batch in batches:
        if batch.num_rows:
            yield Block(batch, np.arange(row, row + batch.num_rows))
        row += batch.num_rows


def _disorder(table: Table, roles: Roles) -> str | None:
    """Return where and how the rows are out of order, or None if they are in order."""
    assert roles.sequence is not None  # choose_roles has found it
    columns = [roles.sequence] + ([] if roles.time is None else [roles.time])
    seen: set[str] = set()
    last: tuple[str, Any] | None = None
    for batch, rows in _numbered(table.blocks(columns, [roles.sequence])):
        names = texts_of(batch[roles.sequence], table, roles.sequence, rows)
        starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
        for start in starts.tolist():
            name = names[start]
            if start == 0 and last is not None and last[0] == name:
                continue
            if name in seen:
                place = f"{table.place(int(rows[start]))}"
                return f"{place}: sequence {name!r} continues after others"
            seen.add(name)
        time = None
        if roles.time is not None:
            times = times_of(batch[roles.time], table, roles.time, rows)
            late = np.r_[False, times[1:] < times[:-1]]
            late[starts] = False
            late[0] = last is not None and last[0] == names[0] and times[0] < last[1]
            if late.any():
                row = int(late.argmax())
                place = f"{table.place(int(rows[row]))}"
                return f"{place}: time {roles.time!r} goes back in sequence {names[row]!r}"
            time = times[-1]
        last = (names[-1], time)
    if last is None:
        raise DataError(f"{table.path} has no rows; expected one for each time step. Check it.")
    return None


def _sorted(table: Table, roles: Roles, options: DataOptions, disorder: str) -> Iterator[Block]:
    """Yield all rows sorted by sequence and time, in blocks of about `BLOCK_BYTES`."""
    store = _BatchStore(options, disorder)
    number: dict[str, int] = {}
    codes, times = [], []
    for batch, rows in _in_file_order(table, roles):
        names = texts_of(batch[roles.sequence], table, str(roles.sequence), rows)
        codes.append(np.array([number.setdefault(name, len(number)) for name in names], np.int32))
        if roles.time is not None:
            times.append(times_of(batch[roles.time], table, roles.time, rows))
        store.append(batch)
    code = np.concatenate(codes)
    order = np.argsort(code, kind="stable")
    if times:
        time = np.concatenate(times)
        by_time = np.lexsort((time, code))
        if not np.array_equal(order, by_time) and not options.sort:
            _check_distinct(table, roles, code[by_time], time[by_time], by_time)
        order = by_time
    size = max(1, arrow.BLOCK_BYTES // (8 * len(roles.columns)))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield Block(store.take(rows), rows)


def _check_distinct(table: Table, roles: Roles, code: Array, time: Array, order: Array) -> None:
    """Refuse rows that time does not order: two of one sequence and time, not in file order."""
    same = (code[1:] == code[:-1]) & (time[1:] == time[:-1])
    if same.any():
        first = int(same.argmax())
        place, other = table.place(int(order[first])), table.place(int(order[first + 1]))
        raise DataError(
            f"{place} and {other} have the same sequence and the same time, and the "
            f"rows are out of order; expected {roles.time!r} to order the rows of a sequence. Name "
            "a sequence column that tells recordings apart, or sort anyway with --sort."
        )


class _BatchStore:
    """Record batches in memory or, beyond the memory limit with `options.sort`, in a file."""

    def __init__(self, options: DataOptions, disorder: str) -> None:
        self._options, self._disorder = options, disorder
        self._held: list[Any] = []
        self._held_bytes = 0
        self._starts = [0]
        self._file: IO[bytes] | None = None
        self._writer: Any = None
        self._map: mmap.mmap | None = None

    def append(self, batch: Any) -> None:
        """Add a batch."""
        self._starts.append(self._starts[-1] + batch.num_rows)
        if self._writer is not None:
            self._writer.write_batch(batch)
            return
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes > self._options.memory_mb << 20:
            if not self._options.sort:
                raise DataError(
                    f"{self._disorder}, and sorting the rows takes more than --memory "
                    f"{self._options.memory_mb}; expected rows sorted by sequence and time. Sort "
                    "them in a temporary file with --sort, or allow more memory."
                )
            self._spill()

    def _spill(self) -> None:
        pa = arrow.pyarrow()
        self._file = tempfile.TemporaryFile(dir=roomy_folder())  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), self._held[0].schema)
        for batch in self._held:
            self._writer.write_batch(batch)
        self._held = []

    def take(self, rows: Array) -> Any:
        """Return the rows with these numbers as one record batch."""
        pa = arrow.pyarrow()
        if self._writer is not None and self._map is None:
            self._map_file()
        which = np.searchsorted(self._starts, rows, side="right") - 1
        by_batch = np.argsort(which, kind="stable")
        numbers, counts = np.unique(which, return_counts=True)
        parts, done = [], 0
        for n, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            inside = rows[by_batch[done : done + count]] - self._starts[n]
            parts.append(self._held[n].take(pa.array(inside)))
            done += count
        joined = pa.Table.from_batches(parts).combine_chunks()
        taken = joined.take(pa.array(np.argsort(by_batch))).combine_chunks().to_batches()[0]
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)  # the file keeps what was read
        return taken

    def _map_file(self) -> None:
        pa = arrow.pyarrow()
        assert self._file is not None  # _spill has opened it
        self._writer.close()
        self._file.flush()
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(self._map)))
        self._held = [reader.get_batch(n) for n in range(reader.num_record_batches)]
