import math
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from bothways import DataOptions, Dataset, Sequences, open_dataset
from bothways.cli.print_metrics import describe_difference, print_candidates
from bothways.model_selection.baselines import baselines, majority, summaries, summary_regression
from bothways.model_selection.compare import Candidate, Comparison, compare, paired_difference


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
    assert list(baselines("sequence"))[:2] == ["majority class", "logistic regression on summaries"]


def test_summaries_ignore_nan():
    values = np.array([[1.0, np.nan], [3.0, np.nan]])
    (row,) = summaries(Sequences.from_arrays([values]))
    np.testing.assert_allclose(row, [2, 2, 0, 1, 0, 1, 0, 3, 0, 1, 0, 3, 0])


def test_a_recurrent_network_beats_baselines_where_order_matters():
    dataset = Dataset("bumps", sequences(100), None, ("late", "early"))
    done = []
    comparison = compare(
        dataset,
        rounds=3,
        on_round=done.append,
        epochs=20,
        learning_rate=0.01,
        hidden_size=8,
        num_layers=1,
        readout="final",
    )
    names = [candidate.name for candidate in comparison.candidates]
    assert names[:4] == [
        "GRU both ways",
        "GRU forward",
        "majority class",
        "logistic regression on summaries",
    ]
    assert done == [1, 2, 3]
    answer = comparison.recurrent_against_baseline
    assert answer.mean > 0.2
    assert answer.p_value < 0.05
    assert answer.low <= answer.mean <= answer.high
    directions = comparison.both_ways_against_forward
    assert (directions.first, directions.second) == ("GRU both ways", "GRU forward")


def test_corrected_paired_t_test():
    first, second = Candidate("a", True, [0.9, 0.8, 0.85]), Candidate("b", False, [0.7, 0.75, 0.7])
    difference = paired_difference(first, second, ratio=1 / 3)
    d = np.array([0.2, 0.05, 0.15])
    t = d.mean() / math.sqrt((1 / 3 + 1 / 3) * d.var(ddof=1))
    # Student's t with 2 degrees of freedom has a closed form.
    assert difference.p_value == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert difference.mean == pytest.approx(d.mean())
    assert describe_difference(difference).startswith(
        "The difference is not statistically significant. a minus b: +13."
    )


def test_one_round_and_no_spread():
    alone = paired_difference(Candidate("a", True, [1.0]), Candidate("b", False, [0.5]), 0.3)
    assert math.isnan(alone.p_value)
    assert "one round is not enough for a test" in describe_difference(alone)
    same = Candidate("a", True, [0.5, 0.5])
    assert paired_difference(same, same, 0.3).p_value == 1
    always = paired_difference(
        Candidate("a", True, [0.9, 0.9]), Candidate("b", False, [0.5, 0.5]), 0.3
    )
    assert (always.low, always.high, always.p_value) == (always.mean, always.mean, 0)
    assert describe_difference(always).startswith("Yes. a minus b: +40.00 points")


def test_mini_rocket_receives_equal_lengths_without_nan(monkeypatch):
    """Use a fake transformer that records its input: aeon has many dependencies."""
    seen = []

    class MiniRocket(BaseEstimator):
        def __init__(self, random_state=None):
            self.random_state = random_state

        def fit(self, arrays, labels=None):
            return self

        def transform(self, arrays):
            seen.append(arrays)
            return arrays.reshape(len(arrays), -1)

    module = SimpleNamespace(MiniRocket=MiniRocket)
    monkeypatch.setattr("importlib.import_module", lambda name: module)
    arrays = [np.full((n, 2), n % 2, np.float64) for n in (5, 12, 7, 8, 11, 6)]
    for values in arrays[:4]:
        values[1, 0] = np.nan
        values[:, 1] += np.linspace(0, 1, len(values))
    labels = [1, 0, 1, 0, 1, 0]
    training = Sequences.from_arrays(arrays[:4], labels[:4])
    held_out = Sequences.from_arrays(arrays[4:], labels[4:])
    assert list(baselines("sequence"))[2] == "MiniRocket"
    assert accuracy(baselines("sequence")["MiniRocket"], training, held_out) == 1.0
    assert [some.shape for some in seen] == [(4, 2, 12), (2, 2, 12)]
    assert not any(np.isnan(some).any() for some in seen)
    np.testing.assert_allclose(seen[0][0, 1], 1 + np.linspace(0, 1, 12))


def test_windows_are_compared_as_recordings_too(tmp_path):
    """A recording is right if its mean is, even if some of its windows are noise."""
    generator = np.random.default_rng(0)
    lines = ["id,x,label"]
    for n in range(40):
        for step in range(40):
            level = (n % 2) * (step < 20)  # the second half says nothing
            lines.append(f"r{n},{level + 0.1 * generator.normal()},{'ab'[n % 2]}")
    (tmp_path / "x.csv").write_text("\n".join(lines))
    dataset = open_dataset(str(tmp_path / "x.csv"), DataOptions(window=10))
    comparison = compare(
        dataset,
        rounds=2,
        epochs=40,
        hidden_size=8,
        num_layers=1,
        stem_channels=None,
        input_jitter=0.0,
    )
    for candidate in comparison.candidates:
        assert len(candidate.recording_accuracies) == len(candidate.accuracies) == 2
        if candidate.name != "majority class":
            assert candidate.mean < 0.85  # half of the windows of class b look like class a
            assert candidate.recording_mean == 1


def test_the_table_has_columns_for_recordings(capsys):
    windows = Candidate("LSTM forward", True, [0.8, 0.9], [0.95, 1.0])
    print_candidates(Comparison([windows], None, None))
    title, _, row = capsys.readouterr().out.strip().splitlines()
    assert title.split("  ")[0] == "candidate"
    assert "recordings, mean" in title
    assert row.split()[2:] == ["85.00%", "7.07%", "97.50%", "3.54%", "2"]
