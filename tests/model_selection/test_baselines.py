import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from bothways import Sequences
from bothways.model_selection.baselines import (
    baselines_for,
    majority,
    mini_rocket,
    summaries,
    summary_regression,
)

ROCKET = "aeon.transformations.collection.convolution_based"


def sequences(count, seed=0, order_matters=True):
    """Return sequences with an early or a late bump; their summaries differ only at the ends."""
    generator = np.random.default_rng(seed)
    arrays, labels = [], []
    for n in range(count):
        steps = generator.normal(0, 0.1, (20, 1))
        steps[4 if n % 2 else 14] += 5 if order_matters else 5 * (n % 2)
        arrays.append(steps)
        labels.append(n % 2)
    return Sequences.from_arrays(arrays, labels)


def accuracy(baseline, training, held_out):
    return (baseline(training, held_out).argmax(axis=1) == held_out.labels.numpy()).mean()


def test_baselines():
    easy, other = sequences(40, order_matters=False), sequences(20, 1, order_matters=False)
    assert accuracy(majority, easy, other) == 0.5
    assert accuracy(summary_regression, easy, other) == 1.0
    hard = sequences(40)
    assert accuracy(summary_regression, hard, sequences(40, 1)) < 0.8


def test_missing_values_in_summaries():
    values = np.array([[1.0, np.nan, 4.0], [3.0, np.nan, np.nan]])
    (row,) = summaries(Sequences.from_arrays([values]))
    nan = np.nan
    expected = [2, 2, nan, 4, 1, nan, 0, 1, nan, 4, 3, nan, 4, 1, nan, 4, 3, nan, 4, 0, 1, 0.5]
    np.testing.assert_allclose(row, expected)


def test_a_feature_that_a_sequence_lacks_is_the_mean_of_training():
    """With 0 in its place, sequence 4 would be far below all others."""
    arrays = [np.full((5, 1), 300.0 + n) for n in (0, 1, 10, 11)]
    training = Sequences.from_arrays(arrays, [0, 0, 1, 1])
    lacking = Sequences.from_arrays([np.full((5, 1), np.nan)], [0])
    probabilities = summary_regression(training, lacking)
    np.testing.assert_allclose(probabilities, [[0.5, 0.5]], atol=0.01)


def test_what_is_missing_is_a_feature_of_the_regression():
    generator = np.random.default_rng(0)
    arrays = generator.normal(size=(40, 20, 1))
    arrays[1::2, 5:9] = np.nan
    data = Sequences.from_arrays(list(arrays), np.arange(40) % 2)
    assert accuracy(summary_regression, data.subset(data.labels.new_tensor(range(20))), data) == 1


@pytest.fixture
def seen(monkeypatch):
    """Replace MiniRocket by a transformer that records its input: aeon has many dependencies."""
    inputs = []

    class MiniRocket(BaseEstimator):
        def __init__(self, random_state=None):
            self.random_state = random_state

        def fit(self, arrays, labels=None):
            return self

        def transform(self, arrays):
            inputs.append(arrays)
            return arrays.reshape(len(arrays), -1)

    monkeypatch.setitem(sys.modules, ROCKET, SimpleNamespace(MiniRocket=MiniRocket))
    return inputs


def test_mini_rocket_receives_standardized_sequences_of_one_length(seen):
    lengths, labels = (5, 12, 7, 8, 11, 6), [1, 0, 1, 0, 1, 0]
    arrays = [
        np.stack([np.linspace(0, 1, length), np.full(length, 500.0 + 9 * label)], axis=1)
        for length, label in zip(lengths, labels, strict=True)
    ]
    arrays[1][3:6, 0] = np.nan  # a gap in a straight line
    arrays[5][:, 1] = np.nan  # a feature that is missing
    training = Sequences.from_arrays(arrays[:4], labels[:4])
    held_out = Sequences.from_arrays(arrays[4:], labels[4:])
    mini_rocket(training, held_out)
    assert [some.shape for some in seen] == [(4, 2, 12), (2, 2, 12)]
    of_training = np.concatenate(arrays[:4])
    means, deviations = np.nanmean(of_training, axis=0), np.nanstd(of_training, axis=0)
    line = (np.linspace(0, 1, 12) - means[0]) / deviations[0]
    for of_part in seen:
        for sequence in of_part:
            np.testing.assert_allclose(sequence[0], line, atol=1e-6)
    for sequence, label in zip(seen[0], labels, strict=False):
        np.testing.assert_allclose(sequence[1], (500 + 9 * label - means[1]) / deviations[1])
    assert not seen[1][1, 1].any()


def test_mini_rocket_without_a_feature_in_training(seen):
    arrays = [np.stack([np.full(9, n % 2), np.full(9, np.nan)], axis=1) for n in range(8)]
    data = Sequences.from_arrays(arrays, np.arange(8) % 2)
    assert accuracy(mini_rocket, data, data) == 1
    assert not seen[0][:, 1].any()


def test_available_baselines(seen):
    names = ["majority class", "logistic regression on summaries", "MiniRocket"]
    found, notes = baselines_for("sequence")
    assert (list(found), notes) == (names, [])
    found, notes = baselines_for("step")
    assert (list(found), notes) == (["majority class", "logistic regression on single steps"], [])


def test_a_note_says_what_mini_rocket_needs(monkeypatch):
    monkeypatch.delitem(sys.modules, ROCKET, raising=False)
    monkeypatch.setitem(sys.modules, "aeon", None)
    found, (note,) = baselines_for("sequence")
    assert list(found) == ["majority class", "logistic regression on summaries"]
    assert "MiniRocket is not compared" in note
    assert note.endswith("not installed. Run: pip install aeon")
    assert baselines_for("step")[1] == []
