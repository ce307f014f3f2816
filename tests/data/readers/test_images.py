"""Pictures of digits look like MNIST's when they have been read."""

import sys
import tracemalloc
from contextlib import suppress
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from bothways.data.readers.arrays.streams import open_idx
from bothways.data.readers.images import read_digit
from bothways.errors import DataError, MissingDependencyError


@pytest.fixture(scope="module")
def digits():
    """The first hundred of MNIST's test digits; the first is a 7."""
    with open_idx(
        files("bothways.data.builtin") / "mnist_idx" / "t10k-images-idx3-ubyte.gz"
    ) as stream:
        return next(stream.chunks(100))


def enlarged(digit):
    return Image.fromarray(digit).resize((280, 280), Image.Resampling.BICUBIC)


def inverted(picture):
    return picture.point(lambda level: 255 - level)


def off_centre(digit):
    picture = Image.new("L", (600, 400))
    picture.paste(enlarged(digit), (310, 20))
    return picture


def ink_on_nothing(digit):
    picture = Image.new("RGBA", (280, 280), "black")
    picture.putalpha(enlarged(digit))
    return picture


def ink_on_gray_paper(digit):
    return enlarged(digit).point(lambda level: 180 * (255 - level) // 255)


def turned_by_the_camera(digit):
    picture = inverted(enlarged(digit)).transpose(Image.Transpose.ROTATE_90)
    picture.getexif()[0x0112] = 6  # "turn by 90 degrees clockwise to look at it"
    return picture


def centre_of_mass(pixels):
    positions = np.arange(28)
    rows, columns = (pixels.sum(axis=axis) @ positions for axis in (1, 0))
    return rows / pixels.sum(), columns / pixels.sum()


def test_digits_of_mnist_are_taken_as_they_are(tmp_path, digits):
    path = tmp_path / "digit.png"
    for pixels in digits:
        Image.fromarray(pixels).save(path)
        digit = read_digit(path)
        np.testing.assert_array_equal(digit.pixels, pixels / np.float32(255), strict=True)
        assert digit.changes == "28x28 gray, already in the form of MNIST"


def test_mnists_own_centres_of_mass_lie_around_14(digits):
    for pixels in digits:
        assert centre_of_mass(pixels) == pytest.approx((14, 14), abs=0.5)


@pytest.mark.parametrize(
    "convert",
    [
        lambda digit: Image.fromarray(digit).convert("RGB"),
        lambda digit: Image.fromarray(digit).convert("P"),
        lambda digit: Image.fromarray(digit.astype(np.uint16) * 257),
        lambda digit: Image.fromarray(255 - digit),
    ],
    ids=["rgb", "palette", "16 bits", "inverted"],
)
def test_other_pictures_of_the_same_pixels_give_the_same_digit(tmp_path, digits, convert):
    path = tmp_path / "digit.png"
    convert(digits[0]).save(path)
    expected = digits[0] / np.float32(255)
    np.testing.assert_allclose(read_digit(path).pixels, expected, atol=1e-6)  # one rounding


@pytest.mark.parametrize(
    ("draw", "name", "changes"),
    [
        (enlarged, "big.png", "280x280 gray, scaled to"),
        (lambda digit: inverted(enlarged(digit)), "ink.png", "inverted to light on dark, scaled"),
        (off_centre, "off.png", "600x400 gray, scaled to"),
        (lambda digit: off_centre(digit).convert("RGB"), "rgb.png", "600x400 gray, scaled to"),
        (ink_on_nothing, "transparent.png", "inverted to light on dark"),
        (lambda digit: enlarged(digit).convert("1"), "dithered.png", "280x280 gray, scaled"),
        (off_centre, "photo.jpg", "scaled to"),
        (lambda digit: inverted(off_centre(digit)).convert("RGB"), "paper.jpg", "inverted"),
        (ink_on_gray_paper, "gray.png", "inverted to light on dark"),
        (turned_by_the_camera, "turned.jpg", "inverted to light on dark"),
    ],
)
def test_a_digit_drawn_otherwise_looks_like_mnists(tmp_path, digits, draw, name, changes):
    picture = draw(digits[0])
    picture.save(tmp_path / name, exif=picture.getexif())
    digit = read_digit(tmp_path / name)
    assert changes in digit.changes
    assert digit.pixels.dtype == np.float32
    assert 0 <= digit.pixels.min() < 0.01
    assert 0.9 < digit.pixels.max() <= 1
    assert centre_of_mass(digit.pixels) == pytest.approx((14, 14), abs=0.5)
    rows, columns = np.nonzero(digit.pixels)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    assert np.corrcoef(digit.pixels.ravel(), digits[0].ravel())[0, 1] > 0.9


@pytest.mark.parametrize("size", [(3, 300), (300, 3)])
def test_a_thin_stroke_keeps_a_pixel(tmp_path, size):
    picture = Image.new("L", (400, 400))
    picture.paste(255, (20, 20, 20 + size[0], 20 + size[1]))
    picture.save(tmp_path / "stroke.png")
    rows, columns = np.nonzero(read_digit(tmp_path / "stroke.png").pixels)
    assert sorted((np.ptp(rows) + 1, np.ptp(columns) + 1)) == [1, 20]


def test_a_lopsided_digit_stays_whole(tmp_path):
    picture = Image.new("L", (600, 600))
    picture.paste(255, (100, 100, 120, 500))
    picture.paste(255, (100, 480, 500, 500))
    picture.paste(255, (100, 100, 300, 300))
    picture.save(tmp_path / "lopsided.png")
    rows, columns = np.nonzero(read_digit(tmp_path / "lopsided.png").pixels)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 20)


@pytest.mark.parametrize(
    ("mode", "color"), [("L", 255), ("L", 0), ("L", 128), ("RGB", "white"), ("RGBA", (0, 0, 0, 0))]
)
def test_a_blank_picture_is_refused(tmp_path, mode, color):
    path = tmp_path / "blank.png"
    Image.new(mode, (50, 50), color).save(path)
    with pytest.raises(DataError, match=r"blank\.png is empty; expected one digit"):
        read_digit(path)


@pytest.mark.parametrize("size", [0, 100, 200])
def test_what_is_no_whole_picture_is_refused(tmp_path, digits, size):
    path = tmp_path / "digit.png"
    Image.fromarray(digits[0]).save(path)
    path.write_bytes(path.read_bytes()[:size] or b"\x89PNG, it says\n")
    with pytest.raises(DataError, match=r"digit\.png cannot be read as an image \("):
        read_digit(path)


def test_a_flipped_bit_is_never_a_crash(tmp_path, digits):
    path = tmp_path / "digit.png"
    Image.fromarray(digits[0]).save(path)
    content = path.read_bytes()
    errors = 0
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        try:
            read_digit(path)
        except DataError:
            errors += 1
    assert errors > len(content) / 2


def test_a_hostile_size_of_a_part_takes_no_memory(tmp_path, digits):
    path = tmp_path / "digit.png"
    enlarged(digits[0]).save(path)
    content = path.read_bytes()
    at = content.index(b"IDAT")
    path.write_bytes(content[: at - 4] + b"\x7f\xff\xff\xff" + content[at:])
    tracemalloc.start()
    with suppress(DataError):
        read_digit(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def test_a_file_too_large_for_an_image_is_not_read(tmp_path):
    path = tmp_path / "digit.png"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a sparse file
    with pytest.raises(
        DataError, match=r"digit\.png has 1,099,511,627,776 bytes; expected an image of at most"
    ):
        read_digit(path)


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        MissingDependencyError,
        match=r"images need the package Pillow.*pip install 'bothways\[images\]'",
    ):
        read_digit(tmp_path / "digit.png")


def test_large_pictures_are_refused_before_they_are_decoded(tmp_path):
    path = tmp_path / "large.png"
    Image.new("L", (300, 200)).save(path)
    with pytest.raises(DataError, match=r"large\.png has 300x200 pixels; expected at most 59,999"):
        read_digit(path, most_pixels=59_999)
    with pytest.raises(DataError, match="is empty"):
        read_digit(path, most_pixels=60_000)


def test_an_open_file_is_read_as_the_file_of_the_same_content(tmp_path, digits):
    path = tmp_path / "digit.png"
    Image.fromarray((255 * digits[0]).astype(np.uint8)).save(path)
    with path.open("rb") as file:
        assert np.array_equal(read_digit(file).pixels, read_digit(path).pixels)
