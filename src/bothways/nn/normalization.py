"""Normalization of numeric features by the training set and by each sequence.

Shapes: values (batch, time, features); the median and the scale of the training set (features,).

References
----------
Ulyanov, Vedaldi & Lempitsky 2016, "Instance normalization: the missing ingredient for fast
stylization", normalizes each sample by its own statistics. Kim et al. 2022, "Reversible instance
normalization for accurate time-series forecasting against distribution shift", restores these
statistics in the output; here, they are features of the input.
"""

import math

import torch
from torch import Tensor

LOG_RATIO_LIMIT = math.log(1e4)
"""Bound of the log scale of a sequence, and the negative log scale of a constant one."""

LINEAR_RANGE = 3.0
"""Where `robust_view` turns from linear to logarithmic, in scales from the median."""


def robust_view(values: Tensor, median: Tensor, scale: Tensor) -> Tensor:
    """Return 3 asinh((values - median) / (3 scale)).

    This is close to linear up to 3 scales from the median and logarithmic beyond, so that tails
    over several decades do not crush the rest.
    """
    return ((values - median) / (LINEAR_RANGE * scale)).asinh() * LINEAR_RANGE


def sequence_statistics(values: Tensor, present: Tensor, default: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance of each feature over the time steps of each sequence.

    Parameters
    ----------
    values : float64 Tensor (batch, time, features)
        In float64, values such as 1e4 with a deviation of 1 lose nothing, and the variance of a
        constant feature is exactly 0.
    present : bool Tensor (batch, time, features)
        False in the padding and for missing values. Values there have no effect, but must be
        finite: NaN would make the gradients of the other values NaN.
    default : Tensor (features,)
        The mean of a feature without values; its variance is 0.

    Returns
    -------
    mean, variance : float64 Tensor (batch, 1, features)
    """
    count = present.sum(dim=1, keepdim=True)

    def average(terms: Tensor) -> Tensor:
        # On a CPU, the order of `sum` depends on the shape of the batch, that of `cumsum` does not.
        totals = torch.where(present, terms, 0.0).cumsum(dim=1)[:, -1:]
        return totals / count.clamp(min=1)

    mean = torch.where(count > 0, average(values), default.to(values))
    return mean, average((values - mean).square())


def sequence_views(
    values: Tensor,
    mean: Tensor,
    variance: Tensor,
    median: Tensor,
    scale: Tensor,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """Return three views of values in their sequence, by name; the values follow from them.

    Parameters
    ----------
    values : float64 Tensor (batch, time, features)
    mean, variance : float64 Tensor (batch, 1, features)
        From `sequence_statistics`.
    median, scale : Tensor (features,)
    dtype : torch.dtype
        Of the views; each is converted before it is repeated for all time steps.

    Returns
    -------
    own : Tensor (batch, time, features)
        The values, standardized by the mean and the deviation of their sequence; 0 if it is
        constant.
    level : Tensor (batch, time, features)
        `robust_view` of the mean, the same at all time steps.
    log_scale : Tensor (batch, time, features)
        Logarithm of the deviation over `scale`, between the negative and the positive
        `LOG_RATIO_LIMIT`, the same at all time steps.
    """
    varies = variance > 0
    deviation = torch.where(varies, variance, 1.0).sqrt()  # the gradient of a root of 0 is infinite
    log_ratio = (deviation / scale).log().clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    log_scale = torch.where(varies, log_ratio, -LOG_RATIO_LIMIT)
    level = robust_view(mean, median, scale)
    own = ((values - mean) / deviation).to(dtype)
    return {
        "own": own,
        "level": level.to(dtype).expand_as(own),
        "log_scale": log_scale.to(dtype).expand_as(own),
    }
