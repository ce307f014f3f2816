"""Bidirectional labelers answer when their lookahead has come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_files import write_table

from bothways import DataOptions, train
from bothways.errors import ConfigError

LENGTH = 45


@pytest.fixture(scope="module")
def labelers(tmp_path_factory):
    """Return trained labelers by name: with one layer and another limit, two layers, a stem."""
    folder = tmp_path_factory.mktemp("lookahead")
    write_table(folder / "activities.csv", np.random.default_rng(0), "step")
    kinds = {
        "lstm": {"cell": "lstm", "num_layers": 2},
        "gru": {"cell": "gru", "num_layers": 1},
        "stem": {"stem_channels": 4, "stem_kernel": 3},
        "ensemble": {"members": 2, "num_layers": 2},
    }
    options = DataOptions(target="step")
    return {
        name: train(
            str(folder / "activities.csv"),
            options=options,
            out=folder / name,
            **{"hidden_size": 4, "steps": 5, **kind},
        ).load()
        for name, kind in kinds.items()
    }


def sequence(seed=0):
    return np.random.default_rng(seed).normal(size=(LENGTH, 3)).astype(np.float32)


def streamed(model, steps, cuts):
    """Return all answers to a sequence that comes in chunks."""
    stream = model.stream()
    parts = [stream.push({"a": part})["a"] for part in np.split(steps, cuts) if len(part)]
    return np.concatenate([*parts, stream.close("a")])


@pytest.mark.parametrize("name", ["lstm", "gru", "stem", "ensemble"])
@pytest.mark.parametrize("lookahead", [2, 5, 8, 31, 100])
def test_the_answers_are_those_of_a_batch(labelers, name, lookahead):
    model, steps = labelers[name].with_lookahead(lookahead), sequence()
    (expected,) = model.predict_proba([steps])
    found = streamed(model, steps, [7, 8, 30])
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("lookahead", [0, 1])
def test_short_lookaheads(labelers, lookahead):
    model, steps = labelers["gru"].with_lookahead(lookahead), sequence()
    (expected,) = model.predict_proba([steps])
    np.testing.assert_allclose(streamed(model, steps, [20]), expected, rtol=0, atol=2e-6)


@settings(deadline=None, max_examples=30)
@given(
    name=st.sampled_from(["lstm", "stem", "ensemble"]),
    lookahead=st.integers(2, 20),
    cuts=st.lists(st.integers(1, LENGTH - 1), max_size=8, unique=True),
)
def test_chunks_do_not_change_the_bits(labelers, name, lookahead, cuts):
    model, steps = labelers[name].with_lookahead(lookahead), sequence()
    np.testing.assert_array_equal(streamed(model, steps, sorted(cuts)), streamed(model, steps, []))


def test_interleaved_sequences_do_not_change_the_bits(labelers):
    model = labelers["lstm"].with_lookahead(8)
    stream, parts = model.stream(), []
    for number, part in enumerate(np.split(sequence(), 9)):
        others = {key: sequence(key)[:3] for key in range(1, 4) if (number + key) % 2}
        parts.append(stream.push({**others, "a": part})["a"])
    found = np.concatenate([*parts, stream.close("a")])
    np.testing.assert_array_equal(found, streamed(model, sequence(), []))


def test_a_step_is_labeled_when_its_lookahead_has_come(labelers):
    stream, steps = labelers["gru"].with_lookahead(4).stream(), sequence()
    answered = 0
    for number in range(1, LENGTH + 1):
        answered += len(stream.push({"a": steps[number - 1 : number]})["a"])
        assert number - 5 <= answered <= number - 2 or number < 5
    assert answered + len(stream.close("a")) == LENGTH


def test_states_are_saved_and_loaded(labelers, tmp_path):
    model, steps = labelers["stem"].with_lookahead(6), sequence()
    stream = model.stream()
    first = stream.push({"a": steps[:17]})["a"]
    stream.save(tmp_path / "states")
    again = model.stream().load(tmp_path / "states")
    rest = [again.push({"a": steps[17:]})["a"], again.close("a")]
    np.testing.assert_array_equal(np.concatenate([first, *rest]), streamed(model, steps, [17]))
    assert stream.bytes_per_sequence > 0


def test_without_a_limit_there_is_no_stream(labelers):
    with pytest.raises(ConfigError, match="or limit how far it looks ahead with --set lookahead"):
        labelers["lstm"].with_lookahead(None).stream()
