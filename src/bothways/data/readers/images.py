"""Images: rows of gray pixels as time steps, and single digits in the form of MNIST's."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bothways.data.options import DataOptions
from bothways.data.readers.arrays.streams import Array
from bothways.data.record import Record, Source
from bothways.errors import DataError
from bothways.optional import require

SIZE = 28
DIGIT_SIZE = 20  # MNIST: a digit fits 20x20, with its center of mass in the middle of 28x28
MAX_FILE_BYTES = 1 << 28
INK = 0.2  # pixels above this, on a black background, belong to the digit
PIXEL_NAME = re.compile(r"pixel[ _]?\d+")
"""Names of features that are pixels of an image."""


@dataclass(frozen=True)
class Digit:
    """A digit in the form of MNIST's.

    Parameters
    ----------
    pixels : float32 array (28, 28)
        In [0, 1], light on dark.
    changes : str
        How the image was changed, for the user.
    """

    pixels: Array
    changes: str


def read_image(path: Path, options: DataOptions, *, labeled: bool = True) -> Source:
    """Read a PNG or JPEG file of one digit; see `read_digit`.

    Raises
    ------
    DataError
        If labels are needed, or as `read_digit`.
    """
    if labeled:
        raise DataError(
            f"{path} is an image without a label; expected a folder for each class. Put the images "
            "in such folders, and pass the folder that contains them."
        )
    digit = read_digit(path)
    record = Record(name=str(path), place="image", values=digit.pixels)
    return Source(
        features=tuple(f"pixel {n}" for n in range(SIZE)),
        records=iter([record]),
        notes=[f"{path}: {digit.changes}"],
    )


def read_rows(file: Path | BinaryIO, most_pixels: int | None = None) -> Array:
    """Read a PNG or JPEG file as gray pixels in [0, 1], float32 (height, width).

    Parameters
    ----------
    file : Path or binary file
        Messages contain its text.
    most_pixels : int, optional
        Larger images are not decoded.

    Raises
    ------
    DataError
        If the file is not an image, or has more pixels.
    MissingDependencyError
        If Pillow is not installed.
    """
    require("PIL", extra="images", purpose="images")
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(_in_memory(file), formats=("PNG", "JPEG")) as image:
            if most_pixels is not None and image.width * image.height > most_pixels:
                raise DataError(
                    f"{file} has {image.width}x{image.height} pixels; expected at most "
                    f"{most_pixels:,}. Scale it down."
                )
            gray = _flattened(ImageOps.exif_transpose(image))
    except DataError:
        raise
    except (
        OSError,
        SyntaxError,
        ValueError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
    ) as error:
        raise DataError(
            f"{file} cannot be read as an image ({error}); expected a PNG or JPEG file. Check it."
        ) from None
    levels = np.asarray(gray)
    return levels.astype(np.float32) / np.float32(np.iinfo(levels.dtype).max)


def _in_memory(file: Path | BinaryIO) -> BinaryIO:
    """Return the content of a file, so that Pillow never allocates what a header merely states."""
    if not isinstance(file, Path):
        return file
    size = file.stat().st_size
    if size > MAX_FILE_BYTES:
        raise DataError(
            f"{file} has {size:,} bytes; expected an image of at most {MAX_FILE_BYTES:,}. Scale it "
            "down."
        )
    return io.BytesIO(file.read_bytes())


def read_digit(file: Path | BinaryIO, most_pixels: int | None = None) -> Digit:
    """Read a PNG or JPEG file of one digit as gray, light on dark, 28x28, centered as MNIST's.

    An image in this form is not changed. The parameters are those of `read_rows`.

    Raises
    ------
    DataError
        If the file is not an image, has more pixels, or is empty.
    MissingDependencyError
        If Pillow is not installed.
    """
    pixels = read_rows(file, most_pixels)
    height, width = pixels.shape
    changes = [f"{width}x{height} gray"]
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if np.median(border) > 0.5:
        pixels = 1 - pixels
        border = 1 - border
        changes.append("inverted to light on dark")
    background = np.median(border)
    if background:
        pixels = np.clip((pixels - background) / (1 - background), 0, 1)
    rows, columns = np.nonzero(pixels > INK)
    if not len(rows):
        raise DataError(
            f"{file} is empty; expected one digit that differs from the background. Check the file."
        )
    if pixels.shape == (SIZE, SIZE) and _is_centered(pixels):
        changes.append("already in the form of MNIST")
        return Digit(pixels, ", ".join(changes))
    from PIL import Image

    digit = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = DIGIT_SIZE / max(digit.shape)
    size = (max(1, round(digit.shape[1] * scale)), max(1, round(digit.shape[0] * scale)))
    small = np.asarray(Image.fromarray(digit).resize(size, Image.Resampling.BOX), np.float32)
    changes.append(f"scaled to {size[0]}x{size[1]}, centered in {SIZE}x{SIZE}")
    return Digit(_centered(small), ", ".join(changes))


def _flattened(image: Any) -> Any:
    """Return the image in gray, on white where it is transparent."""
    from PIL import Image

    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image)
    return image if image.mode == "I;16" else image.convert("L")


def _center_of_mass(pixels: Array) -> tuple[float, float]:
    total = pixels.sum()
    rows = (pixels.sum(axis=1) * np.arange(pixels.shape[0])).sum() / total
    columns = (pixels.sum(axis=0) * np.arange(pixels.shape[1])).sum() / total
    return float(rows), float(columns)


def _is_centered(pixels: Array) -> bool:
    rows, columns = np.nonzero(pixels > 0)
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    middle = SIZE / 2
    return bool(
        extent <= DIGIT_SIZE and all(abs(c - middle) <= 0.51 for c in _center_of_mass(pixels))
    )


def _centered(digit: Array) -> Array:
    """Place the center of mass of the digit in the middle, as far as the digit stays inside."""
    canvas = np.zeros((SIZE, SIZE), np.float32)
    middle = SIZE / 2
    starts = [
        min(max(0, round(middle - center)), SIZE - extent)
        for center, extent in zip(_center_of_mass(digit), digit.shape, strict=True)
    ]
    top, left = starts
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return canvas
