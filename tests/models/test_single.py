"""Answers to one sequence at a time, compared with those of the general path."""

import copy
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from random_models import random_model, three_class_model

from bothways import load
from bothways.data.validation import PrecisionWarning
from bothways.errors import DataError, ShapeError
from bothways.models import trained
from bothways.models.inputs import ScaleWarning
from bothways.models.manifest import Preprocessing
from bothways.models.single import SingleAnswers

MODELS = {
    "final": {},
    "last": {"readout": "last"},
    "flatten": {"readout": "flatten", "sequence_length": 30},
    "all readouts": {"readout": "final+last+mean+max+attention", "calibrate": True},
    "forward": {"bidirectional": False, "cell": "rnn"},
    "shared steps": {"hidden_size": 80, "cell": "gru"},
    "preprocessing": {"normalization": "both"},
    "stem": {"stem_channels": 4, "num_layers": 2},
    "members": {"members": 3, "calibrate": True},
    "step": {"readout": "step"},
    "step, stem": {"readout": "step", "stem_channels": 4, "stem_stride": 1},
}


def private_and_open(**settings):
    """Return two models with the same weights; only the first prepares single answers."""
    models = random_model(**settings), random_model(**settings)
    models[0].keep_private()
    return models


def no_general_path(*_):
    raise AssertionError("the general path was taken")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_answers_are_those_of_the_general_path(name, threads, monkeypatch):
    private, general = private_and_open(**MODELS[name])
    generator = np.random.default_rng(0)
    sequences = [generator.normal(size=(length, 3)) for length in (9, 1, 30, 9)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        expected = [general.predict_proba([sequence]) for sequence in sequences]
        monkeypatch.setattr(trained, "checked_sequences", no_general_path)
        for sequence, answer in zip(sequences, expected, strict=True):
            for data in ([sequence], sequence[None], [sequence.astype(np.float32)]):
                found = private.predict_proba(data)
                assert len(found) == 1
                np.testing.assert_allclose(found[0], answer[0], rtol=0, atol=1e-6)
                assert found[0].shape == answer[0].shape
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_views_of_any_strides(dtype, monkeypatch):
    private, general = private_and_open()
    steps = np.random.default_rng(0).normal(size=(9, 6)).astype(dtype)
    fields = np.zeros((9, 3), [("value", dtype), ("flag", np.int8)])
    fields["value"] = steps[:, :3]
    views = [steps[::-1, :3], steps[:, ::2], steps[:3, :6].T[::-2], fields["value"]]
    expected = [general.predict_proba([view]) for view in views]
    monkeypatch.setattr(trained, "checked_sequences", no_general_path)
    for view, answer in zip(views, expected, strict=True):
        np.testing.assert_allclose(private.predict_proba([view]), answer, rtol=0, atol=1e-6)


def test_other_methods_agree(monkeypatch):
    private, general = private_and_open()
    sequence = np.ones((4, 3))
    names, logits = general.predict([sequence]), general.predict_logits([sequence])
    monkeypatch.setattr(trained, "checked_sequences", no_general_path)
    assert private.predict([sequence]).tolist() == names.tolist()
    torch.testing.assert_close(private.predict_logits([sequence]), logits)


def test_a_loaded_model_prepares_single_answers(tmp_path, monkeypatch):
    model = three_class_model()
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    expected = model.predict_proba([np.ones((4, 3))])
    monkeypatch.setattr(trained, "checked_sequences", no_general_path)
    np.testing.assert_allclose(loaded.predict_proba([np.ones((4, 3))]), expected, atol=1e-6)


def assert_weights_are_read(model, owner):
    """Change the layers of `owner`, which has the same weights; their packed copy is outdated."""
    sequence = np.ones((4, 3))
    before = model.predict_proba([sequence])
    with torch.no_grad():
        for weight in owner.classifier.layers.parameters():
            weight.data.mul_(0.3)
    after = model.predict_proba([sequence])
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, model.predict_proba([sequence, sequence])[:1], atol=1e-6)


def test_changed_weights_are_used_once_the_network_was_read():
    private, _ = private_and_open()
    assert_weights_are_read(private, private)


def test_weights_that_are_changed_through_a_copy():
    private, _ = private_and_open()
    assert_weights_are_read(private, copy.copy(private))
    private, _ = private_and_open()
    private.predict_proba([np.ones((4, 3))])
    assert_weights_are_read(private, copy.copy(private))


@pytest.mark.parametrize("is_prepared", [False, True])
def test_weights_that_are_changed_in_shared_memory(is_prepared):
    private, _ = private_and_open()
    if is_prepared:
        private.predict_proba([np.ones((4, 3))])
    received = ForkingPickler.loads(ForkingPickler.dumps(private))
    assert_weights_are_read(private, received)
    assert_weights_are_read(received, private)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ([np.zeros((4, 2))], ShapeError),
        ([np.zeros((0, 3))], DataError),
        ([np.zeros(3)], DataError),
        ([np.zeros((2, 3), int)], DataError),
        ([np.full((2, 3), np.nan)], DataError),
        ([np.full((2, 3), 1e39)], DataError),
        ([np.ma.masked_invalid(np.full((2, 3), np.nan))], DataError),
        (np.zeros((1, 2, 2)), ShapeError),
        ([], DataError),
    ],
)
def test_unusual_sequences_take_the_general_path(data, error):
    for model in private_and_open():
        with pytest.raises(error):
            model.predict_proba(data)


def test_lost_changes_are_warned_of():
    private, _ = private_and_open()
    steps = np.random.default_rng(0).normal(size=(9, 3))
    steps[:, 1] += 1.7e9
    with pytest.warns(PrecisionWarning, match="feature 1;"):
        private.predict_proba([steps])


def test_other_scales_are_warned_of():
    private, _ = private_and_open(preprocessing=Preprocessing(training_range=(-1.0, 1.0)))
    private.predict_proba([np.full((2, 3), 2.9)])
    with pytest.warns(ScaleWarning, match="range from 3.1 to 3.1") as caught:
        private.predict_proba([np.full((2, 3), 3.1)])
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "settings",
    [{"categories": (0, 4, 0)}, {"readout": "step", "lookahead": 4}],
)
def test_some_models_always_take_the_general_path(settings):
    model = random_model(**settings)
    assert not SingleAnswers.are_possible(model.classifier, model.manifest)
    model.keep_private()
    data = np.zeros((5, 3))
    data[:, 1] = 1
    assert len(model.predict_proba([data])) == 1
