"""The interface of a table: named columns, read block by block."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from bothways.data.readers.tables import arrow
from bothways.errors import DataError


class Table(ABC):
    """A file with named columns, or several that are one table.

    Attributes
    ----------
    path : str
        Of the file, or what names the files, for messages.
    names : list of str
        The columns in file order.
    keys : tuple of str
        Those of them that are in the names of folders; they are text.
    types : dict
        The Arrow type of each column.
    has_declared_types : bool
        Whether the format declares the types. Otherwise they were inferred from the cells.
    notes : list of str
        What was guessed about the format.
    """

    path: str
    names: list[str]
    keys: tuple[str, ...]
    types: dict[str, Any]
    has_declared_types: bool
    notes: list[str]

    @abstractmethod
    def place(self, row: int) -> str:
        """Return the file and the place of row `row` (from 0), for messages: "x.csv, line 13"."""

    @abstractmethod
    def row_name(self, row: int) -> str:
        """Return a name of row `row` (from 0) that takes no reading to find: "row 12"."""

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


def first_rows(
    table: Table, columns: Sequence[str], text: Sequence[str] = (), numbers: Sequence[str] = ()
) -> Any:
    """Return about `BLOCK_BYTES` of the first rows as a record batch, None if there are none.

    Their number does not depend on how the rows are divided into blocks and files. The arguments
    are those of `Table.blocks`.
    """
    pa = arrow.pyarrow()
    most = max(1, arrow.BLOCK_BYTES // (8 * len(columns)))
    batches, count = [], 0
    for batch in table.blocks(columns, text, numbers):
        batches.append(batch)
        count += batch.num_rows
        if count >= most:
            break
    if not count:
        return None
    return pa.Table.from_batches(batches).slice(0, most).combine_chunks().to_batches()[0]


def check_names(name: str, names: Sequence[str], expected: Sequence[str]) -> None:
    """Raise DataError if a file has other columns than the first file of its table."""
    if list(names) == list(expected):
        return
    pairs = enumerate(zip_longest(names, expected), start=1)
    number, (found, wanted) = next((n, pair) for n, pair in pairs if pair[0] != pair[1])
    what = "the same columns in another order" if set(names) == set(expected) else "other columns"
    fact = "does not exist" if found is None else f"is {found!r}"
    raise DataError(
        f"{name} has {what}: column {number} {fact}; expected "
        f"{'no more' if wanted is None else repr(wanted)}, as in the first file. Write the files "
        "with the same columns, or read them one by one."
    )
