from dataclasses import replace

import numpy as np
import pytest

from bothways import Dataset, Sequences
from bothways.data.duplicates import duplicates_note, is_duplicate, report_duplicates
from bothways.errors import DataError


def noise(count, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(6, 2)) for _ in range(count)]


def sequences(arrays):
    return Sequences.from_arrays(arrays, np.arange(len(arrays)) % 2)


def dataset(train, test):
    return Dataset("toy", sequences(train), sequences(test), ("a", "b"))


def test_a_duplicate_has_the_same_values_and_shape():
    arrays = noise(3)
    others = [arrays[1], arrays[0].reshape(4, 3).T.reshape(6, 2), arrays[2][:5]]
    assert is_duplicate(sequences(arrays), sequences(others)) == [False, True, False]


def test_duplicates_of_held_out_sequences_are_reported_or_dropped():
    arrays = noise(4)
    data = dataset(arrays, [arrays[0], *noise(2, seed=1), arrays[2]])
    reported = report_duplicates(data)
    assert reported.notes == (
        "2 test sequences are also in the training set: the test metrics will be optimistic",
    )
    assert len(reported.train) == 4
    dropped = report_duplicates(replace(data, drop_copies=True))
    assert dropped.notes == (
        "2 test sequences were also in the training set, from which they were dropped",
    )
    assert [len(part) for part in dropped.parts.values()] == [2, 4]
    assert report_duplicates(dropped).notes == dropped.notes


def test_one_duplicate_is_singular():
    assert duplicates_note("validation", 1, dropped=True) == (
        "1 validation sequence was also in the training set, from which it was dropped"
    )


def test_something_must_be_left_to_train_on():
    arrays = noise(4)
    with pytest.raises(DataError, match="toy: all training sequences are also in a held-out set"):
        report_duplicates(replace(dataset(arrays[:2], arrays), drop_copies=True))
