"""Scale values, add noise, and mask spans of time and features."""

import torch
from torch import Tensor

from bothways.kernels.draws import Draws
from bothways.kernels.lengths import Lengths
from bothways.nn.device import float64_device


def scale(numeric: Tensor, means: Tensor, deviation: float, draws: Draws) -> Tensor:
    """Multiply the distances of each feature of a sequence from its mean by a random factor.

    Parameters
    ----------
    numeric : Tensor (batch, time, features)
    means : Tensor (batch, 1, features)
    deviation : float
        Standard deviation of the logarithm of the factor.
    draws : Draws
    """
    batch, _, features = numeric.shape
    factors = (deviation * draws.normal(batch, 1, features)).exp()
    return torch.lerp(means, numeric, factors)


def add_noise(
    numeric: Tensor, means: Tensor, lengths: Lengths, deviation: float, draws: Draws
) -> Tensor:
    """Add normally distributed noise to each value.

    Parameters
    ----------
    numeric : Tensor (batch, time, features)
    means : Tensor (batch, 1, features)
    lengths : Lengths
    deviation : float
        Standard deviation of the noise, relative to that of the feature in the sequence.
    draws : Draws
    """
    squares = (_as_float64(numeric) - _as_float64(means)).square()
    deviations = _average(squares, lengths).sqrt().to(numeric)
    return numeric + deviations * (deviation * draws.normal(*numeric.shape))


def time_mask(lengths: Tensor, time: int, largest: float, draws: Draws) -> Tensor:
    """Return a random span of each sequence.

    Parameters
    ----------
    lengths : int64 Tensor (batch,)
    time : int
    largest : float
        Largest length of the span, as a fraction of the length.
    draws : Draws

    Returns
    -------
    mask : bool Tensor (batch, time)

    References
    ----------
    Park et al. 2019, "SpecAugment: a simple data augmentation method for automatic speech
    recognition", time masking.
    """
    size, place = draws.uniform(2, len(lengths), 1, batch_axis=1)
    size = (size * ((largest * lengths[:, None]).floor() + 1)).floor()
    first = (place * (lengths[:, None] - size + 1)).floor()
    steps = torch.arange(time, device=lengths.device)
    masked: Tensor = (steps >= first) & (steps < first + size)
    return masked


def feature_mask(batch: int, features: int, probability: float, draws: Draws) -> Tensor:
    """Return random features of each sequence, but never all of them.

    Returns
    -------
    mask : bool Tensor (batch, 1, features)
    """
    drawn = draws.uniform(batch, 1, features)
    masked = drawn < probability
    return masked & (drawn < drawn.amax(dim=-1, keepdim=True))


def means_over_time(numeric: Tensor, lengths: Lengths) -> Tensor:
    """Return the mean of each feature of each sequence, (batch, 1, features).

    Missing values are ignored; the mean of a feature that is always missing is NaN. The mean of a
    constant feature is its value, bit for bit.
    """
    return _average(_as_float64(numeric), lengths).to(numeric)


def _average(values: Tensor, lengths: Lengths) -> Tensor:
    """Return the means over time, (batch, 1, features), of float64 values; NaN is ignored."""
    valid = lengths.is_valid(values.device)[..., None]
    averages: Tensor = values.masked_fill(~valid, torch.nan).nanmean(dim=1, keepdim=True)
    return averages


def _as_float64(values: Tensor) -> Tensor:
    """Convert to float64: rounded sums would change constant features, squares could overflow."""
    return values.to(float64_device(values.device), torch.float64)
