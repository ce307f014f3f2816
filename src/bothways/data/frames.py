"""Data frames of pandas and polars as sequences: by the names of their columns.

The packages are not imported: a frame is recognized by its attributes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bothways.data.record import Array
from bothways.data.vocabulary import Vocabulary
from bothways.errors import DataError, suggest


def is_frame(data: Any) -> bool:
    """Return whether `data` is a data frame of pandas or polars."""
    return hasattr(data, "columns") and hasattr(data, "to_numpy")


def is_panel(data: Any) -> bool:
    """Return whether `data` is a pandas frame with a two-level index (sequence, time)."""
    return is_frame(data) and getattr(getattr(data, "index", None), "nlevels", 1) == 2


def has_frames(data: Any) -> bool:
    """Return whether `data` is a panel, or a list of frames with one sequence each."""
    if is_panel(data):
        return True
    is_list = isinstance(data, list | tuple) or (
        isinstance(data, np.ndarray) and data.dtype == object and data.ndim == 1
    )
    return is_list and len(data) > 0 and any(map(is_frame, data))


def arrays_of_frames(
    data: Any,
    names: Sequence[str] | None,
    vocabularies: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[list[Array], tuple[str, ...]]:
    """Return the arrays of frames, their columns in the order of `names`.

    Parameters
    ----------
    data : list of frames, or pandas frame with a two-level index
        One frame (time_i, features) for each sequence. Of a two-level index (sequence, time), each
        sequence is the rows of one value of the first level, in the order in which these values
        first occur, sorted by the second level.
    names : sequence of str, optional
        The features of training; default: the columns of the first frame.
    vocabularies : dict, optional
        The categories of categorical features.

    Returns
    -------
    arrays : list of float64 arrays (time_i, features)
    names : tuple of str

    Raises
    ------
    DataError
        If a column is missing or unknown, or is not numeric.
    """
    frames = _sequences_of_panel(data) if is_panel(data) else list(data)
    if names is None:
        names = tuple(map(str, frames[0].columns)) if is_frame(frames[0]) else ()
    arrays = [
        _array(frame, f"X[{n}]", tuple(names), vocabularies or {}) for n, frame in enumerate(frames)
    ]
    return arrays, tuple(names)


def _sequences_of_panel(data: Any) -> list[Any]:
    groups = data.groupby(level=0, sort=False)
    return [group.sort_index(level=1, kind="stable") for _, group in groups]


def _array(
    frame: Any, place: str, names: tuple[str, ...], vocabularies: Mapping[str, tuple[str, ...]]
) -> Array:
    if not is_frame(frame):
        raise DataError(
            f"{place} is a {type(frame).__name__}; expected a data frame like the others. "
            "Pass frames only, or arrays only."
        )
    columns = [str(name) for name in frame.columns]
    for name in columns:
        if columns.count(name) > 1:
            raise DataError(f"{place} has two columns {name!r}; expected each once. Rename one.")
        if name not in names:
            raise DataError(
                f"{place} has a column {name!r} that was unseen in training; "
                f"{suggest(name, [n for n in names if n not in columns], 'expected')} "
                f"{', '.join(names)}. Rename or drop it."
            )
    values = np.empty((len(frame), len(names)), np.float64)
    by_name = dict(zip(columns, frame.columns, strict=True))
    for n, name in enumerate(names):
        if name not in by_name:
            others = [column for column in columns if column not in names]
            raise DataError(
                f"{place} has no column {name!r}; {suggest(name, others, 'expected')} "
                f"{', '.join(names)}. Add it."
            )
        column = frame[by_name[name]]
        if name in vocabularies:
            texts = np.array(["" if v is None else str(v) for v in column.to_list()], dtype=object)
            values[:, n] = Vocabulary(vocabularies[name], grows=False).numbers(texts)
            continue
        try:
            values[:, n] = np.asarray(column.to_numpy(), dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(
                f"{place}: column {name!r} has type {column.dtype}; expected numbers. Convert it."
            ) from None
    return values
