"""Validate the arrays that users pass, and convert them to the dtypes that bothways works with."""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.data.offsets import unresolved_features
from bothways.errors import DataError, ShapeError


class PrecisionWarning(UserWarning):
    """float64 values lose their changes in the conversion to float32."""


def checked_floats(array: Any, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a float array as a C-contiguous float32 array.

    Parameters
    ----------
    array : float array (..., features)
        A PrecisionWarning is raised if most of its changes are lost in float32.
    name : str
        For messages.

    Raises
    ------
    DataError
        If the dtype is not floating: the scale would have to be guessed.
    """
    array = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(
            f"{name} has dtype {array.dtype}; expected floats, which are used as they are. Scale "
            "the array, for example array / np.float32(255)."
        )
    if array.dtype == np.float64 and array.ndim > 1 and array.size:
        _warn_of_lost_changes(array.reshape(-1, array.shape[-1]), name)
    return np.ascontiguousarray(array, dtype=np.float32)


def _warn_of_lost_changes(values: np.ndarray[Any, np.dtype[np.float64]], name: str) -> None:
    """Warn if features such as 1.7e9 + signal, (steps, features), lose their changes in float32."""
    largest = np.abs(values).max(axis=0)
    spread = values.max(axis=0) - values.min(axis=0)
    suspects = np.flatnonzero(largest * np.finfo(np.float32).eps > 1e-2 * spread)
    lost = [suspects[n] for n in unresolved_features(values[:, suspects], ())]
    if lost:
        features = ", ".join(map(str, lost))
        warnings.warn(
            f"{name.partition('[')[0]} is rounded to float32, which loses most changes of feature "
            f"{features}; expected values of which 7 digits are enough. Subtract a constant first, "
            "the mean of the training data for example.",
            PrecisionWarning,
            stacklevel=4,
        )


def checked_labels(
    labels: Any, count: int, of: str, name: str = "labels", least: int = 0
) -> Tensor:
    """Return class numbers as an int64 tensor (count,).

    Parameters
    ----------
    labels : integer array (count,)
    count : int
    of, name : str
        What is labeled, and the argument's name, for messages.
    least : int
        The smallest number allowed: 0, or -1 if time steps may be ignored.

    Raises
    ------
    ShapeError
        If the shape is not (count,).
    DataError
        If a label is not an integer, or below `least`.
    """
    array = labels.numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.shape != (count,):
        raise ShapeError(
            f"{name} has shape {array.shape} but there are {count} {of}; expected ({count},). "
            "Pass one class number for each."
        )
    if array.dtype.kind not in "iu" or array.min() < least:
        also = "" if least == 0 else f", or {least} for ignored steps"
        what = f" from {array.min()}" if array.dtype.kind in "iuf" else ""
        raise DataError(
            f"{name} holds {array.dtype} values{what}; expected class numbers 0, 1, 2, …{also}. "
            "Number the classes first."
        )
    return torch.from_numpy(array.astype(np.int64))


def checked_offsets(offsets: Any, total_steps: int) -> Tensor:
    """Return the bounds of concatenated sequences as an int64 tensor (count + 1,).

    Raises
    ------
    ShapeError
        If `offsets` does not rise strictly from 0 to `total_steps`.
    """
    bounds = np.asarray(offsets)
    rising = bounds.ndim == 1 and len(bounds) > 1 and bounds.dtype.kind in "iu"
    if not rising or bounds[0] != 0 or bounds[-1] != total_steps or (np.diff(bounds) < 1).any():
        raise ShapeError(
            f"offsets has shape {bounds.shape} and dtype {bounds.dtype}; expected whole numbers "
            f"(count + 1,) that rise from 0 to {total_steps}, the number of steps in values. "
            "Correct the offsets."
        )
    checked: Tensor = torch.from_numpy(bounds.astype(np.int64))
    return checked
