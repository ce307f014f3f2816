"""A Parquet file of predictions, which appears when it is complete."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from bothways.data.readers.tables import arrow
from bothways.models.answers import Answer
from bothways.storage.atomic import replacing

_KEY = b"bothways"
_ROWS = 1 << 14
"""Rows that are written at once."""


@dataclass(frozen=True)
class Origin:
    """What the predictions for a file depend on.

    Parameters
    ----------
    model : str
        Fingerprint of the model.
    source : str
        The file of sequences: an absolute path or a URI.
    version : str
        Differs if the size or the modification time of that file has changed.
    aggregate : bool
        Whether recordings are predicted, and not their windows.
    """

    model: str
    source: str
    version: str
    aggregate: bool


@dataclass(frozen=True)
class PartInfo:
    """What the metadata of a file of predictions say.

    Parameters
    ----------
    origin : Origin
    sequences : int
    first, last : str, optional
        Names of the first and the last sequence; None if the file of sequences has no names.
    """

    origin: Origin
    sequences: int
    first: str | None
    last: str | None


def write_part(path: Path, answers: Iterable[Answer], origin: Origin) -> PartInfo:
    """Write predictions, and return what the metadata say of them.

    The columns are those of a CSV file, with numbers as numbers, and `file`, the file of sequences.
    """
    pa = arrow.pyarrow()
    counted = _Counted(answers)
    rows = ({"file": origin.source, **row} for answer in counted for row in answer.records())
    writer = None
    with replacing(path, unique=True) as file:
        while block := list(islice(rows, _ROWS)):
            table = pa.Table.from_pylist(block, None if writer is None else writer.schema)
            if writer is None:
                writer = pa.parquet.ParquetWriter(file, table.schema)
            writer.write_table(table)
        if writer is None:
            writer = pa.parquet.ParquetWriter(file, pa.schema([("file", pa.string())]))
        info = PartInfo(origin, counted.count, counted.first, counted.last)
        writer.add_key_value_metadata({_KEY: json.dumps(asdict(info))})
        writer.close()
    return info


def read_info(path: Path) -> PartInfo | None:
    """Return what the metadata of a file say; None if it is not a file of predictions."""
    damage: tuple[type[Exception], ...]
    damage = (*arrow.arrow_errors(), KeyError, TypeError, ValueError)
    try:
        metadata = arrow.pyarrow().parquet.read_metadata(path).metadata
        found = json.loads(metadata[_KEY])
        return PartInfo(**found | {"origin": Origin(**found["origin"])})
    except damage:
        return None


class _Counted:
    """Iterates over answers, counts them, and remembers the first and the last name."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers = answers
        self.count = 0
        self.first: str | None = None
        self.last: str | None = None

    def __iter__(self) -> Iterator[Answer]:
        for answer in self._answers:
            self.last = answer.sequence if answer.named else None
            if not self.count:
                self.first = self.last
            self.count += 1
            yield answer
