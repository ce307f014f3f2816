"""A Parquet file of predictions, which appears when it is complete."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bothways.models.answers import Answer
from bothways.optional import require
from bothways.storage.atomic import replacing

_KEY = b"bothways"
_ROWS = 1 << 14
"""Rows that are written at once."""


@dataclass(frozen=True)
class PartInfo:
    """What the metadata of a file of predictions say.

    Parameters
    ----------
    model, source : str
        Fingerprint of the model, and name of the file of sequences.
    sequences : int
    first, last : str
        Names of the first and the last sequence.
    """

    model: str
    source: str
    sequences: int
    first: str
    last: str


def write_part(path: Path, answers: Iterable[Answer], model: str, source: str) -> PartInfo:
    """Write predictions, and return what the metadata say of them.

    The columns are those of a CSV file, with numbers as numbers, and `file`, the file of sequences.
    """
    arrow = require("pyarrow.parquet", extra="tables", purpose="files of predictions")
    pa = require("pyarrow", extra="tables", purpose="files of predictions")
    counted = _Counted(answers)
    rows = ({"file": source, **row} for answer in counted for row in answer.records())
    writer = None
    with replacing(path, unique=True) as file:
        while block := list(islice(rows, _ROWS)):
            table = pa.Table.from_pylist(block, None if writer is None else writer.schema)
            if writer is None:
                writer = arrow.ParquetWriter(file, table.schema)
            writer.write_table(table)
        if writer is None:
            writer = arrow.ParquetWriter(file, pa.schema([("file", pa.string())]))
        info = PartInfo(model, source, counted.count, counted.first, counted.last)
        writer.add_key_value_metadata({_KEY: json.dumps(asdict(info))})
        writer.close()
    return info


def read_info(path: Path) -> PartInfo | None:
    """Return what the metadata of a file say; None if it is not a file of predictions."""
    parquet = require("pyarrow.parquet", extra="tables", purpose="files of predictions")
    arrow = require("pyarrow", extra="tables", purpose="files of predictions")
    try:
        return PartInfo(**json.loads(parquet.read_metadata(path).metadata[_KEY]))
    except (arrow.ArrowException, OSError, KeyError, TypeError, ValueError):
        return None


class _Counted:
    """Iterates over answers, counts them, and remembers the first and the last name."""

    def __init__(self, answers: Iterable[Any]) -> None:
        self._answers = answers
        self.count = 0
        self.first = self.last = ""

    def __iter__(self) -> Iterator[Any]:
        for answer in self._answers:
            if not self.count:
                self.first = answer.sequence
            self.last = answer.sequence
            self.count += 1
            yield answer
