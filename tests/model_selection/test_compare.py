import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from bothways import DataOptions, Dataset, Sequences, open_dataset
from bothways.errors import ConfigError, NonFiniteLossError
from bothways.model_selection.compare import compare

TINY = {"hidden_size": 4, "num_layers": 1, "stem_channels": None, "stem_stride": 1, "epochs": 1}


def bumps(count):
    """Return sequences with an early or a late bump; their summaries differ only at the ends."""
    generator = np.random.default_rng(0)
    arrays = generator.normal(0, 0.1, (count, 20, 1))
    labels = np.arange(count) % 2
    arrays[np.arange(count), np.where(labels, 4, 14)] += 5
    return Dataset("bumps", Sequences.from_arrays(list(arrays), labels), None, ("late", "early"))


def test_a_recurrent_network_beats_baselines_where_order_matters():
    done = []
    comparison = compare(
        bumps(100),
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
        "bidirectional GRU",
        "forward GRU",
        "majority class",
        "logistic regression on summaries",
    ]
    assert done == [1, 2, 3]
    answer = comparison.recurrent_against_baseline
    assert answer.mean > 0.2
    assert answer.significant
    assert answer.low <= answer.mean <= answer.high
    assert answer.first.name in names[:2]
    assert answer.second.name in names[2:]
    directions = comparison.bidirectional_against_forward
    assert (directions.first.name, directions.second.name) == ("bidirectional GRU", "forward GRU")
    both, forward = comparison.candidates[:2]
    assert directions.first.accuracies == pytest.approx(both.accuracies)  # nothing is selected
    assert directions.second.accuracies == pytest.approx(forward.accuracies)
    assert (
        json.loads(json.dumps(asdict(comparison)))["candidates"][0]["name"] == "bidirectional GRU"
    )


def test_the_best_of_each_direction_are_compared():
    vary = {"cell": ["gru", "rnn"], "bidirectional": [True, False]}
    directions = compare(bumps(24), vary=vary, rounds=2, **TINY).bidirectional_against_forward
    for best, reads in ((directions.first, "bidirectional"), (directions.second, "forward")):
        assert best.candidates == 2
        assert best.name in (f"{reads} GRU", f"{reads} RNN")
    one_way = compare(bumps(24), vary={"cell": ["gru"]}, rounds=2, **TINY)
    assert one_way.bidirectional_against_forward is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounds": 1}, "rounds is 1; expected at least 2, because .* Use more rounds"),
        ({"vary": {"seed": [0, 1]}}, "seed was given, but each round has its own seed"),
        (
            {"vary": {"cell": ["gru"], "readout": ["final", "mean", "final"]}},
            "readout=final is to be tried twice; expected each value once. Omit one",
        ),
        ({"validation_fraction": 0.3}, "validation_fraction was given, .* Omit it"),
        ({"patience": 2}, "patience was given"),
        ({"calibrate": True}, "calibrate was given"),
    ],
)
def test_what_cannot_be_compared(changes, message):
    with pytest.raises(ConfigError, match=message):
        compare(bumps(8), **changes)


def test_a_loss_that_is_not_finite_ends_the_comparison():
    with pytest.raises(NonFiniteLossError, match=r"loss is nan in epoch .* Try a lower"):
        compare(bumps(24), rounds=2, **TINY | {"epochs": 3}, learning_rate=1e30)


def test_splits_by_time_are_refused():
    with pytest.raises(ConfigError, match="by_time allows only one split"):
        compare(replace(bumps(8), in_time_order=True))


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


def test_labels_of_steps_are_compared():
    generator = np.random.default_rng(0)
    labels = [np.arange(length) // 3 % 2 for length in generator.integers(6, 12, 16)]
    arrays = [generator.normal(own[:, None], 0.1, (len(own), 1)) for own in labels]
    sequences = Sequences.from_arrays(arrays).with_step_labels(labels)
    dataset = Dataset("steps", sequences, None, ("a", "b"))
    comparison = compare(dataset, rounds=2, **TINY)
    answer = comparison.recurrent_against_baseline
    assert answer.second.name == "logistic regression on single steps"
    assert answer.second.mean > 0.9
    assert answer.second.candidates == 2
    assert comparison.notes == []
