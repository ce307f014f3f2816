"""The MNIST digits, whole, from the files that ship in this package."""

import hashlib
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import numpy as np

from bothways.data.dataset import Dataset
from bothways.data.readers.arrays.streams import Array, to_floats
from bothways.data.sequences import LabeledSequences, Sequences
from bothways.errors import DataError

_GZIP = 16 + zlib.MAX_WBITS  # zlib's sign for a gzip header
_LARGEST = 16 + 60_000 * 28 * 28  # bytes; a damaged file may claim more

# MD5 of the uncompressed files, as published.
_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def mnist() -> Dataset:
    """Return MNIST: 60,000 and 10,000 digits, each 28 rows of 28 pixels in [0, 1].

    Raises
    ------
    DataError
        If a shipped file is missing or not the published one.

    References
    ----------
    LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document
    recognition".
    """
    with ThreadPoolExecutor() as pool:  # zlib and hashlib run outside the interpreter lock
        train_images, train_labels, test_images, test_labels = pool.map(_verified, _MD5)
    return Dataset(
        name="mnist",
        train=_sequences(train_images, train_labels),
        test=_sequences(test_images, test_labels),
        classes=tuple(str(digit) for digit in range(10)),
    )


def _verified(name: str) -> Array:
    """Read one IDX file; its checksum vouches for the header too."""
    file = files("bothways.data.builtin") / "mnist_idx" / f"{name}.gz"
    try:
        compressed = file.read_bytes()
        # gzip's last four bytes are the size; a buffer of that size saves growing one, most of the
        # time that reading takes.
        size = min(int.from_bytes(compressed[-4:], "little"), _LARGEST)
        content = zlib.decompress(compressed, _GZIP, size)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    except (OSError, zlib.error) as error:
        raise DataError(f"{file} cannot be read ({error}). Install bothways again.") from None
    if md5 != _MD5[name]:
        raise DataError(f"{file} has MD5 {md5}; expected {_MD5[name]}. Install bothways again.")
    num_axes = content[3]
    shape = np.frombuffer(content, ">i4", count=num_axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * num_axes).reshape(shape)


def _sequences(images: Array, labels: Array) -> LabeledSequences:
    inputs = to_floats(images, "mnist images")
    return Sequences.from_padded(inputs, labels=labels.astype(np.int64))
