"""Transform sequences as images whose rows are the time steps and whose columns the features."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from bothways.config import Augmentation
from bothways.kernels.draws import Draws

ELASTIC_CELLS = 4
"""Number of cells along each side of an image, at whose corners displacements are drawn."""


def transform_images(
    images: Tensor, lengths: Tensor, settings: Augmentation, draws: Draws
) -> Tensor:
    """Return the images after random affine and elastic transforms about their centers.

    Values between pixels are interpolated bilinearly; pixels from outside of an image are zero.

    Parameters
    ----------
    images : float32 Tensor (batch, time, input_size)
        Zero in the padding.
    lengths : int64 Tensor (batch,)
    settings : Augmentation
        Uses `augment_rotation`, `augment_zoom`, `augment_shear`, `augment_translation` and
        `augment_elastic`.
    draws : Draws

    References
    ----------
    Simard, Steinkraus & Platt 2003, "Best practices for convolutional neural networks applied to
    visual document analysis": elastic distortions, there smoothed with a Gaussian.
    """
    _, height, width = images.shape
    middle_y = ((lengths - 1) / 2)[:, None, None]
    middle_x = (width - 1) / 2
    y = torch.arange(height, dtype=torch.float32, device=images.device)[:, None] - middle_y
    x = torch.arange(width, dtype=torch.float32, device=images.device) - middle_x
    (yy, yx, shift_y), (xy, xx, shift_x) = _affine(len(images), settings, draws)
    source_y = yy * y + yx * x + shift_y + middle_y  # (batch, height, width)
    source_x = xy * y + xx * x + shift_x + middle_x
    if settings.augment_elastic:
        bend_y, bend_x = _elastic(lengths, height, width, settings.augment_elastic, draws)
        source_y, source_x = source_y + bend_y, source_x + bend_x
    grid = torch.stack([_normalized(source_x, width), _normalized(source_y, height)], dim=-1)
    return functional.grid_sample(images[:, None], grid, align_corners=True)[:, 0]


def _affine(
    batch: int, settings: Augmentation, draws: Draws
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Draw affine maps from a pixel to its source, relative to the center.

    Returns
    -------
    Two rows (for y and x) of three Tensors (batch, 1, 1): the factors of y and x, and the shift.
    """
    drawn = draws.around_zero(1.0, 6, batch, 1, 1, batch_axis=1)
    angle = drawn[0] * math.radians(settings.augment_rotation)
    zoom_y, zoom_x = (1 / (1 + settings.augment_zoom * part) for part in drawn[1:3])
    shear = settings.augment_shear * drawn[3]
    shift_y, shift_x = settings.augment_translation * drawn[4:]
    cos, sin = angle.cos(), angle.sin()
    return (
        (zoom_y * (cos - shear * sin), -zoom_y * sin, shift_y),
        (zoom_x * (sin + shear * cos), zoom_x * cos, shift_x),
    )


def _elastic(
    lengths: Tensor, height: int, width: int, deviation: float, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Draw smooth displacements of about `deviation` pixels, each (batch, height, width)."""
    corners = deviation * draws.normal(
        2, len(lengths), ELASTIC_CELLS + 1, ELASTIC_CELLS + 1, batch_axis=1
    )
    of_rows = _corner_weights(lengths[:, None], height)  # (batch, height, corners)
    of_columns = _corner_weights(torch.tensor(width, device=lengths.device), width)
    bend_y, bend_x = of_rows @ corners @ of_columns.mT
    return bend_y, bend_x


def _corner_weights(size: Tensor, count: int) -> Tensor:
    """Return the weights (..., count, corners) of cubic convolution along a side of `size` pixels.

    References
    ----------
    Keys 1981, "Cubic convolution interpolation for digital image processing", with a = -3/4.
    """
    pixels = torch.arange(count, device=size.device)
    places = (pixels * (ELASTIC_CELLS / (size - 1).clamp(min=1))).clamp(max=ELASTIC_CELLS)
    distance = (places[..., None] - torch.arange(-1, ELASTIC_CELLS + 2, device=size.device)).abs()
    near = (1.25 * distance - 2.25) * distance.square() + 1
    far = -0.75 * (((distance - 5) * distance + 8) * distance - 4)
    weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    inner = weights[..., 1:-1].clone()  # beyond the border, the corners of the border count again
    inner[..., 0] += weights[..., 0]
    inner[..., -1] += weights[..., -1]
    return inner


def _normalized(pixels: Tensor, size: int) -> Tensor:
    """Return pixel coordinates as `grid_sample` expects them: -1 is the first, 1 the last pixel."""
    return pixels * (2 / max(1, size - 1)) - 1
