"""Import pyarrow on first use, and state the sizes in which it reads tables."""

import zlib
from typing import Any

from bothways.optional import require

BLOCK_BYTES = 8 << 20
"""Approximate size of the blocks that tables are read in; no line of a CSV file may be longer."""

BUFFER_BYTES = 1 << 16
"""Bytes of each Parquet column that are read at once, instead of whole row groups."""


def pyarrow() -> Any:
    """Return the package pyarrow, with its readers imported.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    for module in ("pyarrow.compute", "pyarrow.csv", "pyarrow.ipc", "pyarrow.parquet"):
        require(module, extra="tables", purpose="tables")
    return require("pyarrow", extra="tables", purpose="tables")


def arrow_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that pyarrow and decompression raise for damaged files."""
    return (pyarrow().ArrowException, OSError, EOFError, UnicodeError, zlib.error)


def is_numeric(kind: Any) -> bool:
    """Return whether a column of this Arrow type is a numeric feature; Booleans become 0 and 1."""
    types = pyarrow().types
    return bool(
        types.is_floating(kind)
        or types.is_integer(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
    )


def is_list_of_numbers(kind: Any) -> bool:
    """Return whether each cell of a column holds a list of numbers."""
    types = pyarrow().types
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list) and is_numeric(kind.value_type)
