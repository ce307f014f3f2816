"""What users pass as X: told apart, checked, and converted to arrays of numbers."""

from numbers import Number
from typing import Any

import numpy as np

from bothways.errors import DataError, counted

Array = np.ndarray[Any, np.dtype[Any]]

_EXPECTED = "expected a list of arrays (time, features), an array with 2 or 3 axes, or data frames"


def check_sequences(X: Any) -> None:
    """Raise DataError unless X has the form of sequences or of a table.

    Scikit-learn validates the content of tables.
    """
    if not _is_array_like(X):
        what = "None" if X is None else f"of type {type(X).__name__}"
        raise DataError(f"X is {what}; {_EXPECTED}. Convert it.")
    if getattr(X, "shape", None) == ():
        raise DataError(f"X is a single value; {_EXPECTED}. Reshape your data.")
    if not (isinstance(X, list | tuple) or num_axes(X) == 1):
        return
    if len(X) == 0:
        raise DataError(f"X is empty; {_EXPECTED}. Pass at least one sequence.")
    for n, values in enumerate(X):
        if not (_is_array_like(values) or isinstance(values, Number)):
            raise DataError(
                f"X[{n}] is {values!r}; expected an array of numbers (time, features). Convert it."
            )
    if all(isinstance(values, Number) for values in X):
        raise DataError(
            f"X has {counted(len(X), 'number')}; {_EXPECTED}. Reshape your data, to (1, {len(X)}) "
            "if it is one series."
        )


def is_table(X: Any) -> bool:
    """Return whether X is a table, which scikit-learn validates: not a list of sequences, not 3-D.

    A list of arrays is always a list of sequences, whatever their lengths. A list of lists of
    numbers is a table.
    """
    if isinstance(X, list | tuple) or num_axes(X) == 1:
        return not all(hasattr(values, "shape") or _depth(values) == 2 for values in X)
    return num_axes(X) != 3


def num_axes(X: Any) -> int | None:
    """Return the number of axes of an array; None for a list."""
    return len(X.shape) if hasattr(X, "shape") else None


def as_numbers(values: Any, place: str) -> Array:
    """Return the values of a sequence as a float64 array.

    Raises
    ------
    DataError
        If they are not numbers, or not the same number in each time step.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biufO":
            raise TypeError
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        fact = f"has dtype {values.dtype}" if hasattr(values, "dtype") else f"is {values!r:.60}"
        raise DataError(
            f"{place} {fact}; expected an array of numbers (time, features). Convert it."
        ) from None


def _is_array_like(X: Any) -> bool:
    if isinstance(X, list | tuple):
        return True
    return (hasattr(X, "shape") or hasattr(X, "__array__")) and not isinstance(X, str | bytes)


def _depth(values: Any) -> int:
    """Return how deep lists are nested."""
    return 1 + _depth(values[0]) if isinstance(values, list | tuple) and len(values) else 0
