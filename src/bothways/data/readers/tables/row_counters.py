"""Find columns that only count rows: the index that pandas and R write, and running numbers.

As a feature, such a column tells the order of the file, and often the class.
"""

import re
from collections.abc import Sequence

import numpy as np

from bothways.data.readers.tables import arrow
from bothways.data.readers.tables.cells import numbers_of, texts_of
from bothways.data.readers.tables.table import Table, first_rows
from bothways.data.record import Array

_INDEX_NAMES = re.compile(
    r"|index|unnamed: ?\d+(\.\d+)*|level_\d+|__index_level_\d+__"
    r"|row(_?(id|no|nr|num|number|index|name)s?)?|line_?(no|nr|num|number)",
    re.IGNORECASE,
)
_LEAST_RISES = 5
"""Fewer consecutive values may be chance."""


def counting_columns(table: Table, columns: Sequence[str], sequence: str | None) -> list[str]:
    """Return those of the numeric `columns` that only count rows.

    They have a usual name of an index and hold integers, or hold consecutive integers, in any
    order, over the table or within each sequence. The first rows of the table decide.

    Parameters
    ----------
    table : Table
    columns : sequence of str
    sequence : str, optional
        The column of the sequence names.
    """
    types = arrow.pyarrow().types
    may_count = [
        name
        for name in columns
        if types.is_integer(table.types[name]) or types.is_floating(table.types[name])
    ]
    if not may_count:
        return []
    text = [] if sequence is None else [sequence]
    block = first_rows(table, [*text, *may_count], text, may_count)
    if block is None:
        return []
    codes = np.zeros(block.num_rows, np.int64)
    if sequence is not None:
        rows = np.arange(block.num_rows)
        names = texts_of(block[sequence], table, sequence, rows, optional=True)
        codes = np.unique(names, return_inverse=True)[1]
    return [name for name in may_count if only_counts_rows(name, numbers_of(block[name]), codes)]


def only_counts_rows(name: str, values: Array, codes: Array) -> bool:
    """Return whether a column has a usual name of an index, or counts rows.

    Parameters
    ----------
    name : str
    values : float64 array (rows,)
        NaN where a value is missing.
    codes : integer array (rows,)
        A number for the sequence of each row.
    """
    if not _are_integers(values):
        return False
    has_usual_name = _INDEX_NAMES.fullmatch(name.strip()) is not None
    return has_usual_name or _count(values, np.zeros_like(codes)) or _count(values, codes)


def _are_integers(values: Array) -> bool:
    return bool((np.isnan(values) | (values == np.floor(values))).all())


def _count(values: Array, codes: Array) -> bool:
    """Return whether the values of each code are consecutive integers, in any order."""
    order = np.lexsort((values, codes))
    values, codes = values[order], codes[order]
    rises = np.diff(values)[codes[1:] == codes[:-1]]
    return len(rises) >= _LEAST_RISES and bool((rises == 1).all())
