"""Statistics of features over all time steps, in memory that does not grow with the data."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
Chunks = Callable[[], Iterable[Tensor]]
"""Returns all time steps, each once, in float32 chunks (steps, input_size), at each call."""

_NORMAL_RANGE = 1.349
"""The interquartile range of normally distributed values, in standard deviations."""

_LARGEST = 2**31 - 1


class FeatureStatistics:
    """Count, mean and standard deviation of each feature over all time steps, ignoring NaN.

    Parameters
    ----------
    input_size : int

    Attributes
    ----------
    count : int64 Tensor (input_size,)
        Number of values that are not NaN.
    """

    def __init__(self, input_size: int) -> None:
        self.count = torch.zeros(input_size, dtype=torch.int64)
        self._total = torch.zeros(input_size, dtype=torch.float64)
        self._squares = torch.zeros_like(self._total)
        self._shift: Tensor | None = None

    def update(self, steps: Tensor) -> None:
        """Include the time steps `steps` (steps, input_size)."""
        values = steps.double()
        if self._shift is None:  # sums of squares about a typical value keep their precision
            self._shift = values.nanmean(dim=0).nan_to_num(0.0)
        self.count += (~values.isnan()).sum(dim=0)
        values = (values - self._shift).nan_to_num(0.0)
        self._total += values.sum(dim=0)
        self._squares += values.square().sum(dim=0)

    @property
    def mean(self) -> Tensor:
        """Mean of each feature, float32 (input_size,); 0 if it is always missing."""
        shift = 0.0 if self._shift is None else self._shift
        return (self._total / self.count.clamp(min=1) + shift).float()

    @property
    def scale(self) -> Tensor:
        """Standard deviation of each feature, float32 (input_size,); 1 if it is constant."""
        count = self.count.clamp(min=1)
        variance = self._squares / count - (self._total / count).square()
        deviation = variance.clamp(min=0).sqrt()
        return torch.where(deviation > 0, deviation, 1.0).float()


def robust_statistics(chunks: Chunks, statistics: FeatureStatistics) -> tuple[Tensor, Tensor]:
    """Return the median and a robust scale of each feature, ignoring NaN.

    The quartiles are exact: between two values, they are interpolated linearly, as in
    `numpy.quantile`.

    Parameters
    ----------
    chunks : callable
        Called four times.
    statistics : FeatureStatistics
        Of the same time steps.

    Returns
    -------
    median : float32 Tensor (input_size,)
        0 if a feature is always missing.
    scale : float32 Tensor (input_size,)
        The interquartile range divided by 1.349, which is the standard deviation of normally
        distributed values; if it is 0, the standard deviation; if that is 0, 1.
    """
    last = (statistics.count - 1).clamp(min=0)
    places = last[:, None] * torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    ranks = places.floor().long()
    low, high = values_at_ranks(chunks, torch.cat([ranks, places.ceil().long()], dim=1)).chunk(2, 1)
    quartiles = low.double() + (high.double() - low.double()) * (places - ranks)
    first, median, third = quartiles.where(statistics.count[:, None] > 0, 0.0).unbind(dim=1)
    scale = ((third - first) / _NORMAL_RANGE).float()
    return median.float(), torch.where(scale > 0, scale, statistics.scale)


def values_at_ranks(chunks: Chunks, ranks: Tensor) -> Tensor:
    """Return the values at some ranks of each feature, as if its values were sorted.

    The value at rank r is the largest value that has at most r smaller ones. Each of four passes
    over the data finds 8 of its 32 bits: it counts how many values are smaller than each of 256
    candidates. The counts take 2 KB for each rank, whatever the size of the data.

    Parameters
    ----------
    chunks : callable
        NaN is ignored.
    ranks : int64 Tensor (input_size, num_ranks)
        From 0 for the smallest value to the number of values - 1.

    Returns
    -------
    float32 Tensor (input_size, num_ranks)
    """
    wanted = ranks.numpy()[:, :, None]
    found = np.full_like(wanted, -_LARGEST - 1)
    for shift in (24, 16, 8, 0):
        candidates = found + (np.arange(256) << shift)  # (input_size, num_ranks, 256)
        smaller = np.zeros_like(candidates)
        for steps in chunks():
            keys = np.sort(_sortable(steps.T.contiguous().numpy()))
            for feature, bounds in enumerate(candidates.astype(np.int32)):
                smaller[feature] += np.searchsorted(keys[feature], bounds)
        found += ((smaller <= wanted).sum(axis=2, keepdims=True) - 1) << shift
    return torch.from_numpy(_mirrored(found[:, :, 0].astype(np.int32)).view(np.float32))


def _sortable(values: Array) -> Array:
    """Return int32 numbers in the order of float32 values; NaN is the largest."""
    return np.where(np.isnan(values), _LARGEST, _mirrored(values.view(np.int32)))


def _mirrored(bits: Array) -> Array:
    """Reverse the order of negative numbers; the bits of floats are then in their order."""
    return np.where(bits < 0, bits ^ _LARGEST, bits)
