import warnings

import numpy as np
import pytest
import torch

from bothways import Sequences
from bothways.data.validation import PrecisionWarning
from bothways.errors import ShapeError

SIGNAL = np.random.default_rng(0).standard_normal((4, 50, 2))


@pytest.mark.parametrize(
    "build",
    [
        Sequences.from_padded,
        list,
        lambda array: Sequences.from_flat(array.reshape(200, 2), [0, 50, 100, 150, 200]),
        lambda array: Sequences.from_padded(torch.from_numpy(array)),
    ],
)
def test_changes_that_float32_loses_are_reported(build):
    def make(array):
        built = build(array)
        return Sequences.from_arrays(built) if isinstance(built, list) else built

    with pytest.warns(PrecisionWarning, match=r"loses most changes of feature 1; expected"):
        make(SIGNAL + np.array([0, 1.7e9]))
    for harmless in (SIGNAL, SIGNAL + 1000, (SIGNAL + 1.7e9).astype(np.float32)):
        make(harmless)
    for constant in (np.full((4, 50, 2), 1.7e9 + 1), np.full((4, 50, 2), 0.3)):
        make(constant)


def test_missing_and_infinite_values_are_no_reason_to_warn():
    values = SIGNAL.copy()
    values[0, 0] = np.nan
    values[1, 1] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Sequences.from_padded(values)


def test_offsets_rise_to_the_number_of_steps():
    with pytest.raises(ShapeError, match=r"whole numbers .* that rise from 0 to 200"):
        Sequences.from_flat(SIGNAL.reshape(200, 2), [0, 50, 50, 200])
