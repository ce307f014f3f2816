import json

import numpy as np
import pytest
import torch
from random_models import random_model

from bothways.errors import CheckpointError
from bothways.storage.tensors import load_tensors, save_tensors


def forward_model(seed=0, **settings):
    return random_model(seed, bidirectional=False, **settings)


@pytest.fixture
def saved(tmp_path):
    stream = forward_model().stream()
    stream.push({"a": np.ones((2, 3)), 5: np.zeros((1, 3))})
    stream.save(tmp_path / "states")
    return tmp_path / "states"


def test_no_sequences(tmp_path):
    stream = forward_model().stream()
    stream.save(tmp_path / "states")
    stream.push({"a": np.ones((2, 3))})
    assert list(stream.load(tmp_path / "states")) == []


@pytest.mark.parametrize(
    "other",
    [forward_model(1), forward_model(classes=("a", "b", "c", "d"))],
    ids=["weights", "names"],
)
def test_states_of_another_model_are_refused(saved, other):
    with pytest.raises(CheckpointError, match="contains the states of another model"):
        other.stream().load(saved)


def test_other_files_are_refused(tmp_path):
    save_tensors(tmp_path / "weights", {"a": torch.zeros(2)}, {})
    with pytest.raises(CheckpointError, match="weights contains no states of open sequences"):
        forward_model().stream().load(tmp_path / "weights")
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        forward_model().stream().load(tmp_path / "absent")


def test_every_damaged_byte_is_noticed(saved):
    content = saved.read_bytes()
    stream = forward_model().stream()
    stream.push({"kept": np.ones((1, 3))})
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        saved.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"damaged|another program") as caught:
            stream.load(saved)
        assert "\n" not in str(caught.value)
        saved.write_bytes(content[:place])
        with pytest.raises(CheckpointError, match="truncated or damaged"):
            stream.load(saved)
    assert list(stream) == ["kept"]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"keys": ["a"]}, "do not fit the states of 1 sequence of"),
        ({"keys": ["a", "a"]}, "do not fit the states of 1 sequence of"),
        ({"keys": [["a"], "b"]}, "do not fit"),
        ({"keys": None}, "do not fit"),
        ({"keys": ["a", "b", "c"]}, "do not fit the states of 3 sequences of"),
    ],
)
def test_names_that_do_not_fit_the_states(saved, facts, message):
    tensors, found = load_tensors(saved)
    save_tensors(saved, tensors, {**found, **facts})
    with pytest.raises(CheckpointError, match=message):
        forward_model().stream().load(saved)


@pytest.mark.parametrize("change", ["drop", "type", "shape"])
def test_tensors_that_do_not_fit_the_model(saved, change):
    tensors, facts = load_tensors(saved)
    state = tensors.pop("0.layers.h")
    if change != "drop":
        tensors["0.layers.h"] = state.double() if change == "type" else state[:, :, :3]
    save_tensors(saved, tensors, json.loads(json.dumps(facts)))
    with pytest.raises(CheckpointError, match="do not fit the states of 2 sequences of this model"):
        forward_model().stream().load(saved)
