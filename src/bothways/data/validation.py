"""Validate arrays and their values, and convert them to the dtypes that bothways works with."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.data.offsets import LARGEST, as_array, unresolved_features
from bothways.errors import DataError, ShapeError, counted
from bothways.kernels.lengths import checked_lengths


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
        If the dtype is not floating: the scale would have to be guessed. If a value is too large
        for float32.
    """
    array = as_array(array)
    if not np.issubdtype(array.dtype, np.floating):
        step = "Pass an array of numbers."
        if array.dtype == np.uint8:
            step = "Scale images as in training, for example array / np.float32(255)."
        elif array.dtype.kind in "biu":
            step = "Convert the array, for example array.astype(np.float32)."
        raise DataError(
            f"{name} has dtype {array.dtype}; expected floats, which are used as they are. {step}"
        )
    check_magnitude(array, name)
    if array.dtype == np.float64 and array.ndim > 1 and array.size:
        _warn_of_lost_changes(array.reshape(-1, array.shape[-1]), name)
    return np.ascontiguousarray(array, dtype=np.float32)


def check_magnitude(array: np.ndarray[Any, np.dtype[Any]], name: str) -> None:
    """Raise DataError if a number of a float array is too large for float32."""
    if array.dtype.itemsize <= np.dtype(np.float32).itemsize:
        return
    too_large = np.isfinite(array) & (np.abs(array) > LARGEST)
    if too_large.any():
        place = np.argwhere(too_large)[0].tolist()
        raise DataError(
            f"{name}{place} is {array[tuple(place)]:g}, too large for float32; expected numbers up "
            f"to {LARGEST:.2g}. Scale the feature, or drop the sequence."
        )


def lossy_features(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
    """Return the features, such as 1.7e9 + signal, that lose most of their changes in float32.

    Parameters
    ----------
    values : float64 array (steps, features)
    """
    largest = np.abs(values).max(axis=0)
    spread = values.max(axis=0) - values.min(axis=0)
    suspects = np.flatnonzero(largest * np.finfo(np.float32).eps > 1e-2 * spread)
    return [int(suspects[n]) for n in unresolved_features(values[:, suspects], ())]


def _warn_of_lost_changes(values: np.ndarray[Any, np.dtype[np.float64]], name: str) -> None:
    lost = lossy_features(values)
    if lost:
        features = ", ".join(map(str, lost))
        warnings.warn(
            f"{name.partition('[')[0]} is rounded to float32, which loses most changes of feature "
            f"{features}; expected values of which 7 digits are enough. Subtract a constant first, "
            "the mean of the training data for example.",
            PrecisionWarning,
            stacklevel=5,
        )


def checked_arrays(arrays: Sequence[Any], name: str = "sequences") -> tuple[Tensor, Tensor, Tensor]:
    """Return the steps, starts and lengths of a list of arrays (time_i, input_size).

    Raises
    ------
    DataError
        If the list is empty, or an array is empty, not 2-D, of another number of features than the
        first, or does not hold floats.
    """
    rows = [checked_floats(array, f"{name}[{n}]") for n, array in enumerate(arrays)]
    if not rows:
        raise DataError(f"{name} is empty; expected at least one. Pass a list of arrays.")
    for n, row in enumerate(rows):
        if row.ndim != 2 or not len(row) or row.shape[1] != rows[0].shape[-1]:
            raise DataError(
                f"{name}[{n}] has shape {row.shape}; expected (time, {rows[0].shape[-1]}) with "
                "at least 1 time step. Fix or remove the array."
            )
    lengths = torch.tensor([len(row) for row in rows])
    return torch.from_numpy(np.concatenate(rows)), lengths.cumsum(0) - lengths, lengths


def checked_padded(
    inputs: Any, lengths: Any, name: str = "inputs"
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the steps, starts and lengths of an array (count, time, input_size).

    Raises
    ------
    DataError
        If `inputs` is not 3-D, is empty or does not hold floats.
    ShapeError
        If there is not one length in 1..time for each row.
    """
    array = checked_floats(inputs, name)
    if array.ndim != 3 or 0 in array.shape:
        raise DataError(
            f"{name} has shape {array.shape}; expected (count, time, input_size), none of them 0. "
            "Reshape the array."
        )
    count, time, input_size = array.shape
    padded = torch.from_numpy(array)
    if lengths is None:
        checked = torch.full((count,), time)
        steps = padded.reshape(count * time, input_size)
    else:
        checked = checked_lengths(lengths, count, time)
        steps = padded[torch.arange(time) < checked[:, None]]
    return steps, checked.cumsum(0) - checked, checked


def checked_flat(values: Any, offsets: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return the steps, starts and lengths of concatenated steps (total_steps, input_size).

    Raises
    ------
    DataError
        If `values` is not 2-D, is empty or does not hold floats.
    ShapeError
        If `offsets` does not rise strictly from 0 to `total_steps`.
    """
    array = checked_floats(values, "values")
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(
            f"values has shape {array.shape}; expected (total_steps, input_size), none of them 0. "
            "Reshape the array."
        )
    bounds = checked_offsets(offsets, len(array))
    return torch.from_numpy(array), bounds[:-1], bounds[1:] - bounds[:-1]


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
            f"{name} has shape {array.shape} for {counted(count, of)}; expected ({count},). "
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


def check_finite(
    chunks: Iterable[tuple[Tensor, Tensor]],
    name: str,
    first: int = 0,
    *,
    missing: bool = False,
    features: Sequence[str] = (),
) -> None:
    """Raise an error for the first value that is infinite, or NaN unless values may be missing.

    Parameters
    ----------
    chunks : iterable of StepChunk
        From `Sequences.chunks`.
    name : str
        Name of the sequences, for messages.
    first : int
        Number of the first sequence, for messages.
    missing : bool
        Whether NaN is allowed.
    features : sequence of str
        Names of the features, for messages.

    Raises
    ------
    DataError
        If there is such a value; the message names its sequence, step and feature.
    """
    for steps, rows in chunks:
        bad = steps.isinf() if missing else ~steps.isfinite()
        if bool(bad.any()):
            place, feature = bad.nonzero()[0].tolist()
            value, row = float(steps[place, feature]), int(rows[place])
            step = place - int((rows == row).nonzero()[0])
            what = features[feature] if features else f"feature {feature}"
            advice = ", or set missing=mean" if value != value else ""
            raise DataError(
                f"{name}[{first + row}] holds {value} at step {step}, {what}; expected finite "
                f"numbers. Fix or drop the sequence{advice}."
            )


def value_range(
    chunks: Iterable[tuple[Tensor, Tensor]],
    name: str = "sequences",
    *,
    missing: bool = False,
    features: Sequence[int] | None = None,
) -> tuple[float, float]:
    """Return the smallest and the largest value.

    Parameters
    ----------
    chunks : iterable of StepChunk
        From `Sequences.chunks`.
    name : str
        Name of the sequences, for messages.
    missing : bool
        Whether NaN is allowed; it is ignored.
    features : sequence of int, optional
        The features to use; default: all.

    Returns
    -------
    low, high : float
        Infinity and its negative if there are no values.

    Raises
    ------
    DataError
        If a value is infinite, or NaN without `missing`.
    """
    low, high = float("inf"), -float("inf")
    for steps, rows in chunks:
        chosen = steps
        if features is not None and len(features) < steps.shape[1]:
            chosen = steps[:, features]
        absent = chosen.isnan()
        if bool(absent.any()):
            if not missing:
                check_finite([(steps, rows)], name)
            chosen = chosen[~absent]
        if chosen.numel():
            low, high = min(low, float(chosen.min())), max(high, float(chosen.max()))
        if max(-low, high) == float("inf") and low <= high:
            check_finite([(steps, rows)], name, missing=missing)
    return low, high
