import numpy as np
import pytest
import torch

from bothways import Sequences
from bothways.data.value_range import value_range
from bothways.errors import DataError


@pytest.fixture
def ragged():
    arrays = [np.full((length, 2), length, np.float32) for length in (3, 1, 4, 2)]
    return Sequences.from_arrays(arrays, labels=[0, 1, 2, 0])


def test_value_range_is_of_the_subset_alone(ragged):
    assert value_range(ragged) == (1.0, 4.0)
    assert value_range(ragged.subset(torch.tensor([0, 3]))) == (2.0, 3.0)


def test_not_finite_value_is_named():
    arrays = [np.zeros((2, 1)), np.array([[0.0], [np.nan]])]
    with pytest.raises(DataError, match=r"sequences\[1\] holds nan at step 1, feature 0"):
        value_range(Sequences.from_arrays(arrays))
