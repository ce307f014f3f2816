"""Streams: any chunks and any other sequences give the same bits, which are those of batches."""

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import random_model

from bothways.data.options import DataOptions
from bothways.errors import CheckpointError, ConfigError, DataError, ShapeError
from bothways.models.inputs import ScaleWarning
from bothways.models.manifest import Preprocessing

ROUNDING = {"rtol": 0, "atol": 2e-6}  # guarantee 1: float32 sums in another order

MODELS = {
    "lstm": {},
    "gru, 2 layers": {"cell": "gru", "num_layers": 2, "hidden_size": 70},
    "rnn, last": {"cell": "rnn", "readout": "last", "calibrate": True},
    "mean": {"readout": "mean", "normalization": "dataset"},
    "all readouts": {"readout": "final+last+mean+max+attention", "members": 3, "calibrate": True},
    "steps": {"readout": "step", "normalization": "robust", "missing": "mask"},
    "steps, members": {"readout": "step", "members": 2},
    "categories": {"categories": (0, 4, 0), "missing": "zero", "readout": "max"},
    "stem": {"stem_channels": 4, "readout": "final+mean"},
    "stem, wide stride": {"stem_channels": 3, "stem_kernel": 3, "stem_stride": 4, "readout": "max"},
    "stem, kernel 1": {"stem_channels": 3, "stem_kernel": 1, "stem_stride": 3, "members": 2},
    "stem, deep": {"stem_channels": 3, "stem_kernel": 7, "stem_layers": 3, "readout": "attention"},
    "stem, steps": {"stem_channels": 3, "stem_stride": 1, "readout": "step", "stem_layers": 3},
}


def forward_model(name="lstm", **options):
    return random_model(bidirectional=False, **MODELS[name], **options)


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return forward_model(request.param)


def draw_sequences(model, generator, count=5):
    config = model.manifest.model
    arrays = [generator.normal(size=(generator.integers(1, 25), 3)) for _ in range(count)]
    for array in arrays:
        if config.accepts_missing:
            array[generator.random(array.shape) < 0.2] = np.nan
        for feature in config.categorical_features:
            array[:, feature] = generator.integers(1, 5, len(array))
    return [array.astype(np.float32) for array in arrays]


def expected_answers(model, sequence):
    """Return the answers of batches: of the whole sequence, or of all of its beginnings."""
    if model.manifest.model.target == "step":
        return model.predict_proba([sequence])[0]
    return model.predict_proba([sequence[: n + 1] for n in range(len(sequence))])


def whole(model, sequence):
    """Return the answers to a sequence that comes in one chunk, alone."""
    stream = model.stream()
    return np.concatenate([stream.push({"only": sequence})["only"], stream.close("only")])


def test_one_chunk_is_answered_as_batches_are(model, seed):
    for sequence in draw_sequences(model, np.random.default_rng(seed)):
        np.testing.assert_allclose(
            whole(model, sequence), expected_answers(model, sequence), **ROUNDING
        )


@settings(max_examples=10, deadline=None)
@given(data=st.data(), numbers=st.integers(0, 2**32 - 1))
def test_chunks_and_other_sequences_do_not_change_a_bit(model, data, numbers):
    sequences = draw_sequences(model, np.random.default_rng(numbers))
    stream, places = model.stream(), dict.fromkeys(range(len(sequences)), 0)
    found = {n: [] for n in places}
    while places:
        chosen = data.draw(st.lists(st.sampled_from(sorted(places)), min_size=1, unique=True))
        chunks = {}
        for n in chosen:
            end = places[n] + data.draw(st.integers(1, 6))
            chunks[n], places[n] = sequences[n][places[n] : end], end
        for n, answers in stream.push(chunks).items():
            found[n].append(answers)
        ended = [n for n in places if places[n] >= len(sequences[n])]
        for n, answers in stream.close_all(ended).items():
            found[n].append(answers)
            del places[n]
    assert len(stream) == 0
    for n, sequence in enumerate(sequences):
        np.testing.assert_array_equal(np.concatenate(found[n]), whole(model, sequence))


def test_states_are_saved_and_continued_byte_for_byte(model, seed, tmp_path):
    sequences = draw_sequences(model, np.random.default_rng(seed), 3)
    first = {f"s{n}": sequence[: len(sequence) // 2 + 1] for n, sequence in enumerate(sequences)}
    rest = {f"s{n}": sequence[len(sequence) // 2 + 1 :] for n, sequence in enumerate(sequences)}
    rest = {key: steps for key, steps in rest.items() if len(steps)}
    stream = model.stream()
    stream.push({7: sequences[0], **first})
    stream.close(7)  # the rows of the table are not in the order of the keys
    stream.push({7: sequences[1]})
    stream.save(tmp_path / "states.safetensors")
    loaded = model.stream().load(tmp_path / "states.safetensors")
    assert list(loaded) == list(stream) == [*first, 7]
    loaded.save(tmp_path / "again.safetensors")
    content = (tmp_path / "states.safetensors").read_bytes()
    assert (tmp_path / "again.safetensors").read_bytes() == content
    for expected, found in [
        (stream.push(rest), loaded.push(rest)),
        (stream.close_all(), loaded.close_all()),
    ]:
        assert expected.keys() == found.keys()
        for key, answers in expected.items():
            np.testing.assert_array_equal(found[key], answers)


@pytest.mark.parametrize(
    ("settings", "delay"),
    [
        ({}, 0),
        ({"stem_channels": 3, "stem_kernel": 5, "stem_layers": 1}, 2),
        ({"stem_channels": 3, "stem_kernel": 3, "stem_layers": 4}, 4),
        ({"stem_channels": 3, "stem_kernel": 1, "stem_layers": 2}, 0),
    ],
)
def test_labels_of_steps_come_as_soon_as_they_are_final(settings, delay):
    model = random_model(bidirectional=False, readout="step", stem_stride=1, **settings)
    stream, steps = model.stream(), np.random.default_rng(0).normal(size=(9, 3))
    counts = [len(stream.push({"a": steps[n : n + 1]})["a"]) for n in range(9)]
    assert counts == [0] * delay + [1] * (9 - delay)
    assert len(stream.close("a")) == delay


def test_rows_of_closed_sequences_are_used_again():
    stream = forward_model().stream()
    for n in range(1000):
        stream.push({n: np.full((2, 3), n / 1000), n + 1: np.zeros((1, 3))})
        stream.close(n)
    assert stream._table.capacity == 2
    fresh = stream.push({"new": np.ones((3, 3))})["new"]
    np.testing.assert_array_equal(fresh, whole(forward_model(), np.ones((3, 3))))


@pytest.mark.parametrize(
    ("settings", "floats"),
    [
        ({}, 2 * 5),  # h and c
        ({"cell": "gru", "num_layers": 3}, 3 * 5),
        ({"readout": "mean+max"}, 2 * 5 + 2 * 5 + 5),  # a sum in float64, a maximum
        ({"readout": "attention"}, 2 * 5 + 2 * (5 + 1)),
        ({"members": 4}, 4 * 2 * 5),
        ({"stem_channels": 4, "stem_kernel": 5}, 2 * 5 + 4 * (3 + 4) + 5),  # and the features
        ({"stem_channels": 4, "stem_stride": 1, "readout": "step"}, 2 * 5 + 4 * (3 + 4)),
    ],
)
def test_the_size_of_a_state_is_known_and_does_not_grow(settings, floats):
    stream = random_model(bidirectional=False, **settings).stream()
    assert stream.bytes_per_sequence == 4 * floats + 8  # and the number of steps
    stream.push({"a": np.zeros((300, 3))})
    table = sum(tensor.nbytes for tensor in stream._table._tensors.values())
    assert table == stream.bytes_per_sequence * stream._table.capacity


def test_long_chunks_run_in_pieces(seed, monkeypatch):
    model, generator = forward_model("mean"), np.random.default_rng(seed)
    chunks = {n: generator.normal(size=(length, 3)) for n, length in enumerate([1, 90, 7, 33])}
    expected = model.stream().push(chunks)
    monkeypatch.setattr("bothways.models.streaming.chunks.batch_steps", lambda config: 40)
    for key, answers in model.stream().push(chunks).items():
        np.testing.assert_array_equal(answers, expected[key])


def test_the_model_may_change_afterwards():
    model = forward_model("steps, members")
    expected, stream = whole(model, np.ones((3, 3))), model.stream()
    with torch.no_grad():
        for weight in model.classifier.train().parameters():
            weight.zero_()
    np.testing.assert_array_equal(stream.push({"a": np.ones((3, 3))})["a"], expected)


def test_frames_and_offsets_are_read_as_in_predict_proba():
    reading = DataOptions(offsets=(1e9, 0.0, 0.0))
    preprocessing = Preprocessing(features=("x", "y", "z"), reading=reading)
    model = forward_model(preprocessing=preprocessing)
    steps = np.array([[1e9 + 1, 2.0, 3.0], [1e9 - 1, 0.5, 1.0]])
    frame = pandas.DataFrame(steps[:, ::-1], columns=["z", "y", "x"])
    found = model.stream().push({"array": steps})
    found |= model.stream().push({"frame": frame})
    np.testing.assert_array_equal(found["array"], found["frame"])
    np.testing.assert_allclose(found["array"][-1], model.predict_proba([steps])[0], **ROUNDING)


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (np.zeros((2, 4)), ShapeError, "have 4 features per time step; expected 3"),
        (np.zeros((0, 3)), DataError, r"sequences\[1\] has shape \(0, 3\)"),
        (np.zeros(3), DataError, r"sequences\[1\] has shape \(3,\)"),
        (np.zeros((1, 3), int), DataError, r"sequences\[1\] has dtype int64"),
        (np.full((2, 3), np.nan), DataError, r"sequences\[1\] holds nan at step 0, feature 0"),
        (np.full((2, 3), np.inf, np.float32), DataError, r"sequences\[1\] holds inf at step 0"),
    ],
)
def test_wrong_steps_raise_the_errors_of_predict_proba_and_change_nothing(steps, error, message):
    model = forward_model()
    stream, good = model.stream(), np.ones((1, 3))
    first = stream.push({"a": good})["a"]
    with pytest.raises(error, match=message):
        stream.push({"a": good, "new": steps} if steps.shape != (2, 4) else {"new": steps})
    assert list(stream) == ["a"]
    second = stream.push({"a": good})["a"]
    np.testing.assert_array_equal([*first, *second], whole(model, np.ones((2, 3))))


def test_values_far_outside_the_training_data_warn():
    model = forward_model(preprocessing=Preprocessing(training_range=(0.0, 1.0)))
    stream = model.stream()
    stream.push({"a": np.full((1, 3), 1.5)})
    with pytest.warns(ScaleWarning, match="inputs range from 9 to 9"):
        stream.push({"a": np.full((1, 3), 9.0)})


def test_keys():
    stream = forward_model().stream()
    with pytest.raises(DataError, match=r"the key \(1, 2\) of type tuple; expected str or int"):
        stream.push({"a": np.zeros((1, 3)), (1, 2): np.zeros((1, 3))})
    assert len(stream) == 0
    assert stream.push({}) == {}
    stream.push({"a": np.zeros((1, 3)), 5: np.zeros((1, 3))})
    assert "a" in stream
    with pytest.raises(DataError, match=r"no sequence 'b' is open; .* of the 2 open sequences"):
        stream.close_all(["a", "b"])
    assert list(stream) == ["a", 5]
    assert stream.close_all().keys() == {"a", 5}
    assert stream.close_all() == {}


@pytest.mark.parametrize("key", [True, 1.0, None])
def test_keys_that_only_look_like_texts_or_integers(key):
    stream = forward_model().stream()
    stream.push({1: np.zeros((1, 3))})
    with pytest.raises(DataError, match=rf"the key {key} of type \w+; expected str or int"):
        stream.push({key: np.zeros((1, 3))})


def test_integers_of_numpy_are_keys(tmp_path):
    stream = forward_model().stream()
    assert list(stream.push({np.int64(3): np.zeros((1, 3))})) == [3]
    stream.save(tmp_path / "states.safetensors")
    assert list(forward_model().stream().load(tmp_path / "states.safetensors")) == [3]


def test_steps_are_a_mapping():
    with pytest.raises(DataError, match=r"steps is a list; expected a dict .* Pass {key: array}"):
        forward_model().stream().push([("a", np.zeros((1, 3)))])


@pytest.mark.parametrize("failing_piece", [0, 1])
def test_a_failure_changes_nothing(monkeypatch, failing_piece):
    model, steps = forward_model("mean"), np.random.default_rng(0).normal(size=(9, 3))
    monkeypatch.setattr("bothways.models.streaming.chunks.batch_steps", lambda config: 6)
    stream = model.stream()
    stream.push({"a": steps[:2]})
    run, pieces = stream._model.run, []

    def fail(*arguments):
        pieces.append(arguments)
        if len(pieces) > failing_piece:
            raise MemoryError
        return run(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stream._model, "run", fail)
        with pytest.raises(MemoryError):
            stream.push({"a": steps, "new": steps})
    assert list(stream) == ["a"]
    found = stream.push({"a": steps[2:], "new": steps})
    np.testing.assert_array_equal(found["a"], whole(model, steps)[2:])
    np.testing.assert_array_equal(found["new"], whole(model, steps))


def test_states_are_not_saved_in_place_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsADirectoryError):
        forward_model().stream().save(".")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bidirectional": True}, "Train with --set bidirectional=false"),
        ({"normalization": "both"}, "normalization is 'both'.*Train with --set normalization"),
        ({"readout": "final+flatten"}, "readout is 'final.flatten'.*Train with --set readout="),
    ],
)
def test_models_that_need_the_whole_sequence_are_refused(settings, message):
    model = random_model(**{"bidirectional": False, **settings})
    with pytest.raises(ConfigError, match=message):
        model.stream()


def test_attention_without_bounded_scores_is_refused():
    model = random_model(bidirectional=False, readout="max+attention")
    with torch.no_grad():
        model.classifier.readout.parts["attention"].context.weight.fill_(200.0)
    with pytest.raises(
        ConfigError, match="attention allow scores up to 1000; expected at most 700"
    ):
        model.stream()
    with torch.no_grad():
        model.classifier.readout.parts["attention"].context.weight.fill_(139.0)
    steps = np.random.default_rng(0).normal(size=(9, 3))
    np.testing.assert_allclose(whole(model, steps), expected_answers(model, steps), **ROUNDING)


def test_exported_models_are_refused():
    model = forward_model()
    model._classifier = object()
    with pytest.raises(CheckpointError, match="the weights of an exported model cannot be read"):
        model.stream()


def test_torchs_operators_agree_to_rounding(seed):
    model = forward_model("gru, 2 layers")
    model.classifier.layers.backend = "torch"
    (sequence,) = draw_sequences(model, np.random.default_rng(seed), 1)
    stream = model.stream()
    found = [stream.push({"a": step[None]})["a"] for step in sequence]
    np.testing.assert_allclose(np.concatenate(found), expected_answers(model, sequence), **ROUNDING)
