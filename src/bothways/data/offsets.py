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
"""Rounding error, relative to the standard deviation, up to which a feature is left as it is."""


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
    if values.dtype != np.float64 or not len(values):
        return ()
    finite = np.where(np.isfinite(values), values, np.nan)
    present = ~np.isnan(finite).all(axis=0)
    offsets = np.zeros(values.shape[1])
    for feature in np.flatnonzero(present):
        column = finite[:, feature]
        column = column[~np.isnan(column)]
        center = np.floor(np.median(column))
        spread = float(np.std(column - center))
        error = float(np.abs(column).max()) * np.finfo(np.float32).eps / 2
        if error > _MOST_ERROR * spread and spread > 0:
            offsets[feature] = center
    return tuple(offsets.tolist()) if offsets.any() else ()


def subtract_offsets(values: Array, offsets: tuple[float, ...]) -> Array:
    """Return values (..., features) as float32, less the offsets, in C order."""
    if offsets:
        values = values - np.array(offsets)
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are reported
        return np.ascontiguousarray(values, np.float32)


def reduced(array: Any, offsets: tuple[float, ...]) -> Any:
    """Return an array that a user passed, less the offsets; unchanged if there are none."""
    if not offsets:
        return array
    values = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    if not np.issubdtype(values.dtype, np.floating) or values.shape[-1] != len(offsets):
        return array  # an error follows when it is validated
    return subtract_offsets(values, offsets)
