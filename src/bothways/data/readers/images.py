"""Pictures: as rows of grey pixels, and of single digits, made to look like MNIST's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bothways.data.readers.arrays import Array
from bothways.errors import DataError
from bothways.optional import require

SIZE = 28
DIGIT_SIZE = 20  # MNIST: a digit fits 20x20, its centre of mass in the centre of 28x28
INK = 0.2  # how light a pixel must be, against a black ground, to belong to the digit


@dataclass(frozen=True)
class Digit:
    """A digit as the model sees it.

    Parameters
    ----------
    pixels : float32 array (28, 28)
        In [0, 1], light on dark.
    changes : str
        What was done to the picture, for the user.
    """

    pixels: Array
    changes: str


def read_rows(path: Path) -> Array:
    """Read a PNG or JPEG as grey pixels in [0, 1], float32 (height, width): rows are steps.

    Raises
    ------
    DataError
        If the file is not a picture.
    MissingDependencyError
        If Pillow is not installed.
    """
    require("PIL", extra="images", purpose="images")
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            grey = _flattened(ImageOps.exif_transpose(picture))
    except (
        OSError,
        SyntaxError,
        ValueError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
    ) as error:
        raise DataError(
            f"{path} cannot be read as a picture ({error}); expected a whole PNG or JPEG."
        ) from None
    levels = np.asarray(grey)
    return levels.astype(np.float32) / np.float32(np.iinfo(levels.dtype).max)


def read_digit(path: Path) -> Digit:
    """Read a PNG or JPEG of one digit: grey, light on dark, 28x28, centred as MNIST's are.

    A picture that is already so is taken as it is.

    Raises
    ------
    DataError
        If the file is not a picture, or shows nothing.
    MissingDependencyError
        If Pillow is not installed.
    """
    pixels = read_rows(path)
    height, width = pixels.shape
    changes = [f"{width}x{height} grey"]
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if np.median(border) > 0.5:
        pixels = 1 - pixels
        border = 1 - border
        changes.append("inverted to light on dark")
    ground = np.median(border)
    if ground:
        pixels = np.clip((pixels - ground) / (1 - ground), 0, 1)
    rows, columns = np.nonzero(pixels > INK)
    if not len(rows):
        raise DataError(
            f"{path} shows nothing but its ground; expected one digit that stands out from it."
        )
    if pixels.shape == (SIZE, SIZE) and _is_centred(pixels):
        changes.append("already as MNIST's")
        return Digit(pixels, ", ".join(changes))
    from PIL import Image

    digit = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = DIGIT_SIZE / max(digit.shape)
    size = (max(1, round(digit.shape[1] * scale)), max(1, round(digit.shape[0] * scale)))
    small = np.asarray(Image.fromarray(digit).resize(size, Image.Resampling.BOX), np.float32)
    changes.append(f"scaled to {size[0]}x{size[1]}, centred in {SIZE}x{SIZE}")
    return Digit(_centred(small), ", ".join(changes))


def _flattened(picture: Any) -> Any:
    """Return the picture in grey; what is transparent becomes white."""
    from PIL import Image

    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture)
    return picture if picture.mode == "I;16" else picture.convert("L")


def _centre_of_mass(pixels: Array) -> tuple[float, float]:
    total = pixels.sum()
    rows = (pixels.sum(axis=1) * np.arange(pixels.shape[0])).sum() / total
    columns = (pixels.sum(axis=0) * np.arange(pixels.shape[1])).sum() / total
    return float(rows), float(columns)


def _is_centred(pixels: Array) -> bool:
    rows, columns = np.nonzero(pixels > 0)
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    middle = SIZE / 2
    return bool(
        extent <= DIGIT_SIZE and all(abs(c - middle) <= 0.51 for c in _centre_of_mass(pixels))
    )


def _centred(digit: Array) -> Array:
    """Place the digit so that its centre of mass is the centre, as far as it stays inside."""
    canvas = np.zeros((SIZE, SIZE), np.float32)
    middle = SIZE / 2
    starts = [
        min(max(0, round(middle - centre)), SIZE - extent)
        for centre, extent in zip(_centre_of_mass(digit), digit.shape, strict=True)
    ]
    top, left = starts
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return canvas
