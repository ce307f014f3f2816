"""Images and labels in IDX files belong together, or an error names both."""

import struct

import numpy as np
import pytest

from bothways.data.open import open_dataset
from bothways.errors import DataError

IMAGES = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


def write(folder, labels):
    images = folder / "train-images-idx3-ubyte"
    images.write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, *IMAGES.shape) + IMAGES.tobytes())
    numbers = struct.pack(">4BI", 0, 0, 8, 1, len(labels)) + bytes(labels)
    (folder / "train-labels-idx1-ubyte").write_bytes(numbers)
    return str(images)


def test_rows_of_pixels_are_time_steps(tmp_path):
    dataset = open_dataset(write(tmp_path, [0, 1, 1, 0]))
    np.testing.assert_allclose(dataset.train.steps, IMAGES.reshape(20, 3) / 255, rtol=1e-6)
    assert dataset.classes == ("0", "1")


@pytest.mark.parametrize("labels", [[], [0, 1, 1]])
def test_labels_of_another_number_are_refused(tmp_path, labels):
    with pytest.raises(
        DataError, match=rf"has shape \(4, 5, 3\) and .*labels\S* \({len(labels)},\); expected"
    ):
        open_dataset(write(tmp_path, labels))
