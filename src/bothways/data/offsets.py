"""Large constants in features, which would not survive the conversion to float32.

A column such as 1.7e9 plus a signal (a Unix time base, a GPS coordinate) loses the signal when it
is rounded to the 24 bits of a float32. Such features are reduced by a constant in float64 first,
in training and prediction alike: the offsets are stored with the model.
"""

from typing import Any

import numpy as np
from torch import Tensor

from bothways.data.record import Array

_MOST_ERROR = 1e-3
"""Rounding error, relative to a feature's typical deviation, up to which no offset is needed."""

_OWN_ERROR = 2.0**-48
"""Relative differences up to this are the rounding errors of float64."""

LARGEST = float(np.finfo(np.float32).max)
"""The largest number that float32 can hold."""

_EPSILON = float(np.finfo(np.float32).eps)


def find_offsets(values: Array) -> tuple[float, ...]:
    """Return what to subtract from each feature, or () if rounding loses nothing.

    Parameters
    ----------
    values : float array (steps, features)
        A sample; NaN is ignored.

    Examples
    --------
    >>> find_offsets(np.array([[1.7e9, 3.0], [1.7e9 + 1, 4.0]]))
    (1700000000.0, 0.0)
    """
    if values.dtype != np.float64:
        return ()
    offsets = [_offset(column) for column in values.T]
    return tuple(offsets) if any(offsets) else ()


def _offset(column: Array) -> float:
    """Return the offset of one feature: its median, or a whole number near it if that is enough.

    The typical deviation is a median too, so that a few zeros for missing values do not matter.
    """
    column = _in_float32(column)
    center = float(np.median(column)) if len(column) else 0.0
    deviations = np.abs(column - center)
    deviations = deviations[deviations > _OWN_ERROR * abs(center)]
    if not len(deviations):
        return 0.0
    tolerated = _MOST_ERROR * float(np.median(deviations)) / (_EPSILON / 2)
    if abs(center) <= tolerated:
        return 0.0
    whole = float(np.floor(center))
    return whole if abs(center - whole) <= tolerated else center


def _in_float32(column: Array) -> Array:
    """Return the values that float32 can hold; others are NaN or raise an error later."""
    return column[np.abs(column) <= LARGEST]


def unresolved_features(values: Array, offsets: tuple[float, ...]) -> list[int]:
    """Return the features most of whose changes are lost in float32 in spite of the offsets.

    For example, each sequence may have a different large constant.

    Parameters
    ----------
    values : float array (steps, features)
    offsets : tuple of float
    """
    found: list[int] = []
    if values.dtype != np.float64:
        return found
    for n, column in enumerate(values.T):
        column = _in_float32(column)
        changes = np.diff(column)
        is_change = np.abs(changes) > _OWN_ERROR * np.abs(column[1:])
        kept = np.diff(subtract_offsets(column, offsets[n : n + 1]).astype(np.float64))
        lost = np.abs(kept - changes)[is_change] > np.abs(changes[is_change]) / 4
        if 2 * int(lost.sum()) > len(lost):
            found.append(n)
    return found


def subtract_offsets(values: Array, offsets: tuple[float, ...]) -> Array:
    """Return values (..., features) as float32, less the offsets, in C order."""
    if offsets:
        values = values - np.array(offsets)
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are reported
        return np.ascontiguousarray(values, np.float32)


def as_array(values: Any) -> Array:
    """Return a tensor, or anything that numpy converts, as an array."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    if values.is_floating_point() and values.dtype.itemsize < 4:
        values = values.float()  # numpy has no bfloat16
    array: Array = values.numpy()
    return array


def reduced(array: Any, offsets: tuple[float, ...]) -> Any:
    """Return an array that a user passed, less the offsets; unchanged if there are none."""
    if not offsets:
        return array
    values = as_array(array)
    if not np.issubdtype(values.dtype, np.floating) or values.shape[-1] != len(offsets):
        return array  # an error follows when it is validated
    return subtract_offsets(values, offsets)
