"""Shift and warp the time of sequences.

Both give, for each time step, the position of the original sequence that it shows.
"""

import torch
from torch import Tensor
from torch.nn import functional

from bothways.kernels.draws import Draws

KNOTS = 5
"""Number of random speeds of a time warp, between which the speed is interpolated."""


def random_positions(lengths: Tensor, time: int, shift: float, warp: float, draws: Draws) -> Tensor:
    """Return the position that each time step shows.

    Parameters
    ----------
    lengths : int64 Tensor (batch,)
    time : int
    shift : float
        Largest shift, as a fraction of the length. Positions outside of the sequence are replaced
        by its first or last time step.
    warp : float
        Standard deviation of the logarithm of the speed at each of the `KNOTS`.
    draws : Draws

    Returns
    -------
    positions : float32 Tensor (batch, time)
        From 0 to `lengths - 1`, rising; meaningless in the padding.

    References
    ----------
    Um et al. 2017, "Data augmentation of wearable sensor data for Parkinson's disease monitoring
    using convolutional neural networks": time-warping, here with linear interpolation.
    """
    last = (lengths - 1).to(torch.float32)[:, None]
    positions = torch.arange(time, dtype=torch.float32, device=lengths.device).expand(len(last), -1)
    if warp:
        positions = last * _progress(positions / last.clamp(min=1), warp, draws)
    if shift:
        positions = positions + draws.around_zero(shift, len(last), 1) * (last + 1)
    return torch.minimum(positions.clamp(min=0), last)


def _progress(fraction: Tensor, warp: float, draws: Draws) -> Tensor:
    """Map fractions of the time (batch, time) from 0 to 1 to fractions of the sequence."""
    speeds = (warp * draws.normal(len(fraction), KNOTS)).exp()
    between = (speeds[:, 1:] + speeds[:, :-1]) / 2
    travelled = functional.pad(between.cumsum(dim=1), (1, 0))  # (batch, KNOTS), at each knot
    place = (fraction * (KNOTS - 1)).clamp(max=KNOTS - 1)
    knot = place.long().clamp(max=KNOTS - 2)
    along = place - knot
    first, second = speeds.gather(1, knot), speeds.gather(1, knot + 1)
    way = travelled.gather(1, knot) + first * along + (second - first) * along.square() / 2
    return way / travelled[:, -1:]


def resample(inputs: Tensor, positions: Tensor, categorical: list[int]) -> Tensor:
    """Return the steps at `positions`, interpolated linearly; categories are those of the nearest.

    Parameters
    ----------
    inputs : Tensor (batch, time, input_size)
        A value is that of the nearest step, too, if one of its two neighbors is NaN, so that the
        expected fraction of NaN stays the same.
    positions : float32 Tensor (batch, time)
    categorical : list of int
        Indices of the categorical features.
    """
    steps = inputs.flatten(0, 1)
    below = positions.floor()
    fraction = (positions - below)[..., None]
    before = _rows(steps, below)
    after = _rows(steps, positions.ceil())
    nearest = torch.where((positions.round() == below)[..., None], before, after)
    mixed = torch.lerp(before, after, fraction)
    mixed = torch.where(mixed.isnan(), nearest, mixed)
    mixed[..., categorical] = nearest[..., categorical]
    return mixed


def resample_labels(labels: Tensor, positions: Tensor) -> Tensor:
    """Return the labels (batch, time) of the nearest steps to `positions`."""
    return labels.gather(1, positions.round().long())


def _rows(steps: Tensor, positions: Tensor) -> Tensor:
    """Return the steps (batch, time, input_size) at whole positions (batch, time)."""
    batch, time = positions.shape
    starts = torch.arange(0, batch * time, time, device=positions.device)[:, None]
    rows = steps.index_select(0, (positions.long() + starts).flatten())
    return rows.view(batch, time, -1)
