"""The interface of a table file: named columns, read block by block."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


class Table(ABC):
    """A file with named columns.

    Attributes
    ----------
    path : Path
    names : list of str
        The columns in file order.
    types : dict
        The Arrow type of each column.
    notes : list of str
        What was guessed about the format.
    """

    path: Path
    names: list[str]
    types: dict[str, Any]
    notes: list[str]

    @abstractmethod
    def place(self, row: int) -> str:
        """Return where row `row` (from 0) is in the file, for messages."""

    @abstractmethod
    def first_texts(self, names: Sequence[str]) -> dict[str, list[str | None]]:
        """Return the cells of text columns in the first block, None where a value is missing.

        A format that declares its column types returns {}.
        """

    @abstractmethod
    def blocks(
        self, columns: Sequence[str], text: Sequence[str] = (), numbers: Sequence[str] = ()
    ) -> Iterator[Any]:
        """Yield record batches of the named columns.

        Parameters
        ----------
        columns : sequence of str
        text, numbers : sequence of str
            Those of `columns` that must be text, or numeric.

        Raises
        ------
        DataError
            If the file is damaged, or a cell does not have the required type.
        """
