import re
import warnings

import numpy as np
import pytest
import torch

from bothways import Sequences
from bothways.data.validation import PrecisionWarning, check_finite, value_range
from bothways.errors import DataError, ShapeError

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


def test_value_range_is_of_the_subset_only():
    arrays = [np.full((length, 2), length, np.float32) for length in (3, 1, 4, 2)]
    ragged = Sequences.from_arrays(arrays)
    assert value_range(ragged.chunks()) == (1.0, 4.0)
    assert value_range(ragged.subset(torch.tensor([0, 3])).chunks()) == (2.0, 3.0)


def test_value_range_is_of_some_features_and_without_missing_values():
    values = [np.array([[1.0, 9.0], [np.nan, 8.0]], np.float32)]
    chunks = Sequences.from_arrays(values).chunks
    assert value_range(chunks(), missing=True) == (1.0, 9.0)
    assert value_range(chunks(), missing=True, features=[0]) == (1.0, 1.0)
    assert value_range(chunks(), features=[1]) == (8.0, 9.0)
    assert value_range(chunks(), features=[]) == (float("inf"), -float("inf"))


@pytest.mark.parametrize("chunk_values", [1, 100])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_is_named(value, chunk_values, monkeypatch):
    monkeypatch.setattr("bothways.data.ragged.CHUNK_VALUES", chunk_values)
    sequences = Sequences.from_arrays([np.zeros((2, 2)), np.array([[0.0, 0.0], [0.0, value]])])
    message = rf"sequences\[1\] holds {value} at step 1, feature 1"
    for missing in {False, value == value}:
        with pytest.raises(DataError, match=message):
            value_range(sequences.chunks(), missing=missing)
    with pytest.raises(DataError, match=r"x\[6\] holds .* at step 1, b; expected finite"):
        check_finite(sequences.chunks(), "x", first=5, features=["a", "b"])


@pytest.mark.parametrize("value", [1e300, -1e39, 1.7e308])
def test_a_value_too_large_for_float32_is_named(value):
    array = np.array([[0.0, -value], [1.0, 2.0]])
    fact = f"[0, 1] is {-value:g}, too large for float32; expected numbers up to 3.4e+38. Scale"
    with pytest.raises(DataError, match="^" + re.escape(f"sequences[0]{fact}")):
        Sequences.from_arrays([array])
    with pytest.raises(DataError, match=r"^inputs\[0, 0, 1\] is "):
        Sequences.from_padded(array[None])


def test_the_warning_points_to_the_caller():
    with pytest.warns(PrecisionWarning) as caught:
        Sequences.from_padded(1.7e9 + SIGNAL)
    assert caught[0].filename == __file__
