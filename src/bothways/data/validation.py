"""What users pass: values, lengths, offsets and labels, checked and made tensors."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.errors import DataError, ShapeError


def checked_floats(array: Any, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return an array of floats as float32, its rows side by side in memory.

    Raises
    ------
    DataError
        If it holds anything else: its scale would be a guess.
    """
    array = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(
            f"{name} has dtype {array.dtype}; expected floats, which are taken as they are. "
            "Scale it yourself, for example array / np.float32(255)."
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def checked_labels(
    labels: Any, count: int, of: str, name: str = "labels", least: int = 0
) -> Tensor:
    """Return class numbers as an int64 tensor (count,); `of` and `name` are for messages.

    Raises
    ------
    ShapeError
        If there is not one for each.
    DataError
        If one is no whole number, or below `least`.
    """
    array = labels.numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.shape != (count,):
        raise ShapeError(
            f"{name} has shape {array.shape} but there are {count} {of}; expected "
            f"({count},). Pass a class number for each."
        )
    if array.dtype.kind not in "iu" or array.min() < least:
        also = "" if least == 0 else f", or {least} where a step counts for nothing"
        what = f" from {array.min()}" if array.dtype.kind in "iuf" else ""
        raise DataError(
            f"{name} holds {array.dtype} values{what}; expected class numbers 0, 1, 2, …{also}. "
            "Number the classes first."
        )
    return torch.from_numpy(array.astype(np.int64))


def checked_offsets(offsets: Any, total_steps: int) -> Tensor:
    """Return `offsets` as an int64 tensor (count + 1,) that rises from 0 to `total_steps`.

    Raises
    ------
    ShapeError
        If they do not.
    """
    bounds = np.asarray(offsets)
    rising = bounds.ndim == 1 and len(bounds) > 1 and bounds.dtype.kind in "iu"
    if not rising or bounds[0] != 0 or bounds[-1] != total_steps or (np.diff(bounds) < 1).any():
        raise ShapeError(
            f"offsets has shape {bounds.shape} and dtype {bounds.dtype}; expected whole numbers "
            f"(count + 1,) that rise from 0 to {total_steps}, the steps of values. Mend them."
        )
    checked: Tensor = torch.from_numpy(bounds.astype(np.int64))
    return checked
